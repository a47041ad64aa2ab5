package plot

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Sizes of a figure, in user units, which are pixels at its natural size.
const (
	width    = 560.0
	height   = 280.0
	headroom = 58.0 // title and unit above the plot
	footroom = 44.0 // ticks and title below
	em       = 6.6  // a letter's usual width
)

// chart is the drawing of one figure with two axes.
type chart struct {
	b                        *strings.Builder
	left, right, top, bottom float64
	x, y                     scale
}

// begin opens an SVG that is read out as title and description.
func begin(b *strings.Builder, style, title, description string, h float64) {
	fmt.Fprintf(b, `<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">`+"\n%s<title>%s</title><desc>%s</desc>\n",
		width, h, html.EscapeString(title), style, html.EscapeString(title), html.EscapeString(description))
}

func end(b *strings.Builder) { b.WriteString("</svg>\n") }

// text writes s. anchor is start, middle or end.
func text(b *strings.Builder, class string, x, y float64, anchor, s string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(s))
}

func textWidth(s string) float64 { return float64(utf8.RuneCountInString(s)) * em }

// newChart leaves room for the widest label of the y axis, and for the names of lines on the right.
func newChart(b *strings.Builder, x, y scale, names []string) *chart {
	c := &chart{b: b, x: x, y: y, left: 8, right: width - 12, top: headroom, bottom: height - footroom}
	label := 0.0
	for _, l := range y.labels {
		label = math.Max(label, textWidth(l))
	}
	c.left += label + 8
	name := 0.0
	for _, n := range names {
		name = math.Max(name, textWidth(n)*1.05)
	}
	if name > 0 {
		c.right -= math.Min(name, 180) + 10
	}
	return c
}

func (c *chart) px(v float64) float64 { return c.left + c.x.at(v)*(c.right-c.left) }
func (c *chart) py(v float64) float64 { return c.bottom - c.y.at(v)*(c.bottom-c.top) }

// axes draws title, units, a line for each tick of y, and the ticks of x.
func (c *chart) axes(title, yTitle, xTitle string) {
	text(c.b, "head", 8, 20, "start", title)
	text(c.b, "unit", 8, 40, "start", yTitle)
	for i, tick := range c.y.ticks {
		class, y := "grid", c.py(tick)
		if i == 0 {
			class = "base"
		}
		fmt.Fprintf(c.b, `<line class="%s" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", class, c.left, c.right, y, y)
		text(c.b, "tick", c.left-8, y+4, "end", c.y.labels[i])
	}
	last := math.Inf(-1)
	for i, tick := range c.x.ticks {
		half := textWidth(c.x.labels[i]) / 2
		at := math.Min(c.px(tick), width-4-half)
		if c.px(tick) > c.right+1 || tick < c.x.low || at-half < last+8 {
			continue
		}
		last = at + half
		text(c.b, "tick", at, c.bottom+18, "middle", c.x.labels[i])
	}
	text(c.b, "unit", (c.left+c.right)/2, c.bottom+37, "middle", xTitle)
}

// point is one value of a line.
type point struct {
	x, y float64
	tip  string
}

// maxSpots bounds the points of a line that say their value under the pointer.
const maxSpots = 240

// line draws one series. Where y is not a number the line is broken.
func (c *chart) line(colour string, points []point, wash bool) {
	var path, area strings.Builder
	from := -1
	for i := 0; i <= len(points); i++ {
		if i < len(points) && !math.IsNaN(points[i].y) {
			verb := byte('L')
			if from < 0 {
				from, verb = i, 'M'
			}
			fmt.Fprintf(&path, "%c%.1f %.1f", verb, c.px(points[i].x), c.py(points[i].y))
			continue
		}
		if from >= 0 && wash {
			fmt.Fprintf(&area, "M%.1f %.1f", c.px(points[from].x), c.bottom)
			for _, p := range points[from:i] {
				fmt.Fprintf(&area, "L%.1f %.1f", c.px(p.x), c.py(p.y))
			}
			fmt.Fprintf(&area, "L%.1f %.1fZ", c.px(points[i-1].x), c.bottom)
		}
		from = -1
	}
	if area.Len() > 0 {
		fmt.Fprintf(c.b, `<path class="wash" fill="%s" d="%s"/>`+"\n", colour, area.String())
	}
	fmt.Fprintf(c.b, `<path class="line" stroke="%s" d="%s"/>`+"\n", colour, path.String())
	every := len(points)/maxSpots + 1
	for i := 0; i < len(points); i += every {
		if p := points[i]; !math.IsNaN(p.y) {
			fmt.Fprintf(c.b, `<circle class="spot" cx="%.1f" cy="%.1f" r="5"><title>%s</title></circle>`+"\n", c.px(p.x), c.py(p.y), html.EscapeString(p.tip))
		}
	}
}

// ending is a line's name at its end.
type ending struct {
	name   string
	colour string
	x, y   float64
}

// endings writes the names beside the ends of their lines, moved apart where they would overlap.
func (c *chart) endings(all []ending) {
	slices.SortStableFunc(all, func(a, b ending) int {
		switch {
		case a.y < b.y:
			return -1
		case a.y > b.y:
			return 1
		}
		return 0
	})
	const apart = 16
	next := c.top + 4
	for i := range all {
		all[i].y = math.Max(all[i].y, next)
		next = all[i].y + apart
	}
	limit := c.bottom - 2
	for i := len(all) - 1; i >= 0; i-- {
		all[i].y = math.Min(all[i].y, limit)
		limit = all[i].y - apart
	}
	for _, e := range all {
		fmt.Fprintf(c.b, `<text class="name halo" style="fill:%s" x="%.1f" y="%.1f">%s</text>`+"\n", e.colour, math.Min(e.x, c.right)+8, e.y+4, html.EscapeString(e.name))
	}
}
