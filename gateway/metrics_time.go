package main

import (
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice/loop"
)

// spread is a figure of a snapshot that says how long something took, each time.
type spread struct {
	desc  *prometheus.Desc
	value func(*snapshot) *loop.Distribution
}

// addTimes adds what is known of how long things take: of the reactors, and of the way
// from Redis through them.
func (m *metrics) addTimes() {
	m.spread("delivery_seconds", "Time from receiving a burst of messages from Redis to having written it to the last client that it is for, by burst and reactor. "+
		"Sockets that are full do not count. High: see sluice_reactor_lag_seconds; if that is low, more is published than the reactors can write (sluice_sends_total).",
		func(s *snapshot) *loop.Distribution { return &s.loop.Delivery })
	m.spread("reactor_turn_seconds", "Time that reactors are busy with what is posted to them before they look at their sockets again; sluice_reactor_stalls_total says with what.",
		func(s *snapshot) *loop.Distribution { return &s.loop.Turn })
	m.spread("reactor_lag_seconds", "Time that reactors leave waiting what comes, ten samples a second for each. High: they have too much to do, or are not given a processor; add nodes, or leave them more of the machine.",
		func(s *snapshot) *loop.Distribution { return &s.loop.Lag })
	m.spread("handshake_seconds", "Time from accepting a socket to answering its request with 101, or with an event stream: the client's own dawdling, its token, and for /ws and /sse the subscription of its channels included.",
		func(s *snapshot) *loop.Distribution { return &s.loop.Handshake })
	m.spread("redis_lag_seconds", "Time from publishing a durable message to receiving it, of the first one of each burst, by two clocks: Redis' and this node's. High: Redis, or the network, is slow, or the clocks differ (sluice doctor).",
		func(s *snapshot) *loop.Distribution { return &s.hub.Lag })
	m.add(prometheus.GaugeValue, "reactor_longest_turn_seconds", "The longest turn of a reactor within the last 15 to 30 seconds.",
		func(s *snapshot) float64 { return s.loop.Longest.Seconds() })
	m.stalls = prometheus.NewDesc("sluice_reactor_stalls_total",
		"Times that a reactor was held up for more than 0.1 s, by what. deadlines: timers, a drain or a shutdown of many clients; events: handing out what came from Redis; flush: writing to sockets; "+
			"input: working off what clients sent, or it was not given a processor; process: all of them stood still, the machine is overloaded or was paused.", []string{"by"}, nil)
}

func (m *metrics) spread(name, help string, value func(*snapshot) *loop.Distribution) {
	m.spreads = append(m.spreads, spread{prometheus.NewDesc("sluice_"+name, help, nil, nil), value})
}

func (m *metrics) describeTimes(ch chan<- *prometheus.Desc) {
	for _, s := range m.spreads {
		ch <- s.desc
	}
	ch <- m.stalls
}

func (m *metrics) collectTimes(ch chan<- prometheus.Metric, s *snapshot) {
	for _, one := range m.spreads {
		ch <- histogram(one.desc, one.value(s))
	}
	for why, n := range s.loop.Stalls {
		ch <- prometheus.MustNewConstMetric(m.stalls, prometheus.CounterValue, float64(n), loop.Stall(why).String())
	}
}

// histogram is a distribution as Prometheus counts: each bucket has those below it, too.
func histogram(desc *prometheus.Desc, d *loop.Distribution, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(loop.DurationBounds))
	var below uint64
	for i, bound := range loop.DurationBounds {
		below += uint64(d.Counts[i])
		buckets[bound.Seconds()] = below
	}
	return prometheus.MustNewConstHistogram(desc, uint64(d.Total()), d.Sum.Seconds(), buckets, labels...)
}

// runtimeMetrics are those of the Go runtime, and of these two of how long it holds
// up what runs: pauses for the garbage collector (go_sched_pauses_total_gc_seconds), and
// the wait for a processor (go_sched_latencies_seconds).
func runtimeMetrics() prometheus.Collector {
	return collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
		collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/sched/(pauses/total/gc|latencies):seconds$`)},
		collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/cpu/classes/gc/total:cpu-seconds$`)},
	))
}
