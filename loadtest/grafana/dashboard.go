package grafana

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Dashboard is one, in rows.
type Dashboard struct {
	Title string
	Rows  []Row
}

// Row is panels under a heading.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel is a graph.
type Panel struct {
	Title, Description, Unit string
	Place                    Place
	Targets                  []Target
}

// Place is where a panel stands, in Grafana's grid of 24 columns.
type Place struct{ X, Y, W, H int }

// Columns is the width of Grafana's grid.
const Columns = 24

// Target is what a panel asks for.
type Target struct {
	Expr   string
	Legend string `json:"legendFormat"`
}

// Variables are what an expression's $name and ${name} stand for.
type Variables map[string]string

// Read reads a dashboard's JSON.
func Read(path string) (*Dashboard, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Title  string
		Panels []struct {
			Type, Title, Description string
			GridPos                  Place
			Targets                  []Target
			FieldConfig              struct{ Defaults struct{ Unit string } }
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d := &Dashboard{Title: file.Title}
	for _, p := range file.Panels {
		switch {
		case p.Type == "row":
			d.Rows = append(d.Rows, Row{Title: p.Title})
		case p.Type != "timeseries" || len(p.Targets) == 0 || len(d.Rows) == 0:
			return nil, fmt.Errorf("%s: the panel %q is a %s with %d queries, in row %d: only time series in rows are known", path, p.Title, p.Type, len(p.Targets), len(d.Rows))
		default:
			row := &d.Rows[len(d.Rows)-1]
			row.Panels = append(row.Panels, Panel{p.Title, p.Description, p.FieldConfig.Defaults.Unit, p.GridPos, p.Targets})
		}
	}
	return d, nil
}

var variable = regexp.MustCompile(`\$\{?([A-Za-z_]+)\}?`)

// Query is the expression with its variables filled in. One that is not known is an error.
func (t *Target) Query(known Variables) (string, error) {
	var unknown []string
	query := variable.ReplaceAllStringFunc(t.Expr, func(name string) string {
		name = strings.Trim(name, "${}")
		value, ok := known[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return value
	})
	if unknown != nil {
		return "", fmt.Errorf("%s: nobody says what %q are", t.Expr, unknown)
	}
	return query, nil
}

var label = regexp.MustCompile(`\{\{ *([A-Za-z_]+) *\}\}`)

// Name is what the legend calls a series with these labels.
func (t *Target) Name(labels map[string]string) string {
	return strings.Join(strings.Fields(label.ReplaceAllStringFunc(t.Legend, func(name string) string {
		return labels[strings.Trim(name, "{} ")]
	})), " ")
}
