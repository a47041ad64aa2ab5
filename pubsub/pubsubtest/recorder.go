package pubsubtest

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/pubsub"
)

// patience is how long a test waits for what must happen. It is only ever
// waited out by a test that fails.
const patience = 30 * time.Second

// Recorder is a pubsub.Sink that remembers, and the receiver of all lanes. Its methods may be called from any
// goroutine.
type Recorder struct {
	mu          sync.Mutex
	messages    map[string][]string // guarded by mu
	subscribed  map[string]int      // guarded by mu
	interrupted []error             // guarded by mu
	moved       map[string]int      // guarded by mu
	lanes       map[string]bool     // guarded by mu; by name
	count       int                 // guarded by mu
}

// NewRecorder returns an empty one.
func NewRecorder() *Recorder {
	return &Recorder{messages: map[string][]string{}, subscribed: map[string]int{}, moved: map[string]int{}, lanes: map[string]bool{}}
}

// Lane is pubsub.Sink's.
func (r *Recorder) Lane(link pubsub.Link) pubsub.Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lanes[link.Name()] = true
	return r
}

// Moved is pubsub.Receiver's.
func (r *Recorder) Moved(channel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved[channel]++
}

// Skipped is pubsub.Receiver's.
func (r *Recorder) Skipped(string) {}

// Lanes is the names of the lanes that there have been.
func (r *Recorder) Lanes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.lanes))
}

// Deliver is pubsub.Receiver's.
func (r *Recorder) Deliver(channel, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages[string(channel)] = append(r.messages[string(channel)], string(payload))
	r.count++
}

// Subscribed is pubsub.Receiver's.
func (r *Recorder) Subscribed(channel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscribed[channel]++
}

// Delivered is pubsub.Receiver's.
func (r *Recorder) Delivered() {}

// Interrupted is pubsub.Receiver's.
func (r *Recorder) Interrupted(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupted = append(r.interrupted, err)
}

// Messages returns what was delivered on channel, in order.
func (r *Recorder) Messages(channel string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages[channel])
}

// Count is how many messages were delivered on all channels.
func (r *Recorder) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Announced is how often Subscribed was called for channel.
func (r *Recorder) Announced(channel string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.subscribed[channel]
}

// Channels is for how many channels Subscribed was called.
func (r *Recorder) Channels() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.subscribed)
}

// Interruptions returns the errors of Interrupted, in order.
func (r *Recorder) Interruptions() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.interrupted)
}

// Reset forgets everything.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.messages)
	clear(r.subscribed)
	r.interrupted, r.count = nil, 0
}

// Eventually waits until ok, and fails the test when that takes too long. what
// says what was waited for.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !eventually(ok) {
		t.Fatalf("waited %v in vain: %s", patience, what)
	}
}

func eventually(ok func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}
