package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/proof"
)

// probeEvery is how long a probe may take before the next one is published.
const probeEvery = 100 * time.Millisecond

// subscribed publishes probes until every subscriber has received one: servers differ in whether the handshake already means
// that the subscription is live. Then it waits until the last probes are through.
func (f *fanout) subscribed() error {
	want := f.stats().Open
	deadline := fleet.Now() + int64(f.o.Timeout)
	for {
		for i, name := range f.channels {
			f.stamp(i, name, proof.Stamp{Kind: proof.Probe, Time: fleet.Now()})
		}
		if err := f.flush(); err != nil {
			return err
		}
		for waited := fleet.Now() + int64(probeEvery); fleet.Now() < waited; {
			if f.count() == want {
				return nil
			}
			if err := errors.Join(f.hold(time.Millisecond), f.crew.trouble()); err != nil {
				return err
			}
		}
		if fleet.Now() > deadline {
			return fmt.Errorf("only %d of %d subscribers received a probe published on %q (and %d more channels) within %v: "+
				"is the server connected to the same Redis, with the same prefix, and the channel the URL's? Errors so far: %v",
				f.count(), want, f.cmd.Prefix+f.channels[0], len(f.channels)-1, f.o.Timeout, f.faults())
		}
	}
}

// count is the number of live subscribers, of all processes; it brings subs up to date.
func (f *fanout) count() int64 {
	all := f.countOwn()
	for _, a := range f.crew.ask(order{Do: doCount}) {
		all += a.Live
		for i, n := range a.Subs {
			f.subs[i] += n
		}
	}
	return all
}

// countOwn is count of this process alone.
func (f *fanout) countOwn() (all int64) {
	var mu sync.Mutex
	clear(f.subs)
	f.fleet.Each(func(w *fleet.Worker) {
		s := f.scripts[w.Index()]
		mu.Lock()
		defer mu.Unlock()
		all += s.liveCount
		w.Conns(func(c *fleet.Conn) {
			if s.live[s.index(c)] {
				f.subs[c.ID%len(f.channels)]++
			}
		})
	})
	return all
}

// bursts publishes Burst messages, waits until every subscriber has them, and so on for d or so many messages (0: no bound).
func (f *fanout) bursts(d time.Duration, messages int64) error {
	end := fleet.Now() + int64(d)
	for sent := int64(0); fleet.Now() < end && (messages == 0 || sent < messages); {
		for range f.cmd.Burst {
			f.message(fleet.Now())
			sent++
		}
		if err := f.flush(); err != nil {
			return err
		}
		if err := f.settle(); err != nil {
			return err
		}
	}
	return nil
}

// maxBatch bounds how many messages that are due leave in one pipeline.
const maxBatch = 512

// schedule publishes rate messages per second, each stamped with the moment it was due: when this generator, Redis or the
// server falls behind, the wait is in the latency and not left out (coordinated omission). At the end it waits for the rest.
func (f *fanout) schedule(d time.Duration, messages int64) error {
	begin := fleet.Now()
	total := int64(d.Seconds() * f.rate)
	if messages > 0 {
		total = min(total, messages)
	}
	at := func(i int64) int64 { return begin + int64(float64(i)*1e9/f.rate) }
	for sent := int64(0); sent < total; {
		now := fleet.Now()
		for ; sent < total && at(sent) <= now && len(f.batch) < maxBatch; sent++ {
			fleet.Record(f.lag, now-at(sent))
			f.message(at(sent))
		}
		if err := f.flush(); err != nil {
			return err
		}
		if wait := at(sent) - fleet.Now(); sent < total && wait > 0 {
			if err := f.hold(time.Duration(wait)); err != nil {
				return err
			}
		}
	}
	return f.settle()
}

// settle waits until everything published has been delivered, or nothing comes any more; then the rest is given up, and the
// subscribers that are left are counted anew.
func (f *fanout) settle() error {
	if f.tally.await(f.ctx, f.due, f.cmd.Quiet) {
		return nil
	}
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if err := f.crew.trouble(); err != nil {
		return err
	}
	delivered := f.tally.delivered.Load()
	fmt.Fprintf(f.log, "%d deliveries did not come within %v and are given up\n", f.due-delivered, f.cmd.Quiet)
	f.due = delivered
	if f.count() == 0 {
		return fmt.Errorf("no subscriber is left: %v", f.faults())
	}
	return nil
}

// message adds the next message, which was due at that time, to the batch.
func (f *fanout) message(due int64) {
	i := f.turn
	f.turn = (f.turn + 1) % len(f.channels)
	f.stamp(i, f.channels[i], proof.Stamp{Kind: proof.Data, Seq: f.next[i], Time: due})
	f.next[i]++
	f.due += f.subs[i]
}

// stamp adds one payload to the batch. It may move buf, but what earlier publications refer to stays as it is.
func (f *fanout) stamp(channel int, name string, s proof.Stamp) {
	s.Run, s.Channel = f.id, uint32(channel)
	at := len(f.buf)
	f.buf = append(f.buf, f.cmd.before...)
	f.buf = proof.Append(f.buf, s, f.cmd.Size)
	f.buf = append(f.buf, f.cmd.after...)
	f.batch = append(f.batch, publication{name, f.buf[at:len(f.buf):len(f.buf)]})
}

// flush publishes the batch.
func (f *fanout) flush() error {
	if len(f.batch) == 0 {
		return nil
	}
	err := f.out.publish(f.ctx, f.batch)
	f.batch, f.buf = f.batch[:0], f.buf[:0]
	return err
}
