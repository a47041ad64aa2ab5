package pubsub_test

import (
	"testing"

	"go.uber.org/goleak"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func at(url string) pubsubtest.Fixture {
	return pubsubtest.Fixture{Open: func(t *testing.T, prefix string) pubsub.Broker {
		return open(t, pubsub.Options{URL: url, Prefix: prefix})
	}}
}

func TestRedis(t *testing.T) {
	pubsubtest.Run(t, func(t *testing.T) pubsubtest.Fixture { return at(redistest.Start(t).URL) })
}

func TestEmbedded(t *testing.T) {
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
