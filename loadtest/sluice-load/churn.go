package main

import (
	"fmt"
	"net/netip"
	"time"

	"sluice/loadtest/internal/fleet"
)

// churnCmd opens and closes connections. Connections is here the most that are alive at once.
type churnCmd struct {
	common
	URL     string        `name:"url" default:"ws://127.0.0.1:8000/ws?channel={channel}" help:"Where to connect; {channel} is replaced."`
	Channel string        `default:"news" help:"The channel."`
	Rate    float64       `default:"1000" help:"New connections per second; 0: as fast as the concurrency allows."`
	Hold    time.Duration `default:"0s" help:"From the handshake to the close."`
	Reset   bool          `help:"End with a TCP RST in place of the close handshake, as a vanished client's middlebox does."`
	For     time.Duration `default:"10s" help:"How long new connections are opened."`
}

// Run is the verb.
func (cmd *churnCmd) Run(env *outside) error {
	if err := cmd.alone("churn"); err != nil {
		return err
	}
	channels, err := channelNames(cmd.URL, cmd.Channel, 1)
	if err != nil {
		return err
	}
	r, err := newRun(env, &cmd.common, "churn", cmd.URL, channels)
	if err != nil {
		return err
	}
	r.report.Settings = cmd
	o := fleet.Options{Rate: cmd.Rate, Life: &fleet.Life{Hold: cmd.Hold, Reset: cmd.Reset}, Most: cmd.Connections}
	if target, err := fleet.NewTarget(cmd.URL, nil); err == nil && cmd.Source == "" {
		// A port stays taken for a minute after its connection (TIME_WAIT): several addresses have several times the ports.
		if a := target.Addr().Addr(); a.Is4() && a.IsLoopback() {
			o.Sources, err = fleet.Sources(a, 8, 1, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
			if err != nil {
				return err
			}
			o.PerSource = 1
		}
	}
	if err := r.start(o, func(int) fleet.Script { return quiet{} }); err != nil {
		return err
	}
	if err := cmd.measure(r); err != nil {
		r.stop()
		return err
	}
	return r.finish()
}

func (cmd *churnCmd) measure(r *run) error {
	before, err := r.mark()
	if err != nil {
		return err
	}
	r.fleet.OpenForever()
	stop := r.progress(func(s, last fleet.Stats, seconds float64) string {
		return fmt.Sprintf("%.0f opened/s, %d alive, %d failed, %d ended unasked", float64(s.Opened-last.Opened)/seconds, s.Alive, s.Failed, s.Lost)
	})
	defer stop()
	if err := r.hold(cmd.For); err != nil {
		return err
	}
	r.fleet.StopOpening()
	if err := r.until(func() bool { return r.fleet.Stats().Alive == 0 }); err != nil {
		return err
	}
	after, err := r.mark()
	if err != nil {
		return err
	}
	s := r.fleet.Stats()
	c := &Churn{Opened: s.Opened, Closed: s.Closed, CloseFrames: s.CloseFrames, Handshake: latency(r.fleet.Handshakes()), Cost: after.since(before)}
	c.PerSecond = float64(s.Opened) / c.Cost.Seconds
	c.ServerMicros = c.Cost.perUnit(s.Opened)
	if r.server != nil {
		c.Before, c.After = *before.server, *after.server
	}
	r.report.Churn = c
	if s.Failed > 0 {
		r.report.fault("%d of %d connections were not opened", s.Failed, s.Started)
	}
	if s.Opened == 0 {
		r.report.fault("no connection was opened")
	}
	return nil
}
