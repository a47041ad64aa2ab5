package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// BarSeries has one value for each group.
type BarSeries struct {
	Name   string
	Values []float64 // not a number: there is none, and a dash says so
}

// Bars compares groups. With one series the bars have one colour, or grey where another group is Highlighted.
type Bars struct {
	Title     string
	Axis      Axis
	Groups    []string
	Highlight string // the group to see first
	Series    []BarSeries
}

func (p Bars) html(b *strings.Builder) { figure(b, p) }

const (
	barHeight = 16.0
	barGap    = 2.0
	groupGap  = 14.0
)

func (p Bars) svg(b *strings.Builder, style string) {
	top, name, value := 0.0, 0.0, 0.0
	for _, s := range p.Series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				top = math.Max(top, v)
			}
			value = math.Max(value, textWidth(p.Axis.Unit.Format(v)))
		}
	}
	for _, g := range p.Groups {
		name = math.Max(name, textWidth(g))
	}
	if top == 0 {
		top = 1
	}
	group := float64(len(p.Series))*(barHeight+barGap) - barGap + groupGap
	y := headroom
	if len(p.Series) > 1 {
		y += 22
	}
	left := 8 + math.Min(name, 240) + 10
	long := width - left - value - 16
	begin(b, style, p.Title, p.describe(), y+group*float64(len(p.Groups))+4)
	text(b, "head", 8, 20, "start", p.Title)
	text(b, "unit", 8, 40, "start", p.Axis.Title)
	if len(p.Series) > 1 {
		p.legend(b, left, 62)
	}
	for i, g := range p.Groups {
		class := "value"
		if g == p.Highlight {
			class = "value name"
		}
		text(b, class, left-10, y+(group-groupGap)/2+4, "end", g)
		for k, s := range p.Series {
			v := math.NaN()
			if i < len(s.Values) {
				v = s.Values[i]
			}
			at, size := y+float64(k)*(barHeight+barGap), 0.0
			if !math.IsNaN(v) {
				size = math.Max(v/top*long, 1)
				bar(b, left, at, size, p.colour(g, k), strings.TrimSpace(fmt.Sprintf("%s %s: %s", g, s.Name, p.Axis.Unit.Format(v))))
			}
			text(b, "value", left+size+6, at+barHeight/2+4, "start", p.Axis.Unit.Format(v))
		}
		y += group
	}
	fmt.Fprintf(b, `<line class="base" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", left, left, y-group*float64(len(p.Groups))-4, y-groupGap+4)
	end(b)
}

// bar is a rectangle with a round end.
func bar(b *strings.Builder, x, y, w float64, colour, tip string) {
	r := math.Min(3, w/2)
	fmt.Fprintf(b, `<path fill="%s" d="M%.1f %.1fh%.1fq%.1f 0 %.1f %.1fv%.1fq0 %.1f %.1f %.1fh%.1fz"><title>%s</title></path>`+"\n",
		colour, x, y, w-r, r, r, r, barHeight-2*r, r, -r, r, -(w - r), html.EscapeString(tip))
}

func (p Bars) colour(group string, series int) string {
	if len(p.Series) == 1 && p.Highlight != "" && p.Highlight != group {
		return "var(--rest)"
	}
	return ink(series)
}

func (p Bars) legend(b *strings.Builder, x, y float64) {
	for k, s := range p.Series {
		fmt.Fprintf(b, `<rect fill="%s" x="%.1f" y="%.1f" width="10" height="10" rx="2"/>`+"\n", ink(k), x, y-9)
		text(b, "value", x+15, y, "start", s.Name)
		x += 15 + textWidth(s.Name) + 18
	}
}

// describe says in words what the bars show.
func (p Bars) describe() string {
	var b strings.Builder
	b.WriteString(p.Axis.Title + ".")
	for i, g := range p.Groups {
		b.WriteString(" " + g)
		for _, s := range p.Series {
			if i < len(s.Values) {
				b.WriteString(strings.TrimRight(" "+s.Name, " ") + " " + p.Axis.Unit.Format(s.Values[i]))
			}
		}
		b.WriteByte('.')
	}
	return b.String()
}
