package pubsub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// inboxWriter is Run's view of an Inbox.
type inboxWriter struct{ *Inbox }

// Run writes until ctx ends, then what is queued, for DrainTimeout at most,
// and fails the rest. It returns ctx.Err(). An Inbox runs once.
func (b *Inbox) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.running {
		b.mu.Unlock()
		return errInboxRunning
	}
	b.running = true
	b.mu.Unlock()

	w := &inboxWriter{b}
	w.untilEnd(ctx)
	w.drain()
	return ctx.Err()
}

// untilEnd writes batches, or probes while Redis is down, until ctx ends.
func (w *inboxWriter) untilEnd(ctx context.Context) {
	probe := time.NewTimer(0)
	probe.Stop()
	defer probe.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-probe.C:
			if w.isDown() {
				w.probe(ctx)
			}
		}
		// A batch that has begun is finished even if ctx ends: its timeout
		// bounds it, and its entries' fate stays known.
		for ctx.Err() == nil && w.batch(context.WithoutCancel(ctx)) {
		}
		w.tellForgotten()
		if w.isDown() {
			probe.Reset(w.opts.ProbeEvery)
		} else if pause, owed := w.nextOwed(); owed {
			probe.Reset(pause)
		}
	}
}

func (w *inboxWriter) isDown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down
}

// drain closes the inbox to Add and writes what is queued.
func (w *inboxWriter) drain() {
	w.mu.Lock()
	w.closed = true
	w.owedNext = time.Time{}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), w.opts.DrainTimeout)
	defer cancel()
	for ctx.Err() == nil && w.batch(ctx) {
	}
	w.mu.Lock()
	rest := slices.Concat(w.owed, w.empty())
	w.owed, w.owedBytes = nil, 0
	w.stats.Abandoned += int64(len(rest))
	w.mu.Unlock()
	for i := range rest {
		rest[i].entry.done(ErrInboxClosed)
	}
}

func (e *Entry) done(err error) {
	if e.Done != nil {
		e.Done(err)
	}
}

// empty takes all that is queued. w.mu is held.
func (w *inboxWriter) empty() []waiting {
	rest := w.queue
	w.quota.give(len(rest), w.bytes)
	w.queue, w.bytes = nil, 0
	return rest
}

// take removes the next batch from what is owed and from the queue.
func (w *inboxWriter) take() []waiting {
	w.mu.Lock()
	batch := w.takeOwed(time.Now())
	lost := false
	if len(w.owed) > 0 {
		lost = w.divert()
	}
	if len(batch) == 0 {
		batch = w.takeQueued(batch)
	}
	w.flight = time.Time{}
	if len(batch) > 0 {
		w.flight = batch[0].added
	}
	w.mu.Unlock()
	w.forgot(lost)
	return batch
}

// takeQueued removes from the queue what a batch has room for. w.mu is held.
func (w *inboxWriter) takeQueued(batch []waiting) []waiting {
	room, bytes := w.opts.Batch-len(batch), w.opts.BatchBytes
	for i := range batch {
		bytes -= batch[i].entry.size()
	}
	n, size := 0, int64(0)
	for n < len(w.queue) && n < room {
		next := w.queue[n].entry.size()
		if n+len(batch) > 0 && size+next > bytes {
			break
		}
		size += next
		n++
	}
	taken := w.queue[:n:n]
	w.queue = w.queue[n:]
	w.bytes -= size
	w.quota.give(n, size)
	if len(w.queue) == 0 {
		w.queue = nil // the batch owns the array now
	}
	if len(batch) == 0 {
		return taken
	}
	return append(batch, taken...)
}

// batch writes one batch and settles its entries. It says whether there was
// one and Redis can be expected to take another.
func (w *inboxWriter) batch(ctx context.Context) bool {
	if w.isDown() {
		return false
	}
	batch := w.take()
	if len(batch) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	var broken error // the connection's error, if any
	var left unsettled
	for rest := batch; len(rest) > 0; {
		answers := w.send(ctx, rest)
		again := rest[:0] // what the stream's old server did not execute goes to the new one
		elsewhere := slices.ContainsFunc(answers, func(a outcome) bool { return notExecuted(a.err) }) && w.keys.Misplaced()
		if elsewhere {
			pause(ctx, misplacedPause)
		}
		for i := range rest {
			tracked := w.tracks(&rest[i].entry)
			if elsewhere && notExecuted(answers[i].err) && ctx.Err() == nil {
				if tracked {
					left.note(&rest[i].entry)
				}
				again = append(again, rest[i])
				continue
			}
			err := verdict(answers[i].err)
			if err != nil && !errors.Is(err, ErrInboxRefused) {
				broken = err
			}
			if tracked {
				w.settleRecorded(rest[i], answers[i], &left)
			} else {
				w.settle(&rest[i].entry, err)
			}
		}
		clear(rest[len(again):])
		rest = again
	}
	w.putBack(left)
	if broken != nil {
		w.goDown(broken)
	}
	return broken == nil
}

// misplacedPause is between attempts to find the server that has the stream.
const misplacedPause = 20 * time.Millisecond

var errNoServer = errors.New("it is not known which Redis has the stream")

// outcome is what Redis said of one entry.
type outcome struct {
	err      error
	recorded *redis.Cmd // of a recorded entry; nil: it was not sent
	number   int64      // of that call
}

// send writes entries in one pipeline and returns what became of each.
func (w *inboxWriter) send(ctx context.Context, batch []waiting) []outcome {
	answers := make([]outcome, len(batch))
	client := w.keys.Client(w.opts.Stream)
	if client == nil {
		for i := range answers {
			answers[i].err = fmt.Errorf("%w: %w", ErrInboxUnavailable, errNoServer)
		}
		return answers
	}
	pipe := client.Pipeline()
	removal := w.removal(ctx)
	if removal != nil {
		_ = pipe.Process(ctx, removal)
	}
	first := removal == nil
	for i := range batch {
		var cmd redis.Cmder
		if e := &batch[i].entry; w.tracks(e) {
			answers[i].recorded, answers[i].number = w.scripted(ctx, e, first)
			cmd, first = answers[i].recorded, false
		} else {
			cmd = redis.NewStringCmd(ctx, w.xadd(e)...)
		}
		_ = pipe.Process(ctx, cmd) // the array keeps the command; the result is looked up below
	}
	cmds, execErr := pipe.Exec(ctx)
	if removal != nil && len(cmds) > 0 {
		cmds = cmds[1:]
		w.removed(removal)
	}
	for i := range answers {
		answers[i].err = execErr
		if i < len(cmds) {
			answers[i].err = cmds[i].Err()
		}
	}
	return answers
}

// xadd is the XADD command of e.
func (w *inboxWriter) xadd(e *Entry) []any {
	args := make([]any, 0, 28)
	args = append(args, "XADD", w.opts.Stream)
	if w.opts.MaxLen > 0 {
		args = append(args, "MAXLEN", "~", w.opts.MaxLen)
	}
	return appendFields(append(args, "*"), e)
}

// appendFields appends the fields of e. Their names are a contract with workers:
// doc.go.
func appendFields(args []any, e *Entry) []any {
	args = append(args, "type", e.Type, "id", e.ID, "conn", e.Conn, "user", e.User)
	for _, f := range [...]struct{ name, value string }{{"channel", e.Channel}, {"call", e.Call}, {"method", e.Method}} {
		if f.value != "" {
			args = append(args, f.name, f.value)
		}
	}
	if e.Data != nil {
		args = append(args, "data", e.Data)
	}
	return append(args, "reply", e.Reply, "node", e.Node, "time", strconv.FormatInt(e.Time.UnixMilli(), 10))
}

// verdict turns a command's error into what it means for the entry.
func verdict(err error) error {
	var said redis.Error
	var op *net.OpError
	switch {
	case err == nil, errors.Is(err, ErrInboxUnavailable):
		return err
	case errors.As(err, &said):
		return fmt.Errorf("%w: %w", ErrInboxRefused, err)
	case errors.As(err, &op) && op.Op == "dial", errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return fmt.Errorf("%w: %w", ErrInboxUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrInboxUnknown, err)
}

// settle counts the outcome and calls Done.
func (w *inboxWriter) settle(e *Entry, err error) {
	w.mu.Lock()
	switch {
	case err == nil:
		w.stats.Written++
	case errors.Is(err, ErrInboxRefused):
		w.stats.Refused++
	case errors.Is(err, ErrInboxUnavailable):
		w.stats.Unavailable++
	default:
		w.stats.Unknown++
	}
	w.mu.Unlock()
	if err != nil {
		w.noteError(err)
	}
	e.done(err)
}

func (b *Inbox) noteError(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.LastError, b.stats.LastErrorAt = err.Error(), time.Now()
}

// goDown closes the door and fails what is queued: it was not sent.
func (w *inboxWriter) goDown(cause error) {
	w.mu.Lock()
	w.down = true
	w.downSince = time.Now()
	lost := w.divert()
	rest := w.empty()
	w.mu.Unlock()
	w.forgot(lost)
	if w.opts.Down != nil {
		w.opts.Down(cause)
	}
	err := fmt.Errorf("%w: %w", ErrInboxUnavailable, unwrapVerdict(cause))
	for i := range rest {
		w.settle(&rest[i].entry, err)
	}
}

// unwrapVerdict returns the network's error inside a verdict.
func unwrapVerdict(err error) error {
	if both, ok := err.(interface{ Unwrap() []error }); ok {
		if errs := both.Unwrap(); len(errs) == 2 {
			return errs[1]
		}
	}
	return err
}

// probe asks whether Redis is back.
func (w *inboxWriter) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	err := errNoServer
	if client := w.keys.Client(w.opts.Stream); client != nil {
		err = client.Ping(ctx).Err()
	}
	if err != nil {
		w.mu.Lock()
		w.stats.LastError, w.stats.LastErrorAt = err.Error(), time.Now()
		w.mu.Unlock()
		return
	}
	w.mu.Lock()
	w.down = false
	w.owedNext = time.Time{}
	after := time.Since(w.downSince)
	w.mu.Unlock()
	if w.opts.Up != nil {
		w.opts.Up(after)
	}
}
