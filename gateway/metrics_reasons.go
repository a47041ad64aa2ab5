package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/reason"
)

// addReasons adds why clients were refused or closed.
func (m *metrics) addReasons() {
	m.refusals = prometheus.NewDesc("sluice_refused_by_reason_total",
		"Requests refused, by reason; docs/LOGS.md has what each means, and the log the sentence that the client was told.", []string{"reason"}, nil)
	m.closings = prometheus.NewDesc("sluice_closed_by_reason_total",
		"Connections that this node has closed, by close code and reason; docs/LOGS.md has what each means.", []string{"code", "reason"}, nil)
}

func (m *metrics) collectReasons(ch chan<- prometheus.Metric) {
	reasons := &m.app.node.Counters.Reasons
	reasons.Refused(func(why reason.Reason, n int64) {
		ch <- prometheus.MustNewConstMetric(m.refusals, prometheus.CounterValue, float64(n), string(why))
	})
	reasons.Closed(func(code string, why reason.Reason, n int64) {
		ch <- prometheus.MustNewConstMetric(m.closings, prometheus.CounterValue, float64(n), code, string(why))
	})
}
