package pubsub

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	recordPage = 500     // connections of a record that are dealt with at a time
	buriedTTL  = endKept // for how long a buried life's record shows that it is
	reasonDied = "1006 the node has died"
)

// burial completes the entries of one life of a node in one stream.
type burial struct {
	inbox *Inbox
	dead  Peer
	wrote int
}

// bury writes the disconnect entries that a life of a node owes to the stream, and
// sees to it that it writes no more. It may be repeated.
func (b *Inbox) bury(ctx context.Context, dead Peer) (wrote int, err error) {
	u := burial{b, dead, 0}
	if err = u.run(ctx); err != nil {
		err = fmt.Errorf("pubsub: completing the entries of node %s, life %s, in %s: %w", dead.ID, dead.Life, b.opts.Stream, err)
	}
	return u.wrote, err
}

func (u *burial) run(ctx context.Context) error {
	key := recordKey(u.inbox.opts.Stream, u.dead.Life)
	to := keyed{u.inbox.keys, u.inbox.opts.Stream}
	cmds, err := to.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, key, numbering, lastWord)
		return nil
	})
	if err = firstError(cmds, err); err != nil {
		return err
	}
	if err := eachField(ctx, to, key, func(page []string) error { return u.entries(ctx, to, page) }); err != nil {
		return err
	}
	cmds, err = to.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Expire(ctx, key, buriedTTL)
		return nil
	})
	return firstError(cmds, err)
}

// eachField gives f the fields of a hash and their values, in pages.
func eachField(ctx context.Context, to keyed, key string, f func(page []string) error) error {
	for cursor := uint64(0); ; {
		var got *redis.ScanCmd
		cmds, err := to.Pipelined(ctx, func(p redis.Pipeliner) error {
			got = p.HScan(ctx, key, cursor, "", recordPage)
			return nil
		})
		if err = firstError(cmds, err); err != nil {
			return err
		}
		fields, next := got.Val()
		for len(fields) > 0 { // a small hash comes whole
			n := min(len(fields), 2*recordPage)
			if err := f(fields[:n]); err != nil {
				return err
			}
			fields = fields[n:]
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// entries writes those of one page of the record.
func (u *burial) entries(ctx context.Context, to keyed, page []string) error {
	keys := []string{u.inbox.opts.Stream, recordKey(u.inbox.opts.Stream, u.dead.Life)}
	var calls []*redis.Cmd
	cmds, err := to.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := 0; i+1 < len(page); i += 2 {
			if page[i] == numbering || page[i+1] == "" {
				continue
			}
			e := u.entry(page[i], readOpened(page[i+1]))
			call := u.inbox.scriptCall(ctx, len(calls) == 0, keys, "bury", 0, &e, "")
			_ = p.Process(ctx, call) // the array keeps it; the result is looked up below
			calls = append(calls, call)
		}
		return nil
	})
	for _, call := range calls {
		if did, _, err := readRecorded(call); err == nil && did == 1 {
			u.wrote++
		}
	}
	return firstError(cmds, err)
}

func (u *burial) entry(conn string, o opened) Entry {
	return Entry{
		Type: entryDisconnect, ID: conn + ".died." + u.dead.Life, Conn: conn, User: o.User, Channel: o.Channel,
		Data: []byte(reasonDied), Reply: u.dead.Reply, Node: u.dead.ID, Time: time.Now(),
	}
}
