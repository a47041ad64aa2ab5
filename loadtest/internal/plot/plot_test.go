package plot

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var keep = flag.String("keep", "", "write the sample page there, to be looked at")

// sample has everything a page can have, and text that must be escaped.
func sample() *Page {
	var x, a, b, c []float64
	for i := range 60 {
		t := float64(i)
		x = append(x, t)
		a = append(a, 1.9e6+3e5*math.Sin(t/5))
		b = append(b, 1.5e6+1e5*math.Cos(t/3))
		c = append(c, 40*(1<<20)+float64(i)*300_000)
	}
	b[30], b[31] = math.NaN(), math.NaN()
	fast, slow := hdrhistogram.New(1, 1e10, 3), hdrhistogram.New(1, 1e10, 3)
	for i := range 100_000 {
		v := float64(i%1000) / 1000
		_ = fast.RecordValue(int64(200_000 + 400_000*v + 4000/(1.0005-v))) // within the bounds above
		_ = slow.RecordValue(int64(900_000 + 900_000*v + 9000/(1.0004-v)))
	}
	return &Page{
		Title: "fan-out to 15,000 <subscribers>", Lead: "First paragraph & more.\n\nSecond.",
		Facts: []Fact{{"deliveries a second", "1.9 M", false}, {"p99", "640 µs", false}, {"missing", "3", true}},
		Sections: []Section{
			{Title: "Traffic", Text: "What subscribers got.", Blocks: []Block{
				Lines{Title: "Deliveries", Y: Axis{"deliveries a second", Number}, Series: []Series{{"sluice", x, a}, {"another", x, b}},
					Marks: []Mark{{20, 0, "500 readers stall"}, {40, 50, "measured"}}},
				Percentiles{Title: "Latency", Curves: []Curve{NewCurve("sluice", fast, 1000), NewCurve("another", slow, 1000)}},
				Lines{Title: "Memory", Y: Axis{"RssAnon", Bytes}, Series: []Series{{"", x, c}}},
				Percentiles{Title: "Latency, log", LogY: true, Curves: []Curve{NewCurve("", fast, 1000)}},
			}},
			{Title: "Compared", Blocks: []Block{
				Bars{Title: "Processor time", Axis: Axis{"µs per delivery", Number}, Groups: []string{"sluice", "another", "a third"}, Highlight: "sluice",
					Series: []BarSeries{{"", []float64{0.2, 0.9, math.NaN()}}}},
				Bars{Title: "Memory", Axis: Axis{"per connection", Bytes}, Groups: []string{"sluice", "another"},
					Series: []BarSeries{{"idle", []float64{1300, 9000}}, {"busy", []float64{2100, 29000}}}},
				Table{Title: "All", Head: []string{"server", "rate", "note"}, Rows: [][]string{{"sluice", "1,900,000", "x < y"}, {"another", "–", ""}}},
			}},
		},
	}
}

func TestPageIsWholeAndFetchesNothing(t *testing.T) {
	var b strings.Builder
	if err := sample().Write(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"fan-out to 15,000 &lt;subscribers&gt;", "<p>First paragraph &amp; more.</p>", "<p>Second.</p>", "prefers-color-scheme:dark",
		"x &lt; y", `<td class="n">1,900,000</td>`, `<div class="bad">`, "500 readers stall", "99.99 %", "2 M", "<desc>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "src=", "url(", "href", "NaN", "Inf"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if *keep != "" {
		if err := sample().WriteFile(*keep); err != nil {
			t.Fatal(err)
		}
	}
}

// figures are XML files of their own, also where there is little or nothing to show.
func TestFiguresAreXML(t *testing.T) {
	nan := math.NaN()
	figures := []Figure{
		Lines{}, Percentiles{}, Bars{}, Lines{Title: "a < b & \"c\"", Series: []Series{{"one", []float64{1}, []float64{0}}}},
		Lines{Series: []Series{{"gap", []float64{0, 1}, []float64{nan, nan}}, {"below", []float64{0, 1}, []float64{-5, 5}}}},
		Percentiles{LogY: true, Curves: []Curve{{"none", nil}, {"one", []Quantile{{100, 3}}}}},
		Bars{Groups: []string{"a", "b"}, Series: []BarSeries{{"short", []float64{1}}}},
	}
	for _, s := range sample().Sections {
		for _, block := range s.Blocks {
			if f, ok := block.(Figure); ok {
				figures = append(figures, f)
			}
		}
	}
	for i, f := range figures {
		path := filepath.Join(t.TempDir(), "figure.svg")
		if err := WriteSVG(path, f); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "NaN") || strings.Contains(string(text), "Inf") {
			t.Errorf("figure %d has what is no number: %s", i, text)
		}
		for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("figure %d: %v\n%s", i, err, text)
			}
		}
	}
	if err := WriteSVG(filepath.Join(t.TempDir(), "no", "such"), Bars{}); err == nil {
		t.Error("a file in no folder was written")
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{Number, 0, "0"}, {Number, 950, "950"}, {Number, 0.196, "0.20"}, {Number, 12_000, "12 k"}, {Number, 3.4e6, "3.40 M"},
		{Bytes, 100, "100 B"}, {Bytes, 1536, "1.50 KiB"}, {Bytes, 45 << 20, "45 MiB"},
		{Micros, 250, "250 µs"}, {Micros, 1240, "1.24 ms"}, {Micros, 3e6, "3 s"}, {Seconds, 40, "40 s"}, {Percent, 95.25, "95.2 %"},
		{Number, math.NaN(), "–"},
	} {
		if got := c.unit.Format(c.v); got != c.want {
			t.Errorf("%v in %d: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestScales(t *testing.T) {
	for _, c := range []struct {
		unit     Unit
		low, top float64
		want     []string
	}{
		{Number, 0, 1.9e6, []string{"0", "0.5 M", "1.0 M", "1.5 M", "2.0 M"}},
		{Number, 0, 3, []string{"0", "1", "2", "3"}},
		{Number, 0, 0, []string{"0", "0.25", "0.50", "0.75", "1.00"}},
		{Bytes, 0, 60 << 20, []string{"0", "20 MiB", "40 MiB", "60 MiB"}},
		{Micros, 0, 950, []string{"0", "250 µs", "500 µs", "750 µs", "1000 µs"}},
		{Number, -3, 5, []string{"-4", "-2", "0", "2", "4", "6"}},
	} {
		if s := newScale(c.unit, c.low, c.top, 4); !slices.Equal(s.labels, c.want) {
			t.Errorf("%v to %v: %q, want %q", c.low, c.top, s.labels, c.want)
		}
	}
	if s := newLogScale(Micros, 30, 2500); !slices.Equal(s.labels, []string{"10 µs", "100 µs", "1 ms", "10 ms"}) || s.at(100) < 0.33 || s.at(100) > 0.34 {
		t.Errorf("%q, 100 at %v", s.labels, s.at(100))
	}
}
