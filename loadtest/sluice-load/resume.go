package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"syscall"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/redis/go-redis/v9"

	"sluice/loadtest/internal/fleet"
)

// resumeCmd has connections go and come back.
type resumeCmd struct {
	common
	URL      string `name:"url" default:"ws://127.0.0.1:8000/ws?channel={channel}" help:"Where to connect first; {channel} is replaced."`
	Back     string `default:"" help:"Where to come back to, of another node perhaps; {since} is replaced by the position. Default: --url with &since={since}."`
	Channels int    `default:"1000" help:"Spread the connections over so many durable channels: c0, c1 …"`
	Missed   int    `default:"10" help:"Messages published on each channel while everybody is away."`
	Size     int    `default:"128" help:"Bytes of a message."`
	Kill     int    `help:"A process that is killed (SIGKILL) for the connections to go: the node that they are on."`
	Redis    string `default:"redis://127.0.0.1:6379/0" help:"Where to publish."`
	Prefix   string `default:"sluice:" help:"What the names of channels begin with in Redis."`
}

// said is what a node says in sluice.v1, as far as it matters here.
type said struct {
	Subscribed bool
	Recovered  *bool
	Position   int64
	Data       *int
	Gap        string
}

// leaver is the Script of connections that note where they are.
type leaver struct{ at []int64 } // by ID; each belongs to one worker

func (leaver) Opened(*fleet.Conn) {}

func (l leaver) Message(c *fleet.Conn, m fleet.Message) {
	var s said
	if json.Unmarshal(m.Payload, &s) == nil && s.Position > 0 {
		l.at[c.ID] = s.Position
	}
}

func (leaver) Closed(*fleet.Conn, string) {}
func (leaver) Turn()                      {}

// comer is the Script of connections that come back.
type comer struct {
	missed int
	begun  *int64  // when they were sent back
	next   []int32 // by ID: the number of the message that it wants next; -1: it has been told to load afresh
	told   []bool  // by ID: it is recovered

	complete, reset, wrong int64
	comeback               *hdrhistogram.Histogram
}

func (*comer) Opened(*fleet.Conn) {}

func (s *comer) Message(c *fleet.Conn, m fleet.Message) {
	var what said
	if err := json.Unmarshal(m.Payload, &what); err != nil {
		s.wrong++
		return
	}
	switch {
	case what.Recovered != nil && !*what.Recovered, what.Gap != "":
		s.next[c.ID] = -1
		s.reset++
		return
	case what.Recovered != nil:
		s.told[c.ID] = true
	case what.Data != nil:
		if !s.told[c.ID] || *what.Data != int(s.next[c.ID]) {
			s.wrong++
		}
		s.next[c.ID]++
	}
	if s.told[c.ID] && int(s.next[c.ID]) == s.missed {
		s.next[c.ID]++ // once
		s.complete++
		fleet.Record(s.comeback, m.At-*s.begun)
	}
}

func (*comer) Closed(*fleet.Conn, string) {}
func (*comer) Turn()                      {}

// Run is the verb.
func (cmd *resumeCmd) Run(env *outside) error {
	if err := cmd.alone("resume"); err != nil {
		return err
	}
	channels, err := channelNames(cmd.URL, "news", cmd.Channels)
	if err != nil {
		return err
	}
	if cmd.Workers > 1 {
		return errors.New("--workers: resume has one")
	}
	cmd.Header = append(cmd.Header, "Sec-WebSocket-Protocol: sluice.v1")
	r, err := newRun(env, &cmd.common, "resume", cmd.URL, channels)
	if err != nil {
		return err
	}
	r.report.Settings = cmd
	p, err := newRedisPublisher(env.ctx, cmd.Redis, cmd.Prefix, "durable")
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }() // all it was to do is done
	at, err := cmd.leave(r)
	if err != nil {
		return err
	}
	if err := cmd.publish(r, p, channels); err != nil {
		return err
	}
	if err := cmd.comeBack(r, p, at); err != nil {
		r.stop()
		return err
	}
	return r.finish()
}

// leave connects everybody, notes where they are, and ends the connections.
func (cmd *resumeCmd) leave(r *run) (at []int64, err error) {
	at = make([]int64, cmd.Connections)
	if err := r.start(fleet.Options{}, func(int) fleet.Script { return leaver{at} }); err != nil {
		return nil, err
	}
	defer r.stop()
	if err := r.connect(); err != nil {
		return nil, err
	}
	known := func() bool {
		n := 0
		r.fleet.Each(func(w *fleet.Worker) { w.Conns(func(c *fleet.Conn) { n += min(1, int(at[c.ID])) }) })
		return n == cmd.Connections
	}
	ctx, cancel := context.WithTimeout(r.ctx, cmd.Timeout)
	defer cancel()
	for !known() {
		if ctx.Err() != nil {
			return nil, errors.New("some connections have not been told a position: is the namespace durable?")
		}
	}
	if cmd.Kill != 0 {
		if err := syscall.Kill(cmd.Kill, syscall.SIGKILL); err != nil {
			return nil, fmt.Errorf("--kill %d: %w", cmd.Kill, err)
		}
	}
	return at, nil
}

// publish is what everybody misses: the numbers from 0 on each channel.
func (cmd *resumeCmd) publish(r *run, p publisher, channels []string) error {
	fmt.Fprintf(r.log, "all are away; %d messages are published on each of %d channels\n", cmd.Missed, len(channels))
	for number := range cmd.Missed {
		payload := strconv.AppendInt(nil, int64(number), 10)
		for len(payload) < cmd.Size {
			payload = append(payload, ' ') // JSON allows for it
		}
		batch := make([]publication, 0, len(channels))
		for _, c := range channels {
			batch = append(batch, publication{c, payload})
		}
		if err := p.publish(r.ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// comeBack connects everybody again and waits until all have what they missed.
func (cmd *resumeCmd) comeBack(r *run, p *redisPublisher, at []int64) error {
	r.report.URL = cmd.Back
	if cmd.Back == "" {
		r.report.URL = cmd.URL + "&since={since}"
	}
	var begun int64
	script := &comer{missed: cmd.Missed, begun: &begun, next: make([]int32, cmd.Connections), told: make([]bool, cmd.Connections), comeback: fleet.NewHistogram()}
	since := func(id int) string { return strconv.FormatInt(at[id], 10) }
	if err := r.start(fleet.Options{Since: since}, func(int) fleet.Script { return script }); err != nil {
		return err
	}
	calls, micros, err := functionCalls(r.ctx, p.client)
	if err != nil {
		return err
	}
	before, err := r.mark()
	if err != nil {
		return err
	}
	begun = fleet.Now()
	r.moment("all come back")
	r.fleet.Open(cmd.Connections)
	var mu sync.Mutex
	arrived := func() (complete, reset int64) {
		r.fleet.Each(func(*fleet.Worker) { mu.Lock(); defer mu.Unlock(); complete, reset = script.complete, script.reset })
		return complete, reset
	}
	progress := r.progress(func(s, _ fleet.Stats, _ float64) string {
		complete, reset := arrived()
		return fmt.Sprintf("coming back: %d open, %d failed, %d complete, %d told to load afresh", s.Open, s.Failed, complete, reset)
	})
	ctx, cancel := context.WithTimeout(r.ctx, 6*cmd.Timeout)
	defer cancel()
	err = r.until(func() bool {
		complete, reset := arrived()
		return complete+reset+r.fleet.Stats().Failed >= int64(cmd.Connections) || ctx.Err() != nil
	})
	progress()
	if err != nil {
		return err
	}
	after, err := r.mark()
	if err != nil {
		return err
	}
	callsAfter, microsAfter, err := functionCalls(r.ctx, p.client)
	if err != nil {
		return err
	}
	b := &Resume{Channels: len(r.channels), Missed: cmd.Missed, Complete: script.complete, Reset: script.reset, Wrong: script.wrong,
		Comeback: latency(script.comeback), Calls: callsAfter - calls, Cost: after.since(before)}
	b.Seconds = b.Cost.Seconds
	if b.Calls > 0 {
		b.CallMicros = float64(microsAfter-micros) / float64(b.Calls)
	}
	r.report.Resume = b
	if missing := int64(cmd.Connections) - b.Complete - b.Reset; missing > 0 {
		r.report.fault("%d connections have not got what they missed", missing)
	}
	if b.Wrong > 0 {
		r.report.fault("%d messages were wrong", b.Wrong)
	}
	return nil
}

// statLine is of FCALL, by which nodes read logs; with scripts they write the inbox.
var statLine = regexp.MustCompile(`cmdstat_fcall:calls=(\d+),usec=(\d+)`)

// functionCalls is how often Redis has run functions, and for how many µs.
func functionCalls(ctx context.Context, client *redis.Client) (calls, micros int64, err error) {
	text, err := client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, 0, fmt.Errorf("asking Redis for its command statistics: %w", err)
	}
	for _, m := range statLine.FindAllStringSubmatch(text, -1) {
		n, err1 := strconv.ParseInt(m[1], 10, 64)
		us, err2 := strconv.ParseInt(m[2], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return 0, 0, err
		}
		calls, micros = calls+n, micros+us
	}
	return calls, micros, nil
}
