package main

import (
	"fmt"
	"math"
	"testing"

	"sluice/gateway/admin"
	"sluice/loop"
)

func TestQuantile(t *testing.T) {
	var none, quick, mixed, endless loop.Distribution
	quick.Counts[0] = 100 // up to 50 µs
	mixed.Counts[0], mixed.Counts[10] = 98, 2
	endless.Counts[len(endless.Counts)-1] = 1
	for _, c := range []struct {
		name string
		d    *loop.Distribution
		q    float64
		want float64
	}{
		{"nothing", &none, 0.99, -1},
		{"one bucket", &quick, 0.5, 25e-6},
		{"the middle of two", &mixed, 0.49, 25e-6},
		{"the end of two", &mixed, 0.99, 75e-3},
		{"beyond the last bound", &endless, 0.5, 10},
	} {
		if got := quantile(c.d, c.q); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestOverview: what the console shows is what the metrics count.
func TestOverview(t *testing.T) {
	n := startNode(t, "--dev").ready()
	c := n.dial("/ws?channel=news")
	n.publish("news", "x")
	c.wantText("x")
	if _, _, err := n.tryDial("/ws?channel=no%20channel", nil); err == nil {
		t.Fatal("a bad channel was let in")
	}
	w := &lookout{app: n.App}
	var o admin.Overview
	eventually(t, "who was refused has gone, and all has been counted", func() error {
		if o = w.overview(); o.Sample.Connections != 1 || o.Sample.DeliveryP99 <= 0 {
			w.before = loop.Distribution{} // all deliveries are looked at, not only those since then
			return fmt.Errorf("%+v", o.Sample)
		}
		return nil
	})
	if o.Sample.MessagesOut != 1 || o.Sample.Deliveries != 1 || o.Sample.Refused != 1 || o.Sample.ProofAge < 0 || o.Leaving {
		t.Errorf("%+v", o.Sample)
	}
	var open int64
	for _, r := range o.Reactors {
		open += r.Connections
	}
	if open != 1 || len(o.Links) != 1 || len(o.Refusals) != 1 || o.Refusals[0].Name != "parameters" || o.Refusals[0].Meaning == "" {
		t.Errorf("%+v", o)
	}
}
