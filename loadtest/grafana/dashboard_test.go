package grafana

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRead(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "board.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	d, err := Read(write(`{"title":"T","panels":[{"type":"row","title":"R"},{"type":"timeseries","title":"P","description":"D","gridPos":{"h":7,"w":6,"x":12,"y":1},
		"targets":[{"expr":"rate(x{a=~\"$a\"}[$__rate_interval])","legendFormat":"{{a}} {{ b }}"}],"fieldConfig":{"defaults":{"unit":"ops"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	p := d.Rows[0].Panels[0]
	if d.Title != "T" || d.Rows[0].Title != "R" || p.Title != "P" || p.Description != "D" || p.Unit != "ops" || p.Place != (Place{X: 12, Y: 1, W: 6, H: 7}) {
		t.Errorf("got %+v", d)
	}
	query, err := p.Targets[0].Query(Variables{"a": ".*", "__rate_interval": "1m"})
	if err != nil || query != `rate(x{a=~".*"}[1m])` {
		t.Errorf("the query is %s, %v", query, err)
	}
	if _, err := p.Targets[0].Query(Variables{"a": ".*"}); err == nil {
		t.Error("a variable that nobody knows is let through")
	}
	if name := p.Targets[0].Name(map[string]string{"a": "x", "b": "y"}); name != "x y" {
		t.Errorf("the legend is %q", name)
	}
	if name := p.Targets[0].Name(map[string]string{"a": "x"}); name != "x" {
		t.Errorf("the legend without a label is %q", name)
	}
	for _, bad := range []string{`{`, `{"panels":[{"type":"stat","targets":[{}]}]}`, `{"panels":[{"type":"row"},{"type":"timeseries"}]}`} {
		if _, err := Read(write(bad)); err == nil {
			t.Errorf("%s is taken for a dashboard", bad)
		}
	}
	if _, err := Read("no/such"); err == nil {
		t.Error("a file that is not there is taken for a dashboard")
	}
}
