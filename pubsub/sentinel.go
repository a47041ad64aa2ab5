package pubsub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// sentinels finds out which server is the master of a Sentinel group. It belongs
// to whoever looks.
type sentinels struct {
	r       *Redis
	clients []*redis.Client
	addrs   []string
	addr    string // the master's
	epoch   uint64 // configuration epoch: of two claims the one with the greater epoch holds
	denied  time.Time
}

func newSentinels(r *Redis) *sentinels {
	s := &sentinels{r: r, addrs: r.target.Addrs}
	for _, addr := range s.addrs {
		o := r.target.sentinelAt(addr)
		o.PoolSize, o.DialTimeout = 1, askTimeout
		s.clients = append(s.clients, redis.NewClient(o))
	}
	return s
}

// close closes the connections.
func (s *sentinels) close() {
	for _, client := range s.clients {
		_ = client.Close() // nothing is under way
	}
}

// look asks all sentinels and believes the one with the newest configuration: one
// that was cut off from the others may still name a master that was deposed.
func (s *sentinels) look(ctx context.Context, _ bool) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers := make(chan claim)
	for i, client := range s.clients {
		go func() { // waited for below
			addr, epoch, err := s.ask(ctx, client)
			if err != nil {
				err = fmt.Errorf("the sentinel at %s: %w", s.addrs[i], err)
			}
			answers <- claim{addr, epoch, err}
		}()
	}
	var best claim
	var faults []error
	for range s.clients {
		a := <-answers
		faults = append(faults, a.err)
		if a.better(best, s.addr) {
			best = a
		}
	}
	if best.addr == "" {
		return found{}, errors.Join(faults...)
	}
	s.believe(best.addr, best.epoch)
	return found{addrs: []string{s.addr}}, nil
}

// claim is what a sentinel says: who the master is.
type claim struct {
	addr  string
	epoch uint64
	err   error // it says nothing
}

// better says whether a claim is to be taken rather than another one, which may be
// none. Where sentinels name the same server differently it is the name that is
// believed already, or the layout would change again and again.
func (c claim) better(than claim, believed string) bool {
	switch {
	case c.err != nil:
		return false
	case than.addr == "" || c.epoch > than.epoch:
		return true
	}
	return c.epoch == than.epoch && c.addr == believed
}

// believe takes a claim that is not older than the one that holds; or an older one
// that has been all that is heard for long: the group was made anew.
func (s *sentinels) believe(addr string, epoch uint64) {
	switch {
	case epoch >= s.epoch, !s.denied.IsZero() && time.Since(s.denied) > patienceWithEpochs:
		s.addr, s.epoch, s.denied = addr, epoch, time.Time{}
	case s.denied.IsZero():
		s.denied = time.Now()
	}
}

// ask asks one sentinel who the master is. One that has a replica promoted names it
// to clients at once, with the new epoch; but SENTINEL MASTER has the old address
// with that same epoch until the other replicas follow. So both are asked, in one
// go: the address of the first is what goes with the epoch of the second.
func (s *sentinels) ask(ctx context.Context, client *redis.Client) (addr string, epoch uint64, err error) {
	pipe := client.Pipeline()
	named := redis.NewStringSliceCmd(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.r.target.Master)
	fields := redis.NewMapStringStringCmd(ctx, "SENTINEL", "MASTER", s.r.target.Master)
	_ = pipe.Process(ctx, named) // it is only put in the pipeline
	_ = pipe.Process(ctx, fields)
	_, _ = pipe.Exec(ctx) // the errors are the commands'
	if err := fields.Err(); err != nil {
		return "", 0, err
	}
	if err := named.Err(); err != nil {
		return "", 0, err
	}
	epoch, err = strconv.ParseUint(fields.Val()["config-epoch"], 10, 64)
	if err != nil || len(named.Val()) != 2 {
		return "", 0, fmt.Errorf("it does not say where the master %s is", s.r.target.Master)
	}
	return net.JoinHostPort(named.Val()[0], named.Val()[1]), epoch, nil
}
