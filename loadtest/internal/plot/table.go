package plot

import (
	"html"
	"strings"
)

// Table is a block of rows. A column whose cells are figures is set to the right.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

func (t Table) html(b *strings.Builder) {
	b.WriteString("<div class=\"scroll wide\"><table>\n")
	if t.Title != "" {
		b.WriteString("<caption>" + html.EscapeString(t.Title) + "</caption>\n")
	}
	if len(t.Head) > 0 {
		b.WriteString("<thead>")
		t.row(b, "th", t.Head)
		b.WriteString("</thead>\n")
	}
	b.WriteString("<tbody>\n")
	for _, row := range t.Rows {
		t.row(b, "td", row)
	}
	b.WriteString("</tbody>\n</table></div>\n")
}

func (t Table) row(b *strings.Builder, tag string, cells []string) {
	b.WriteString("<tr>")
	for i, cell := range cells {
		class := ""
		if i > 0 && t.figures(i) {
			class = ` class="n"`
		}
		b.WriteString("<" + tag + class + ">" + html.EscapeString(cell) + "</" + tag + ">")
	}
	b.WriteString("</tr>\n")
}

// figures says that each cell of column i that says anything begins like a number and is short.
func (t Table) figures(i int) bool {
	some := false
	for _, row := range t.Rows {
		if i >= len(row) || row[i] == "" || row[i] == "–" {
			continue
		}
		if len(row[i]) > 24 || !strings.ContainsRune("0123456789+-−", []rune(row[i])[0]) {
			return false
		}
		some = true
	}
	return some
}
