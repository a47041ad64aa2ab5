package main

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/loop"
)

// tlsMetrics are those of TLS on the public listener.
type tlsMetrics struct {
	handshakes *prometheus.Desc
	failures   *prometheus.Desc
}

func (m *metrics) addTLS() {
	m.tls.handshakes = prometheus.NewDesc("sluice_tls_handshakes_total",
		"TLS handshakes on the public port by version, and by whether a ticket of an earlier connection spared the client the long way (resumed).", []string{"version", "resumed"}, nil)
	m.tls.failures = prometheus.NewDesc("sluice_tls_failures_total",
		"TLS handshakes that came to nothing, by reason, and broken records on open connections (record). client_refused: clients do not trust the certificate, renew it or mend its chain; "+
			"version, no_common_parameters: clients too old; plain_http: URLs that begin with ws:// or http://; not_tls, malformed: scanners; timeout, client_left: those, or a lossy network; leaving: this node was going away, clients come back elsewhere; no_certificate, internal: this node's fault, the log says more.",
		[]string{"reason"}, nil)
	m.add(prometheus.GaugeValue, "tls_handshakes", "TLS handshakes under way, at most tls.handshakes.", func(s *snapshot) float64 { return float64(s.tls.Handshaking) })
	m.add(prometheus.GaugeValue, "tls_handshakes_waiting", "TLS handshakes in line behind those. If that lasts the node has too few processors for the rush of new clients.",
		func(s *snapshot) float64 { return float64(s.tls.Waiting) })
	m.add(prometheus.GaugeValue, "tls_certificate_expiry_seconds", "Time until the first of the certificates of the public port ends, by the files as they were read last; below 0 it has; +Inf: the port speaks no TLS.",
		func(s *snapshot) float64 {
			if s.app.certificates == nil {
				return math.Inf(1)
			}
			return time.Until(s.app.certificates.Now().Expires()).Seconds()
		})
}

func (m *metrics) describeTLS(ch chan<- *prometheus.Desc) {
	ch <- m.tls.handshakes
	ch <- m.tls.failures
}

func (m *metrics) collectTLS(ch chan<- prometheus.Metric, s *snapshot) {
	for i, version := range []string{"1.2", "1.3"} {
		ch <- prometheus.MustNewConstMetric(m.tls.handshakes, prometheus.CounterValue, float64(s.tls.Full[i]), version, "no")
		ch <- prometheus.MustNewConstMetric(m.tls.handshakes, prometheus.CounterValue, float64(s.tls.Resumed[i]), version, "yes")
	}
	for f, n := range s.tls.Faults {
		ch <- prometheus.MustNewConstMetric(m.tls.failures, prometheus.CounterValue, float64(n), loop.TLSFault(f).String())
	}
}
