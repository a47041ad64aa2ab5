package redisproc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// MasterName is what the Sentinels of a group call its master.
const MasterName = "mymaster"

// Sentinel is a master with two replicas, watched by three Sentinels. Its
// methods are for one goroutine; those of the servers in it for any.
type Sentinel struct {
	Servers   []*Server // the first began as the master
	Sentinels []*Server
	URL       string // redis+sentinel://host:port?addr=…&addr=…&master_name=mymaster
}

// StartSentinel starts a group that takes a master for dead after a second: see Bear.
// args are for the three data servers. Close must be called.
func StartSentinel(args ...string) (*Sentinel, error) {
	g := &Sentinel{}
	if err := g.start(args); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a Sentinel group: %w", err), g.Close())
	}
	return g, nil
}

func (g *Sentinel) start(args []string) error {
	for range 3 {
		s, err := reserve(standalone, args...)
		if err != nil {
			return err
		}
		g.Servers = append(g.Servers, s)
		var lines []string
		if master := g.Servers[0]; s != master {
			lines = append(lines, "replicaof "+strings.ReplaceAll(master.Addr, ":", " "))
		}
		// Roles are in a file, because Sentinel changes them there.
		if err := s.configure(append(lines, "repl-ping-replica-period 1")...); err != nil {
			return err
		}
		if err := s.Restart(); err != nil {
			return err
		}
	}
	for range 3 {
		s, err := reserve(sentinel)
		if err != nil {
			return err
		}
		g.Sentinels = append(g.Sentinels, s)
		master := strings.ReplaceAll(g.Servers[0].Addr, ":", " ")
		if err := s.configure(
			"sentinel monitor "+MasterName+" "+master+" 2",
			"sentinel down-after-milliseconds "+MasterName+" 900",
			"sentinel failover-timeout "+MasterName+" 2000",
			"sentinel parallel-syncs "+MasterName+" 2",
		); err != nil {
			return err
		}
		if err := s.Restart(); err != nil {
			return err
		}
		// Where it can be told to, it looks more often, and does not retire for half a
		// minute because a busy machine kept it waiting. Before Redis 7 it cannot be told.
		_, _ = s.Do("SENTINEL", "DEBUG", "info-period", "200", "publish-period", "200", "ping-period", "250", "ask-period", "100",
			"tilt-trigger", "10000", "tilt-period", "1000", "election-timeout", "500")
	}
	query := url.Values{"master_name": {MasterName}}
	for _, s := range g.Sentinels[1:] {
		query.Add("addr", s.Addr)
	}
	g.URL = "redis+sentinel://" + g.Sentinels[0].Addr + "?" + query.Encode()
	return g.AwaitOK()
}

// Close ends all of it.
func (g *Sentinel) Close() error {
	var errs []error
	for _, s := range append(g.Sentinels, g.Servers...) {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Master is whom all running Sentinels name. While they disagree it is an error.
func (g *Sentinel) Master() (*Server, error) {
	var found *Server
	for _, s := range g.Sentinels {
		if !s.Running() {
			continue
		}
		addr, err := ask(s, func(ctx context.Context, c *redis.SentinelClient) ([]string, error) {
			return c.GetMasterAddrByName(ctx, MasterName).Result()
		})
		if err != nil {
			return nil, err
		}
		named := byAddr(g.Servers, net.JoinHostPort(addr[0], addr[1]))
		switch {
		case named == nil:
			return nil, fmt.Errorf("the Sentinel on %s names a stranger: %v", s.Addr, addr)
		case found != nil && named != found:
			return nil, fmt.Errorf("the Sentinels name %s and %s", found.Addr, named.Addr)
		}
		found = named
	}
	if found == nil {
		return nil, errors.New("no Sentinel runs")
	}
	return found, nil
}

// Failover makes another server the master with SENTINEL FAILOVER, while the old
// one is well, and returns it once all Sentinels name it.
func (g *Sentinel) Failover() (*Server, error) {
	old, err := g.Master()
	if err != nil {
		return nil, err
	}
	var master *Server
	var told time.Time // when Sentinel last said that it would
	tell := func() error {
		if time.Since(told) < tellAgain {
			return nil
		}
		_, err := ask(g.Sentinels[0], func(ctx context.Context, c *redis.SentinelClient) (string, error) {
			return c.Failover(ctx, MasterName).Result()
		})
		if err == nil {
			told = time.Now()
		}
		return err
	}
	err = eventually("SENTINEL FAILOVER", func() error {
		if master, err = g.Master(); err != nil {
			return err
		}
		if master == old {
			return errors.Join(errors.New("the old master still is"), tell())
		}
		if err := isMaster(master); err != nil {
			return errors.Join(err, tell())
		}
		return nil
	})
	return master, err
}

// tellAgain is how long Sentinel has for a failover. On a busy machine it may give up, or
// name a server that has become a replica again; by itself it mends that only when it has
// borne it for as long as a server may be silent. Told sooner, it might begin another one
// just when the first is over.
const tellAgain = 6 * time.Second

// Bear has the Sentinels take servers for dead that have been silent for so long, in
// place of a second: see Cluster.Bear.
func (g *Sentinel) Bear(silence time.Duration) error {
	for _, s := range g.Sentinels {
		if !s.Running() {
			continue
		}
		if _, err := s.Do("SENTINEL", "SET", MasterName, "down-after-milliseconds", silence.Milliseconds()); err != nil {
			return err
		}
	}
	return nil
}

// AwaitMaster waits until all Sentinels name a master that is not old, and it is
// one: what to do after old has been killed.
func (g *Sentinel) AwaitMaster(old *Server) (master *Server, err error) {
	err = eventually("another master than "+old.Addr, func() error {
		if master, err = g.Master(); err != nil {
			return err
		}
		if master == old {
			return errors.New("it is still the master")
		}
		return isMaster(master)
	})
	return master, err
}

// AwaitOK waits until the Sentinels know of each other, of the running servers,
// and these replicate the master.
func (g *Sentinel) AwaitOK() error {
	return eventually("the Sentinel group is complete", func() error {
		master, err := g.Master()
		if err != nil {
			return err
		}
		if err := isMaster(master); err != nil {
			return err
		}
		replicas := 0
		for _, s := range g.Servers {
			if s == master || !s.Running() {
				continue
			}
			replicas++
			if err := replicates(s, master); err != nil {
				return err
			}
		}
		for _, s := range g.Sentinels {
			if err := g.knows(s, replicas); err != nil {
				return fmt.Errorf("the Sentinel on %s: %w", s.Addr, err)
			}
		}
		return nil
	})
}

// knows checks that a Sentinel could fail over now.
func (g *Sentinel) knows(s *Server, replicas int) error {
	m, err := ask(s, func(ctx context.Context, c *redis.SentinelClient) (map[string]string, error) {
		return c.Master(ctx, MasterName).Result()
	})
	if err != nil {
		return err
	}
	if m["flags"] != "master" || m["num-other-sentinels"] != fmt.Sprint(len(g.Sentinels)-1) {
		return fmt.Errorf("its master is %s, it knows %s others", m["flags"], m["num-other-sentinels"])
	}
	list, err := ask(s, func(ctx context.Context, c *redis.SentinelClient) ([]map[string]string, error) {
		return c.Replicas(ctx, MasterName).Result()
	})
	if err != nil {
		return err
	}
	good := 0
	for _, r := range list {
		if r["flags"] == "slave" && r["master-link-status"] == "ok" {
			good++
		}
	}
	if good != replicas {
		return fmt.Errorf("it knows %d replicas that are well, want %d", good, replicas)
	}
	return nil
}

func ask[T any](s *Server, question func(context.Context, *redis.SentinelClient) (T, error)) (T, error) {
	c := redis.NewSentinelClient(s.Client().Options())
	defer done(c)
	v, err := question(context.Background(), c)
	if err != nil {
		err = fmt.Errorf("asking the Sentinel on %s: %w", s.Addr, err)
	}
	return v, err
}

func byAddr(servers []*Server, addr string) *Server {
	for _, s := range servers {
		if s.Addr == addr {
			return s
		}
	}
	return nil
}

// replication is INFO replication, by field.
func replication(s *Server) (map[string]string, error) {
	v, err := s.Do("INFO", "replication")
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(fmt.Sprint(v)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

func isMaster(s *Server) error {
	info, err := replication(s)
	if err == nil && info["role"] != "master" {
		err = fmt.Errorf("%s is a %s", s.Addr, info["role"])
	}
	return err
}

// replicates checks that s is a replica of master and gets its writes.
func replicates(s, master *Server) error {
	info, err := replication(s)
	if err != nil {
		return err
	}
	if at := net.JoinHostPort(info["master_host"], info["master_port"]); info["role"] != "slave" || at != master.Addr || info["master_link_status"] != "up" {
		return fmt.Errorf("%s is a %s of %s with its link %s, want a replica of %s", s.Addr, info["role"], at, info["master_link_status"], master.Addr)
	}
	// Until the first acknowledgement, which may take a second, the master keeps new writes to itself.
	if info, err = replication(master); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(s.Addr) // made by choosePorts
	for name, value := range info {         // slave0:ip=127.0.0.1,port=7001,state=online,offset=14,lag=0
		if strings.HasPrefix(name, "slave") && strings.Contains(value, ",port="+port+",state=online,") && !strings.Contains(value, ",offset=0,") {
			return nil
		}
	}
	return fmt.Errorf("%s does not send to its replica %s yet", master.Addr, s.Addr)
}
