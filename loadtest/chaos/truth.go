package main

import (
	"fmt"
	"slices"
	"time"

	"sluice/loadtest/internal/history"
)

// Whether readiness told the truth is decided by what clients got. A node is
// asked every 50 ms; its answer at a moment t is a lie
//
//   - if it was 200, and on some channel that clients had held at this node for
//     longer than deafAfter nothing had been delivered for deafAfter, although a
//     message was sent and acked in that time, by a Redis that had not been
//     succeeded by another one, or although Redis was known to be
//     out of the node's reach all that time;
//   - if it was 503, and on every channel messages had come at least once a second
//     for the last flowingFor, in which nothing was being broken for this node.
//
// Moments just after the node itself was stopped do not count: it could not know
// yet. Nor do those of its first seconds and of the run's last ones, nor a 200 that
// is fresh: what was sent since may be under way.
const (
	deafAfter  = 2*time.Second + 250*time.Millisecond // what is promised, and what a busy machine takes
	flowingFor = 3*time.Second + 250*time.Millisecond
	flowing    = time.Second
	acking     = 250 * time.Millisecond // a message acked later than this before t may be under way
)

// span is a time from and to.
type span struct{ from, to int64 }

// testimony is what one life of a node is judged by.
type testimony struct {
	node      string
	samples   []sample
	held      span               // when every channel was held by clients, and published on
	delivered map[string][]int64 // by channel, in order: when
	published map[string][]history.Message
	away      []span // Redis was out of reach
	stopped   []span // the node was
	hit       []span // something was being broken for it
	deposed   []reign
}

// lies are the samples that were not true, with the reason.
func (t *testimony) lies() (list []string, judged int) {
	channels := make([]string, 0, len(t.delivered))
	for c := range t.delivered {
		slices.Sort(t.delivered[c])
		channels = append(channels, c)
	}
	slices.Sort(channels)
	ready, since := true, int64(0) // what it said last, and since when where that is yes
	for _, s := range t.samples {
		if s.Ready && !ready {
			since = s.At
		}
		ready = s.Ready
		if !t.counts(s.At) || s.Ready && s.At-since < int64(acking) {
			continue
		}
		judged++
		if s.Ready {
			for _, c := range channels {
				if why := t.deaf(c, s.At); why != "" {
					list = append(list, fmt.Sprintf("%s said 200 at %s, but on %s nothing had come for %v %s", t.node, stamp(s.At), c, deafAfter, why))
					break
				}
			}
		} else if len(channels) > 0 && !t.wasHit(s.At) && !slices.ContainsFunc(channels, func(c string) bool { return !t.flows(c, s.At) }) {
			list = append(list, fmt.Sprintf("%s said 503 %q at %s, but messages had flowed for %v", t.node, s.Reason, stamp(s.At), flowingFor))
		}
	}
	return list, judged
}

// counts says whether a sample is judged at all.
func (t *testimony) counts(at int64) bool {
	if at-int64(flowingFor+flowing) < t.held.from || at > t.held.to {
		return false
	}
	return !slices.ContainsFunc(t.stopped, func(s span) bool { return s.from < at && at-int64(deafAfter) < s.to })
}

// wasHit says whether a 503 may be due to a fault that deliveries do not show.
func (t *testimony) wasHit(at int64) bool {
	return slices.ContainsFunc(t.hit, func(s span) bool { return s.from <= at && at-int64(flowingFor) <= s.to })
}

// deaf says why a silence is one that a node must notice; "" where it is none.
func (t *testimony) deaf(channel string, at int64) string {
	from := at - int64(deafAfter)
	list := t.delivered[channel]
	if i, _ := slices.BinarySearch(list, from+1); i < len(list) && list[i] <= at {
		return ""
	}
	messages := t.published[channel]
	first, _ := slices.BinarySearchFunc(messages, from, func(m history.Message, at int64) int { return int(min(1, max(-1, m.Sent-at))) })
	for _, m := range messages[first:] {
		if m.Sent > at {
			break
		}
		if m.Acked != 0 && m.Acked <= at-int64(acking) && !vain(t.deposed, channel, m) {
			return "although Redis had taken messages"
		}
	}
	if slices.ContainsFunc(t.away, func(s span) bool { return s.from <= from && at <= s.to }) {
		return "and Redis could not be reached"
	}
	return ""
}

// vain says whether a message was taken by a server that had been succeeded.
func vain(deposed []reign, channel string, m history.Message) bool {
	return slices.ContainsFunc(deposed, func(r reign) bool {
		return r.channel == channel && r.addr == m.Via && r.from <= m.Acked && m.Acked <= r.to
	})
}

// flows says whether messages came all the time.
func (t *testimony) flows(channel string, at int64) bool {
	list := t.delivered[channel]
	last := at - int64(flowingFor+flowing)
	i, _ := slices.BinarySearch(list, last)
	for ; i < len(list) && list[i] <= at; i++ {
		if list[i]-last > int64(flowing) {
			return false
		}
		last = list[i]
	}
	return at-last <= int64(flowing)
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format("15:04:05.000") }
