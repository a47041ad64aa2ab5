package pubsub_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redisproc"
	"sluice/pubsub/redistest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := leaked(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// leaked waits until the goroutines of all tests have ended: goleak itself gives them
// half a second. A pool that could not dial notices within a second that it has been
// closed.
func leaked() error {
	for end := time.Now().Add(patience); ; {
		if err := goleak.Find(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// patience is how long Redis may take over a command where a test is not about that.
const patience = redisproc.Patience

// patiently has the clients of a URL, or of a list of them, wait so long.
func patiently(url string) string {
	list := strings.Split(url, ",")
	for i, one := range list {
		sign := "?"
		if strings.Contains(one, "?") {
			sign = "&"
		}
		if !strings.Contains(one, "read_timeout=") {
			list[i] = fmt.Sprint(one, sign, "read_timeout=", patience)
		}
	}
	return strings.Join(list, ",")
}

// open opens a broker that the test closes.
func open(t testing.TB, o pubsub.Options) *pubsub.Redis {
	t.Helper()
	o.URL = patiently(o.URL)
	b, err := pubsub.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

func at(url string) pubsubtest.Fixture { return with(pubsub.Options{URL: url}) }

func with(o pubsub.Options) pubsubtest.Fixture {
	return pubsubtest.Fixture{Open: func(t *testing.T, prefix string) pubsub.Broker {
		o := o
		o.Prefix = prefix
		return open(t, o)
	}}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	pubsubtest.Run(t, func(t *testing.T) pubsubtest.Fixture { return at(redistest.Start(t).URL) })
}

func TestLanes(t *testing.T) {
	t.Parallel()
	pubsubtest.Run(t, func(t *testing.T) pubsubtest.Fixture {
		return with(pubsub.Options{URL: redistest.Start(t).URL, Lanes: 3})
	})
}

func TestShards(t *testing.T) {
	t.Parallel()
	pubsubtest.Run(t, func(t *testing.T) pubsubtest.Fixture {
		return at(redistest.Start(t).URL + "," + redistest.Start(t).URL)
	})
}

// The tests of a group share its servers, and have prefixes of their own.
func TestSentinel(t *testing.T) {
	t.Parallel()
	g := redistest.StartSentinel(t)
	g.Bear(patience)
	runIn(t, pubsub.Options{URL: g.URL})
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	c.Bear(patience)
	t.Run("sharded", func(t *testing.T) { runIn(t, pubsub.Options{URL: c.URL, Lanes: 2}) })
	t.Run("classic", func(t *testing.T) { runIn(t, pubsub.Options{URL: c.URL + "&pubsub=classic"}) })
}

func runIn(t *testing.T, o pubsub.Options) {
	t.Helper()
	n := 0
	pubsubtest.Run(t, func(*testing.T) pubsubtest.Fixture {
		n++
		number := n
		f := with(o)
		f.Open = func(t *testing.T, prefix string) pubsub.Broker {
			o := o
			o.Prefix = fmt.Sprintf("%d:%s", number, prefix)
			return open(t, o)
		}
		return f
	})
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	pubsubtest.Run(t, func(t *testing.T) pubsubtest.Fixture { return at(startEmbedded(t).URL()) })
}

func startEmbedded(t testing.TB) *pubsub.Embedded {
	t.Helper()
	e, err := pubsub.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}
