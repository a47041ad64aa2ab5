package pubsub

import "fmt"

// Sentinels may name a server that is a replica: one asks too early or too late, or they do
// not agree. A replica that comes to follow the master gets from it what was published for as
// long as that took, and then delivers it: what a lane has heard of the master itself would come
// again, and what it has not, late. A server that says that it is a master has no such
// things to say any more; if it becomes a replica after that, Sentinel has it end the connections
// of all subscribers in the same step. So the question is asked on the very connection that is
// to subscribe, before it does: see step 3 of Redis' guidelines for clients with support for
// Sentinel.

// serves says why the server is not to be subscribed on, by the role that it says it has.
func (s *session) serves(role string) error {
	if role != "slave" {
		return nil
	}
	s.l.r.troubled()
	return fmt.Errorf("pubsub: Redis at %s is a replica, though the sentinels name it as the master %s; it is asked again until it is one, or they name another", s.addr(), s.l.r.target.Master)
}
