package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ControlChannel is the channel on which nodes hear that there is something to do.
// No client can name it: braces are not allowed in channel names.
const ControlChannel = "{control}"

// Command is what services tell all nodes to do about their clients: see
// functions_steering.lua.
type Command struct {
	Do      Deed   `json:"do"`
	User    string `json:"user"`    // whom it is about: all connections of a user …
	Conn    string `json:"conn"`    // … or one, by its name in the inbox …
	Token   string `json:"token"`   // … or those that showed the token with this jti; one of the three is set
	Channel string `json:"channel"` // to be subscribed, or not any more
	Code    int    `json:"code"`    // of the close frame, 4000..4999
	Reason  string `json:"reason"`  // for the close frame
	Before  int64  `json:"before"`  // of a user's revocation: it is about tokens that were issued until then, Unix seconds
	Till    int64  `json:"till"`    // of a revocation: when nobody needs to remember it any more, Unix seconds
}

// Deed is what a Command has done.
type Deed string

// The deeds.
const (
	DoDisconnect  Deed = "disconnect"
	DoRevoke      Deed = "revoke"
	DoSubscribe   Deed = "subscribe"
	DoUnsubscribe Deed = "unsubscribe"
)

// SteeringOptions configure a Steering. A zero field means its default.
type SteeringOptions struct {
	Apply   func([]Command) // required; called from Run's goroutine, in the order of the log; must not block
	Every   time.Duration   // between looks into the log while nothing is heard. Default 1 s
	Timeout time.Duration   // for one call: a look may take several. Default 2 s

	// Missed says that commands may have been lost, because Redis has lost them. Down and
	// Up say that the log cannot be read, and that it can again. Any may be nil; they are
	// called from Run's goroutine and must not block.
	Missed func()
	Down   func(err error)
	Up     func(after time.Duration)
}

func (o SteeringOptions) withDefaults() SteeringOptions {
	def(&o.Every, time.Second)
	def(&o.Timeout, 2*time.Second)
	return o
}

// SteeringStats is a snapshot of a Steering. Counters only grow.
type SteeringStats struct {
	Ready     bool  // the revocations are known, or Redis refuses to tell
	Commands  int64 // handed to Apply
	Malformed int64 // entries of the log that are no commands this node knows
	Missed    int64 // times that commands may have been lost
	Failed    int64 // looks that failed
	LastError string
}

// Steering reads what services have all nodes do. Commands stand in a log: what is
// published is only the news that there is one, and every second the node looks
// anyway. So none is missed while Redis, or the way to it, is gone for a moment; and
// none is obeyed twice, nor one that is older than the node.
//
// Revocations are kept beside the log: a node that starts reads them first.
type Steering struct {
	opts SteeringOptions
	r    *Redis
	bell chan struct{} // holds a token when the log has something new

	mu    sync.Mutex
	stats SteeringStats // guarded by mu

	// The rest is Run's.
	loaded bool
	since  Position  // the log is read up to here
	obeyed Position  // of the newest entry that was handed on
	lost   bool      // entries before since may have been lost, and that is still to be told
	stale  bool      // what is revoked has to be read again, because of that
	down   time.Time // since when it cannot be read; zero: it can
}

// NewSteering returns a Steering that reads the log on r. It does nothing before Run.
func NewSteering(r *Redis, o SteeringOptions) *Steering {
	return &Steering{opts: o.withDefaults(), r: r, bell: make(chan struct{}, 1)}
}

// Ring says that something was heard on ControlChannel. Any goroutine may call it.
func (s *Steering) Ring() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// Stats returns a snapshot.
func (s *Steering) Stats() SteeringStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Ready is nil when the node knows what is revoked.
func (s *Steering) Ready() error {
	if s.Stats().Ready {
		return nil
	}
	return errors.New("it is not known yet which tokens are revoked")
}

// Run reads until ctx ends, and returns ctx.Err().
func (s *Steering) Run(ctx context.Context) error {
	next := time.NewTimer(s.opts.Every)
	defer next.Stop()
	for {
		err := s.look(ctx)
		s.report(ctx, err)
		if err != nil {
			next.Reset(min(s.opts.Every, steerAgain))
		} else {
			next.Reset(s.opts.Every)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.bell:
		case <-next.C:
		}
	}
}

// steerAgain is when the log is looked into again at the latest, after that failed.
const steerAgain = time.Second

// look reads what is new.
func (s *Steering) look(ctx context.Context) error {
	if !s.loaded {
		return s.load(ctx)
	}
	for more := true; more; {
		h, err := s.history(ctx, s.since, maxCommands)
		if err != nil {
			return err
		}
		more = len(h.Entries) == maxCommands // else there are no others
		s.lost = s.lost || !h.Proven && !(more && h.Entries[0].Before == s.since)
		s.obey(h.Entries)
		if more {
			s.since = h.Entries[maxCommands-1].Position
			continue
		}
		s.since = h.Last
		if s.lost && len(h.Entries) == 0 {
			s.obeyed = h.Last // Redis has gone back: what comes is new, whatever its clock says
		}
	}
	if s.lost {
		s.lost, s.stale = false, true
		s.tellMissed()
	}
	if s.stale {
		return s.revocations(ctx)
	}
	return nil
}

func (s *Steering) tellMissed() {
	s.mu.Lock()
	s.stats.Missed++
	s.mu.Unlock()
	if f := s.opts.Missed; f != nil {
		f()
	}
}

// maxCommands is how many entries are read at once.
const maxCommands = 1000

// load begins at the end of the log, with what is revoked.
func (s *Steering) load(ctx context.Context) error {
	h, err := s.history(ctx, 0, 0) // first: what comes meanwhile is read afterwards
	if err != nil {
		return err
	}
	if err := s.revocations(ctx); err != nil {
		return err
	}
	s.since, s.loaded = h.Last, true
	return nil
}

// history reads from the log, for as long as one call may take.
func (s *Steering) history(ctx context.Context, since Position, limit int) (History, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	return s.r.History(ctx, ControlChannel, since, limit, 0)
}

// revocations reads all that are kept.
func (s *Steering) revocations(ctx context.Context) error {
	for cursor := "0"; ; {
		next, commands, err := s.revoked(ctx, cursor)
		if err != nil {
			return err
		}
		if len(commands) > 0 {
			s.opts.Apply(commands)
		}
		if cursor = next; cursor == "0" {
			s.stale = false
			return nil
		}
	}
}

// revoked reads some of what is revoked, for as long as one call may take: of much, all may
// take longer.
func (s *Steering) revoked(ctx context.Context, cursor string) (next string, commands []Command, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	v, err := s.r.call(ctx, ControlChannel, "sluice_revocations", cursor)
	if err != nil {
		return "", nil, fmt.Errorf("pubsub: reading what is revoked: %w", err)
	}
	next, commands, ok := parseRevocations(answer{value: v})
	if !ok {
		return "", nil, fmt.Errorf("pubsub: sluice_revocations answers what it should not: %.200v", v)
	}
	return next, commands, nil
}

// codeRevoked is the close code for connections whose token is found to be revoked.
const codeRevoked = 4501

func parseRevocations(a answer) (cursor string, commands []Command, ok bool) {
	items, ok := a.list(2)
	if !ok {
		return "", nil, false
	}
	cursor, ok1 := items[0].(string)
	rows, ok2 := items[1].([]any)
	for _, row := range rows {
		one, isRow := row.([]any)
		if !isRow || len(one) != 3 {
			return "", nil, false
		}
		member, ok1 := one[0].(string)
		till, ok2 := one[1].(int64)
		before, ok3 := one[2].(int64)
		kind, name, ok4 := strings.Cut(member, " ")
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return "", nil, false
		}
		c := Command{Do: DoRevoke, Code: codeRevoked, Till: till, Before: before}
		if kind == "t" {
			c.Token = name
		} else {
			c.User = name
		}
		commands = append(commands, c)
	}
	return cursor, commands, ok1 && ok2
}

// obey hands on what entries of the log say.
func (s *Steering) obey(entries []Durable) {
	var commands []Command
	malformed := int64(0)
	for _, e := range entries {
		if e.Position <= s.obeyed { // seen before its writer had noted that it is the last
			continue
		}
		s.obeyed = e.Position
		if c, ok := parseCommand(e.Payload); ok {
			commands = append(commands, c)
			continue
		}
		malformed++
	}
	s.mu.Lock()
	s.stats.Commands += int64(len(commands))
	s.stats.Malformed += malformed
	s.mu.Unlock()
	if len(commands) > 0 {
		s.opts.Apply(commands)
	}
}

// parseCommand reads a command of the log, which anybody may have written who may
// write to Redis.
func parseCommand(text []byte) (c Command, ok bool) {
	if json.Unmarshal(text, &c) != nil {
		return c, false
	}
	whom := 0
	for _, name := range []string{c.User, c.Conn, c.Token} {
		if name != "" {
			whom++
		}
	}
	if whom != 1 {
		return c, false
	}
	code := c.Code >= 4000 && c.Code <= 4999 && len(c.Reason) <= 123
	switch c.Do {
	case DoDisconnect:
		return c, code && c.Token == ""
	case DoRevoke:
		return c, code && c.Conn == ""
	case DoSubscribe, DoUnsubscribe:
		return c, c.Token == "" && CheckChannel(c.Channel) == nil
	}
	return c, false
}

// report notes how a look went.
func (s *Steering) report(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	// Where this node may not ask, or nobody can answer, it does without, and Down says so.
	s.stats.Ready = s.loaded || isAnswer(err) && !notExecuted(err)
	if err != nil {
		s.stats.Failed++
		s.stats.LastError = err.Error()
	}
	s.mu.Unlock()
	switch {
	case err == nil && !s.down.IsZero():
		if f := s.opts.Up; f != nil {
			f(time.Since(s.down))
		}
		s.down = time.Time{}
	case err != nil && s.down.IsZero():
		s.down = time.Now()
		if f := s.opts.Down; f != nil {
			f(err)
		}
	}
}

// Steer has all nodes carry out a command, by one of the functions of
// functions_steering.lua: name is without sluice_, as disconnect, and args are
// those of that function. nodes is how many have heard of it at once.
func (r *Redis) Steer(ctx context.Context, name string, args ...string) (nodes int64, err error) {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a
	}
	v, err := r.call(ctx, ControlChannel, "sluice_"+name, list...)
	if err != nil {
		return 0, fmt.Errorf("pubsub: calling sluice_%s: %w", name, err)
	}
	items, ok := answer{value: v}.list(2)
	if ok {
		nodes, ok = items[1].(int64)
	}
	if !ok {
		return 0, fmt.Errorf("pubsub: sluice_%s answers what it should not: %.200v", name, v)
	}
	return nodes, nil
}
