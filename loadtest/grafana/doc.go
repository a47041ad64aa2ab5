// Package grafana reads a dashboard as Grafana does: its rows, their panels, and what each asks Prometheus, with the variables filled in.
//
//	board, err := grafana.Read("deploy/grafana/dashboard.json")
//	query, err := board.Rows[0].Panels[0].Targets[0].Query(grafana.Variables{"instance": ".*", "__rate_interval": "1m"})
//
// It knows what deploy's dashboard uses: rows that are open, panels of time series, the variables $name and ${name}.
package grafana
