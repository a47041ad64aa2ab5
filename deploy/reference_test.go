package deploy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// referenceHead is what docs/METRICS.md begins with.
const referenceHead = `# The metrics of a node

` + "`GET /metrics`" + ` on the admin port, for Prometheus. This page is made from what a node says of itself
(` + "`go test ./deploy -run Dashboard -update`" + `); [the dashboard](../deploy/grafana/dashboard.json) has a panel for each, and
[the alerts](../deploy/prometheus/alerts.yml) name those that somebody should be woken for.

- Labels have closed sets of values: none is a channel, a user or an address.
- Counters (` + "`_total`" + `) begin at 0 when the node starts; use ` + "`rate()`" + ` or ` + "`increase()`" + `.
- Histograms are of seconds, with buckets from 50 µs to 10 s: ` + "`histogram_quantile(0.99, sum by (le) (rate(sluice_delivery_seconds_bucket[5m])))`" + `.
- Nothing is counted for each delivery: a histogram has one entry for a burst or a turn of a reactor, whatever the number of clients.
- The Go runtime's and the process's own metrics (` + "`go_`, `process_`" + `) are there as well; of them
  ` + "`go_sched_pauses_total_gc_seconds`" + ` (pauses of the garbage collector) and ` + "`go_sched_latencies_seconds`" + ` (waiting for a processor) explain stalls.
`

// reference is docs/METRICS.md.
func reference(all figures) []byte {
	var b bytes.Buffer
	b.WriteString(referenceHead)
	for i, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | meaning, and what to do |\n|---|---|---|---|\n", s.title)
		for _, f := range all {
			if sectionOf(f.name) == i {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.Join(f.labels, ", "), strings.ReplaceAll(f.help, "|", `\|`))
			}
		}
	}
	return b.Bytes()
}

// docs/METRICS.md says of every metric what the node says.
func TestReferenceBesideDashboard(t *testing.T) {
	t.Parallel()
	all := liveFigures(t)
	namedWell(t, all)
	want := reference(all)
	const file = "../docs/METRICS.md"
	keptInStep(t, file, want, "what a node says of its metrics")
}

// namedWell checks that every metric says what it means, and has a unit where it has one.
func namedWell(t *testing.T, all figures) {
	t.Helper()
	for _, f := range all {
		switch {
		case f.help == "" || !strings.HasSuffix(f.help, "."):
			t.Errorf("%s does not say in sentences what it means: %q", f.name, f.help)
		case f.kind == "counter" != strings.HasSuffix(f.name, "_total"):
			t.Errorf("%s is a %s", f.name, f.kind)
		case f.kind == "histogram" && !strings.HasSuffix(f.name, "_seconds"):
			t.Errorf("%s is a histogram without a unit", f.name)
		}
	}
}
