package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
)

// Peer is one server to measure.
type Peer struct {
	Name    string
	Version string
	Style   string // how it is run here, for the reader
	Floor   bool   // a yardstick, not a server: it wins nothing

	install func(in *installer) error
	command func(r *rig, burst bool) []string // burst: for what suits bursts, where there is a choice
	ready   func(r *rig) (method, url string) // what to ask until it says 2xx, where listening is not yet all; nil: it is
	child   bool                              // it is the command's only child that serves
	load    func(r *rig, size int) []string   // flags of sluice-load to subscribe and to publish payloads of size bytes
	echo    func(r *rig) []string             // flags of sluice-load to have messages sent back; nil: it does not
}

// Every server pings idle clients this often, in seconds: short, so that a short look at idle connections has one ping of each.
const pingSeconds = 10

// The versions that are asked for.
const (
	gorillaVersion    = "1.5.3"
	gwsVersion        = "1.9.1"
	nchanVersion      = "1.3.6"
	nchanPackage      = "1:1.3.6+dfsg-2"
	socketioVersion   = "4.8.4"
	centrifugoVersion = "6.9.1"
)

// peers are all there are, in the order of the table. The first one is ours.
func peers() []*Peer {
	return []*Peer{sluice(), bare(), goPeer("gorilla", gorillaVersion, "the hub of its chat example: two goroutines and a channel of 256 messages per connection, what waits leaves as one message"),
		goPeer("gws", gwsVersion, "a ReadLoop goroutine per connection, a Broadcaster per message"), nchan(), socketio(), centrifugo()}
}

func sluice() *Peer {
	return &Peer{
		Name: "Sluice", Style: "defaults, one reactor, no limit of messages a second (for echo)",
		install: func(in *installer) error {
			return in.run("", "go", "build", "-trimpath", "-o", in.bin("sluice"), "./gateway")
		},
		command: func(r *rig, _ bool) []string {
			return []string{r.bin("sluice"), "serve", "--dev", "--redis", "redis://" + r.redisAddr(), "--listen", r.addr(), "--admin", "127.0.0.1:" + strconv.Itoa(r.port+1),
				"--reactors", "1", "--message-rate", "0", "--message-bytes-rate", "0", "--log-level", "warn", "--ping-interval", fmt.Sprintf("%ds", pingSeconds)}
		},
		ready: func(r *rig) (method, url string) { return http.MethodGet, "http://" + r.addr() + "/readyz" },
		load: func(r *rig, _ int) []string {
			return []string{"--url", "ws://" + r.addr() + "/ws?channel={channel}", "--redis", "redis://" + r.redisAddr()}
		},
		echo: func(r *rig) []string { return []string{"--url", "ws://" + r.addr() + "/echo"} },
	}
}

func bare() *Peer {
	return &Peer{
		Name: "bare C loop", Floor: true, Style: "loadtest/yardstick: one send per connection and message, or, in bursts and at a rate, per read from Redis; no routing, no pings, no limits",
		install: func(in *installer) error {
			return in.run("", "cc", "-O2", "-o", in.bin("bare"), "loadtest/yardstick/bare.c")
		},
		command: func(r *rig, burst bool) []string {
			c := []string{r.bin("bare"), "--listen", strconv.Itoa(r.port), "--redis", r.redisAddr(), "--channel", "sluice:news"}
			if burst {
				c = append(c, "--burst")
			}
			return c
		},
		load: hubLoad,
		echo: func(r *rig) []string { return []string{"--url", "ws://" + r.addr() + "/echo"} },
	}
}

// hubLoad is for servers that send everything from one Redis channel to everybody.
func hubLoad(r *rig, _ int) []string {
	return []string{"--url", "ws://" + r.addr() + "/ws", "--redis", "redis://" + r.redisAddr()}
}

func goPeer(name, version, style string) *Peer {
	return &Peer{
		Name: name, Version: version, Style: style,
		install: func(in *installer) error {
			return in.run("loadtest/compare/peers", "go", "build", "-o", in.bin(name), "./"+name)
		},
		command: func(r *rig, _ bool) []string {
			return []string{r.bin(name), "-listen", r.addr(), "-redis", r.redisAddr(), "-channel", "sluice:news", "-ping", fmt.Sprintf("%ds", pingSeconds)}
		},
		load: hubLoad,
		echo: func(r *rig) []string { return []string{"--url", "ws://" + r.addr() + "/echo"} },
	}
}

func nchan() *Peer {
	return &Peer{
		Name: "nchan", Version: nchanVersion, Style: "nginx with one worker, Redis in the mode nostore, published to with pipelined POSTs", child: true,
		install: installNchan,
		command: func(r *rig, _ bool) []string {
			return []string{"nginx", "-p", r.dir, "-e", "stderr", "-c", filepath.Join(r.dir, "nginx.conf")}
		},
		// It has to connect to Redis.
		ready: func(r *rig) (method, url string) { return http.MethodPost, "http://" + r.addr() + "/pub?channel=ready" },
		load: func(r *rig, _ int) []string {
			return []string{"--url", "ws://" + r.addr() + "/sub?channel={channel}", "--post", "http://" + r.addr() + "/pub?channel={channel}"}
		},
	}
}

func socketio() *Peer {
	url := func(r *rig) string { return "ws://" + r.addr() + "/socket.io/?EIO=4&transport=websocket" }
	greet := []string{"--hello", `40{"room":"news"}`, "--answer", "2=3"}
	return &Peer{
		Name: "Socket.IO", Version: socketioVersion, Style: "WebSocket only, with its Redis adapter, bufferutil and utf-8-validate",
		install: installSocketIO,
		command: func(r *rig, _ bool) []string {
			return []string{"node", filepath.Join(r.out, "socketio", "server.mjs"), r.addr(), "redis://" + r.redisAddr(), strconv.Itoa(pingSeconds * 1000)}
		},
		load: func(r *rig, size int) []string {
			// What @socket.io/redis-emitter publishes, in MessagePack: who it is, a packet with the event m, and the room.
			before := fmt.Sprintf(`\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa1m\xda\x%02x\x%02x`, size>>8, size&0xff)
			return append([]string{"--url", url(r), "--redis", "redis://" + r.redisAddr(), "--prefix", "socket.io#/#", "--channel", "news#",
				"--before", before, "--after", `\xa3nsp\xa1/\x83\xa5rooms\x91\xa4news\xa6except\x90\xa5flags\x80`}, greet...)
		},
		echo: func(r *rig) []string {
			return append([]string{"--url", url(r), "--rest", "--before", `42["echo","`, "--after", `"]`}, greet...)
		},
	}
}

func centrifugo() *Peer {
	return &Peer{
		Name: "Centrifugo", Version: centrifugoVersion, Style: "Redis engine without history, write buffers pooled, published to with its API's batch",
		install: installCentrifugo,
		command: func(r *rig, _ bool) []string {
			return []string{r.bin("centrifugo"), "-c", filepath.Join(r.dir, "centrifugo.json")}
		},
		load: func(r *rig, _ int) []string {
			return []string{"--url", "ws://" + r.addr() + "/connection/websocket", "--hello", "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"{channel}\"}}",
				"--answer", "{}={}", "--post", "http://" + r.addr() + "/api/batch", "--post-item", `{"publish":{"channel":"{channel}","data":"{payload}"}}`,
				"--post-batch", `{"commands":[{items}]}`}
		},
	}
}
