package pubsub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// Backoff between attempts to connect: the first after a connection that
// lived is quick, the others double from 0.1 s to 5 s, each with jitter so
// that the nodes of a fleet do not come back in step.
const (
	quickRetry  = 50 * time.Millisecond
	firstRetry  = 100 * time.Millisecond
	longestWait = 5 * time.Second
	livedLong   = 5 * time.Second // a connection that lived so long was a success
)

var errRunning = errors.New("pubsub: Run is called while it runs")

// connState is what Ready and Stats know of the connection.
type connState struct {
	session *session // nil: none
	since   time.Time
	lastErr error
	lastAt  time.Time
}

// Run is Broker.Run.
func (r *Redis) Run(ctx context.Context, sink Sink) error {
	if !r.running.CompareAndSwap(false, true) {
		return errRunning
	}
	defer r.running.Store(false)
	outer := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(r.life, stop)()
	r.connectForEver(ctx, sink)
	if err := outer.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// connectForEver returns when ctx ends.
func (r *Redis) connectForEver(ctx context.Context, sink Sink) {
	for failures := 0; ctx.Err() == nil; {
		began := time.Now()
		up, err := r.connect(ctx, sink)
		if ctx.Err() != nil {
			return
		}
		if up {
			r.stats.losses.Add(1)
			sink.Interrupted(err)
		} else {
			r.stats.fails.Add(1)
		}
		if up && time.Since(began) > livedLong {
			failures = 0
		}
		wait := backoff(failures)
		failures++
		if f := r.opts.Events.Lost; f != nil {
			f(err, wait)
		}
		pause(ctx, wait)
	}
}

func backoff(failures int) time.Duration {
	base := quickRetry
	if failures > 0 {
		base = min(firstRetry<<min(failures-1, 10), longestWait)
	}
	return base/2 + rand.N(base/2)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// connect dials and serves one connection. The error is never nil.
func (r *Redis) connect(ctx context.Context, sink Sink) (up bool, err error) {
	conn, err := r.dial(ctx)
	if err != nil {
		err = fmt.Errorf("pubsub: connecting to Redis at %s: %w", r.addr(), err)
	} else {
		up, err = r.serve(ctx, conn, sink)
	}
	r.mu.Lock()
	r.state.lastErr, r.state.lastAt = err, time.Now()
	r.mu.Unlock()
	return up, err
}

func (r *Redis) addr() string { return r.client.Options().Addr }

func (r *Redis) dial(ctx context.Context) (net.Conn, error) {
	if r.opts.dial != nil {
		return r.opts.dial(ctx)
	}
	o := r.client.Options()
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	d := &net.Dialer{KeepAlive: 30 * time.Second}
	if o.TLSConfig == nil {
		return d.DialContext(ctx, o.Network, o.Addr)
	}
	return (&tls.Dialer{NetDialer: d, Config: o.TLSConfig}).DialContext(ctx, o.Network, o.Addr)
}

func (r *Redis) attach(s *session) {
	r.mu.Lock()
	r.state.session, r.state.since = s, s.born
	r.mu.Unlock()
}

func (r *Redis) detach() {
	r.mu.Lock()
	r.state.session = nil
	r.mu.Unlock()
}
