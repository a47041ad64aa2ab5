package main

import (
	"fmt"
	"time"

	"sluice/codec"
	"sluice/loadtest/internal/fleet"
)

// idleCmd opens connections and holds them.
type idleCmd struct {
	common
	URL      string        `name:"url" default:"ws://127.0.0.1:8000/ws?channel={channel}" help:"Where to connect; {channel} is replaced."`
	Channel  string        `default:"news" help:"The channel, when there is one."`
	Channels int           `default:"1" help:"Spread the connections over so many channels: c0, c1 …"`
	For      time.Duration `default:"10s" help:"How long to hold the connections before memory is read."`
	Hello    string        `help:"Text message sent first on each connection; {channel} is replaced."`
}

// quiet is the Script of connections that only listen.
type quiet struct{ hello func(id int) []byte }

func (q quiet) Opened(c *fleet.Conn) {
	if q.hello != nil {
		c.Send(codec.OpText, q.hello(c.ID))
	}
}
func (quiet) Message(*fleet.Conn, fleet.Message) {}
func (quiet) Closed(*fleet.Conn, string)         {}
func (quiet) Turn()                              {}

// Run is the verb.
func (cmd *idleCmd) Run(env *outside) error {
	channels, err := channelNames(cmd.URL, cmd.Channel, cmd.Channels)
	if err != nil {
		return err
	}
	r, err := newRun(env, &cmd.common, "idle", cmd.URL, channels)
	if err != nil {
		return err
	}
	r.report.Settings = cmd
	hello := helloFor(cmd.Hello, channels)
	if err := r.start(fleet.Options{}, func(int) fleet.Script { return quiet{hello} }); err != nil {
		return err
	}
	if cmd.Part > 0 {
		return r.serve(func(order, *answer) {})
	}
	if err := cmd.measure(r); err != nil {
		r.stop()
		return err
	}
	return r.finish()
}

func (cmd *idleCmd) measure(r *run) error {
	m := &Memory{HeldFor: cmd.For.Seconds()}
	before, err := r.mark()
	if err != nil {
		return err
	}
	if m.MetricsBefore, err = r.metrics(); err != nil {
		return err
	}
	if err := r.connect(); err != nil {
		return err
	}
	opened, err := r.mark()
	if err != nil {
		return err
	}
	stop := r.progress(func(s, _ fleet.Stats, _ float64) string {
		return fmt.Sprintf("holding: %d open, %d ended unasked, %d pings answered", s.Open, s.Lost, s.Pings)
	})
	pings := r.stats().Pings
	err = r.hold(cmd.For)
	stop()
	if err != nil {
		return err
	}
	held, err := r.mark()
	if err != nil {
		return err
	}
	r.span(opened, held, "held")
	m.Pings = r.stats().Pings - pings
	if m.MetricsHeld, err = r.metrics(); err != nil {
		return err
	}
	if r.server != nil {
		m.Before, m.Opened, m.Held = *before.server, *opened.server, *held.server
		m.Open = r.stats().Open
		if open := m.Open; open > 0 {
			m.PerConn = float64(m.Held.RSSAnon-m.Before.RSSAnon) / float64(open)
		}
		m.IdleCPU = m.Held.Sub(m.Opened).CPU().Seconds()
	}
	if r.server != nil || m.MetricsHeld != nil {
		r.report.Memory = m
	}
	return nil
}
