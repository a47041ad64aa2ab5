package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sluice/codec"
	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/proof"
)

// echoCmd keeps a fixed number of messages in flight on each connection.
type echoCmd struct {
	common
	envelope
	Hello  string        `help:"Text message sent first on each connection, whose answer and greetings are then no fault; echoes begin when the server has had --rest."`
	URL    string        `name:"url" default:"ws://127.0.0.1:8000/echo" help:"An endpoint that sends every message back."`
	Depth  int           `default:"1" help:"Messages in flight per connection."`
	Size   int           `default:"128" help:"Payload in bytes, 72 or more."`
	Binary bool          `help:"Binary messages in place of text."`
	For    time.Duration `default:"10s" help:"Length of the measured window."`
	Warmup time.Duration `default:"1s" help:"Traffic before the measured window."`
	Quiet  time.Duration `default:"5s" help:"No message for so long at the end means that what is missing is lost."`
}

// echoes is the Script of one worker's connections. All of it belongs to the worker, but for stop.
type echoes struct {
	cmd     *echoCmd
	run     uint32
	conns   []echoConn // by connection
	counts  proof.Counts
	latency *hdrhistogram.Histogram
	buf     []byte
	op      codec.Opcode
	flying  int64
	stop    *atomic.Bool // set by the verb's goroutine
	missed  int64        // in flight on connections that ended
}

type echoConn struct {
	next    uint64 // the sequence number to send
	back    int64  // arrived
	tracker proof.Tracker
}

func (s *echoes) Turn() {}

func (s *echoes) Opened(c *fleet.Conn) {
	if s.cmd.Hello != "" {
		c.Send(codec.OpText, []byte(s.cmd.Hello))
	}
}

func (s *echoes) Closed(c *fleet.Conn, _ string) {
	e := &s.conns[c.ID/s.cmd.Workers]
	s.flying -= int64(e.next) - e.back
	s.missed += int64(e.next) - e.back
	e.back = int64(e.next)
}

func (s *echoes) Message(c *fleet.Conn, m fleet.Message) {
	stamp, err := proof.Parse(m.Payload, s.cmd.Size)
	if errors.Is(err, proof.ErrNoStamp) && (s.cmd.Hello != "" || s.cmd.Greets) {
		s.counts.Foreign++
		return
	}
	if err != nil || m.Op != s.op || len(m.Payload) != s.cmd.Size+s.cmd.size() {
		s.counts.Corrupt++
		return
	}
	if stamp.Run != s.run || int(stamp.Channel) != c.ID {
		s.counts.Misrouted++
		return
	}
	e := &s.conns[c.ID/s.cmd.Workers]
	if !s.counts.Observe(&e.tracker, stamp.Seq) {
		return // a duplicate is no reason to send
	}
	e.back++
	s.flying--
	fleet.Record(s.latency, m.At-stamp.Time)
	if !s.stop.Load() {
		s.send(c, e)
	}
}

// send sends the connection's next message.
func (s *echoes) send(c *fleet.Conn, e *echoConn) {
	s.buf = append(s.buf[:0], s.cmd.before...)
	s.buf = proof.Append(s.buf, proof.Stamp{Run: s.run, Kind: proof.Data, Channel: uint32(c.ID), Seq: e.next, Time: fleet.Now()}, s.cmd.Size)
	s.buf = append(s.buf, s.cmd.after...)
	e.next++
	s.flying++
	c.Send(s.op, s.buf)
}

// Run is the verb.
func (cmd *echoCmd) Run(env *outside) error {
	if err := cmd.alone("echo"); err != nil {
		return err
	}
	if cmd.Size < proof.MinSize {
		return fmt.Errorf("--size %d: the proof in each payload takes %d bytes", cmd.Size, proof.MinSize)
	}
	if cmd.Depth < 1 {
		return fmt.Errorf("--depth %d: want 1 or more", cmd.Depth)
	}
	if err := cmd.open(); err != nil {
		return err
	}
	r, err := newRun(env, &cmd.common, "echo", cmd.URL, []string{""})
	if err != nil {
		return err
	}
	r.report.Settings = cmd
	var stop atomic.Bool
	scripts := make([]*echoes, cmd.Workers)
	id := uint32(time.Now().UnixNano())
	err = r.start(fleet.Options{}, func(worker int) fleet.Script {
		s := &echoes{cmd: cmd, run: id, conns: make([]echoConn, cmd.Connections/cmd.Workers+1),
			latency: fleet.NewHistogram(), op: codec.OpText, stop: &stop}
		if cmd.Binary {
			s.op = codec.OpBinary
		}
		scripts[worker] = s
		return s
	})
	if err != nil {
		return err
	}
	if err := cmd.measure(r, scripts, &stop); err != nil {
		r.stop()
		return err
	}
	return r.finish()
}

func (cmd *echoCmd) measure(r *run, scripts []*echoes, stop *atomic.Bool) error {
	if err := r.connect(); err != nil {
		return err
	}
	progress := r.progress(func(s, last fleet.Stats, seconds float64) string {
		return fmt.Sprintf("%.0f messages/s, %d connections, %d ended unasked", float64(s.Messages-last.Messages)/seconds, s.Open, s.Lost)
	})
	defer progress()
	r.fleet.Each(func(w *fleet.Worker) {
		s := scripts[w.Index()]
		w.Conns(func(c *fleet.Conn) {
			for range cmd.Depth {
				s.send(c, &s.conns[c.ID/cmd.Workers])
			}
		})
	})
	if err := r.hold(cmd.Warmup); err != nil {
		return err
	}
	r.fleet.Each(func(w *fleet.Worker) { scripts[w.Index()].latency.Reset() })
	if err := r.lookInside(); err != nil {
		return err
	}
	before, err := r.mark()
	if err != nil {
		return err
	}
	first, _ := total(r, scripts)
	if err := r.hold(cmd.For); err != nil {
		return err
	}
	counts, all := total(r, scripts)
	after, err := r.mark()
	if err != nil {
		return err
	}
	stop.Store(true)
	r.span(before, after, "measured")
	if err := r.sumUpInside(); err != nil {
		return err
	}
	t := &Traffic{Deliveries: counts.Delivered - first.Delivered, Latency: latency(all), Cost: after.since(before)}
	t.Published = t.Deliveries
	t.PerSecond = float64(t.Deliveries) / t.Cost.Seconds
	t.ServerMicros = t.Cost.perUnit(t.Deliveries)
	r.report.Traffic = t
	if err := cmd.drain(r, scripts); err != nil {
		return err
	}
	t.Proof, _ = total(r, scripts)
	r.fleet.Each(func(w *fleet.Worker) {}) // the workers are at rest from here on: what they wrote is seen
	for _, s := range scripts {
		t.Proof.Missing += s.missed
		for i := range s.conns {
			if e := &s.conns[i]; e.back < int64(e.next) {
				t.Proof.Close(&e.tracker, e.next)
			}
		}
	}
	if !t.Proof.Clean() {
		r.report.fault("echoes: %d missing, %d duplicates, %d out of order, %d corrupt, %d misrouted",
			t.Proof.Missing, t.Proof.Duplicates, t.Proof.OutOfOrder, t.Proof.Corrupt, t.Proof.Misrouted)
	}
	return nil
}

// drain waits until nothing is in flight, or nothing comes any more.
func (cmd *echoCmd) drain(r *run, scripts []*echoes) error {
	silent := newSilence(-1, cmd.Quiet)
	return r.until(func() bool {
		var mu sync.Mutex
		var flying int64
		r.fleet.Each(func(w *fleet.Worker) {
			mu.Lock()
			defer mu.Unlock()
			flying += scripts[w.Index()].flying
		})
		return flying == 0 || silent.look(flying) > cmd.Quiet
	})
}

// total adds up what the workers have counted so far.
func total(r *run, scripts []*echoes) (proof.Counts, *hdrhistogram.Histogram) {
	var mu sync.Mutex
	var counts proof.Counts
	all := fleet.NewHistogram()
	r.fleet.Each(func(w *fleet.Worker) {
		s := scripts[w.Index()]
		mu.Lock()
		defer mu.Unlock()
		counts.Add(s.counts)
		all.Merge(s.latency)
	})
	return counts, all
}
