// Package redisproc runs real redis-servers as child processes: one, a group
// that Sentinels watch, a Cluster, one that speaks TLS. All of them are on free
// ports of loopback, keep nothing unless they are told to, and die with the
// program that started them. What can happen to Redis can be done to them:
//
//	s, err := redisproc.Start("--appendonly", "yes")
//	defer s.Close()
//	s.Kill(); s.Restart()      // kill -9; the same address and directory
//	s.Pause(); s.Resume()      // SIGSTOP, SIGCONT: sockets open, nothing answers
//
//	g, err := redisproc.StartSentinel()
//	g.Failover()               // by command; or kill what g.Master() names
//
//	c, err := redisproc.StartCluster()
//	c.Migrate(slot, to)        // live, as redis-cli's reshard does it
//
// Start reading at server.go. Tests have the wrapper redistest, whose methods
// fail the test; programs use this package as it is. The faults that lie
// between a Redis and its client are faultproxy's.
//
// # What it never does
//
// It never listens on anything but loopback and never signals a process that it
// did not start. A missing redis-server is an error.
package redisproc
