// Package upstream is what the peers written in Go share: their flags, their listener and the subscription to Redis. How they
// hold connections and send to them is each one's own.
package upstream

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options are the flags of every peer.
type Options struct {
	Listen  string        // HOST:PORT
	Redis   string        // HOST:PORT
	Channel string        // in Redis; every client of /ws gets what is published there
	Ping    time.Duration // between two pings to a client; a client silent for 2 × Ping is gone
}

// Parse reads the command line.
func Parse() Options {
	var o Options
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:9100", "where clients connect: /ws and /echo")
	flag.StringVar(&o.Redis, "redis", "127.0.0.1:6379", "the Redis to subscribe at")
	flag.StringVar(&o.Channel, "channel", "sluice:news", "the channel in Redis")
	flag.DurationVar(&o.Ping, "ping", 25*time.Second, "between two pings to a client")
	flag.Parse()
	return o
}

// Run serves ws and echo, and gives each message of the channel to deliver, in order, on one goroutine. It does not return.
func (o Options) Run(ws, echo http.HandlerFunc, deliver func(payload []byte)) {
	sub := redis.NewClient(&redis.Options{Addr: o.Redis}).Subscribe(context.Background(), o.Channel)
	// The subscription is confirmed first. Messages are taken one by one: the library's own channel drops them when it is full.
	if _, err := sub.Receive(context.Background()); err != nil {
		log.Fatalf("subscribing to %s at %s: %v", o.Channel, o.Redis, err)
	}
	go func() {
		for {
			m, err := sub.ReceiveMessage(context.Background())
			if err != nil {
				log.Fatalf("receiving from %s: %v", o.Redis, err)
			}
			deliver([]byte(m.Payload))
		}
	}()
	http.HandleFunc("/ws", ws)
	http.HandleFunc("/echo", echo)
	log.Fatal(http.ListenAndServe(o.Listen, nil))
}
