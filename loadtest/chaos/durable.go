package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/loadtest/internal/history"
	"sluice/pubsub/redisproc"
)

// durable is the durable channels of a run, the services that publish on them and
// the clients that follow them. Of what nodes do with them everything is judged by
// what the followers hear.
type durable struct {
	rig       *rig
	logs      []*channelLog
	followers []*follower

	mu      sync.Mutex
	refused map[string]int // guarded by mu; why visits ended before their time, how often
}

// channelLog is one durable channel with what was published on it.
type channelLog struct {
	index   int
	channel string
	size    int          // entries that Redis is told to keep
	fresh   atomic.Int64 // when the newest message was sent that a follower has got

	mu       sync.Mutex
	messages []history.Published // guarded by mu
	services int                 // guarded by mu; that have not published their last one
	final    int                 // guarded by mu; the message that all must come to, -1 while there will be more
}

const (
	durableSpace = "d" // the namespace
	wholeLog     = 100_000
	shortLog     = 20
)

// configuration makes the nodes' configuration file in a directory, and is its path.
func (d *durable) configuration(dir string) (string, error) {
	file := filepath.Join(dir, "sluice.yaml")
	return file, os.WriteFile(file, []byte("namespaces: [{name: "+durableSpace+", durable: true}]\nrecovery: {max: 2000}\n"), 0o600)
}

// layOutDurable says what is published where. Every fourth channel's log is kept shorter
// than what clients miss.
func (r *rig) layOutDurable() {
	r.durable = &durable{rig: r, refused: map[string]int{}}
	for i := range r.o.Durable {
		l := &channelLog{index: i, channel: fmt.Sprintf("%s:%02d", durableSpace, i), size: wholeLog, final: -1}
		if i%4 == 3 {
			l.size = shortLog
		}
		r.durable.logs = append(r.durable.logs, l)
		for range r.o.Follow {
			n := len(r.durable.followers)
			r.durable.followers = append(r.durable.followers, &follower{durable: r.durable, number: n, log: l, random: rand.New(rand.NewPCG(r.o.Seed, uint64(2000+n)))})
		}
	}
}

// follow starts the followers.
func (d *durable) follow(ctx context.Context, all *sync.WaitGroup) {
	for _, f := range d.followers {
		all.Go(func() { f.run(ctx) })
	}
}

// publish starts the services: on every third channel there are two.
func (d *durable) publish(ctx context.Context, quit <-chan struct{}, all *sync.WaitGroup) {
	every := time.Duration(float64(time.Second) / d.rig.o.Rate)
	for _, l := range d.logs {
		services := 1
		if l.index%3 == 0 {
			services = 2
		}
		l.services = services
		for range services {
			s := &service{log: l, publisher: &publisher{router: hasty{d.rig.backend.router}, channel: prefix + l.channel}}
			all.Go(func() { s.run(ctx, quit, every*time.Duration(services)) })
		}
	}
}

// any is one of the channels.
func (d *durable) any(random *rand.Rand) (*channelLog, error) {
	if len(d.logs) == 0 {
		return nil, errors.New("the run has no durable channel: -durable says how many")
	}
	return d.logs[random.IntN(len(d.logs))], nil
}

// unsettled is nil when on every channel a follower has got what was sent after a
// moment.
func (d *durable) unsettled(after int64) error {
	for _, l := range d.logs {
		if l.fresh.Load() < after {
			return fmt.Errorf("no follower has heard of %s", l.channel)
		}
	}
	return nil
}

// survey finds out what Redis has lost by an event.
func (d *durable) survey(ctx context.Context, e *event) error {
	for _, l := range d.logs {
		before := now()
		s, err := d.rig.backend.awaitCarrier(l.channel)
		if err != nil {
			return err
		}
		kept, err := positions(ctx, s.Addr, prefix+l.channel)
		if err != nil {
			return fmt.Errorf("reading the log of %s on %s: %w", l.channel, s.Addr, err)
		}
		l.lost(kept, before, e.Begin)
	}
	return nil
}

// positions are those in a channel's log, in order.
func positions(ctx context.Context, addr, channel string) (list []uint64, err error) {
	w, err := dialWire(ctx, addr, redisproc.Patience)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	reply, err := w.do("XRANGE", "{"+channel+"}.log", "-", "+")
	if err != nil {
		return nil, err
	}
	entries, _ := reply.([]any) // an error where it is something else
	for _, e := range entries {
		row, _ := e.([]any) // as above
		if len(row) != 2 {
			return nil, fmt.Errorf("an entry is %v", e)
		}
		id, _, _ := strings.Cut(fmt.Sprint(row[0]), "-")
		p, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// lost books that of what was acked before a moment only those positions are left.
func (l *channelLog) lost(kept []uint64, before, since int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.messages {
		m := &l.messages[i]
		if m.Acked == 0 || m.Acked >= before || m.Lost != 0 {
			continue
		}
		if _, there := slices.BinarySearch(kept, m.Position); !there {
			m.Lost = since
		}
	}
}

// history is what was written down.
func (d *durable) history(faults []history.Fault) *history.Logs {
	h := &history.Logs{Faults: faults}
	for _, l := range d.logs {
		h.Logs = append(h.Logs, history.Log{Channel: l.channel, Trimmed: l.size == shortLog, Messages: l.messages, Final: int32(l.final)})
	}
	for _, f := range d.followers {
		h.Followers = append(h.Followers, history.Follower{Number: f.number, Log: f.log.index, Heard: f.heard})
	}
	return h
}

// note counts what should not happen often.
func (d *durable) note(refusal string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused[refusal]++
}
