package meter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
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

// Metrics reads the Wanted figures from the Prometheus text page at url. Values with labels are added up.
func Metrics(ctx context.Context, url string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
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
	return parseMetrics(io.LimitReader(response.Body, maxPage))
}

func parseMetrics(page io.Reader) (map[string]float64, error) {
	wanted := map[string]bool{}
	for _, name := range Wanted {
		wanted[name] = true
	}
	found := map[string]float64{}
	lines := bufio.NewScanner(page)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		end := strings.IndexAny(line, "{ ")
		if end < 0 || !wanted[line[:end]] {
			continue
		}
		rest := line[end:]
		if close := strings.LastIndexByte(rest, '}'); close >= 0 {
			rest = rest[close+1:]
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		if value, err := strconv.ParseFloat(fields[0], 64); err == nil {
			found[line[:end]] += value
		}
	}
	return found, lines.Err()
}
