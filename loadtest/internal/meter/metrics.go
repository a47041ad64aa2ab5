package meter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Wanted are the figures taken from a server's Prometheus page when it has them.
var Wanted = []string{
	"go_goroutines",
	"go_threads",
	"go_memstats_heap_inuse_bytes",
	"go_memstats_heap_alloc_bytes",
	"go_memstats_stack_inuse_bytes",
	"go_gc_duration_seconds_count",
}

// maxPage bounds the page read, in bytes.
const maxPage = 8 << 20

// Page is a Prometheus text page at a moment. Values of one name with different labels are added up; those of quantiles, which
// have no sum, are left out.
type Page struct {
	values  map[string]float64
	buckets map[string]map[float64]float64 // by histogram and upper bound: how many values do not exceed it
}

// Metrics reads the Wanted figures from the Prometheus text page at url. Values with labels are added up.
func Metrics(ctx context.Context, url string) (map[string]float64, error) {
	page, err := ReadPage(ctx, url)
	if err != nil {
		return nil, err
	}
	return page.Pick(Wanted), nil
}

// ReadPage reads the Prometheus text page at url.
func ReadPage(ctx context.Context, url string) (*Page, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("metrics at %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("metrics at %s: %w", url, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics at %s: HTTP status %s", url, response.Status)
	}
	return parsePage(io.LimitReader(response.Body, maxPage))
}

func parsePage(text io.Reader) (*Page, error) {
	p := &Page{map[string]float64{}, map[string]map[float64]float64{}}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.line(lines.Text())
	}
	return p, lines.Err()
}

// line takes one sample: name{label="value",…} value time.
func (p *Page) line(line string) {
	end := strings.IndexAny(line, "{ ")
	if end <= 0 || line[0] == '#' {
		return
	}
	name, labels, rest := line[:end], "", line[end:]
	if close := strings.LastIndexByte(rest, '}'); close >= 0 {
		labels, rest = rest[1:close], rest[close+1:]
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || strings.Contains(labels, `quantile="`) {
		return
	}
	if histogram, ok := strings.CutSuffix(name, "_bucket"); ok {
		if bound, err := strconv.ParseFloat(label(labels, "le"), 64); err == nil {
			if p.buckets[histogram] == nil {
				p.buckets[histogram] = map[float64]float64{}
			}
			p.buckets[histogram][bound] += value
		}
		return
	}
	p.values[name] += value
}

// label is the value of a label that has no escapes in it.
func label(labels, name string) string {
	_, value, _ := strings.Cut(labels, name+`="`)
	value, _, _ = strings.Cut(value, `"`)
	return value
}

// Pick is those of names that the page has.
func (p *Page) Pick(names []string) map[string]float64 {
	found := map[string]float64{}
	for _, name := range names {
		if v, ok := p.values[name]; ok {
			found[name] = v
		}
	}
	return found
}

// Value is one figure; false: the page does not have it. A histogram's are its name with _count and _sum.
func (p *Page) Value(name string) (float64, bool) {
	v, ok := p.values[name]
	return v, ok
}

// Spread is what a histogram of a page has counted between two moments.
type Spread struct {
	Count float64   `json:"count"`
	Sum   float64   `json:"sum"`
	Bound []float64 `json:"-"` // of the buckets, rising
	Below []float64 `json:"-"` // how many values do not exceed that bound
}

// Since is what the histogram called name has counted since earlier, which may be nil; false: the page does not have it.
func (p *Page) Since(earlier *Page, name string) (Spread, bool) {
	now := p.buckets[name]
	if now == nil {
		return Spread{}, false
	}
	s := Spread{Count: p.values[name+"_count"], Sum: p.values[name+"_sum"]}
	var before map[float64]float64
	if earlier != nil {
		before = earlier.buckets[name]
		s.Count -= earlier.values[name+"_count"]
		s.Sum -= earlier.values[name+"_sum"]
	}
	for bound := range now {
		s.Bound = append(s.Bound, bound)
	}
	slices.Sort(s.Bound)
	for _, bound := range s.Bound {
		s.Below = append(s.Below, now[bound]-before[bound])
	}
	return s, true
}

// AtMost is what the share q (0..1) of the values does not exceed: the upper bound of its bucket, +Inf beyond the last. NaN of none.
func (s Spread) AtMost(q float64) float64 {
	if s.Count <= 0 {
		return math.NaN()
	}
	for i, below := range s.Below {
		if below >= q*s.Count {
			return s.Bound[i]
		}
	}
	return math.Inf(1)
}

// Above is how many values exceed the greatest bound that is not above limit, and that bound.
func (s Spread) Above(limit float64) (bound, count float64) {
	count = s.Count
	for i := range s.Bound {
		if s.Bound[i] <= limit {
			bound, count = s.Bound[i], s.Count-s.Below[i]
		}
	}
	return bound, count
}
