package pubsub_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

// takeTurns judges a stream: of each connection connect and disconnect take turns.
func takeTurns(t testing.TB, says []string) map[string]int {
	t.Helper()
	ends := map[string]int{}
	for _, say := range says {
		kind, conn, _ := strings.Cut(say, " ")
		if want := []string{"connect", "disconnect"}[ends[conn]%2]; kind != want {
			t.Fatalf("of %s comes %s, want %s", conn, kind, want)
		}
		ends[conn]++
	}
	return ends
}

// While the stream's slot moves from server to server, connections come and go: their
// entries go where the stream is, once each, and in order.
func TestRecordMoves(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	c.Bear(patience)
	c.AwaitOK()
	keys := run(t, pubsub.Options{URL: c.URL})
	keys.awaitReady(t)
	o := pubsub.InboxesOptions{}
	o.Life = "n.x"
	b := runInboxes(t, keys, o)
	stop := make(chan struct{})
	var conns atomic.Int64
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if b.Busy() {
				continue
			}
			time.Sleep(200 * time.Microsecond) // all of it is read at the end, in one answer
			conn := fmt.Sprint("c", conns.Add(1))
			add(t, b, connect(conn), disconnect(conn))
		}
	})
	slot := c.Slot("sluice:inbox")
	for range 4 {
		before := b.Stats().Written
		pubsubtest.Eventually(t, "entries are written", func() bool { return b.Stats().Written > before+500 })
		owner := c.Owner(slot)
		masters := c.Masters()
		c.Migrate(slot, masters[slices.IndexFunc(masters, func(s *redistest.Server) bool { return s.Addr != owner.Addr })])
	}
	close(stop)
	clients.Wait()
	pubsubtest.Eventually(t, "all is written", func() bool { return b.Stats().Written == 2*conns.Load() })
	owner := c.Owner(slot).Client()
	defer owner.Close()
	says, _ := streamOf(t, owner, "sluice:inbox")
	for conn, n := range takeTurns(t, says) {
		if n != 2 {
			t.Errorf("%s has %d entries", conn, n)
		}
	}
	if s := b.Stats(); len(says) != int(s.Written) || s.Forgotten != 0 {
		t.Errorf("%d entries; %+v", len(says), s)
	}
}
