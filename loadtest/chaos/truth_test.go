package main

import (
	"testing"
	"time"

	"sluice/loadtest/internal/history"
)

const second = int64(time.Second)

// every makes times from, from+step … up to to.
func every(step, from, to int64) (list []int64) {
	for t := from; t <= to; t += step {
		list = append(list, t)
	}
	return list
}

func acked(times []int64) (list []history.Message) {
	for _, t := range times {
		list = append(list, history.Message{Sent: t, Acked: t + int64(time.Millisecond)})
	}
	return list
}

func TestReadinessIsHeldAgainstDeliveries(t *testing.T) {
	const tenth = second / 10
	sent := every(tenth, 0, 30*second)
	until10 := every(tenth, 0, 10*second)
	from14 := every(tenth, 14*second, 30*second)
	for _, test := range []struct {
		name      string
		at        int64
		ready     bool
		delivered []int64
		published []int64
		away      []span
		stopped   []span
		hit       []span
		lies      int
		judged    int
	}{
		{"ready and delivering", 20 * second, true, sent, sent, nil, nil, nil, 0, 1},
		{"ready and deaf for a second", 11 * second, true, until10, sent, nil, nil, nil, 0, 1},
		{"ready and deaf for three", 13 * second, true, until10, sent, nil, nil, nil, 1, 1},
		{"ready, nothing was published", 13 * second, true, until10, until10, nil, nil, nil, 0, 1},
		{"ready, and Redis is away", 13 * second, true, until10, until10, []span{{10 * second, 14 * second}}, nil, nil, 1, 1},
		{"ready, and Redis is just away", 12 * second, true, until10, until10, []span{{10 * second, 14 * second}}, nil, nil, 0, 1},
		{"ready, it was stopped itself", 13 * second, true, until10, sent, nil, []span{{10 * second, 12 * second}}, nil, 0, 0},
		{"not ready and deaf", 13 * second, false, until10, sent, nil, nil, nil, 0, 1},
		{"not ready, messages have just come again", 16 * second, false, append(append([]int64{}, until10...), from14...), sent, nil, nil, nil, 0, 1},
		{"not ready, messages have come for long", 19 * second, false, append(append([]int64{}, until10...), from14...), sent, nil, nil, nil, 1, 1},
		{"not ready, messages flow while something is broken", 19 * second, false, sent, sent, nil, nil, []span{{10 * second, 16 * second}}, 0, 1},
		{"not ready, messages flow and what was broken is long well", 20 * second, false, sent, sent, nil, nil, []span{{10 * second, 16 * second}}, 1, 1},
		{"not ready, in its first second", second, false, sent, sent, nil, nil, nil, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := testimony{node: "n1#1", samples: []sample{{At: test.at, Ready: test.ready}}, held: span{0, 30 * second},
				delivered: map[string][]int64{"c": test.delivered}, published: map[string][]history.Message{"c": acked(test.published)},
				away: test.away, stopped: test.stopped, hit: test.hit}
			if lies, judged := w.lies(); len(lies) != test.lies || judged != test.judged {
				t.Errorf("%d judged, lies %q", judged, lies)
			}
		})
	}
}

// A node that is ready again owes what is sent from then on.
func TestFreshlyReady(t *testing.T) {
	sent := every(second/10, 0, 30*second)
	w := testimony{node: "n1#1", samples: []sample{{At: 13*second - acking.Nanoseconds()}, {At: 13 * second, Ready: true}, {At: 13*second + acking.Nanoseconds() - 1, Ready: true}},
		held: span{0, 30 * second}, delivered: map[string][]int64{"c": every(second/10, 0, 10*second)}, published: map[string][]history.Message{"c": acked(sent)}}
	if lies, judged := w.lies(); len(lies) != 0 || judged != 1 {
		t.Errorf("%d judged, lies %q", judged, lies)
	}
	w.samples = append(w.samples, sample{At: 13*second + acking.Nanoseconds(), Ready: true})
	if lies, judged := w.lies(); len(lies) != 1 || judged != 2 {
		t.Errorf("%d judged, lies %q", judged, lies)
	}
}

// What a deposed master says yes to is nobody's to deliver.
func TestVainAcks(t *testing.T) {
	sent := every(second/10, 0, 30*second)
	for _, test := range []struct {
		name string
		r    reign
		lies int
	}{
		{"deposed", reign{"c", "a", span{10 * second, 20 * second}}, 0},
		{"another channel's", reign{"d", "a", span{10 * second, 20 * second}}, 1},
		{"another server", reign{"c", "b", span{10 * second, 20 * second}}, 1},
		{"deposed later", reign{"c", "a", span{12 * second, 20 * second}}, 1},
	} {
		messages := acked(sent)
		for i := range messages {
			messages[i].Via = "a"
		}
		w := testimony{node: "n1#1", samples: []sample{{At: 13 * second, Ready: true}}, held: span{0, 30 * second},
			delivered: map[string][]int64{"c": every(second/10, 0, 10*second)}, published: map[string][]history.Message{"c": messages}, deposed: []reign{test.r}}
		if lies, _ := w.lies(); len(lies) != test.lies {
			t.Errorf("%s: lies %q", test.name, lies)
		}
	}
}

// One silent channel of several is enough to be not ready.
func TestOneDeafChannel(t *testing.T) {
	sent := every(second/10, 0, 30*second)
	w := testimony{node: "n1#1", samples: []sample{{At: 20 * second, Ready: true}, {At: 20 * second}}, held: span{0, 30 * second},
		delivered: map[string][]int64{"a": sent, "b": every(second/10, 0, 10*second)},
		published: map[string][]history.Message{"a": acked(sent), "b": acked(sent)}}
	if lies, judged := w.lies(); len(lies) != 1 || judged != 2 {
		t.Errorf("%d judged, lies %q", judged, lies)
	}
}
