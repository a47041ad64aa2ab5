package redisproc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Slots is the number of hash slots of a Cluster.
const Slots = 16384

// Cluster is three masters with a replica each. Its methods are for one
// goroutine; those of the servers in it for any.
type Cluster struct {
	Servers []*Server // 0, 1, 2 began as masters; 3, 4, 5 as their replicas
	URL     string    // redis+cluster://host:port?addr=…&addr=…
}

// StartCluster starts a Cluster that takes a master for dead after a second: see Bear.
// args are for all its servers. Close must be called.
func StartCluster(args ...string) (*Cluster, error) {
	c := &Cluster{}
	if err := c.start(args); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a Cluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(args []string) error {
	args = append([]string{"--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0", "--repl-ping-replica-period", "1"}, args...)
	for range 6 {
		s, err := start(clusterNode, args...)
		if err != nil {
			return err
		}
		c.Servers = append(c.Servers, s)
	}
	query := url.Values{}
	for _, s := range c.Servers[1:] {
		query.Add("addr", s.Addr)
	}
	c.URL = "redis+cluster://" + c.Servers[0].Addr + "?" + query.Encode()
	for i, s := range c.Servers {
		if _, err := s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1); err != nil {
			return err
		}
		if i < 3 {
			if _, err := s.Do("CLUSTER", "ADDSLOTSRANGE", i*Slots/3, (i+1)*Slots/3-1); err != nil {
				return err
			}
		}
		for _, other := range c.Servers[:i] { // each with each: gossip alone takes seconds
			host, port, _ := net.SplitHostPort(other.Addr) // made by choosePorts
			if _, err := s.Do("CLUSTER", "MEET", host, port, other.bus); err != nil {
				return err
			}
		}
	}
	for i, s := range c.Servers[3:] {
		id, err := c.id(c.Servers[i])
		if err != nil {
			return err
		}
		err = eventually("CLUSTER REPLICATE", func() error { // refused until it has met its master
			_, err := s.Do("CLUSTER", "REPLICATE", id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return c.AwaitOK()
}

// Close ends all of it.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

func (c *Cluster) id(s *Server) (string, error) {
	v, err := s.Do("CLUSTER", "MYID")
	return fmt.Sprint(v), err
}

// member is what one server says of another, or of itself.
type member struct {
	server   *Server
	id       string
	master   bool
	follows  string // the id of its master
	failing  bool   // for sure, or perhaps
	slots    []string
	met      bool // gossip is through with it
	linkedUp bool
}

// view is CLUSTER NODES as a server tells it.
func (c *Cluster) view(s *Server) ([]member, error) {
	v, err := s.Do("CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	var members []member
	for line := range strings.Lines(fmt.Sprint(v)) {
		// id ip:port@bus flags master ping pong epoch link slot…
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("CLUSTER NODES on %s: %q", s.Addr, line)
		}
		addr, _, _ := strings.Cut(f[1], "@")
		flags := strings.Split(f[2], ",")
		m := member{server: byAddr(c.Servers, addr), id: f[0], follows: f[3], linkedUp: f[7] == "connected",
			master:  slices.Contains(flags, "master"),
			failing: slices.Contains(flags, "fail") || slices.Contains(flags, "fail?"),
			met:     !slices.Contains(flags, "handshake") && !slices.Contains(flags, "noaddr"),
		}
		for _, slots := range f[8:] {
			if !strings.HasPrefix(slots, "[") { // [slot->-id] is one on its way
				m.slots = append(m.slots, slots)
			}
		}
		members = append(members, m)
	}
	return members, nil
}

// has says whether the member serves a slot.
func (m member) has(slot int) bool {
	return m.master && slices.ContainsFunc(m.slots, func(r string) bool {
		first, last, ok := strings.Cut(r, "-")
		if !ok {
			last = first
		}
		low, err := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		return err == nil && err2 == nil && low <= slot && slot <= high
	})
}

// anyView is the view of the first server that answers.
func (c *Cluster) anyView() (members []member, err error) {
	err = errors.New("no server of the Cluster runs")
	for _, s := range c.Servers {
		if !s.Running() {
			continue
		}
		if members, err = c.view(s); err == nil {
			return members, nil
		}
	}
	return nil, err
}

// Slot is the hash slot of a key or channel.
func (c *Cluster) Slot(name string) (int, error) {
	err := errors.New("no server of the Cluster runs")
	for _, s := range c.Servers {
		if !s.Running() {
			continue
		}
		var v any
		if v, err = s.Do("CLUSTER", "KEYSLOT", name); err == nil {
			return strconv.Atoi(fmt.Sprint(v))
		}
	}
	return 0, err
}

// Owner is the server of a slot, as the Cluster sees it now.
func (c *Cluster) Owner(slot int) (*Server, error) {
	members, err := c.anyView()
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.has(slot) && m.server != nil {
			return m.server, nil
		}
	}
	return nil, fmt.Errorf("nobody serves slot %d", slot)
}

// Masters are the servers that have slots, in the order of Servers.
func (c *Cluster) Masters() ([]*Server, error) {
	members, err := c.anyView()
	if err != nil {
		return nil, err
	}
	var masters []*Server
	for _, s := range c.Servers {
		if slices.ContainsFunc(members, func(m member) bool { return m.server == s && m.master && len(m.slots) > 0 }) {
			masters = append(masters, s)
		}
	}
	return masters, nil
}

// Replica is a running replica of a master.
func (c *Cluster) Replica(master *Server) (*Server, error) {
	members, err := c.anyView()
	if err != nil {
		return nil, err
	}
	id := ""
	for _, m := range members {
		if m.server == master {
			id = m.id
		}
	}
	for _, m := range members {
		if m.follows == id && m.server != nil && m.server.Running() {
			return m.server, nil
		}
	}
	return nil, fmt.Errorf("%s has no replica that runs", master.Addr)
}

// Failover lets the replica of a master take over with CLUSTER FAILOVER, while
// the master is well, and returns it once all agree.
func (c *Cluster) Failover(master *Server) (*Server, error) {
	replica, err := c.Replica(master)
	if err != nil {
		return nil, err
	}
	// On a busy machine it may give up, which it does after five seconds, and has to be
	// told again.
	const givesUp = 6 * time.Second
	var told time.Time
	if err := eventually("CLUSTER FAILOVER", func() error {
		err := isMaster(replica)
		if err != nil && time.Since(told) > givesUp {
			told = time.Now()
			_, refused := replica.Do("CLUSTER", "FAILOVER")
			err = errors.Join(err, refused)
		}
		return err
	}); err != nil {
		return nil, err
	}
	return replica, c.AwaitMaster(replica)
}

// Bear has the Cluster take servers for dead that have been silent for so long, in
// place of a second. A machine that stands still for a moment has a replica take over
// otherwise, which may lose what its master has just said yes to: a test in which no
// server fails bears Patience.
func (c *Cluster) Bear(silence time.Duration) error {
	for _, s := range c.Servers {
		if !s.Running() {
			continue
		}
		if _, err := s.Do("CONFIG", "SET", "cluster-node-timeout", silence.Milliseconds()); err != nil {
			return err
		}
	}
	return nil
}

// AwaitMaster waits until all running servers take s for a master with slots,
// and the state of the Cluster is ok: what to do after its old master has been
// killed.
func (c *Cluster) AwaitMaster(s *Server) error {
	return eventually(s.Addr+" is a master", func() error {
		return c.each(func(from *Server, members []member) error {
			if !slices.ContainsFunc(members, func(m member) bool { return m.server == s && m.master && len(m.slots) > 0 }) {
				return fmt.Errorf("%s does not take %s for a master", from.Addr, s.Addr)
			}
			return stateOK(from)
		})
	})
}

// each calls check with the view of every running server.
func (c *Cluster) each(check func(*Server, []member) error) error {
	for _, s := range c.Servers {
		if !s.Running() {
			continue
		}
		members, err := c.view(s)
		if err != nil {
			return err
		}
		if err := check(s, members); err != nil {
			return err
		}
	}
	return nil
}

func stateOK(s *Server) error {
	c := s.Client()
	defer done(c)
	info, err := c.ClusterInfo(context.Background()).Result()
	if err == nil && !strings.Contains(info, "cluster_state:ok\r\n") {
		err = fmt.Errorf("the cluster's state is not ok for %s", s.Addr)
	}
	return err
}

// AwaitOK waits until all running servers agree on who serves what, see each
// other well, and every running replica is up to date.
func (c *Cluster) AwaitOK() error {
	return eventually("the Cluster is complete", func() error {
		agreed, first := "", ""
		return c.each(func(from *Server, members []member) error {
			if err := stateOK(from); err != nil {
				return err
			}
			var says []string
			for _, m := range members {
				switch {
				case m.server == nil || !m.met:
					return fmt.Errorf("%s knows a stranger, %s", from.Addr, m.id)
				case m.server.Running() && (m.failing || !m.linkedUp):
					return fmt.Errorf("%s does not see %s", from.Addr, m.server.Addr)
				}
				says = append(says, fmt.Sprint(m.server.Addr, " ", m.master, " ", m.slots))
				if m.server == from && !m.master {
					if err := replicates(from, c.byID(members, m.follows)); err != nil {
						return err
					}
				}
			}
			if len(members) != len(c.Servers) {
				return fmt.Errorf("%s knows %d servers of %d", from.Addr, len(members), len(c.Servers))
			}
			slices.Sort(says)
			if view := strings.Join(says, "\n"); agreed == "" {
				agreed, first = view, from.Addr
			} else if view != agreed {
				return fmt.Errorf("%s says\n%s\nand %s\n%s", first, agreed, from.Addr, view)
			}
			return nil
		})
	})
}

// byID is the server with an id; one that nobody has got is no server.
func (c *Cluster) byID(members []member, id string) *Server {
	for _, m := range members {
		if m.id == id {
			return m.server
		}
	}
	return &Server{Addr: "nobody"}
}
