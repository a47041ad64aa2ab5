package plot

import (
	"fmt"
	"math"
	"strings"
)

// Axis is what stands along one side of a figure.
type Axis struct {
	Title string // "deliveries a second"
	Unit  Unit
}

// Series is one line. X and Y have the same length.
type Series struct {
	Name string
	X, Y []float64
}

// Mark is a moment or a time on the x axis that has a name.
type Mark struct {
	From, To float64 // To above From: a band
	Text     string
}

// Lines shows how something went over time, or over anything else that grows. Time and the y axis begin at 0, or at the least value
// where that is below.
type Lines struct {
	Title  string
	X, Y   Axis // X.Title empty: "time"
	Series []Series
	Marks  []Mark
	Until  float64 // the x axis reaches there at least
}

func (l Lines) html(b *strings.Builder) { figure(b, l) }

func (l Lines) svg(b *strings.Builder, style string) {
	if l.X.Title == "" {
		l.X = Axis{"time", Seconds}
	}
	lowX, topX := math.Inf(1), math.Inf(-1)
	lowY, topY := 0.0, 0.0
	names := []string{}
	for _, s := range l.Series {
		for i := range s.X {
			lowX, topX = math.Min(lowX, s.X[i]), math.Max(topX, s.X[i])
			if !math.IsNaN(s.Y[i]) {
				lowY, topY = math.Min(lowY, s.Y[i]), math.Max(topY, s.Y[i])
			}
		}
		if len(l.Series) > 1 {
			names = append(names, s.Name)
		}
	}
	if topX = math.Max(topX, l.Until); math.IsInf(lowX, 0) {
		lowX, topX = 0, math.Max(1, l.Until)
	}
	if l.X.Unit == Seconds {
		lowX = math.Min(lowX, 0) // so that figures of one run can be held one against another
	}
	begin(b, style, l.Title, l.describe(), height)
	x := newScale(l.X.Unit, lowX, topX, 7)
	x.low, x.top = lowX, math.Max(topX, lowX+1e-9) // the line fills the width
	c := newChart(b, x, newScale(l.Y.Unit, lowY, topY, 5), names)
	for _, m := range l.Marks {
		c.band(m)
	}
	c.axes(l.Title, l.Y.Title, l.X.Title)
	var ends []ending
	for i, s := range l.Series {
		points := make([]point, len(s.X))
		for k := range s.X {
			points[k] = point{s.X[k], s.Y[k], strings.TrimSpace(fmt.Sprintf("%s %s at %s", s.Name, l.Y.Unit.Format(s.Y[k]), l.X.Unit.Format(s.X[k])))}
		}
		c.line(ink(i), points, len(l.Series) == 1)
		if last := lastPoint(points); len(l.Series) > 1 && last != nil {
			ends = append(ends, ending{s.Name, ink(i), c.right, c.py(last.y)})
		}
	}
	c.endings(ends)
	free := math.Inf(-1)
	for _, m := range l.Marks {
		free = c.mark(m, free)
	}
	end(b)
}

// describe says in words what the lines show.
func (l Lines) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s over %s.", l.Y.Title, l.X.Title)
	for _, s := range l.Series {
		low, top := math.Inf(1), math.Inf(-1)
		for _, v := range s.Y {
			if !math.IsNaN(v) {
				low, top = math.Min(low, v), math.Max(top, v)
			}
		}
		if !math.IsInf(low, 0) {
			fmt.Fprintf(&b, " %s: %s to %s.", s.Name, l.Y.Unit.Format(low), l.Y.Unit.Format(top))
		}
	}
	return b.String()
}

func lastPoint(points []point) *point {
	for i := len(points) - 1; i >= 0; i-- {
		if !math.IsNaN(points[i].y) {
			return &points[i]
		}
	}
	return nil
}

// band lies under everything.
func (c *chart) band(m Mark) {
	if from, to := c.clamp(m.From), c.clamp(m.To); to > from {
		fmt.Fprintf(c.b, `<rect class="band" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", from, c.top, to-from, c.bottom-c.top)
	}
}

// mark names a moment or a band, above the plot, or in it where the name before reaches further than free. It says how far its own does.
func (c *chart) mark(m Mark, free float64) float64 {
	x := c.clamp(m.From)
	fmt.Fprintf(c.b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", x, x, c.top-2, c.bottom)
	left := math.Min(x, width-4-textWidth(m.Text))
	y := c.top - 6
	if left < free+6 {
		y = c.top + 13
	}
	text(c.b, "tick halo", left, y, "start", m.Text)
	return math.Max(free, left+textWidth(m.Text))
}

func (c *chart) clamp(v float64) float64 {
	return math.Min(math.Max(c.px(v), c.left), c.right)
}
