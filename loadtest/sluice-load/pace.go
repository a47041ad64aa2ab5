package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sluice/loadtest/internal/fleet"
)

// pace is a number of messages a second, or a share of the most that there can be: "50", "50%".
type pace struct {
	perSecond float64
	share     float64 // above 0: perSecond is not known yet
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *pace) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0:
		return fmt.Errorf("%q: want messages per second, as 50, or a share of the maximum, as 50%%", text)
	case percent && (v == 0 || v > 100):
		return fmt.Errorf("%q: want more than 0%% and at most 100%%", text)
	case percent:
		*p = pace{share: v / 100}
	default:
		*p = pace{perSecond: v}
	}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (p pace) MarshalText() ([]byte, error) {
	if p.share > 0 {
		return append(strconv.AppendFloat(nil, p.share*100, 'g', -1, 64), '%'), nil
	}
	return strconv.AppendFloat(nil, p.perSecond, 'g', -1, 64), nil
}

// Maximum is the most that subscribers got while the next messages were published as soon as they had the last ones.
type Maximum struct {
	Burst     int     `json:"burst"`      // messages in flight meanwhile
	Published float64 `json:"per_second"` // messages
	Delivered float64 `json:"deliveries_per_second"`
	Share     float64 `json:"share"` // of Published that the measured window was run at, 0..1
}

// findMaximum measures the most that can be published, and takes the share of it that was asked for as the rate to publish at.
func (f *fanout) findMaximum() error {
	const atOnce, least = 32, 2 * time.Second
	burst := f.cmd.Burst
	f.cmd.Burst = max(burst, atOnce)
	defer func() { f.cmd.Burst = burst }()
	begin, published, delivered := fleet.Now(), f.published(), f.tally.delivered.Load()
	if err := f.bursts(max(f.cmd.For/4, least), f.cmd.Messages); err != nil {
		return err
	}
	seconds := float64(fleet.Now()-begin) / 1e9
	m := &Maximum{Burst: f.cmd.Burst, Share: f.cmd.Rate.share, Published: float64(f.published()-published) / seconds,
		Delivered: float64(f.tally.delivered.Load()-delivered) / seconds}
	f.maximum, f.rate = m, m.Published*m.Share
	fmt.Fprintf(f.log, "at most %.0f messages/s, %.0f deliveries/s; from here on %.0f messages/s\n", m.Published, m.Delivered, f.rate)
	return nil
}
