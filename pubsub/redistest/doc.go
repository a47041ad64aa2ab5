// Package redistest starts real Redis servers for a test and ends them with it.
// It is redisproc with methods that fail the test; it is imported by tests only.
//
//	s := redistest.Start(t, "--maxmemory", "1mb")
//	broker, err := pubsub.Open(pubsub.Options{URL: s.URL})
//	s.Kill(); s.Restart()      // the same address, an empty server
//	s.Pause(); s.Resume()      // SIGSTOP, SIGCONT
//
//	c := redistest.StartCluster(t)
//	c.Migrate(c.Slot("sluice:news"), c.Masters()[0])
//
// A missing redis-server fails the test: it is a dependency, not an option.
// server.go is one server, group.go are the Sentinel group and the Cluster.
package redistest
