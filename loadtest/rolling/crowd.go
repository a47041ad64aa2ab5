package main

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/history"
)

// crowd is the clients. All of it belongs to the fleet's one worker, until the fleet has ended.
type crowd struct {
	o       *options
	logs    []*channelLog
	clients []client
	began   int64 // Unix nanoseconds at 0 of fleet.Now

	back    []comeback
	failed  []int64 // when a try to come back was in vain
	arrived []int64 // when each message came
	whys    map[string]int
}

// client follows one channel.
type client struct {
	position uint64
	heard    []history.Heard

	away   int64 // since when it is; 0: it is not
	waited int64 // of that, by its own choice
	tries  int   // to come back, in vain
}

// comeback is one absence of a client; Unix nanoseconds.
type comeback struct {
	ID     int   `json:"client"`
	Left   int64 `json:"left"`
	Back   int64 `json:"back"`   // when the node had said that it is subscribed; 0: it did not come back
	Waited int64 `json:"waited"` // how much of the time between was backoff, ns
	Tries  int   `json:"tries"`  // in vain
}

// envelope is what a node says in sluice.v1.
type envelope struct {
	Channel    string
	Subscribed bool
	Recovered  *bool
	Position   uint64
	Text       *string
	Gap        string
	Error      *struct{ Code string }
}

// channel is the one that a client follows.
func (c *crowd) channel(id int) *channelLog { return c.logs[id%len(c.logs)] }

func (c *crowd) since(id int) string {
	if p := c.clients[id].position; p != 0 {
		return strconv.FormatUint(p, 10)
	}
	return ""
}

// again is how long a client waits before it tries again: full jitter, doubled with each try in vain.
func (c *crowd) again(id int, opened bool) time.Duration {
	one := &c.clients[id]
	now := c.began + fleet.Now()
	switch {
	case opened && one.away == 0:
		one.away, one.waited, one.tries = now, 0, 0
	case one.away != 0: // it came, but not so far as to be subscribed
		one.tries++
		c.failed = append(c.failed, now)
	default: // the first time of all
		one.away = now
		one.tries++
	}
	wait := rand.N(min(c.o.Backoff<<min(one.tries, 10), c.o.MaxBackoff)) //nolint:gosec // nobody gains by guessing it
	one.waited += int64(wait)
	return wait
}

// Opened implements fleet.Script.
func (*crowd) Opened(*fleet.Conn) {}

// Closed implements fleet.Script.
func (c *crowd) Closed(_ *fleet.Conn, why string) { c.whys[why]++ }

// Turn implements fleet.Script.
func (*crowd) Turn() {}

// Message implements fleet.Script.
func (c *crowd) Message(conn *fleet.Conn, m fleet.Message) {
	one, log := &c.clients[conn.ID], c.channel(conn.ID)
	h := history.Heard{At: c.began + m.At}
	var e envelope
	err := json.Unmarshal(m.Payload, &e)
	switch {
	case err != nil:
		h.Kind = history.HeardAltered
	case e.Gap != "":
		h.Kind = history.HeardGap
	case e.Subscribed:
		h.Position, h.Since = e.Position, one.position
		switch {
		case e.Recovered == nil:
			h.Kind, h.Since = history.HeardSubscribed, 0
		case *e.Recovered:
			h.Kind = history.HeardRecovered
		default:
			h.Kind = history.HeardReset
		}
		c.subscribed(conn.ID, h.At)
	case e.Text == nil || e.Channel != log.name:
		h.Kind = history.HeardAltered
	default:
		h.Kind = history.HeardAltered
		if n, ok := messageNumber(log.name, *e.Text); ok {
			h.Kind, h.Number, h.Position = history.HeardMessage, int32(n), e.Position
			c.arrived = append(c.arrived, h.At)
		}
	}
	if h.Position != 0 {
		one.position = h.Position
	}
	one.heard = append(one.heard, h)
}

// subscribed books that a client is back.
func (c *crowd) subscribed(id int, at int64) {
	one := &c.clients[id]
	if one.away != 0 && len(one.heard) > 0 {
		c.back = append(c.back, comeback{ID: id, Left: one.away, Back: at, Waited: one.waited, Tries: one.tries})
	}
	one.away, one.waited, one.tries = 0, 0, 0
}

// present is how many clients have been subscribed at some time.
func (c *crowd) present() (n int) {
	for i := range c.clients {
		if len(c.clients[i].heard) > 0 {
			n++
		}
	}
	return n
}

// lost is how many clients were away at a moment and had been for some time.
func (c *crowd) lost(at int64, since time.Duration) (n int) {
	for i := range c.clients {
		if away := c.clients[i].away; away != 0 && at-away > int64(since) {
			n++
		}
	}
	return n
}

// complete is how many clients have come to the end of their log.
func (c *crowd) complete() (n int) {
	for i := range c.clients {
		log := c.channel(i).messages
		if last := len(log) - 1; last >= 0 && c.clients[i].position >= log[last].Position {
			n++
		}
	}
	return n
}

// reasons are why connections ended, how often, those by which nodes send clients away shortened to the code.
func (c *crowd) reasons() map[string]int {
	short := map[string]int{}
	for why, n := range c.whys {
		if text, ok := strings.CutPrefix(why, "closed by the server: "); ok {
			why = text
		}
		short[why] += n
	}
	return short
}
