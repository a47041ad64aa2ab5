package pubsub

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// bury has p, who is dead, buried: by this node, if none is at it and this one
// has no other to bury. What stands no longer in the registry is buried.
func (l *Lease) bury(ctx context.Context, p *peer, listed bool) error {
	switch {
	case !listed:
		l.forget(p.Life)
		return nil
	case l.opts.Bury == nil:
		return l.strike(ctx, p.Life)
	case l.due != nil || l.isBurying():
		return nil
	}
	var ours *redis.StatusCmd
	cmds, err := l.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		ours = pipe.SetArgs(ctx, l.key("bury", p.Life), l.Self().Life, redis.SetArgs{Mode: "NX", TTL: l.opts.BuryTimeout})
		return nil
	})
	if err = firstError(cmds, err); err == nil && ours.Err() == nil {
		l.due = &p.Peer
	}
	return err
}

// startBurial begins what the last round has claimed.
func (l *Lease) startBurial(ctx context.Context) {
	if l.due == nil {
		return
	}
	dead := *l.due
	l.due = nil
	l.setBurying(true)
	l.burial.Go(func() {
		defer l.setBurying(false)
		l.burialOf(ctx, dead)
	})
}

func (l *Lease) burialOf(ctx context.Context, dead Peer) {
	limited, cancel := context.WithTimeout(ctx, l.opts.BuryTimeout*9/10) // before another node may claim it
	defer cancel()
	err := l.opts.Bury(limited, dead)
	// What is done must not be done again because this node ends.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.Timeout)
	defer cancel()
	switch {
	case err == nil:
		err = l.strike(after, dead.Life)
	case ctx.Err() != nil:
		err = errors.Join(err, l.release(after, dead.Life)) // for another node, at once
	}
	l.mu.Lock()
	if err == nil {
		l.stats.Burials++
	} else {
		l.stats.BuryFailed++
	}
	l.mu.Unlock()
	if f := l.opts.BuryFailed; err != nil && f != nil {
		f(dead, err)
	}
}

// release gives up the claim to bury life. Otherwise it stays until it
// expires, and spaces the attempts.
func (l *Lease) release(ctx context.Context, life string) error {
	cmds, err := l.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, l.key("bury", life))
		return nil
	})
	return firstError(cmds, err)
}

func (l *Lease) isBurying() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.burying
}

func (l *Lease) setBurying(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.burying = on
}
