package plot

import (
	"math"
	"strconv"
)

// Unit is what the numbers of an axis count.
type Unit uint8

const (
	Number  Unit = iota // 950, 12 k, 3.4 M
	Bytes               // 1.5 MiB
	Micros              // given in µs: 250 µs, 1.2 ms, 3 s
	Seconds             // given in s: 0.5 s, 40 s
	Percent             // given in percent: 95 %
)

// step is a multiple of a unit, with the suffix it is written with.
type step struct {
	factor float64
	suffix string
}

var steps = map[Unit][]step{
	Number:  {{1, ""}, {1e3, " k"}, {1e6, " M"}, {1e9, " G"}},
	Bytes:   {{1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}, {1 << 30, " GiB"}},
	Micros:  {{1, " µs"}, {1e3, " ms"}, {1e6, " s"}},
	Seconds: {{1, " s"}},
	Percent: {{1, " %"}},
}

// stepFor is the largest multiple that v has at least one of.
func (u Unit) stepFor(v float64) step {
	all := steps[u]
	s := all[0]
	for _, larger := range all[1:] {
		if math.Abs(v) >= larger.factor {
			s = larger
		}
	}
	return s
}

// Format writes v with three digits that matter.
func (u Unit) Format(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	s := u.stepFor(v)
	v /= s.factor
	decimals := 0
	if v != math.Trunc(v) || u == Micros {
		switch a := math.Abs(v); {
		case a == 0:
		case a < 1:
			decimals = 2
		case a < 10 && v != math.Trunc(v):
			decimals = 2
		case a < 100 && v != math.Trunc(v):
			decimals = 1
		}
	}
	return strconv.FormatFloat(v, 'f', decimals, 64) + s.suffix
}

// scale is where the values of an axis stand: ticks from the first to the last of them, all written in one multiple.
type scale struct {
	unit     Unit
	ticks    []float64
	labels   []string
	low, top float64
	log      bool
}

// newScale has round ticks that take in low to top, and at most count steps between them, or one more.
func newScale(u Unit, low, top float64, count int) scale {
	if math.IsInf(top, 0) || math.IsNaN(top) || top <= low {
		top = low + 1
	}
	s := u.stepFor(top)
	raw := (top - low) / s.factor / float64(count)
	size := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if size*m >= raw {
			size *= m
			break
		}
	}
	if u == Number && s.factor == 1 && size < 1 && top >= 2 {
		size = 1 // counts have no halves
	}
	decimals := 0
	for d := size; decimals < 6 && math.Abs(d-math.Round(d)) > 1e-9; d *= 10 {
		decimals++
	}
	sc := scale{unit: u, low: math.Floor(low/s.factor/size) * size * s.factor}
	for i := 0; ; i++ {
		at := sc.low + float64(i)*size*s.factor
		label := strconv.FormatFloat(at/s.factor, 'f', decimals, 64)
		if math.Abs(at) < size*s.factor/2 {
			at, label = 0, "0"
		} else {
			label += s.suffix
		}
		sc.ticks, sc.labels, sc.top = append(sc.ticks, at), append(sc.labels, label), at
		if at >= top*(1-1e-9) {
			return sc
		}
	}
}

// newLogScale has a tick for each power of ten that low to top touch. low must be above 0.
func newLogScale(u Unit, low, top float64) scale {
	sc := scale{unit: u, log: true}
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(top))
	last = math.Max(last, first+1)
	every := math.Ceil((last - first) / 6)
	for e := first; e <= last; e += every {
		at := math.Pow(10, e)
		sc.ticks, sc.labels = append(sc.ticks, at), append(sc.labels, u.Format(at))
	}
	sc.low, sc.top = math.Pow(10, first), math.Pow(10, last)
	return sc
}

// at is where v stands between low (0) and top (1).
func (s *scale) at(v float64) float64 {
	if s.log {
		v = math.Max(v, s.low)
		return math.Log(v/s.low) / math.Log(s.top/s.low)
	}
	return (v - s.low) / (s.top - s.low)
}
