package pubsub

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// recordSource writes entries of connections that open and end: inbox.lua.
//
//go:embed inbox.lua
var recordSource string

var recordScript = redis.NewScript(recordSource)

// record is where a stream's open connections stand in Redis, so that the entries
// of a node which died can be completed by another one:
//
//	{<stream>}.open.<life>   hash: connection → user and channels, or nothing if it has just ended;
//	                         "!" → the number of the last call
type record struct {
	life   string   // of this node, by its lease
	was    []string // its lives before, newest first, whose records may not be empty yet
	number int64    // of the last call that was sent
	known  int64    // of the last one that Redis has shown to have
	ended  []string // connections that it knows have ended, and that are to be removed
}

const (
	maxEnded  = 4096      // connections to be removed; beyond, they stay until the life is over
	maxWas    = 8         // lives that are looked through for a connection
	lastWord  = 1<<53 - 1 // the number that burial leaves: exact in Lua
	numbering = "!"       // the field that has it; no connection is named so
)

// recordKey is the key of a life's record: it shares the stream's slot.
func recordKey(stream, life string) string { return "{" + stream + "}.open." + life }

func (r *record) keys(stream string) []string {
	keys := make([]string, 0, 2+len(r.was))
	keys = append(keys, stream, recordKey(stream, r.life))
	for _, life := range r.was {
		keys = append(keys, recordKey(stream, life))
	}
	return keys
}

// SetLife says that this node goes on under another life: what it records from now
// on stands there. What others should know of its open connections has to be added
// again.
func (b *Inbox) SetLife(life string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.recorded() || life == b.record.life {
		return
	}
	was := append([]string{b.record.life}, b.record.was...)
	b.record = record{life: life, was: was[:min(len(was), maxWas)]}
	b.retryOwed()
}

// recorded reports whether there is a record at all. b.mu is held.
func (b *Inbox) recorded() bool { return b.record.life != "" }

// tracks reports whether an entry is of the kind that stands in the record.
func (b *Inbox) tracks(e *Entry) bool {
	return b.opts.Life != "" && (e.Type == entryConnect || e.Type == entryDisconnect)
}

const (
	entryConnect    = "connect"
	entryDisconnect = "disconnect"
)

// opened is what a record says of a connection.
type opened struct {
	User    string `json:"user,omitempty"`
	Channel string `json:"channel,omitempty"`
}

func (o opened) text() string {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return string(text)
}

// scripted is the next call for e, which is tracked. The first of a pipeline brings
// the script along: then the others find it, whatever Redis has forgotten, and all
// keep their order.
func (w *inboxWriter) scripted(ctx context.Context, e *Entry, first bool) (call *redis.Cmd, number int64) {
	w.mu.Lock()
	w.record.number++
	number, keys := w.record.number, w.record.keys(w.opts.Stream)
	w.mu.Unlock()
	what, about := "shut", ""
	if e.Type == entryConnect {
		what, about = "open", opened{e.User, e.Channel}.text()
	}
	return w.scriptCall(ctx, first, keys, what, number, e, about), number
}

// removal is the command that takes connections out of the record that have ended and
// are known to; nil: there are none.
func (w *inboxWriter) removal(ctx context.Context) *redis.Cmd {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &w.record
	if len(r.ended) == 0 {
		return nil
	}
	args := make([]any, 0, 6+len(r.ended))
	args = append(args, "EVAL", recordSource, 2, w.opts.Stream, recordKey(w.opts.Stream, r.life), "clear")
	for _, conn := range r.ended {
		args = append(args, conn)
	}
	return redis.NewCmd(ctx, args...)
}

// removed notes what became of a removal: what was not done is done the next time.
func (w *inboxWriter) removed(c *redis.Cmd) {
	if c == nil || c.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.record.ended = nil
}

// noteEnded notes a connection whose end Redis is known to have.
func (w *inboxWriter) noteEnded(conn string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.record.ended) < maxEnded {
		w.record.ended = append(w.record.ended, conn)
	}
}

func (b *Inbox) scriptCall(ctx context.Context, first bool, keys []string, what string, number int64, e *Entry, about string) *redis.Cmd {
	args := make([]any, 0, 36)
	if first {
		args = append(args, "EVAL", recordSource)
	} else {
		args = append(args, "EVALSHA", recordScript.Hash())
	}
	args = append(args, len(keys))
	for _, key := range keys {
		args = append(args, key)
	}
	args = append(args, what, strconv.FormatInt(number, 10), max(0, b.opts.MaxLen), e.Conn, about)
	return redis.NewCmd(ctx, appendFields(args, e)...)
}

var errRecord = errors.New("pubsub: the script of the inbox answers what it should not")

// readRecorded reads what the script has answered.
func readRecorded(c *redis.Cmd) (did, before int64, err error) {
	v, err := c.Int64Slice()
	if err == nil && len(v) != 2 {
		err = errRecord
	}
	if err != nil {
		return 0, 0, err
	}
	return v[0], v[1], nil
}
