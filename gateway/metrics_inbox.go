package main

import (
	"github.com/prometheus/client_golang/prometheus"
)

// inboxLags shows how far services have read the inbox, as this node saw it last.
// All nodes look at the same streams: take the highest figure, not the sum. The labels
// are closed: streams stand in the configuration, groups are those of the first
// pubsub.MaxGroups names of each, which services make and clients cannot.
type inboxLags struct {
	app                             *App
	length, unread, trimmed         *prometheus.Desc
	pending, pendingIdle, moreGroup *prometheus.Desc
}

func newInboxLags(a *App) *inboxLags {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sluice_inbox_"+name, help, labels, nil)
	}
	return &inboxLags{
		app:    a,
		length: desc("length", "Entries in an inbox stream; about inbox.maxlen of them are kept.", "stream"),
		unread: desc("unread", "Entries that a consumer group has not been given. It grows: the workers are too slow, or there are none.",
			"stream", "group"),
		trimmed: desc("unread_trimmed", "Of those, how many are lost, because newer ones took their place: inbox.maxlen is too little, or the workers too slow.",
			"stream", "group"),
		pending: desc("pending", "Entries that workers have been given and did not acknowledge.", "stream", "group"),
		pendingIdle: desc("pending_idle_seconds", "Time since the oldest of those was given to a worker. It grows: a worker died, and no other claims its entries (XAUTOCLAIM).",
			"stream", "group"),
		moreGroup: desc("groups_omitted", "Consumer groups of a stream that are not shown, because it has too many.", "stream"),
	}
}

// Describe implements prometheus.Collector.
func (m *inboxLags) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.length, m.unread, m.trimmed, m.pending, m.pendingIdle, m.moreGroup} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *inboxLags) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range m.app.inbox.Lags() {
		gauge(m.length, float64(s.Length), s.Stream)
		gauge(m.moreGroup, float64(s.More), s.Stream)
		for _, g := range s.Groups {
			if g.Lag >= 0 { // else Redis does not know
				gauge(m.unread, float64(g.Lag), s.Stream, g.Name)
				gauge(m.trimmed, float64(s.Trimmed(g)), s.Stream, g.Name)
			}
			gauge(m.pending, float64(g.Pending), s.Stream, g.Name)
			gauge(m.pendingIdle, g.Idle.Seconds(), s.Stream, g.Name)
		}
	}
}
