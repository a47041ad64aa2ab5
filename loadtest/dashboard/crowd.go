package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"sluice/codec"
	"sluice/loadtest/internal/fleet"
)

// crowd is the clients that stay, of each dialect in turn, and say something now and then. They come back when they are sent away.
type crowd struct {
	fleet *fleet.Fleet
	stop  chan struct{}
	done  sync.WaitGroup
}

// dialect is how every fourth client speaks.
type dialect struct {
	path, header string
	opened, says string // what a client says when it is connected, and now and then; "": nothing
}

var dialects = []dialect{
	{"ws://%s/ws?channel=plain:{channel}", "", "", "a message"},
	{"ws://%s/ws?channel=durable:{channel}&since={since}", "Sec-WebSocket-Protocol: sluice.v1", "", `{"data":{"order":7},"id":"m1"}`},
	{"ws://%s/connection/websocket", "", `{"id":1,"connect":{}}` + "\n" + subscribe, `{"id":3,"rpc":{"method":"count","data":1}}` + "\n" + `{"id":4,"presence":{"channel":"durable:1"}}`},
	{"http://%s/sse?channel=plain:{channel}", "", "", ""},
}

// Places in dialects.
const (
	inV1         = 1
	inCentrifuge = 2
)

const subscribe = `{"id":2,"subscribe":{"channel":"durable:1"}}`

const (
	channels = 10
	sayEvery = 5 * time.Second // each client, about
)

func newCrowd(address string, size int) (*crowd, error) {
	members := &members{positions: make([]uint64, size)}
	o := fleet.Options{Workers: 1, Concurrency: 64, Timeout: 15 * time.Second, Rate: float64(size) / 5, Answers: map[string]string{"{}": "{}"},
		Channel: func(id int) string { return strconv.Itoa(id / len(dialects) % channels) }, Since: members.since,
		Again: func(int, bool) time.Duration { return rand.N(2 * time.Second) }} //nolint:gosec // nobody gains by guessing it
	for _, d := range dialects {
		var headers []string
		if d.header != "" {
			headers = []string{d.header}
		}
		t, err := fleet.NewTarget(fmt.Sprintf(d.path, address), headers)
		if err != nil {
			return nil, err
		}
		if o.Target == nil {
			o.Target = t
		} else {
			o.Also = append(o.Also, t)
		}
	}
	f, err := fleet.Start(o, func(int) fleet.Script { return members })
	if err != nil {
		return nil, err
	}
	f.Open(size)
	c := &crowd{fleet: f, stop: make(chan struct{})}
	c.done.Go(c.talk)
	return c, nil
}

// talk has some of the clients say something, ten times a second.
func (c *crowd) talk() {
	const every = 100 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.stop:
			return
		}
		c.fleet.Each(func(w *fleet.Worker) {
			w.Conns(func(one *fleet.Conn) {
				if d := dialects[one.ID%len(dialects)]; d.says != "" && rand.N(sayEvery) < every { //nolint:gosec // as above
					one.Send(codec.OpText, []byte(d.says))
				}
			})
		})
	}
}

func (c *crowd) close() {
	close(c.stop)
	c.done.Wait()
	c.fleet.Stop()
}

// members is what the clients do. It belongs to the fleet's one worker.
type members struct {
	positions []uint64 // by client: of the newest durable message
}

func (m *members) since(id int) string {
	if m.positions[id] == 0 {
		return ""
	}
	return strconv.FormatUint(m.positions[id], 10)
}

// Opened implements fleet.Script.
func (*members) Opened(c *fleet.Conn) {
	if d := dialects[c.ID%len(dialects)]; d.opened != "" {
		c.Send(codec.OpText, []byte(d.opened))
	}
}

// Message implements fleet.Script.
func (m *members) Message(c *fleet.Conn, message fleet.Message) {
	var e struct {
		Position uint64
		Push     struct{ Unsubscribe json.RawMessage }
	}
	switch kind := c.ID % len(dialects); {
	case kind != inV1 && kind != inCentrifuge || json.Unmarshal(message.Payload, &e) != nil: // it says nothing of what is below
	case kind == inV1 && e.Position != 0:
		m.positions[c.ID] = e.Position
	case e.Push.Unsubscribe != nil: // something was lost: SDKs begin anew
		c.Send(codec.OpText, []byte(subscribe))
	}
}

// Closed implements fleet.Script.
func (*members) Closed(*fleet.Conn, string) {}

// Turn implements fleet.Script.
func (*members) Turn() {}
