package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// runInbox runs an inbox until stop is called or the test ends. What a test does not
// make short takes as long as it must.
func runInbox(t testing.TB, keys pubsub.Keys, o pubsub.InboxOptions) (b *pubsub.Inbox, stop func()) {
	t.Helper()
	unhurried(&o)
	b = pubsub.NewInbox(keys, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Inbox.Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return b, stop
}

func unhurried(o *pubsub.InboxOptions) {
	for _, d := range []*time.Duration{&o.Timeout, &o.DrainTimeout} {
		if *d == 0 {
			*d = patience
		}
	}
}

// outcomes collects what Done is called with.
type outcomes struct {
	mu    sync.Mutex
	errs  []error
	calls map[string]int
}

func (o *outcomes) done(id string) func(error) {
	return func(err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.calls == nil {
			o.calls = map[string]int{}
		}
		o.calls[id]++
		o.errs = append(o.errs, err)
	}
}

func (o *outcomes) all() []error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.errs)
}

// await waits for n outcomes and checks that no entry had two.
func (o *outcomes) await(t testing.TB, n int) []error {
	t.Helper()
	pubsubtest.Eventually(t, fmt.Sprintf("%d outcomes", n), func() bool { return len(o.all()) >= n })
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, calls := range o.calls {
		if calls != 1 {
			t.Errorf("Done of %s was called %d times", id, calls)
		}
	}
	return slices.Clone(o.errs)
}

func count(errs []error, target error) (n int) {
	for _, err := range errs {
		if errors.Is(err, target) {
			n++
		}
	}
	return n
}

func TestInboxFields(t *testing.T) {
	for name, url := range map[string]string{"redis": redistest.Start(t).URL, "embedded": startEmbedded(t).URL()} {
		t.Run(name, func(t *testing.T) {
			client := open(t, pubsub.Options{URL: url})
			b, _ := runInbox(t, client, pubsub.InboxOptions{})
			var out outcomes
			at := time.UnixMilli(1_790_000_000_123)
			for _, e := range []pubsub.Entry{
				{Type: "rpc", ID: "i1", Conn: "c1", User: "42", Channel: "news", Call: "7", Method: "sum", Reply: "sluice:@n1", Node: "n1", Data: []byte("\x00\r\n"), Time: at},
				{Type: "message", ID: "i2", Conn: "c1", Reply: "sluice:@n1", Node: "n1", Data: []byte{}, Time: at},
				{Type: "disconnect", ID: "i3", Conn: "c1", Reply: "sluice:@n1", Node: "n1", Time: at},
			} {
				e.Done = out.done(e.ID)
				if err := b.Add(e); err != nil {
					t.Fatal(err)
				}
			}
			if n := count(out.await(t, 3), nil); n != 3 {
				t.Fatalf("%v", out.all())
			}
			entries, err := client.Client("sluice:inbox").XRange(context.Background(), "sluice:inbox", "-", "+").Result()
			if err != nil || len(entries) != 3 {
				t.Fatalf("%v, %v", entries, err)
			}
			for i, want := range []map[string]any{
				{"type": "rpc", "id": "i1", "conn": "c1", "user": "42", "channel": "news", "call": "7", "method": "sum", "data": "\x00\r\n", "reply": "sluice:@n1", "node": "n1", "time": "1790000000123"},
				{"type": "message", "id": "i2", "conn": "c1", "user": "", "data": "", "reply": "sluice:@n1", "node": "n1", "time": "1790000000123"},
				{"type": "disconnect", "id": "i3", "conn": "c1", "user": "", "reply": "sluice:@n1", "node": "n1", "time": "1790000000123"},
			} {
				if !maps.Equal(entries[i].Values, want) {
					t.Errorf("entry %d: %v, want %v", i, entries[i].Values, want)
				}
			}
		})
	}
}

func TestInboxOrderAndBound(t *testing.T) {
	t.Parallel()
	const entries = 20_000
	s := redistest.Start(t)
	client := open(t, pubsub.Options{URL: s.URL})
	b, _ := runInbox(t, client, pubsub.InboxOptions{MaxLen: 5000})
	var acked atomic.Int64
	for i := range entries {
		e := pubsub.Entry{Type: "message", ID: fmt.Sprint(i), Done: func(err error) {
			if err != nil || acked.Add(1)-1 != int64(i) {
				t.Errorf("Done(%v) of entry %d is out of order", err, i)
			}
		}}
		for b.Add(e) != nil { // full: the writer is slower than this loop
			time.Sleep(time.Millisecond)
		}
	}
	pubsubtest.Eventually(t, "all are acknowledged", func() bool { return acked.Load() == entries })
	kept, err := client.Client("sluice:inbox").XRange(context.Background(), "sluice:inbox", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) < 5000 || len(kept) > 5000+200 { // MAXLEN ~ trims whole nodes of 100
		t.Errorf("%d entries are kept, about 5000 are wanted", len(kept))
	}
	for i, e := range kept {
		if want := fmt.Sprint(entries - len(kept) + i); e.Values["id"] != want {
			t.Fatalf("entry %d of the stream is %v, want %s", i, e.Values["id"], want)
		}
	}
	pubsubtest.Eventually(t, "nothing is under way", func() bool { return b.Stats().OldestWait == 0 }) // the last Done was called before
	if st := b.Stats(); st.Written != entries || st.Added != entries || st.QueueEntries != 0 || st.QueueBytes != 0 || st.OldestWait != 0 {
		t.Errorf("%+v", st)
	}
}

func TestInboxFull(t *testing.T) {
	client := open(t, pubsub.Options{URL: "redis://127.0.0.1:1"})
	byCount := pubsub.NewInbox(client, pubsub.InboxOptions{QueueEntries: 3})
	for range 3 {
		if err := byCount.Add(pubsub.Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := byCount.Add(pubsub.Entry{Done: func(error) { t.Error("Done is called though Add refused") }}); err != pubsub.ErrInboxFull {
		t.Errorf("Add: %v", err)
	}
	byBytes := pubsub.NewInbox(client, pubsub.InboxOptions{QueueBytes: 10_000})
	if err := byBytes.Add(pubsub.Entry{Data: make([]byte, 20_000)}); err != nil {
		t.Errorf("one large entry into an empty queue: %v", err)
	}
	if err := byBytes.Add(pubsub.Entry{}); err != pubsub.ErrInboxFull {
		t.Errorf("Add: %v", err)
	}
	if st := byCount.Stats(); st.Rejected != 1 || st.QueueEntries != 3 || st.OldestWait <= 0 {
		t.Errorf("%+v", st)
	}
}

func TestInboxOutOfMemory(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction")
	b, _ := runInbox(t, open(t, pubsub.Options{URL: s.URL}), pubsub.InboxOptions{QueueBytes: 200 << 20})
	var out outcomes
	for i := range 100 {
		if err := b.Add(pubsub.Entry{Type: "message", Data: make([]byte, 1<<20), Done: out.done(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	errs := out.await(t, 100)
	if n := count(errs, pubsub.ErrInboxRefused); n < 98 {
		t.Errorf("%d of 100 were refused", n)
	}
	if last := errs[99]; !strings.Contains(last.Error(), "OOM") || errors.Is(last, pubsub.ErrInboxUnknown) {
		t.Errorf("the last one: %v", last)
	}
	// Redis answers, so the inbox is not down; memory comes back, and so do acks.
	s.Do("CONFIG", "SET", "maxmemory", "0")
	if err := b.Add(pubsub.Entry{Type: "message", Done: out.done("after")}); err != nil {
		t.Fatal(err)
	}
	if errs := out.await(t, 101); errs[100] != nil {
		t.Errorf("after the memory came back: %v", errs[100])
	}
}

func TestInboxReadOnlyReplica(t *testing.T) {
	s := redistest.Start(t)
	s.Do("REPLICAOF", "127.0.0.1", "1")
	b, _ := runInbox(t, open(t, pubsub.Options{URL: s.URL}), pubsub.InboxOptions{})
	var out outcomes
	if err := b.Add(pubsub.Entry{Type: "message", Done: out.done("1")}); err != nil {
		t.Fatal(err)
	}
	if err := out.await(t, 1)[0]; !errors.Is(err, pubsub.ErrInboxRefused) || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("%v", err)
	}
	s.Do("REPLICAOF", "NO", "ONE")
	pubsubtest.Eventually(t, "it works again", func() bool {
		done := make(chan error, 1)
		return b.Add(pubsub.Entry{Type: "message", Done: func(err error) { done <- err }}) == nil && <-done == nil
	})
}

func TestInboxRedisIsDown(t *testing.T) {
	s := redistest.Reserve(t)
	var downs, ups atomic.Int32
	b, _ := runInbox(t, open(t, pubsub.Options{URL: s.URL}), pubsub.InboxOptions{
		ProbeEvery: 10 * time.Millisecond, Down: func(error) { downs.Add(1) }, Up: func(time.Duration) { ups.Add(1) },
	})
	var out outcomes
	if err := b.Add(pubsub.Entry{Type: "message", Done: out.done("1")}); err != nil {
		t.Fatal(err)
	}
	if err := out.await(t, 1)[0]; !errors.Is(err, pubsub.ErrInboxUnavailable) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("never sent: %v", err)
	}
	pubsubtest.Eventually(t, "Add refuses", func() bool { return b.Stats().Down })
	if err := b.Add(pubsub.Entry{}); err != pubsub.ErrInboxUnavailable {
		t.Errorf("Add while down: %v", err)
	}
	s.Restart()
	pubsubtest.Eventually(t, "it is up again", func() bool { return !b.Stats().Down })
	if err := b.Add(pubsub.Entry{Type: "message", Done: out.done("2")}); err != nil {
		t.Fatal(err)
	}
	if err := out.await(t, 2)[1]; err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if downs.Load() != 1 || ups.Load() != 1 {
		t.Errorf("%d times down, %d times up", downs.Load(), ups.Load())
	}
}

// A Redis that stops in the middle: the batch under way is unknown, what
// waits behind it is known not to be sent.
func TestInboxRedisIsStopped(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := open(t, pubsub.Options{URL: s.URL})
	b, _ := runInbox(t, client, pubsub.InboxOptions{Batch: 10, Timeout: 5 * time.Second, ProbeEvery: 10 * time.Millisecond}) // what comes before and after must take less
	var out outcomes
	if err := b.Add(pubsub.Entry{Type: "message", ID: "before", Done: out.done("before")}); err != nil {
		t.Fatal(err)
	}
	if err := out.await(t, 1)[0]; err != nil {
		t.Fatal(err)
	}
	s.Pause()
	taken := 1
	for i := range 100 {
		if b.Add(pubsub.Entry{Type: "message", ID: fmt.Sprint(i), Done: out.done(fmt.Sprint(i))}) == nil {
			taken++
		}
	}
	errs := out.await(t, taken)[1:]
	unknown, unavailable := count(errs, pubsub.ErrInboxUnknown), count(errs, pubsub.ErrInboxUnavailable)
	if unknown < 1 || unknown > 10 || unknown+unavailable != len(errs) {
		t.Errorf("%d unknown and %d unavailable of %d: %v", unknown, unavailable, len(errs), errs[0])
	}
	s.Resume()
	pubsubtest.Eventually(t, "it is up again", func() bool { return !b.Stats().Down })
	if err := b.Add(pubsub.Entry{Type: "message", ID: "after", Done: out.done("after")}); err != nil {
		t.Fatal(err)
	}
	if errs := out.await(t, taken+1); errs[taken] != nil {
		t.Errorf("after the pause: %v", errs[taken])
	}
	// What was unknown is in the stream at most once, in front of what came later.
	entries, err := client.Client("sluice:inbox").XRange(context.Background(), "sluice:inbox", "-", "+").Result()
	if err != nil || len(entries) > 2+unknown || entries[len(entries)-1].Values["id"] != "after" {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestInboxDrains(t *testing.T) {
	s := redistest.Start(t)
	client := open(t, pubsub.Options{URL: s.URL})
	b, stop := runInbox(t, client, pubsub.InboxOptions{Batch: 7})
	var out outcomes
	for i := range 1000 {
		if err := b.Add(pubsub.Entry{Type: "message", Done: out.done(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if errs := out.all(); len(errs) != 1000 || count(errs, nil) != 1000 {
		t.Errorf("%d outcomes when Run has returned, %d good", len(errs), count(errs, nil))
	}
	if err := b.Add(pubsub.Entry{}); err != pubsub.ErrInboxClosed {
		t.Errorf("Add after Run: %v", err)
	}
	if err := b.Run(context.Background()); err == nil {
		t.Error("an Inbox runs twice")
	}
}

func TestInboxDrainIsBounded(t *testing.T) {
	s := redistest.Start(t)
	b, stop := runInbox(t, open(t, pubsub.Options{URL: s.URL}),
		pubsub.InboxOptions{Batch: 1, Timeout: 300 * time.Millisecond, DrainTimeout: 50 * time.Millisecond})
	s.Pause()
	var out outcomes
	taken := 0
	for i := range 50 {
		if b.Add(pubsub.Entry{Type: "message", Done: out.done(fmt.Sprint(i))}) == nil {
			taken++
		}
	}
	stop()
	errs := out.all()
	if len(errs) != taken || count(errs, nil) != 0 {
		t.Errorf("%d outcomes of %d when Run has returned, %d good", len(errs), taken, count(errs, nil))
	}
}

// A client that repeats commands would write entries twice.
func TestInboxNeverRepeats(t *testing.T) {
	s := redistest.Start(t)
	repeats := open(t, pubsub.Options{URL: s.URL + "?read_timeout=50ms"})
	b, stop := runInbox(t, repeats, pubsub.InboxOptions{Timeout: 100 * time.Millisecond, ProbeEvery: 10 * time.Millisecond})
	var out outcomes
	s.Pause()
	if err := b.Add(pubsub.Entry{Type: "message", ID: "once", Done: out.done("once")}); err != nil {
		t.Fatal(err)
	}
	out.await(t, 1)
	s.Resume()
	pubsubtest.Eventually(t, "it is up again", func() bool { return !b.Stats().Down })
	stop()
	if n := s.Do("XLEN", "sluice:inbox").(int64); n > 1 {
		t.Errorf("the entry is in the stream %d times", n)
	}
}

func BenchmarkInbox(b *testing.B) {
	s := redistest.Start(b)
	client := open(b, pubsub.Options{URL: s.URL})
	inbox, stop := runInbox(b, client, pubsub.InboxOptions{})
	data := make([]byte, 128)
	var acked atomic.Int64
	e := pubsub.Entry{Type: "message", ID: "0123456789abcdef", Conn: "0123456789abcdef", User: "42", Channel: "news",
		Reply: "sluice:@0123456789", Node: "0123456789", Data: data, Time: time.Now(), Done: func(err error) {
			if err != nil {
				b.Error(err)
			}
			acked.Add(1)
		}}
	b.ReportAllocs()
	n, began := int64(0), time.Now()
	for b.Loop() {
		for inbox.Add(e) != nil {
			time.Sleep(100 * time.Microsecond)
		}
		n++
	}
	stop()
	if acked.Load() != n {
		b.Errorf("%d of %d acknowledged", acked.Load(), n)
	}
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "entries/s") // until the last ack
}
