package deploy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write anew what is made of a node's metrics: grafana/dashboard.json, docs/METRICS.md")

// section is a row of the dashboard: the metrics whose names begin with one of these, after sluice_.
type section struct {
	title    string
	prefixes []string
}

// sections in the order of the dashboard; a metric belongs to the first one that knows it, the last one knows all.
var sections = []section{
	{"Redis", []string{"redis_", "stale_", "unwanted_"}},
	{"What may have been missed", []string{"gaps_", "channel_gaps_", "lost_", "log_holes_", "recoveries_", "log_filled_", "log_reading", "repeated_"}},
	{"Inbox and calls", []string{"inbox_", "rpc_", "errands_"}},
	{"Presence", []string{"presence_"}},
	{"Nodes", []string{"node", "lease_", "build_", "ready", "panics_", "log_lines_"}},
	{"Slow clients and limits", []string{"slow_", "backlogged", "dropped_total", "conflated_", "backlog_", "blocked_", "limits_", "excesses_", "incomplete_", "mailbox_"}},
	{"Latency", []string{"delivery_", "handshake_", "reactor_"}},
	{"Namespaces", []string{"namespace_"}},
	{"Messages", []string{"messages_", "bytes_", "writes_", "sends_", "deliveries_", "direct_", "subscriptions", "channels"}},
	{"TLS", []string{"tls_"}},
	{"Connections", []string{""}},
}

// overview is the panels that one looks at first, made of several metrics.
var overview = []panel{
	{"Clients", "Sockets open on the public port, all nodes together.", "short", []string{"sum(sluice_connections{%s})"}, []string{"clients"}},
	{"Messages out, of services", "Messages from Redis for channels with members, by node.", "ops", []string{"sum by (instance) (rate(sluice_deliveries_total{%s}[$__rate_interval]))"}, []string{"{{instance}}"}},
	{"Messages in, of clients", "Messages from clients, by node.", "ops", []string{"sum by (instance) (rate(sluice_messages_in_total{%s}[$__rate_interval]))"}, []string{"{{instance}}"}},
	{"From Redis to the clients", "How long messages take from Redis' socket to the last client's: half of the bursts, and all but one in a hundred, take less.", "s",
		[]string{"histogram_quantile(0.5, sum by (le) (rate(sluice_delivery_seconds_bucket{%s}[$__rate_interval])))", "histogram_quantile(0.99, sum by (le) (rate(sluice_delivery_seconds_bucket{%s}[$__rate_interval])))"}, []string{"half", "99 %"}},
	{"Refused and closed", "How many clients are refused, and how many connections are closed by the nodes, within $__rate_interval, and why: docs/LOGS.md says what the reasons mean.", "short",
		[]string{"sum by (reason) (" + grown("sluice_refused_by_reason_total") + ") > 0", "sum by (reason) (" + grown("sluice_closed_by_reason_total") + ") > 0"}, []string{"refused: {{reason}}", "closed: {{reason}}"}},
	{"What goes out, by dialect", "Messages handed to clients, by what these speak.", "ops", []string{"sum by (dialect) (rate(sluice_messages_out_total{%s}[$__rate_interval]))"}, []string{"{{dialect}}"}},
	{"Reactors", "How long reactors leave waiting what comes (99 %), and the longest turn of any.", "s",
		[]string{"histogram_quantile(0.99, sum by (le) (rate(sluice_reactor_lag_seconds_bucket{%s}[$__rate_interval])))", "max(sluice_reactor_longest_turn_seconds{%s})"}, []string{"lag", "longest turn"}},
	{"Not as it should be", "Nodes that are not ready, stretches in which messages may be missed just now, nodes whose inbox is down.", "short",
		[]string{"count(sluice_ready{%s} == 0) or vector(0)", "sum(sluice_gaps_open{%s})", "sum(sluice_inbox_down{%s})"}, []string{"not ready", "gaps open", "inbox down"}},
}

// ofProcess is the panels of what the process takes of its machine, whose metrics are not Sluice's own.
var ofProcess = []panel{
	{"Memory", "Memory that the process has of the machine, and of that what Go's heap has.", "bytes", []string{"process_resident_memory_bytes{%s}", "go_memstats_heap_inuse_bytes{%s}"}, []string{"{{instance}}", "{{instance}} heap"}},
	{"Processors", "Processors that the process is busy on, and those of them that collect garbage.", "short",
		[]string{"rate(process_cpu_seconds_total{%s}[$__rate_interval])", "rate(go_cpu_classes_gc_total_cpu_seconds_total{%s}[$__rate_interval])"}, []string{"{{instance}}", "{{instance}} garbage"}},
	{"Open files", "Of which each client takes one, as a part of those that the process may open.", "percentunit", []string{"process_open_fds{%s} / process_max_fds{%s}"}, []string{"{{instance}}"}},
	{"Goroutines", "They do not become more with more clients.", "short", []string{"go_goroutines{%s}"}, []string{"{{instance}}"}},
	quantiles(shown{name: "go_sched_pauses_total_gc_seconds", help: "For how long the garbage collector stops everything."}),
	quantiles(shown{name: "go_sched_latencies_seconds", help: "How long what could run waits for a processor: high where the machine is too small, or a limit (CPU quota) holds the process back."}),
}

// panel is a graph; the queries have %s where the choice of instances goes.
type panel struct {
	title, description, unit string
	queries, legends         []string
}

// steady are the counters of what happens all the time, by how their names begin after sluice_: they are shown as rates. What others count
// happens seldom, and a rate of 0.017 a second would not say that it was one.
var steady = []string{"messages_", "bytes_", "writes_", "sends_", "blocked_", "deliveries_", "direct_total", "namespace_", "redis_link_", "redis_probes_", "unwanted_",
	"inbox_written_", "rpc_calls_", "rpc_answers_", "errands_total", "presence_written_", "accepted_", "upgrades_", "streams_", "tls_handshakes_", "reactor_turns_", "api_commands_"}

// sparse are those labelled metrics of whose series most are 0 most of the time: only the others are shown.
var sparse = []string{"channel_gaps_", "limits_", "reactor_stalls_", "tls_failures_", "tls_handshakes_total", "closed_", "refused_", "api_commands_"}

func among(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, "sluice_"+p) })
}

// panelOf is a metric as a graph. One without labels has a line for each node; one with labels has a line for each of their values, all
// chosen nodes together: for each of both there would be too many to tell apart.
func panelOf(f shown) panel {
	query, unit, legend, description := f.name+"{%s}", "short", "{{instance}}", f.help
	switch {
	case strings.HasSuffix(f.name, "_seconds"):
		unit = "s"
	case strings.HasSuffix(f.name, "_bytes"):
		unit = "bytes"
	}
	switch {
	case f.kind == "histogram":
		return quantiles(f)
	case f.kind == "counter" && among(f.name, steady):
		query, unit = "rate("+query+"[$__rate_interval])", "ops"
		if strings.Contains(f.name, "_bytes_") {
			unit = "Bps"
		}
	case f.kind == "counter":
		query = grown(f.name)
		description += " So many within $__rate_interval."
	}
	if len(f.labels) > 0 {
		query, legend = together(f)+" by ("+strings.Join(f.labels, ", ")+") ("+query+")", "{{"+strings.Join(f.labels, "}} {{")+"}}"
	}
	if slices.Contains(f.labels, "namespace") { // that of names without one has no name
		query = `label_replace(` + query + `, "namespace", "(none)", "namespace", "")`
	}
	if among(f.name, sparse) {
		query += " > 0"
	}
	return panel{f.name, description, unit, []string{query}, []string{legend}}
}

// grown is by how much counters have grown within the interval. increase() would extrapolate one to 1.33, and not see the first time where
// a series begins with it.
func grown(name string) string {
	return "clamp_min(" + name + "{%s} - (" + name + "{%s} offset $__rate_interval or " + name + "{%s} * 0), 0)"
}

// together is how a metric with labels is put together from those of the nodes. All nodes look at the same inbox, and the worst link counts.
func together(f shown) string {
	if f.kind == "gauge" && (strings.HasPrefix(f.name, "sluice_inbox_") || strings.HasPrefix(f.name, "sluice_redis_")) {
		return "max"
	}
	return "sum"
}

// quantiles is a histogram as a graph: what half, and all but one in a hundred and in a thousand, are below, all chosen nodes together.
func quantiles(f shown) panel {
	p := panel{title: f.name, description: f.help, unit: "s"}
	for _, q := range []struct{ of, name string }{{"0.5", "half"}, {"0.99", "99 %"}, {"0.999", "99.9 %"}} {
		p.queries = append(p.queries, "histogram_quantile("+q.of+", sum by (le) (rate("+f.name+"_bucket{%s}[$__rate_interval])))")
		p.legends = append(p.legends, q.name)
	}
	return p
}

// board makes the dashboard: the overview, and a row for each section with a panel for each metric.
func board(all figures) ([]byte, error) {
	const chosen = `instance=~"$instance"`
	panels, y := []any{}, 0
	row := func(title string, collapsed []any) {
		panels = append(panels, map[string]any{"type": "row", "title": title, "collapsed": false, "panels": []any{}, "gridPos": map[string]int{"h": 1, "w": 24, "x": 0, "y": y}})
		y++
		for i, p := range collapsed {
			const height, columns = 7, 4
			p.(map[string]any)["gridPos"] = map[string]int{"h": height, "w": 24 / columns, "x": i % columns * 24 / columns, "y": y + i/columns*height}
			panels = append(panels, p)
			if i == len(collapsed)-1 {
				y += (i/columns + 1) * height
			}
		}
	}
	graph := func(p panel) any {
		targets := []any{}
		for i, q := range p.queries {
			targets = append(targets, map[string]any{"refId": string(rune('A' + i)), "expr": strings.ReplaceAll(q, "%s", chosen), "legendFormat": p.legends[i]})
		}
		return map[string]any{
			"type": "timeseries", "title": p.title, "description": p.description, "targets": targets,
			"datasource": map[string]string{"type": "prometheus", "uid": "${datasource}"},
			"options": map[string]any{
				"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
				"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
			},
			"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.unit, "min": 0}, "overrides": []any{}},
		}
	}
	var first []any
	for _, p := range overview {
		first = append(first, graph(p))
	}
	row("At a glance", first)
	for i, s := range sections {
		var members []any
		for _, f := range all {
			if sectionOf(f.name) == i {
				members = append(members, graph(panelOf(f)))
			}
		}
		row(s.title, members)
	}
	var last []any
	for _, p := range ofProcess {
		last = append(last, graph(p))
	}
	row("The process", last)
	for i, p := range panels {
		p.(map[string]any)["id"] = i + 1
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(map[string]any{
		"uid": "sluice", "title": "Sluice", "tags": []string{"sluice"}, "schemaVersion": 39, "editable": true, "refresh": "10s", "timezone": "",
		"time": map[string]string{"from": "now-1h", "to": "now"}, "panels": panels,
		"templating": map[string]any{"list": []any{
			map[string]any{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
			map[string]any{"name": "instance", "type": "query", "label": "node", "datasource": map[string]string{"type": "prometheus", "uid": "${datasource}"},
				"query": "label_values(sluice_build_info, instance)", "multi": true, "includeAll": true, "allValue": ".*", "refresh": 2,
				"current": map[string]any{"text": "All", "value": "$__all"}},
		}},
	})
	return b.Bytes(), err
}

func sectionOf(name string) int {
	for i, s := range sections {
		for _, p := range s.prefixes {
			if strings.HasPrefix(name, "sluice_"+p) {
				return i
			}
		}
	}
	return len(sections) - 1
}

// The dashboard has a panel for every metric, with what the node says it means.
func TestDashboardShowsEveryMetric(t *testing.T) {
	t.Parallel()
	want, err := board(liveFigures(t))
	if err != nil {
		t.Fatal(err)
	}
	const file = "grafana/dashboard.json"
	keptInStep(t, file, want, "what the node's metrics make it")
}

// keptInStep checks that a file that is made from the metrics is what it would be now, or makes it so where that is asked for.
func keptInStep(t *testing.T, file string, want []byte, what string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil { //nolint:gosec // everybody may read it
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not %s; write it anew: go test ./deploy -run Dashboard -update\n%s", file, what, difference(string(got), string(want)))
	}
}

// difference is the first lines in which two texts differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is\n%s\nand would be\n%s", i+1, g[i], w[i])
		}
	}
	return "one is the beginning of the other"
}

// What the alerts and the rest of the dashboard ask for is there.
func TestAlertsAndPanelsAskForWhatIsThere(t *testing.T) {
	t.Parallel()
	all := liveFigures(t)
	name := regexp.MustCompile(`sluice_[a-z_]+[a-z]`)
	descriptions := regexp.MustCompile(`(?m)^ *"description": .*$`) // the metrics' own; they speak of Redis Functions as well
	for _, file := range []string{"prometheus/alerts.yml", "grafana/dashboard.json", "kubernetes", "helm"} {
		texts, err := readAll(file)
		if err != nil {
			t.Fatal(err)
		}
		for path, text := range texts {
			for _, m := range name.FindAllString(descriptions.ReplaceAllString(text, ""), -1) {
				if !all.has(m) {
					t.Errorf("%s speaks of %s, which no node shows", path, m)
				}
			}
		}
	}
}
