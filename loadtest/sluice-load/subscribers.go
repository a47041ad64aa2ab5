package main

import (
	"errors"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sluice/codec"
	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/proof"
)

// subscribers is the Script of one worker's subscribers: it judges each delivery. All of it belongs to the worker.
type subscribers struct {
	f         *fanout // only what never changes during a run, and the tally
	hello     func(id int) []byte
	trackers  []proof.Tracker // by connection
	live      []bool          // by connection: something of this run has arrived
	liveCount int64
	counts    proof.Counts
	told      int64 // of counts.Delivered: what the tally knows
	latency   *hdrhistogram.Histogram
	late      *proof.Counts // what those get that have stalled and read again; nil: nobody does
}

// index is where a connection's state is kept: IDs are dealt out to the workers in turn.
func (s *subscribers) index(c *fleet.Conn) int { return c.ID / s.f.cmd.Workers }

// Opened sends the subscribe command, if there is one.
func (s *subscribers) Opened(c *fleet.Conn) {
	if s.hello != nil {
		c.Send(codec.OpText, s.hello(c.ID))
	}
}

// Message judges one delivery, or several where the server puts what has waited together into one message.
func (s *subscribers) Message(c *fleet.Conn, m fleet.Message) {
	stamp, rest, err := proof.Next(m.Payload, s.f.cmd.Size)
	s.judge(c, stamp, err, m.At)
	for len(rest) >= s.f.cmd.Size {
		if stamp, rest, err = proof.Next(rest, s.f.cmd.Size); !errors.Is(err, proof.ErrNoStamp) { // an envelope's end is none
			s.judge(c, stamp, err, m.At)
		}
	}
}

// judge takes one delivery that was read at that time.
func (s *subscribers) judge(c *fleet.Conn, stamp proof.Stamp, err error, at int64) {
	if err != nil {
		// A server that takes subscribe commands also answers them, and may greet: no delivery, and no fault. A delivery
		// damaged beyond recognition is missed by the tracker all the same.
		if errors.Is(err, proof.ErrNoStamp) && (s.hello != nil || s.f.cmd.Greets) {
			s.counts.Foreign++
		} else {
			s.counts.Corrupt++
		}
		return
	}
	i := s.index(c)
	switch {
	case stamp.Run != s.f.id:
		s.counts.Foreign++
		return
	case int(stamp.Channel) != c.ID%len(s.f.channels):
		s.counts.Misrouted++
		return
	case stamp.Kind == proof.Probe:
		if !s.live[i] {
			s.live[i] = true
			s.liveCount++
		}
		return
	}
	if s.late != nil && s.f.stalls(c) {
		s.late.Observe(&s.trackers[i], stamp.Seq)
		return
	}
	if s.counts.Observe(&s.trackers[i], stamp.Seq) && !s.f.stalls(c) {
		fleet.Record(s.latency, at-stamp.Time)
	}
}

// Closed takes a connection that is gone out of the subscribers to wait for. What it has missed so far stays missing.
func (s *subscribers) Closed(c *fleet.Conn, _ string) {
	if i := s.index(c); s.live[i] {
		s.live[i] = false
		s.liveCount--
	}
}

// Turn tells the tally what has come.
func (s *subscribers) Turn() {
	if n := s.counts.Delivered - s.told; n > 0 {
		s.told += n
		s.f.tally.add(n)
	}
}

// settle counts what the connections still open never saw. Those that are gone are faults of their own.
func (s *subscribers) settle(w *fleet.Worker) proof.Counts {
	total := s.counts
	w.Conns(func(c *fleet.Conn) {
		if i := s.index(c); s.live[i] {
			total.Close(&s.trackers[i], s.f.next[c.ID%len(s.f.channels)])
		}
	})
	return total
}
