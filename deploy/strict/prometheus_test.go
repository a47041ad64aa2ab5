package strict

import (
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

// What `promtool check rules` checks: the fields, the expressions, the templates.
func TestAlerts(t *testing.T) {
	groups, faults := rulefmt.ParseFile("../prometheus/alerts.yml", false, model.UTF8Validation)
	for _, err := range faults {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) == 0 || len(groups.Groups[0].Rules) < 10 {
		t.Fatal("there are few alerts")
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s does not say how bad it is, what it is, or what to do", r.Alert)
			}
		}
	}
}
