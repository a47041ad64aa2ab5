package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/session"
	"sluice/loop"
)

// share is a figure of a snapshot by dialect.
type share struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*loop.Traffic) int64
}

// addTraffic adds what goes in and out, by what clients speak.
func (m *metrics) addTraffic() {
	m.share("clients", prometheus.GaugeValue, "Connections by what their clients speak; http: their request has not been answered, or they are being told why not.",
		func(t *loop.Traffic) int64 { return t.Open })
	m.share("messages_in_total", prometheus.CounterValue, "Messages from clients, by what these speak.", func(t *loop.Traffic) int64 { return t.MessagesIn })
	m.share("messages_out_total", prometheus.CounterValue, "Messages handed to clients, by what these speak: each of a channel's once for each member, those for one connection, and echoes. "+
		"Answers, and what is sent again from a log, are not among them.", func(t *loop.Traffic) int64 { return t.MessagesOut })
	m.share("bytes_in_total", prometheus.CounterValue, "Bytes read from clients, handshakes and frames included, by what these speak.", func(t *loop.Traffic) int64 { return t.BytesIn })
	m.share("bytes_out_total", prometheus.CounterValue, "Bytes written to clients, by what these speak.", func(t *loop.Traffic) int64 { return t.BytesOut })
}

func (m *metrics) share(name string, kind prometheus.ValueType, help string, value func(*loop.Traffic) int64) {
	m.shares = append(m.shares, share{prometheus.NewDesc("sluice_"+name, help, []string{"dialect"}, nil), kind, value})
}

func (m *metrics) describeTraffic(ch chan<- *prometheus.Desc) {
	for _, one := range m.shares {
		ch <- one.desc
	}
}

func (m *metrics) collectTraffic(ch chan<- prometheus.Metric, s *snapshot) {
	for _, one := range m.shares {
		for kind, dialect := range session.KindNames {
			ch <- prometheus.MustNewConstMetric(one.desc, one.kind, float64(one.value(&s.loop.Kinds[kind])), dialect)
		}
	}
}
