package pubsub

import (
	"context"
	"time"

	"sluice/pubsub/redisurl"
)

// discover looks for the layout again and again and applies what it finds, until
// ctx ends: every Options.RefreshEvery, and much more often while a lane is in
// trouble, because that is when the layout changes. Where the layout is fixed there
// is nothing to do.
func (r *Redis) discover(ctx context.Context) {
	if !r.dynamic() {
		return
	}
	look, done := r.looker()
	defer done()
	began := time.Now() // of the trouble
	trouble := true
	for ctx.Err() == nil {
		waiting, asked := r.awaitedLooks(), time.Now()
		f, err := look(ctx, trouble)
		if ctx.Err() != nil {
			return
		}
		r.learn(f, err, asked)
		r.looked(waiting, err)
		if r.limbo.wishes.count().wished == 0 {
			r.limbo.retire()
		}
		now := r.inTrouble()
		if now && !trouble {
			began = time.Now()
		}
		trouble = now
		if trouble {
			pause(ctx, backoff(time.Since(began)))
			continue
		}
		calm := time.NewTimer(r.opts.RefreshEvery)
		select {
		case <-ctx.Done():
		case <-calm.C:
		case <-r.trouble:
			began, trouble = time.Now(), true
			pause(ctx, firstRetry/5)
		}
		calm.Stop()
	}
}

// ensureLayout looks for the layout once where it is not known and nobody else
// looks: a program that only publishes does not Run.
func (r *Redis) ensureLayout(ctx context.Context) error {
	if !r.dynamic() || r.running.Load() {
		return nil
	}
	r.looking.Lock()
	defer r.looking.Unlock()
	r.routes.RLock()
	known := len(r.layout.servers) > 0
	r.routes.RUnlock()
	switch {
	case known || r.running.Load():
		return nil
	case r.ctx.Err() != nil:
		return ErrClosed
	}
	look, done := r.looker()
	defer done()
	asked := time.Now()
	f, err := look(ctx, true)
	r.learn(f, err, asked)
	return err
}

// looker looks for the layout of a target that has to be discovered, until done.
func (r *Redis) looker() (look func(context.Context, bool) (found, error), done func()) {
	switch {
	case r.opts.look != nil:
		return func(ctx context.Context, _ bool) (found, error) { return r.opts.look(ctx) }, func() {}
	case r.target.Kind == redisurl.Sentinel:
		s := newSentinels(r)
		return s.look, s.close
	}
	c := newCluster(r)
	return c.look, c.close
}

// afterLook calls then when a look at the layout that has not begun yet has been
// made, and applied: a server that was away may come back and not be what it was.
// Where the layout is fixed it calls at once.
func (r *Redis) afterLook(then func()) {
	if !r.dynamic() {
		then()
		return
	}
	r.routes.Lock()
	r.awaited = append(r.awaited, then)
	r.routes.Unlock()
	r.troubled()
}

// awaitedLooks takes those who wait for a look that is about to begin.
func (r *Redis) awaitedLooks() []func() {
	r.routes.Lock()
	defer r.routes.Unlock()
	waiting := r.awaited
	r.awaited = nil
	return waiting
}

// looked calls those who waited for a look, or has them wait for another one.
func (r *Redis) looked(waiting []func(), err error) {
	if err != nil {
		r.routes.Lock()
		r.awaited = append(waiting, r.awaited...)
		r.routes.Unlock()
		return
	}
	for _, then := range waiting {
		then()
	}
}

// learn applies what was found by a look that began at asked, where it is new.
func (r *Redis) learn(f found, err error, asked time.Time) {
	r.routes.Lock()
	if err != nil {
		if len(r.layout.servers) == 0 {
			r.layout.unknown = err
		}
		r.routes.Unlock()
		return
	}
	same := r.layout.same(f)
	if same {
		r.known = asked
	}
	r.routes.Unlock()
	if same {
		return
	}
	r.apply(f)
	r.routes.Lock()
	r.known = asked
	r.routes.Unlock()
	if event := r.opts.Events.Layout; event != nil {
		event(f.addrs)
	}
}

// inTrouble says whether a lane has no connection that is heard on, or channels
// that nobody knows a server for, or that a server does not want.
func (r *Redis) inTrouble() bool {
	r.routes.RLock()
	defer r.routes.RUnlock()
	if len(r.layout.servers) == 0 || len(r.awaited) > 0 || r.limbo.wishes.count().wished > 0 {
		return true
	}
	for _, s := range r.layout.servers {
		for _, l := range s.lanes {
			if l.inTrouble() {
				return true
			}
		}
	}
	return false
}

func (l *lane) inTrouble() bool {
	l.mu.Lock()
	s := l.state.session
	l.mu.Unlock()
	if s == nil || !s.up.Load() || s.doubted() {
		return true
	}
	held := s.waitFor.Load()
	return held > 0 && time.Since(s.born)-time.Duration(held) < time.Second
}
