package plot

import (
	"fmt"
	"math"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Quantile is a value that a share of all values does not exceed.
type Quantile struct {
	Percent float64 `json:"percent"` // 0..100
	Value   float64 `json:"value"`
}

// Curve is one distribution.
type Curve struct {
	Name      string
	Quantiles []Quantile // by Percent, rising
}

// NewCurve takes the quantiles from h, dividing its values by per: 1000 makes µs of ns.
func NewCurve(name string, h *hdrhistogram.Histogram, per float64) Curve {
	c := Curve{Name: name}
	if h.TotalCount() == 0 {
		return c
	}
	// Nine steps to a power of ten, as far as there are values to tell them by.
	c.Quantiles = append(c.Quantiles, Quantile{0, float64(h.Min()) / per})
	for n := 1; n <= 9*7; n++ {
		tail := math.Pow(10, -float64(n)/9)
		if tail*float64(h.TotalCount()) < 1 {
			break
		}
		p := 100 * (1 - tail)
		c.Quantiles = append(c.Quantiles, Quantile{p, float64(h.ValueAtPercentile(p)) / per})
	}
	c.Quantiles = append(c.Quantiles, Quantile{100, float64(h.Max()) / per})
	return c
}

// Percentiles shows whole distributions: what share of all is slower than what. Each power of ten of the tail has the same width.
type Percentiles struct {
	Title  string
	Y      Axis // Y.Title empty: "latency", in µs
	LogY   bool // for curves that are powers of ten apart
	Curves []Curve
}

func (p Percentiles) html(b *strings.Builder) { figure(b, p) }

func (p Percentiles) svg(b *strings.Builder, style string) {
	if p.Y.Title == "" {
		p.Y = Axis{"latency", Micros}
	}
	low, top, nines := math.Inf(1), 0.0, 2.0
	names := []string{}
	for _, c := range p.Curves {
		for _, q := range c.Quantiles {
			top = math.Max(top, q.Value)
			if q.Value > 0 {
				low = math.Min(low, q.Value)
			}
			if q.Percent < 100 {
				nines = math.Max(nines, tail(q.Percent))
			}
		}
		if len(p.Curves) > 1 {
			names = append(names, c.Name)
		}
	}
	x := scale{top: nines, ticks: []float64{0, tail(50), 1, 2, 3, 4, 5, 6, 7}, labels: []string{"0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "99.99999 %"}}
	y := newScale(p.Y.Unit, 0, top, 5)
	if p.LogY && !math.IsInf(low, 0) {
		y = newLogScale(p.Y.Unit, low, top)
	}
	begin(b, style, p.Title, p.describe(), height)
	c := newChart(b, x, y, names)
	c.axes(p.Title, p.Y.Title, "percentile")
	var ends []ending
	for i, curve := range p.Curves {
		points := make([]point, 0, len(curve.Quantiles))
		for _, q := range curve.Quantiles {
			at := tail(q.Percent)
			if q.Percent >= 100 { // the greatest of all stands above the last share that can be told
				if len(points) == 0 {
					continue
				}
				at = points[len(points)-1].x
			}
			points = append(points, point{at, q.Value, strings.TrimSpace(fmt.Sprintf("%s p%.6g: %s", curve.Name, q.Percent, p.Y.Unit.Format(q.Value)))})
		}
		c.line(ink(i), points, len(p.Curves) == 1)
		if last := lastPoint(points); len(p.Curves) > 1 && last != nil {
			ends = append(ends, ending{curve.Name, ink(i), c.px(last.x), c.py(last.y)})
		}
	}
	c.endings(ends)
	end(b)
}

// describe says in words what the curves show.
func (p Percentiles) describe() string {
	var b strings.Builder
	b.WriteString(p.Y.Title + " by percentile.")
	for _, c := range p.Curves {
		b.WriteString(" " + c.Name)
		for _, want := range []float64{50, 99, 100} {
			for _, q := range c.Quantiles {
				if q.Percent >= want-1e-9 {
					fmt.Fprintf(&b, " p%g %s", want, p.Y.Unit.Format(q.Value))
					break
				}
			}
		}
		b.WriteByte('.')
	}
	return b.String()
}

// tail is how many powers of ten the rest above percent is less than all.
func tail(percent float64) float64 { return -math.Log10(1 - math.Min(percent, 99.99999999)/100) }
