package deploy

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/loadtest/grafana"
	"sluice/loadtest/prometheus"
)

// variables are what Grafana would fill in: all nodes, and an interval that a second's scrapes allow.
var variables = grafana.Variables{"instance": ".*", "__rate_interval": "30s"}

// absent are the panels that have nothing to show while all is well, and why.
var absent = map[string]string{
	"sluice_channel_gaps_total":   "nothing is missed before Redis is killed",
	"sluice_reactor_stalls_total": "no reactor is held up for a tenth of a second, unless the machine has other work",
}

// A real Prometheus that asks two nodes has data for every panel of the dashboard, none of the alerts is true, and those that can be
// brought about easily then are.
func TestDashboardAndAlertsSeeNodes(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.panelsHaveData()
	w.noAlert()
	w.alertsOfFaults()
}

// panelsHaveData makes traffic until every query of every panel has shown something.
func (w *watched) panelsHaveData() {
	w.t.Helper()
	board, err := grafana.Read("grafana/dashboard.json")
	if err != nil {
		w.t.Fatal(err)
	}
	empty := map[string]string{} // query → whose it is
	for _, row := range board.Rows {
		for _, panel := range row.Panels {
			for _, target := range panel.Targets {
				query, err := target.Query(variables)
				if err != nil {
					w.t.Fatal(err)
				}
				empty[query] = panel.Title
			}
		}
	}
	if len(empty) < 100 {
		w.t.Fatalf("the dashboard has only %d queries", len(empty))
	}
	within(w.t, 4*patience, "every panel has data", func() error {
		w.traffic()
		for query, panel := range empty {
			if _, is := absent[panel]; !is && w.shows(query) {
				delete(empty, query)
			}
		}
		for query, panel := range empty {
			if absent[panel] == "" {
				return fmt.Errorf("%s has none: %s", panel, query)
			}
		}
		return nil
	})
}

// shows says whether a query has a value that can be drawn.
func (w *watched) shows(query string) bool {
	w.t.Helper()
	samples, err := w.graph.Query(w.t.Context(), query)
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return slices.ContainsFunc(samples, func(s prometheus.Sample) bool { return !math.IsNaN(s.Value) && !math.IsInf(s.Value, 0) })
}

// ofTheMachine are alerts about time: on a machine that is busy with other tests they may be true, and right.
var ofTheMachine = []string{"SluiceDeliverySlow", "SluiceStalled", "SluiceInboxSlow"}

// noAlert checks that Prometheus evaluates every alert, and that none is true of nodes that are well.
func (w *watched) noAlert() {
	w.t.Helper()
	rules, err := w.graph.Rules(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if len(rules) < 20 {
		w.t.Fatalf("Prometheus knows only %d alerts", len(rules))
	}
	for _, r := range rules {
		if r.Health == "err" {
			w.t.Errorf("%s: %s", r.Name, r.LastError)
		}
		if slices.Contains(ofTheMachine, r.Name) {
			continue
		}
		eventually(w.t, r.Name+" is not true", func() error {
			samples, err := w.graph.Query(w.t.Context(), r.Query)
			if err == nil && len(samples) > 0 {
				err = fmt.Errorf("it is, %v", samples)
			}
			return err
		})
	}
}

// alertsOfFaults kills Redis, starts it again, has a node leave, and kills that before it has.
func (w *watched) alertsOfFaults() {
	w.t.Helper()
	w.dial(0, "/ws?channel=news") // whose messages may be missed
	sender := w.dial(0, "/ws?channel=news")
	w.redis.Kill()
	sender.say("this does not reach Redis")
	w.becomesTrue("SluiceRedisNotProven", 2)
	w.becomesTrue("SluiceNotReady", 2)
	w.becomesTrue("SluiceInboxDown", 1)
	w.becomesTrue("SluiceInboxFailed", 1)
	w.redis.Restart()
	w.becomesTrue("SluiceMessagesMissed", 1)
	w.isOver("SluiceRedisNotProven")
	w.isOver("SluiceNotReady")
	w.isOver("SluiceInboxDown")
	if err := w.nodes[0].Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	w.becomesTrue("SluiceNotReady", 1)
	if err := w.nodes[0].Kill(); err != nil {
		w.t.Fatal(err)
	}
	w.becomesTrue("SluiceDown", 1)
	w.becomesTrue("SluiceNodeDied", 1)
}

// becomesTrue waits until the expression of an alert is true of so many series at least.
func (w *watched) becomesTrue(alert string, series int) {
	w.t.Helper()
	eventually(w.t, alert+" becomes true", func() error {
		if n := w.alert(alert); n < series {
			return fmt.Errorf("it is of %d, want %d", n, series)
		}
		return nil
	})
}

func (w *watched) isOver(alert string) {
	w.t.Helper()
	eventually(w.t, alert+" is over", func() error {
		if n := w.alert(alert); n > 0 {
			return fmt.Errorf("it is true of %d", n)
		}
		return nil
	})
}

// alert is of how many series an alert's expression is true.
func (w *watched) alert(name string) int {
	w.t.Helper()
	rules, err := w.graph.Rules(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(rules, func(r prometheus.Rule) bool { return r.Name == name })
	if i < 0 {
		w.t.Fatalf("there is no alert %s", name)
	}
	samples, err := w.graph.Query(w.t.Context(), rules[i].Query)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(samples)
}

// What promtool says of the alerts, and of whether they fire when they should: testdata/alerts_test.yml. For that an alert has to last, which takes
// promtool no time.
func TestAlertsByPromtool(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "config", "prometheus/prometheus.yml"},
		{"check", "rules", "prometheus/alerts.yml"},
		{"test", "rules", "testdata/alerts_test.yml"},
	} {
		out, err := exec.Command("promtool", args...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			t.Fatalf("%v; is it installed? run make deps", err)
		}
		if err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	tried, err := os.ReadFile("testdata/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllSubmatch(alerts, -1) {
		if want := fmt.Sprintf("alertname=%q", m[1]); !strings.Contains(string(tried), want) {
			t.Errorf("testdata/alerts_test.yml does not have %s fire", m[1])
		}
	}
}
