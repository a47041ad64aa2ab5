package redistest

import (
	"testing"

	"sluice/pubsub/redisproc"
)

// Server is one redis-server process.
type Server struct {
	*redisproc.Server
	t testing.TB
}

// Start starts a redis-server with args added to its command line, waits until
// it answers PING (or wants a password), and kills it when the test ends.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return own(t)(redisproc.Start(args...))
}

// Reserve is Start without starting: the address is chosen, nothing listens.
// Restart starts it.
func Reserve(t testing.TB, args ...string) *Server {
	t.Helper()
	return own(t)(redisproc.Reserve(args...))
}

// StartTLS is Start for a server that speaks nothing but TLS.
func StartTLS(t testing.TB, args ...string) *Server {
	t.Helper()
	return own(t)(redisproc.StartTLS(args...))
}

// own ends a server with the test.
func own(t testing.TB) func(*redisproc.Server, error) *Server {
	return func(s *redisproc.Server, err error) *Server {
		t.Helper()
		check(t, err)
		t.Cleanup(func() { check(t, s.Close()) })
		return &Server{s, t}
	}
}

// check fails the test.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
}

// Restart starts the server, killing it first if it runs. The address stays the
// same.
func (s *Server) Restart() {
	s.t.Helper()
	check(s.t, s.Server.Restart())
}

// Pause stops the server with SIGSTOP: its sockets stay open and nothing
// answers.
func (s *Server) Pause() {
	s.t.Helper()
	check(s.t, s.Server.Pause())
}

// Resume ends a Pause with SIGCONT.
func (s *Server) Resume() {
	s.t.Helper()
	check(s.t, s.Server.Resume())
}

// Do runs one command as redis-cli would, on a connection of its own, and
// returns the answer. An error answer fails the test.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	v, err := s.Server.Do(args...)
	check(s.t, err)
	return v
}

// AddUser makes an ACL user and returns the URL that logs in as this user.
func (s *Server) AddUser(name, password string, rules ...string) string {
	s.t.Helper()
	url, err := s.Server.AddUser(name, password, rules...)
	check(s.t, err)
	return url
}
