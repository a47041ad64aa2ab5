package pubsub

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// functionSource is the library of Redis Functions, without the line that names
// it; the same text is a script.
var functionSource = durableSource + presenceSource + steeringSource + dispatchSource

//go:embed functions.lua
var durableSource string

//go:embed functions_presence.lua
var presenceSource string

//go:embed functions_steering.lua
var steeringSource string

//go:embed functions_dispatch.lua
var dispatchSource string

// FunctionsVersion is that of functions.lua.
const FunctionsVersion = 6

// FunctionLibrary is what FUNCTION LOAD takes: the functions by which services
// publish durable messages and read their log. They are documented in it.
func FunctionLibrary() string { return "#!lua name=sluice\n" + functionSource }

// script runs the same source where Redis has no functions (before 7.0), or they
// may not be loaded.
var script = redis.NewScript(functionSource)

// loadFunctions has a server know the functions, unless it knows these or newer
// ones. Without them services cannot call them; this node can all the same.
func (s *server) loadFunctions(ctx context.Context) error {
	version, err := s.client.FCall(ctx, "sluice_version", nil).Int()
	if err == nil && version >= FunctionsVersion {
		return nil
	}
	if err != nil && !isUnknownFunction(err) {
		return fmt.Errorf("pubsub: asking Redis at %s for the version of its functions: %w", s.addr, err)
	}
	if err := s.client.FunctionLoadReplace(ctx, FunctionLibrary()).Err(); err != nil {
		return fmt.Errorf("pubsub: loading the functions into Redis at %s: %w", s.addr, err)
	}
	return nil
}

// loadFunctions has the server know the functions again: it may have been started
// anew without its data.
func (s *session) loadFunctions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReplyTimeout)
	defer cancel()
	err := s.l.server.loadFunctions(ctx)
	if f := s.opts.Events.NoFunctions; err != nil && f != nil && !errors.Is(err, context.Canceled) {
		f(s.addr(), err)
	}
}

// isUnknownFunction reports whether Redis has no such function, or no functions.
func isUnknownFunction(err error) bool {
	var said redis.Error
	if !errors.As(err, &said) {
		return false
	}
	text := strings.ToLower(said.Error())
	return strings.Contains(text, "function not found") || strings.Contains(text, "unknown command")
}

// call calls a function on the server that has the channel, as a function or as a
// script.
func (r *Redis) call(ctx context.Context, channel, name string, args ...any) (any, error) {
	if err := r.ensureLayout(ctx); err != nil {
		return nil, err
	}
	keys := []string{r.opts.Prefix + channel}
	var refused time.Time // when it was first; zero: it was not
	for {
		s := r.server(channel)
		if s == nil {
			return nil, r.unknown(channel)
		}
		v, err := s.client.FCall(ctx, name, keys, args...).Result()
		if err != nil && isUnknownFunction(err) {
			v, err = script.Run(ctx, s.client, keys, append([]any{name}, args...)...).Result()
		}
		if err == nil || !r.again(ctx, err, &refused) {
			return v, err
		}
	}
}

// Position is a place in a channel's log: an integer below 2^53 that is never
// given to two messages of a channel. 0 is no position: nothing is proven from there.
type Position uint64

// MaxPosition is the greatest position that there can be.
const MaxPosition Position = 1<<53 - 1

// Time is when it was made, by the clock of Redis, or at most as many microseconds later
// as messages had come in the same one.
func (p Position) Time() time.Time { return time.UnixMicro(began*1e6 + int64(p)) }

// began is BEGAN of the functions: 2026-01-01 in Unix seconds.
const began = 1767225600

// DurableOptions are those of sluice_publish. Zero values mean its defaults.
type DurableOptions struct {
	Size    int    // entries that the log keeps, 1..100,000. Default 1000
	TTL     int    // seconds for which the log is kept after its newest entry. Default a day
	ID      string // idempotency key: a second message with it, within minutes, is not published
	Exclude string // the connection, by its name in the inbox, that is not to get it
}

// PublishDurable puts payload into the channel's log and publishes it, as one step
// (FCALL sluice_publish). The error of a call that was sent does not say whether it
// was executed, unless Redis says so: call again with the same ID.
func (r *Redis) PublishDurable(ctx context.Context, channel string, payload []byte, o DurableOptions) (at Position, epoch string, err error) {
	args := []any{payload}
	for _, option := range [...]struct {
		name  string
		value any
		given bool
	}{{"size", o.Size, o.Size != 0}, {"ttl", o.TTL, o.TTL != 0}, {"id", o.ID, o.ID != ""}, {"exclude", o.Exclude, o.Exclude != ""}} {
		if option.given {
			args = append(args, option.name, option.value)
		}
	}
	v, err := r.call(ctx, channel, "sluice_publish", args...)
	if err != nil {
		return 0, "", fmt.Errorf("pubsub: publishing on %s%s: %w", r.opts.Prefix, channel, err)
	}
	answer, ok := v.([]any)
	if !ok || len(answer) != 2 {
		return 0, "", fmt.Errorf("pubsub: sluice_publish answers %v", v)
	}
	position, isNumber := answer[0].(int64)
	epoch, isText := answer[1].(string)
	if !isNumber || !isText {
		return 0, "", fmt.Errorf("pubsub: sluice_publish answers %v", v)
	}
	return Position(position), epoch, nil
}

// Durable is a message of a channel that has a log.
type Durable struct {
	Position Position
	Before   Position // of the message before it, or where the channel began
	Epoch    string   // when the channel's counting began; only of a message on its way
	Exclude  string   // the connection that is not to get it; "": all get it
	Payload  []byte
}

// durableMark is what the payload of a durable message begins with on its way to
// the nodes. No UTF-8 text begins so, and no sensible binary format.
const durableMark = "\x01sluice "

// ParseDurable takes apart what sluice_publish publishes:
//
//	\x01sluice <position> <before> <epoch>[ <exclude>]\n<payload>
//
// false: it is a message like any other. Its slices are payload's.
func ParseDurable(payload []byte) (d Durable, ok bool) {
	if len(payload) == 0 || payload[0] != durableMark[0] {
		return Durable{}, false
	}
	rest, marked := strings.CutPrefix(string(payload[:min(len(payload), maxDurableHead)]), durableMark)
	head, _, ended := strings.Cut(rest, "\n")
	words := strings.Split(head, " ")
	if !marked || !ended || len(words) < 3 || len(words) > 4 {
		return Durable{}, false
	}
	position, err1 := strconv.ParseUint(words[0], 10, 53)
	before, err2 := strconv.ParseUint(words[1], 10, 53)
	if err1 != nil || err2 != nil || before >= position {
		return Durable{}, false
	}
	d = Durable{Position: Position(position), Before: Position(before), Epoch: words[2], Payload: payload[len(durableMark)+len(head)+1:]}
	if len(words) == 4 {
		d.Exclude = words[3]
	}
	return d, true
}

// maxDurableHead is the longest head of a durable message, bytes.
const maxDurableHead = 256

// History is what a channel's log holds after a position.
type History struct {
	Last    Position // of the newest message ever, or where the channel began: go on from here
	Epoch   string   // the position at which it began
	Proven  bool     // Entries is all that was published after that position; else something may be missing
	More    bool     // the log holds more behind the entries
	Entries []Durable
}

// History reads a channel's log, oldest first, after a position, up to limit
// entries, 0..100,000, and up to so many bytes of payloads, but for the first one; 0
// bytes: no bound (FCALL sluice_history).
func (r *Redis) History(ctx context.Context, channel string, since Position, limit, bytes int) (History, error) {
	if bytes > 0 {
		return r.history(ctx, channel, "since", uint64(since), "limit", limit, "bytes", bytes)
	}
	return r.history(ctx, channel, "since", uint64(since), "limit", limit)
}

// HistoryBefore reads a channel's log backwards, newest first, from the entry before a
// position, or with 0 from the newest, up to limit entries. It proves nothing.
func (r *Redis) HistoryBefore(ctx context.Context, channel string, before Position, limit int) (History, error) {
	return r.history(ctx, channel, "before", uint64(before), "limit", limit)
}

func (r *Redis) history(ctx context.Context, channel string, args ...any) (History, error) {
	v, err := r.call(ctx, channel, "sluice_history", args...)
	if err != nil {
		return History{}, fmt.Errorf("pubsub: reading the log of %s%s: %w", r.opts.Prefix, channel, err)
	}
	h, ok := parseHistory(v)
	if !ok {
		return History{}, fmt.Errorf("pubsub: sluice_history answers what it should not: %.200v", v)
	}
	return h, nil
}

func parseHistory(v any) (h History, ok bool) {
	answer, ok := v.([]any)
	if !ok || len(answer) != 5 {
		return h, false
	}
	last, ok1 := answer[0].(int64)
	epoch, ok2 := answer[1].(string)
	proven, ok3 := answer[2].(int64)
	entries, ok4 := answer[3].([]any)
	more, ok5 := answer[4].(int64)
	h = History{More: more == 1, Last: Position(last), Epoch: epoch, Proven: proven == 1, Entries: make([]Durable, 0, len(entries))}
	ok = ok1 && ok2 && ok3 && ok4 && ok5
	for _, e := range entries {
		row, isRow := e.([]any)
		if !isRow || len(row) != 4 {
			return h, false
		}
		position, ok1 := row[0].(int64)
		before, ok2 := row[1].(int64)
		payload, ok3 := row[2].(string)
		exclude, ok4 := row[3].(string)
		ok = ok && ok1 && ok2 && ok3 && ok4
		h.Entries = append(h.Entries, Durable{Position: Position(position), Before: Position(before), Payload: []byte(payload), Exclude: exclude})
	}
	return h, ok
}
