package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"sluice/loadtest/internal/history"
)

// follower is a client of one durable channel, in the dialect sluice.v1. It is cut
// off again and again and comes back to any node, with the last position that it
// has. It belongs to one goroutine.
type follower struct {
	durable  *durable
	number   int
	log      *channelLog
	random   *rand.Rand
	position uint64 // the last one; 0: none
	heard    []history.Heard
}

// envelope is what a node says.
type envelope struct {
	Channel    string
	Subscribed bool
	Recovered  *bool
	Position   uint64
	Text       *string
	Gap        string
	Error      *struct{ Code, Message string }
}

// lastTime is how long followers have to come to the end, from when all was
// published.
const lastTime = 60 * time.Second

// run follows until the end of the log, or until a while after there is nothing
// more to come.
func (f *follower) run(ctx context.Context) {
	over := f.durable.rig.over
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(over, func() { time.AfterFunc(lastTime, cancel) })
	defer stop()
	for ctx.Err() == nil && !f.atEnd() {
		nodes := f.durable.rig.nodes
		l := nodes[f.random.IntN(len(nodes))].current()
		if l == nil {
			hold(ctx, 20*time.Millisecond)
			continue
		}
		if err := f.visit(ctx, l); err != nil && ctx.Err() == nil {
			f.durable.note(shortened(err))
			hold(ctx, 20*time.Millisecond)
		}
		if over.Err() == nil {
			hold(ctx, f.away())
		}
	}
}

// atEnd says whether the follower has come to the last message.
func (f *follower) atEnd() bool {
	last := f.log.last()
	return last != 0 && f.position >= last
}

// away is how long a follower stays away: mostly for a moment, now and then for
// long.
func (f *follower) away() time.Duration {
	if f.random.IntN(5) == 0 {
		return between(f.random, 500*time.Millisecond, 3*time.Second)
	}
	return between(f.random, time.Millisecond, 300*time.Millisecond)
}

// visit connects to a node and listens, until it is cut off. The error says why it
// was not its time that was up.
func (f *follower) visit(ctx context.Context, l *life) error {
	query := url.Values{"channel": {f.log.channel}}
	if f.position != 0 {
		query.Set("since", strconv.FormatUint(f.position, 10))
	}
	c, err := dial(ctx, l, query, "sluice.v1")
	if err != nil {
		return err
	}
	defer f.cut(c)
	stay := between(f.random, 50*time.Millisecond, 3*time.Second)
	if f.durable.rig.over.Err() != nil { // nothing cuts it off any more
		stay = lastTime
	}
	if err := c.SetReadDeadline(time.Now().Add(stay)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	var said error
	err = c.read(func(payload []byte, at int64) bool {
		said = f.hear(payload, l.key, at)
		return said != nil || f.atEnd()
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return errors.Join(said, err)
}

// cut ends a connection as a network does that is gone, or as a browser.
func (f *follower) cut(c *client) {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && f.random.IntN(2) == 0 {
		_ = tcp.SetLinger(0) // RST
	}
	c.Close()
}

// hear books what a node says.
func (f *follower) hear(payload []byte, node string, at int64) error {
	h := history.Heard{Node: node, At: at}
	var e envelope
	err := json.Unmarshal(payload, &e)
	switch {
	case err != nil:
		h.Kind = history.HeardAltered
	case e.Error != nil:
		return fmt.Errorf("%s: %s", e.Error.Code, e.Error.Message)
	case e.Gap != "":
		h.Kind = history.HeardGap
	case e.Subscribed && e.Recovered == nil:
		h.Kind, h.Position = history.HeardSubscribed, e.Position
	case e.Subscribed && *e.Recovered:
		h.Kind, h.Position, h.Since = history.HeardRecovered, e.Position, f.position
	case e.Subscribed:
		h.Kind, h.Position, h.Since = history.HeardReset, e.Position, f.position
	default:
		f.message(&h, &e)
	}
	if h.Position != 0 {
		f.position = h.Position
	}
	f.heard = append(f.heard, h)
	return nil
}

func (f *follower) message(h *history.Heard, e *envelope) {
	h.Kind = history.HeardAltered
	if e.Text == nil || e.Channel != f.log.channel || e.Position == 0 {
		return
	}
	r, ok := parseMessage([]byte(*e.Text))
	if !ok || string(r.channel) != f.log.channel || r.stream != f.log.index {
		return
	}
	h.Kind, h.Number, h.Position = history.HeardMessage, int32(r.number), e.Position
	for {
		was := f.log.fresh.Load()
		if was >= r.sent || f.log.fresh.CompareAndSwap(was, r.sent) {
			return
		}
	}
}

// shortened is an error without what differs each time.
func shortened(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return cut(err.Error(), 100)
}
