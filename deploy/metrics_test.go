package deploy

import (
	"errors"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/pubsub/redistest"
)

// figures is the metrics that a node shows to Prometheus, in the order of their names.
type figures []shown

type shown struct {
	name, help string
	kind       string   // counter, gauge, histogram
	labels     []string // of one of its series, in order
}

// live is what a node has shown, to the first test that wants it.
var live struct {
	once sync.Once
	all  figures
}

// liveFigures is the metrics of a node to which everything has happened that a metric waits for. They are nobody's to change.
func liveFigures(t *testing.T) figures {
	t.Helper()
	live.once.Do(func() { live.all = askFigures(t) })
	if live.all == nil {
		t.Fatal("no node has shown its metrics: the test that asked it says why")
	}
	return live.all
}

func askFigures(t *testing.T) figures {
	t.Helper()
	server := redistest.Start(t)
	server.Do("XGROUP", "CREATE", "sluice:inbox", "workers", "0", "MKSTREAM")
	n := startNode(t, "--redis", server.URL)
	refused, err := http.Get("http://" + n.Public + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	refused.Body.Close()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+n.Public+"/ws?channel=news", nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.Close()
	broken, _, err := websocket.DefaultDialer.Dial("ws://"+n.Public+"/ws?channel=news", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	if _, err := broken.NetConn().Write([]byte{0xff, 0x80, 0, 0, 0, 0}); err != nil { // reserved bits: the node closes it
		t.Fatal(err)
	}
	var page string
	names := namedInSource(t)
	eventually(t, "the node shows all of its metrics", func() error {
		var err error
		if page, err = fetch("http://" + n.Admin + "/metrics"); err != nil {
			return err
		}
		for _, name := range names {
			if !strings.Contains(page, "\n"+name+"{") && !strings.Contains(page, "\n"+name+" ") {
				return errors.New("it lacks " + name)
			}
		}
		return nil
	})
	return figuresOf(page, "sluice_")
}

// figuresOf is the metrics of a page whose names begin so.
func figuresOf(page, prefix string) (all figures) {
	help := regexp.MustCompile(`(?m)^# HELP (` + prefix + `\S+) (.*)$`)
	for _, m := range help.FindAllStringSubmatch(page, -1) {
		f := shown{name: m[1], help: strings.ReplaceAll(m[2], `\\`, `\`)}
		f.kind = regexp.MustCompile(`(?m)^# TYPE ` + m[1] + ` (\w+)$`).FindStringSubmatch(page)[1]
		if series := regexp.MustCompile(`(?m)^` + m[1] + `(?:_bucket)?\{([^}]*)\}`).FindStringSubmatch(page); series != nil {
			for _, pair := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(series[1], -1) {
				if pair[1] != "le" {
					f.labels = append(f.labels, pair[1])
				}
			}
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b shown) int { return strings.Compare(a.name, b.name) })
	return all
}

// namedInSource is the metrics that have labels, those among them that are not shown before something happens.
func namedInSource(t *testing.T) (names []string) {
	t.Helper()
	for _, in := range []struct{ file, name, prefix string }{
		{"../gateway/metrics.go", `NewDesc\("(sluice_[a-z_]+[a-z])"`, ""},
		{"../gateway/metrics_time.go", `NewDesc\("(sluice_[a-z_]+[a-z])"`, ""},
		{"../gateway/metrics_reasons.go", `NewDesc\("(sluice_[a-z_]+[a-z])"`, ""},
		{"../gateway/metrics_inbox.go", `: desc\("([a-z_]+)"`, "sluice_inbox_"},
	} {
		b, err := os.ReadFile(in.file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(in.name).FindAllStringSubmatch(string(b), -1) {
			names = append(names, in.prefix+m[1])
		}
	}
	if len(names) < 5 {
		t.Fatalf("only %q are named in the program's source", names)
	}
	return names
}

// has says whether there is a metric of that name, or a histogram with such a series.
func (all figures) has(name string) bool {
	return slices.ContainsFunc(all, func(f shown) bool {
		return f.name == name || f.kind == "histogram" && (name == f.name+"_bucket" || name == f.name+"_sum" || name == f.name+"_count")
	})
}
