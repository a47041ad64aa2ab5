package pubsub

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// index puts channels into the life's index, before anything of them is written.
func (w presenceWriter) index(ctx context.Context, jobs []job) error {
	channels := map[string][]any{} // by life
	for _, j := range jobs {
		if j.index {
			channels[j.life] = append(channels[j.life], j.channel)
		}
	}
	if len(channels) == 0 {
		return nil
	}
	cmds, err := w.far.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for life, names := range channels {
			pipe.SAdd(ctx, w.indexKey(life), names...)
			pipe.Expire(ctx, w.indexKey(life), 2*w.opts.TTL)
		}
		return nil
	})
	return firstError(cmds, err)
}

// unindex takes rooms out of the index, and forgets those that are still empty then.
func (w presenceWriter) unindex(ctx context.Context, rooms []*room) {
	w.mu.Lock()
	channels := map[string][]any{} // by life
	for _, r := range rooms {
		if r.listed {
			r.indexed, r.listed = false, false
			channels[r.life] = append(channels[r.life], r.channel)
		}
	}
	w.mu.Unlock()
	var err error
	if len(channels) > 0 {
		var cmds []redis.Cmder
		cmds, err = w.far.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for life, names := range channels {
				pipe.SRem(ctx, w.indexKey(life), names...)
			}
			return nil
		})
		err = firstError(cmds, err)
	}
	if err != nil {
		w.trouble(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rooms {
		switch {
		case r.queued || !r.empty(): // somebody has come meanwhile
		case err != nil:
			r.listed, r.queued = true, true
			w.failed = append(w.failed, r)
		default:
			w.forget(r)
		}
	}
}

// checkIndex looks, after a resync, for channels in the index that are none of this
// node's: Redis has gone back to what it was when they were.
func (w presenceWriter) checkIndex(ctx context.Context) error {
	w.mu.Lock()
	due, life := w.recheck, w.life
	w.recheck = false
	w.mu.Unlock()
	if !due {
		return nil
	}
	err := w.eachIndexed(ctx, life, func(channels []string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, channel := range channels {
			if w.rooms[channel] == nil {
				r := w.room(channel)
				r.sweepOwn()
				r.listed = true
				w.enqueue(r)
			}
		}
		return nil
	})
	if err != nil {
		w.mu.Lock()
		w.recheck = true
		w.mu.Unlock()
	}
	return err
}

func (p *Presence) indexKey(life string) string { return registry(p.opts.Prefix) + ".who." + life }

// eachIndexed calls f with the channels in a life's index, some at a time; one may come
// more than once.
func (p *Presence) eachIndexed(ctx context.Context, life string, f func([]string) error) error {
	for cursor := uint64(0); ; {
		var scan *redis.ScanCmd
		cmds, err := p.far.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			scan = pipe.SScan(ctx, p.indexKey(life), cursor, "", 500)
			return nil
		})
		if err = firstError(cmds, err); err != nil {
			return err
		}
		channels, next := scan.Val()
		if err := f(channels); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
