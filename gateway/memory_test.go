package main

import "testing"

func TestCrowdSettles(t *testing.T) {
	var c crowd
	for i, step := range []struct {
		come, gone int64
		want       bool
	}{
		{0, 0, false},
		{999, 0, false}, // a storm
		{999, 0, false}, // too small a one
		{5000, 0, false},
		{9000, 100, false},
		{9050, 150, true}, // it is over
		{9050, 150, false},
		{9100, 200, false}, // few come and go
		{9100, 9000, false},
		{9100, 9100, true}, // all have left
		{9200, 9100, false},
		{9600, 9200, false},
		{9650, 9200, false},
		{9700, 9250, false}, // it comes to something by and by
		{9750, 9300, false},
		{9800, 9350, false},
		{9850, 9400, true},
	} {
		if got := c.settled(step.come, step.gone); got != step.want {
			t.Errorf("step %d: %d have come, %d gone: %v", i, step.come, step.gone, got)
		}
	}
}
