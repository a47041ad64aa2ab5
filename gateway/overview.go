package main

import (
	"cmp"
	"slices"
	"time"

	"sluice/gateway/admin"
	"sluice/gateway/reason"
	"sluice/gateway/session"
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
		Dialects:   dialects(&s.loop),
		Reactors:   reactors(a.engine.Loads()),
		Inbox:      inboxState(s.inbox, a.inbox.Lags()),
		Losses:     s.losses(),
		Refusals:   s.refusals(),
		Limits:     counted(s.limits()),
		Closes:     s.closes(),
		Namespaces: namespaces(a.now.Load().tallies),
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
		MessagesIn: s.loop.MessagesIn, Deliveries: s.hub.Delivered,
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
	for _, d := range o.Dialects {
		v.MessagesOut += d.Out
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
	for _, t := range s.app.now.Load().tallies {
		for cause, n := range causes(&t.gaps) {
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

// refusals are requests by the reason for which they were refused.
func (s *snapshot) refusals() []admin.Count {
	counts := []admin.Count{}
	s.app.node.Counters.Reasons.Refused(func(why reason.Reason, n int64) {
		if n > 0 {
			counts = append(counts, admin.Count{Name: string(why), N: n, Meaning: meanings[why]})
		}
	})
	slices.SortFunc(counts, more)
	return counts
}

// meanings are what the reasons mean to an operator.
var meanings = func() map[reason.Reason]string {
	all := map[reason.Reason]string{}
	for _, row := range reason.Table {
		all[row.Reason] = row.Meaning
	}
	return all
}()

// more puts the greater count first.
func more(a, b admin.Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) }

// counted are those that are not zero, the greatest first.
func counted(by map[string]int64) []admin.Count {
	counts := []admin.Count{}
	for name, n := range by {
		if n > 0 {
			counts = append(counts, admin.Count{Name: name, N: n})
		}
	}
	slices.SortFunc(counts, more)
	return counts
}

// closes are the ends of WebSocket connections: why this node ended them, and how clients did.
func (s *snapshot) closes() []admin.Close {
	closes := []admin.Close{}
	s.app.node.Counters.Reasons.Closed(func(code string, why reason.Reason, n int64) {
		closes = append(closes, admin.Close{Code: code, By: "node", Reason: string(why), N: n, Meaning: meanings[why]})
	})
	s.app.node.Counters.Closed.Each(func(code, by string, n int64) {
		if by == "client" {
			closes = append(closes, admin.Close{Code: code, By: by, N: n})
		}
	})
	slices.SortFunc(closes, func(a, b admin.Close) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Code, b.Code), cmp.Compare(a.By, b.By), cmp.Compare(a.Reason, b.Reason))
	})
	return closes
}

func dialects(s *loop.Stats) []admin.Dialect {
	list := make([]admin.Dialect, 0, len(session.KindNames))
	for kind, name := range session.KindNames {
		t := s.Kinds[kind]
		list = append(list, admin.Dialect{Name: name, Clients: t.Open, In: t.MessagesIn, Out: t.MessagesOut, BytesIn: t.BytesIn, BytesOut: t.BytesOut})
	}
	return list
}

func namespaces(tallies map[string]*tally) []admin.Namespace {
	list := make([]admin.Namespace, 0, len(tallies))
	for name, t := range tallies {
		by := map[string]int64{}
		for cause, n := range causes(&t.gaps) {
			by[string(cause)] = n
		}
		list = append(list, admin.Namespace{
			Name: name, Gaps: counted(by), Channels: t.usage.Channels.Load(), Subscriptions: t.usage.Subscriptions.Load(),
			Messages: t.usage.Messages.Load(), Out: t.usage.Out.Load(),
		})
	}
	slices.SortFunc(list, func(a, b admin.Namespace) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
