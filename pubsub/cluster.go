package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// cluster finds out which master of a Redis Cluster owns which slot. It belongs
// to whoever looks.
type cluster struct {
	r       *Redis
	clients map[string]*redis.Client // by address; of all nodes that are known, replicas too
	owners  [slots]owner
	denied  time.Time // since when claims older than ours are all that is heard; zero: they are not
}

// owner is a master's claim to a slot.
type owner struct {
	id    string // of the node; "" none
	addr  string
	epoch uint64 // configuration epoch: of two claims to a slot the one with the greater epoch holds
}

func newCluster(r *Redis) *cluster { return &cluster{r: r, clients: map[string]*redis.Client{}} }

// close closes the connections.
func (c *cluster) close() {
	for _, client := range c.clients {
		_ = client.Close() // nothing is under way
	}
}

// asks is how many nodes are asked at once while something is wrong.
const asks = 3

// look asks nodes for their view of the Cluster and takes the first answer.
func (c *cluster) look(ctx context.Context, trouble bool) (found, error) {
	for _, addr := range c.r.target.Addrs {
		c.know(addr)
	}
	addrs := slices.Collect(maps.Keys(c.clients))
	rand.Shuffle(len(addrs), func(i, k int) { addrs[i], addrs[k] = addrs[k], addrs[i] })
	n := 1
	if trouble || c.owners[0].id == "" {
		n = asks
	}
	addrs = addrs[:min(n, len(addrs))]
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	type answer struct {
		addr, view string
		err        error
	}
	answers := make(chan answer)
	for _, addr := range addrs {
		client := c.clients[addr]
		go func() { // waited for below
			view, err := client.ClusterNodes(ctx).Result()
			answers <- answer{addr, view, err}
		}()
	}
	err := errors.New("no node is known")
	seen := false
	for range addrs {
		a := <-answers
		switch {
		case seen:
		case a.err != nil:
			err = fmt.Errorf("asking %s for the Cluster's nodes: %w", a.addr, a.err)
		default:
			if err = c.take(a.addr, a.view); err == nil {
				seen = true
				cancel()
			}
		}
	}
	if !seen {
		return found{}, err
	}
	return c.found()
}

// askTimeout bounds a question to a node or a sentinel.
const askTimeout = 500 * time.Millisecond

// know makes a client for a node.
func (c *cluster) know(addr string) {
	if c.clients[addr] == nil {
		o := c.r.target.at(addr)
		o.PoolSize, o.DialTimeout = 1, askTimeout
		c.clients[addr] = redis.NewClient(o)
	}
}

// node is a line of CLUSTER NODES.
type node struct {
	owner
	self   bool // it is the one that answered
	master bool
	slots  [][2]int // first and last of ranges
}

// take takes a node's view: claims to slots that are not older than those that
// are known.
func (c *cluster) take(asked, view string) error {
	nodes, err := parseNodes(asked, view)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	older := false
	for _, n := range nodes {
		if n.self {
			c.renounced(&n)
		}
	}
	for _, n := range nodes {
		known[n.addr] = true
		c.know(n.addr)
		if !n.master {
			continue
		}
		for _, r := range n.slots {
			for slot := r[0]; slot <= r[1]; slot++ {
				o := &c.owners[slot]
				if n.epoch >= o.epoch || c.given() {
					*o = n.owner
				} else if n.id != o.id {
					older = true
				}
			}
		}
	}
	switch {
	case !older || c.given():
		c.denied = time.Time{}
	case c.denied.IsZero():
		c.denied = time.Now()
	}
	for addr, client := range c.clients {
		if !known[addr] && !slices.Contains(c.r.target.Addrs, addr) {
			_ = client.Close() // nothing is under way
			delete(c.clients, addr)
		}
	}
	return nil
}

// renounced forgets the claims of a node to slots that it says it does not have:
// of that it knows best. Others may have heard of a claim with a newer epoch, which
// a node gets for whatever slot it takes, before they hear that it has given this
// one away.
func (c *cluster) renounced(self *node) {
	for slot := range c.owners {
		if o := &c.owners[slot]; o.id == self.id && !self.owns([]uint16{uint16(slot)}) {
			o.epoch = 0
		}
	}
}

// given says whether claims that are older than ours have been heard for so long,
// and nothing else, that the Cluster must have been made anew.
func (c *cluster) given() bool {
	return !c.denied.IsZero() && time.Since(c.denied) > patienceWithEpochs
}

const patienceWithEpochs = 15 * time.Second

// found is what is known now.
func (c *cluster) found() (found, error) {
	f := found{slots: new([slots]string)}
	masters := map[string]bool{}
	for slot := range c.owners {
		if addr := c.owners[slot].addr; addr != "" {
			f.slots[slot] = addr
			masters[addr] = true
		}
	}
	if len(masters) == 0 {
		return found{}, errors.New("no node of the Cluster owns a slot yet")
	}
	f.addrs = slices.Sorted(maps.Keys(masters))
	return f, nil
}

// parseNodes reads the answer to CLUSTER NODES:
//
//	<id> <ip:port@cport[,hostname]> <flags> <master> <ping> <pong> <epoch> <state> <slot> <slot> …
//
// asked is the address of the node that answered, which may not know its own.
func parseNodes(asked, view string) (nodes []node, err error) {
	for line := range strings.Lines(view) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		flags := strings.Split(f[2], ",")
		if slices.Contains(flags, "noaddr") || slices.Contains(flags, "handshake") {
			continue
		}
		epoch, err := strconv.ParseUint(f[6], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the Cluster's node %s has no epoch: %q", f[0], f[6])
		}
		n := node{owner: owner{id: f[0], addr: nodeAddr(asked, f[1]), epoch: epoch}, self: slices.Contains(flags, "myself"), master: slices.Contains(flags, "master")}
		for _, text := range f[8:] {
			if strings.HasPrefix(text, "[") {
				continue // on its way from or to this node, and still its old owner's
			}
			first, last, ok := strings.Cut(text, "-")
			if !ok {
				last = first
			}
			from, err1 := strconv.ParseUint(first, 10, 16)
			to, err2 := strconv.ParseUint(last, 10, 16)
			if err := errors.Join(err1, err2); err != nil || to >= slots || from > to {
				return nil, fmt.Errorf("the Cluster's node %s has a strange slot: %q", f[0], text)
			}
			n.slots = append(n.slots, [2]int{int(from), int(to)})
		}
		nodes = append(nodes, n)
	}
	if len(nodes) == 0 {
		return nil, errors.New("the Cluster has no nodes")
	}
	return nodes, nil
}

// nodeAddr reads ip:port@cport[,hostname[,…]]. The name is preferred, for
// certificates. A node that does not know its address is where it was asked.
func nodeAddr(asked, text string) string {
	addr, names, _ := strings.Cut(text, ",")
	addr, _, _ = strings.Cut(addr, "@")
	name, _, _ := strings.Cut(names, ",")
	at := strings.LastIndexByte(addr, ':')
	if at < 0 {
		return addr
	}
	host, port := addr[:at], addr[at+1:]
	switch {
	case name != "" && name != "?":
		host = name
	case host == "":
		if h, _, err := net.SplitHostPort(asked); err == nil {
			host = h
		}
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
