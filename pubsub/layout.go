package pubsub

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/pubsub/redisurl"
)

// layout says which servers there are and what each of them carries.
type layout struct {
	servers []*server
	shards  bool            // the servers know nothing of each other, shardOf says what each carries
	slots   *[slots]*server // of a Cluster; nil: there is none, or it is not known
	unknown error           // why there are no servers
}

// server is the one that carries channel; nil: it is not known.
func (y *layout) server(prefix, channel string) *server {
	switch {
	case len(y.servers) == 0:
		return nil
	case y.slots != nil:
		return y.slots[keySlot(prefix+channel)]
	case y.shards:
		return y.servers[shardOf(channel, len(y.servers))]
	}
	return y.servers[0]
}

// keeper is the server that has a key; nil: it is not known. Of shards it is the
// first: what is not a channel is not spread.
func (y *layout) keeper(key string) *server {
	switch {
	case len(y.servers) == 0:
		return nil
	case y.slots != nil:
		return y.slots[keySlot(key)]
	}
	return y.servers[0]
}

// newLife is a name that no other broker has.
func newLife() string { return rand.Text()[:12] }

// fixed is the layout of a target that does not change, and an empty one for one
// that has to be discovered.
func (r *Redis) fixed() layout {
	if r.dynamic() {
		return layout{unknown: errors.New("not asked yet")}
	}
	y := layout{shards: r.target.Kind == redisurl.Shards}
	for _, o := range r.target.servers {
		s := r.newServer(o)
		y.servers = append(y.servers, s)
		r.giveProbes(s, func(uint16) bool { return true })
	}
	return y
}

// dynamic says whether the layout has to be discovered, and may change.
func (r *Redis) dynamic() bool {
	return r.target.Kind == redisurl.Sentinel || r.target.Kind == redisurl.Cluster
}

// giveProbes gives each lane of s a channel for probes among the slots that s
// owns.
func (r *Redis) giveProbes(s *server, owns func(slot uint16) bool) {
	if r.opts.ProbeEvery < 0 {
		return
	}
	for i, l := range s.lanes {
		if name := l.probeName(); name == "" || !owns(keySlot(r.opts.Prefix+name)) {
			l.setProbe(l.probeChannel(fmt.Sprintf("%s.%s.%d", r.life, s.addr, i), owns))
		}
	}
}

// unknown says why it is not known which server carries channel.
func (r *Redis) unknown(channel string) error {
	r.routes.RLock()
	defer r.routes.RUnlock()
	return r.whyUnknown(channel)
}

// whyUnknown is unknown; r.routes is held.
func (r *Redis) whyUnknown(channel string) error {
	if len(r.layout.servers) == 0 && r.layout.unknown != nil {
		return fmt.Errorf("it is not known which Redis is the master: %w", r.layout.unknown)
	}
	return fmt.Errorf("no master of the Cluster has slot %d", keySlot(r.opts.Prefix+channel))
}

// found is what was discovered: addresses, and which of them owns what. It
// becomes a layout by apply.
type found struct {
	addrs []string       // of masters
	slots *[slots]string // address by slot, "" for none; nil: there is one server and it has everything
}

// apply makes what was found the layout: servers that are new are started,
// channels go to the lanes that carry them now, servers that are gone end.
func (r *Redis) apply(f found) {
	r.routes.Lock()
	if r.ctx.Err() != nil { // nobody would close what is new
		r.routes.Unlock()
		return
	}
	old := r.layout.servers
	next := layout{}
	byAddr := map[string]*server{}
	var fresh []*server
	for _, addr := range f.addrs {
		i := slices.IndexFunc(old, func(s *server) bool { return s.addr == addr })
		var s *server
		if i >= 0 {
			s = old[i]
		} else {
			s = r.newServer(r.target.at(addr))
			fresh = append(fresh, s)
		}
		byAddr[addr] = s
		next.servers = append(next.servers, s)
	}
	if f.slots != nil {
		next.slots = new([slots]*server)
		for slot, addr := range f.slots {
			next.slots[slot] = byAddr[addr]
		}
	}
	for _, s := range next.servers {
		r.giveProbes(s, func(slot uint16) bool { return next.slots == nil || next.slots[slot] == s })
	}
	for _, s := range fresh {
		if r.stage != nil {
			s.start(r.stage.ctx, r.stage.sink)
		}
	}
	r.layout = next
	r.moving = []*lane{r.limbo}
	for _, s := range old {
		r.moving = append(r.moving, s.lanes...)
		if !slices.Contains(next.servers, s) {
			r.leaving = append(r.leaving, s)
		}
	}
	lanes, leaving := r.moving, slices.Clone(r.leaving)
	r.routes.Unlock()

	for _, l := range lanes {
		r.moveFrom(l)
	}
	r.routes.Lock()
	r.moving = nil
	r.routes.Unlock()
	for _, s := range leaving {
		r.drop(s)
	}
}

// moveFrom takes the channels that are not l's any more to the lanes that carry
// them. Others get their turn in between. No other lane asks for a channel before l's
// receiver has heard that it is l's no more: so nothing that it took of l was published after
// the other server was asked, and will come from there, too.
func (r *Redis) moveFrom(l *lane) {
	strays := l.wishes.names()
	r.routes.RLock()
	strays = slices.DeleteFunc(strays, func(name string) bool { return l.isProbe([]byte(name)) || r.lane(name) == l })
	r.routes.RUnlock()
	if len(strays) == 0 {
		return
	}
	var gap *openGap
	if l != r.limbo {
		gap = l.missed(CauseMoved, len(strays))
		defer gap.release()
	}
	var to []*lane
	for some := range slices.Chunk(strays, turnNames) {
		// Not under the lock: the sink has one of its own, under which it wishes.
		for _, name := range some {
			if l.out != nil {
				l.out.Moved(name)
			}
		}
		r.routes.Lock()
		for _, name := range some {
			// Somebody who wished may have moved it already.
			if lane := r.adopt(name); lane != l && !slices.Contains(to, lane) {
				to = append(to, lane)
			}
		}
		r.routes.Unlock()
	}
	if gap == nil {
		l.shareFences(to)
		return
	}
	for _, lane := range to {
		gap.hold()
		lane.fence(gap.release)
	}
	r.holdUntilAbdication(gap, l.server.addr, strays)
}

// holdUntilAbdication keeps the gap open until the server that had the channels
// knows that it has them no more.
func (r *Redis) holdUntilAbdication(gap *openGap, addr string, channels []string) {
	var moved []uint16
	for _, name := range channels {
		moved = append(moved, keySlot(r.opts.Prefix+name))
	}
	slices.Sort(moved)
	moved = slices.Compact(moved)
	r.routes.RLock()
	defer r.routes.RUnlock()
	if r.stage == nil {
		return
	}
	ctx := r.stage.ctx
	gap.hold()
	r.stage.owned.Go(func() {
		r.awaitAbdication(ctx, addr, moved)
		gap.release()
	})
}

// drop ends a server that carries nothing any more.
func (r *Redis) drop(s *server) {
	s.halt()
	r.routes.Lock()
	for _, l := range s.lanes {
		r.past.count(l)
	}
	r.leaving = slices.DeleteFunc(r.leaving, func(gone *server) bool { return gone == s })
	r.routes.Unlock()
	for _, l := range s.lanes {
		l.retire()
	}
	_ = s.client.Close() // what was under way has failed or will; there is nobody else to tell
}

// same says whether f is the layout that there is. r.routes is held.
func (y *layout) same(f found) bool {
	if len(f.addrs) != len(y.servers) || (f.slots == nil) != (y.slots == nil) {
		return false
	}
	for i, addr := range f.addrs {
		if y.servers[i].addr != addr {
			return false
		}
	}
	if f.slots == nil {
		return true
	}
	for slot, addr := range f.slots {
		if s := y.slots[slot]; s == nil && addr != "" || s != nil && s.addr != addr {
			return false
		}
	}
	return true
}

// String names the servers, for the log.
func (y *layout) String() string {
	var names []string
	for _, s := range y.servers {
		names = append(names, s.addr)
	}
	return strings.Join(names, ", ")
}
