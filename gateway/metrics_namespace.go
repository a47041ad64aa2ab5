package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/hub"
)

// usage is a figure by namespace. Namespaces stand in the configuration: clients cannot
// make any.
type usage struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*hub.Usage) int64
}

// addNamespaces adds what the channels of each namespace come to.
func (m *metrics) addNamespaces() {
	m.usage("channels", prometheus.GaugeValue, "Channels with members on this node, by namespace; \"\" is that of names without one.",
		func(u *hub.Usage) int64 { return u.Channels.Load() })
	m.usage("subscriptions", prometheus.GaugeValue, "Subscriptions of this node's clients, by namespace.", func(u *hub.Usage) int64 { return u.Subscriptions.Load() })
	m.usage("messages_total", prometheus.CounterValue, "Messages from Redis for channels with members here, by namespace.", func(u *hub.Usage) int64 { return u.Messages.Load() })
	m.usage("bytes_total", prometheus.CounterValue, "Bytes of their payloads.", func(u *hub.Usage) int64 { return u.Bytes.Load() })
	m.usage("messages_out_total", prometheus.CounterValue, "Messages handed to clients, once for each, by namespace of their channel. What is sent again from a log is not among them.",
		func(u *hub.Usage) int64 { return u.Out.Load() })
}

func (m *metrics) usage(name string, kind prometheus.ValueType, help string, value func(*hub.Usage) int64) {
	m.usages = append(m.usages, usage{prometheus.NewDesc("sluice_namespace_"+name, help, []string{"namespace"}, nil), kind, value})
}

func (m *metrics) describeNamespaces(ch chan<- *prometheus.Desc) {
	for _, one := range m.usages {
		ch <- one.desc
	}
}

func (m *metrics) collectNamespaces(ch chan<- prometheus.Metric) {
	for name, t := range m.app.now.Load().tallies {
		for _, one := range m.usages {
			ch <- prometheus.MustNewConstMetric(one.desc, one.kind, float64(one.value(&t.usage)), name)
		}
	}
}
