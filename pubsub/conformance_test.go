package pubsub_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

func TestMain(m *testing.M) {
	// A pool that could not dial goes on trying, and notices within a second that it has been closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// open opens a broker that the test closes.
func open(t testing.TB, o pubsub.Options) *pubsub.Redis {
	t.Helper()
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
	runIn(t, pubsub.Options{URL: g.URL})
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
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
