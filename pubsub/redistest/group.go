package redistest

import (
	"testing"
	"time"

	"sluice/pubsub/redisproc"
)

// Sentinel is a master with two replicas, watched by three Sentinels.
type Sentinel struct {
	*redisproc.Sentinel
	t testing.TB
}

// StartSentinel starts such a group and ends it with the test. args are for the
// data servers.
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	g, err := redisproc.StartSentinel(args...)
	check(t, err)
	t.Cleanup(func() { check(t, g.Close()) })
	return &Sentinel{g, t}
}

// Master is whom the Sentinels name.
func (g *Sentinel) Master() *Server {
	g.t.Helper()
	return g.server(g.Sentinel.Master())
}

// Failover makes another server the master by command, and returns it.
func (g *Sentinel) Failover() *Server {
	g.t.Helper()
	return g.server(g.Sentinel.Failover())
}

// AwaitMaster waits until there is another master than old, which was killed.
func (g *Sentinel) AwaitMaster(old *Server) *Server {
	g.t.Helper()
	return g.server(g.Sentinel.AwaitMaster(old.Server))
}

// Bear has servers taken for dead that have been silent for so long, in place of a
// second.
func (g *Sentinel) Bear(silence time.Duration) {
	g.t.Helper()
	check(g.t, g.Sentinel.Bear(silence))
}

// AwaitOK waits until the group could fail over.
func (g *Sentinel) AwaitOK() {
	g.t.Helper()
	check(g.t, g.Sentinel.AwaitOK())
}

func (g *Sentinel) server(s *redisproc.Server, err error) *Server {
	g.t.Helper()
	check(g.t, err)
	return &Server{s, g.t}
}

// Cluster is three masters with a replica each.
type Cluster struct {
	*redisproc.Cluster
	t testing.TB
}

// StartCluster starts a Cluster and ends it with the test. args are for all its
// servers.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c, err := redisproc.StartCluster(args...)
	check(t, err)
	t.Cleanup(func() { check(t, c.Close()) })
	return &Cluster{c, t}
}

// Slot is the hash slot of a key or channel, prefix included.
func (c *Cluster) Slot(name string) int {
	c.t.Helper()
	slot, err := c.Cluster.Slot(name)
	check(c.t, err)
	return slot
}

// Owner is the server of a slot.
func (c *Cluster) Owner(slot int) *Server {
	c.t.Helper()
	return c.server(c.Cluster.Owner(slot))
}

// Masters are the servers that have slots.
func (c *Cluster) Masters() []*Server {
	c.t.Helper()
	masters, err := c.Cluster.Masters()
	check(c.t, err)
	var servers []*Server
	for _, m := range masters {
		servers = append(servers, &Server{m, c.t})
	}
	return servers
}

// Replica is a running replica of a master.
func (c *Cluster) Replica(master *Server) *Server {
	c.t.Helper()
	return c.server(c.Cluster.Replica(master.Server))
}

// Failover lets the replica of a master take over by command, and returns it.
func (c *Cluster) Failover(master *Server) *Server {
	c.t.Helper()
	return c.server(c.Cluster.Failover(master.Server))
}

// AwaitMaster waits until all take s for a master, whose own one was killed.
func (c *Cluster) AwaitMaster(s *Server) {
	c.t.Helper()
	check(c.t, c.Cluster.AwaitMaster(s.Server))
}

// Bear has servers taken for dead that have been silent for so long, in place of a
// second.
func (c *Cluster) Bear(silence time.Duration) {
	c.t.Helper()
	check(c.t, c.Cluster.Bear(silence))
}

// AwaitOK waits until all servers agree and are well.
func (c *Cluster) AwaitOK() {
	c.t.Helper()
	check(c.t, c.Cluster.AwaitOK())
}

// Migrate moves a slot to another master while clients go on.
func (c *Cluster) Migrate(slot int, to *Server) {
	c.t.Helper()
	check(c.t, c.Cluster.Migrate(slot, to.Server))
}

func (c *Cluster) server(s *redisproc.Server, err error) *Server {
	c.t.Helper()
	check(c.t, err)
	return &Server{s, c.t}
}
