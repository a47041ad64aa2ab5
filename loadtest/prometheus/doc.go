// Package prometheus starts a Prometheus as deploy's file says, and asks it.
//
//	config, err := prometheus.Config("deploy/prometheus", dir, time.Second, prometheus.Node{Admin: "127.0.0.1:8001"})
//	p, err := prometheus.Start(config)
//	defer p.Close()
//	samples, err := p.Query(ctx, `sum(sluice_connections)`)
//
// It is a real process on a free port of loopback which keeps its data beside its configuration and ends with whoever started it. A
// missing prometheus is an error. Start at server.go; query.go is its HTTP API.
package prometheus
