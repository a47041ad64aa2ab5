package main

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"sluice/gateway/admin"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// This file is what the console shows, made from the same snapshot as /metrics.

// lookout looks at a node for the console. It belongs to the goroutine that calls overview.
type lookout struct {
	app    *App
	before loop.Distribution // of deliveries, when it looked last
}

func (w *lookout) overview() admin.Overview {
	a := w.app
	s := a.snapshot()
	o := admin.Overview{
		Leaving:    a.isLeaving(),
		Limit:      int64(a.engine.Limit()),
		Links:      links(s.broker.Lanes),
		Reactors:   reactors(a.engine.Loads()),
		Inbox:      inboxState(s.inbox, a.inbox.Lags()),
		Losses:     s.losses(),
		Refusals:   s.refusals(),
		Closes:     s.closes(),
		Namespaces: namespaces(a.now.Load().lossy),
		GapsOpen:   int64(a.gaps.Open()),
	}
	o.Sample = s.sample(&o)
	lately := s.loop.Delivery
	for i, n := range w.before.Counts {
		lately.Counts[i] -= n
	}
	w.before = s.loop.Delivery
	o.Sample.DeliveryP50, o.Sample.DeliveryP99 = quantile(&lately, 0.5), quantile(&lately, 0.99)
	return o
}

// quantile is what the fraction q of durations did not exceed, in seconds, as exactly as the
// buckets tell; -1 where there are none.
func quantile(d *loop.Distribution, q float64) float64 {
	total := d.Total()
	if total <= 0 {
		return -1
	}
	left, from := q*float64(total), time.Duration(0)
	for i, to := range loop.DurationBounds {
		n := float64(d.Counts[i])
		if left <= n && n > 0 {
			return (float64(from) + left/n*float64(to-from)) / float64(time.Second)
		}
		left, from = left-n, to
	}
	return from.Seconds() // beyond the last bound nothing is known
}

func reactors(loads []loop.Load) []admin.Reactor {
	list := make([]admin.Reactor, 0, len(loads))
	for i, l := range loads {
		list = append(list, admin.Reactor{Index: i, Connections: l.Connections, LongestTurn: l.Longest.Seconds()})
	}
	return list
}

// isLeaving reports whether the node drains.
func (a *App) isLeaving() bool {
	select {
	case <-a.leaving:
		return true
	default:
		return false
	}
}

// sample is what the plots show; o is complete but for it.
func (s *snapshot) sample(o *admin.Overview) admin.Sample {
	v := admin.Sample{
		Time:        time.Now().UnixMilli(),
		Connections: s.loop.Connections, Subscriptions: s.hub.Subscriptions, Channels: s.hub.Channels,
		MessagesIn: s.loop.MessagesIn, Deliveries: s.hub.Delivered, Writes: s.loop.FramesOut,
		BytesIn: s.loop.BytesIn, BytesOut: s.loop.BytesOut, Backlog: s.loop.Backlog,
		InboxWritten: s.inbox.Written, InboxFailed: s.app.node.Counters.InboxFailed.Load(),
		Missed: sum(o.Losses), Refused: sum(o.Refusals),
	}
	for _, l := range o.Links {
		if l.ProofAge < 0 || v.ProofAge < 0 {
			v.ProofAge = -1
			continue
		}
		v.ProofAge, v.Probe = max(v.ProofAge, l.ProofAge), max(v.Probe, l.Probe)
	}
	for _, stream := range o.Inbox.Streams {
		for _, g := range stream.Groups {
			v.InboxLag = max(v.InboxLag, g.Unread)
		}
	}
	for _, c := range o.Closes {
		v.Closed += c.N
	}
	return v
}

func sum(counts []admin.Count) (n int64) {
	for _, c := range counts {
		n += c.N
	}
	return n
}

func links(lanes []pubsub.LaneStats) []admin.Link {
	list := make([]admin.Link, 0, len(lanes))
	for _, l := range lanes {
		proof := -1.0
		if l.ProofAge >= 0 {
			proof = l.ProofAge.Seconds()
		}
		list = append(list, admin.Link{Name: l.Name, Connected: l.Connected, ProofAge: proof, Probe: l.ProbeTime.Seconds(), Channels: l.Channels, Messages: l.Messages})
	}
	return list
}

func inboxState(s pubsub.InboxStats, lags []pubsub.StreamLag) admin.InboxState {
	state := admin.InboxState{Down: s.Down, Queue: int64(s.QueueEntries), Wait: s.OldestWait.Seconds(), Streams: make([]admin.Stream, 0, len(lags))}
	for _, l := range lags {
		stream := admin.Stream{Name: l.Stream, Length: l.Length, Groups: make([]admin.Group, 0, len(l.Groups))}
		for _, g := range l.Groups {
			stream.Groups = append(stream.Groups, admin.Group{Name: g.Name, Unread: max(g.Lag, -1), Pending: g.Pending, Idle: g.Idle.Seconds()})
		}
		state.Streams = append(state.Streams, stream)
	}
	return state
}

// losses is what clients may have missed on this node, and what slow ones did.
func (s *snapshot) losses() []admin.Count {
	gaps := map[string]int64{}
	for _, g := range s.app.now.Load().lossy {
		for cause, n := range causes(g) {
			gaps["gap: "+string(cause)] += n
		}
	}
	counts := counted(gaps)
	for _, c := range []admin.Count{
		{Name: "lost: a reactor was too far behind", N: s.hub.Lost},
		{Name: "dropped: slow clients, policy drop", N: s.hub.Dropped},
		{Name: "log hole that could not be filled", N: s.hub.Holes},
		{Name: "recovery failed: client reloads", N: s.hub.Reset},
		{Name: "oversize message from Redis", N: s.broker.Oversize},
	} {
		if c.N > 0 {
			counts = append(counts, c)
		}
	}
	return counts
}

// refusals are requests by the status that they were refused with, and clients that reached
// other limits, by the setting.
func (s *snapshot) refusals() []admin.Count {
	counts := map[string]int64{}
	for status := range s.app.node.Counters.Refused {
		counts["HTTP "+strconv.Itoa(status)] = s.app.node.Counters.Refused[status].Load()
	}
	for setting, n := range s.limits() {
		counts[setting] = n
	}
	return counted(counts)
}

// counted are those that are not zero, the greatest first.
func counted(by map[string]int64) []admin.Count {
	counts := []admin.Count{}
	for name, n := range by {
		if n > 0 {
			counts = append(counts, admin.Count{Name: name, N: n})
		}
	}
	slices.SortFunc(counts, func(a, b admin.Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	return counts
}

func (s *snapshot) closes() []admin.Close {
	closes := []admin.Close{}
	s.app.node.Counters.Closed.Each(func(code, by string, n int64) {
		closes = append(closes, admin.Close{Code: code, By: by, N: n})
	})
	slices.SortFunc(closes, func(a, b admin.Close) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Code, b.Code), cmp.Compare(a.By, b.By))
	})
	return closes
}

func namespaces(lossy map[string]*hub.Gaps) []admin.Namespace {
	list := make([]admin.Namespace, 0, len(lossy))
	for name, g := range lossy {
		by := map[string]int64{}
		for cause, n := range causes(g) {
			by[string(cause)] = n
		}
		list = append(list, admin.Namespace{Name: name, Gaps: counted(by)})
	}
	slices.SortFunc(list, func(a, b admin.Namespace) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
