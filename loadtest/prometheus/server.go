package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sluice/loadtest/internal/child"
	"sluice/pubsub/redisproc"
)

// Patience bounds the wait for its start. It is generous: machines that run tests are busy.
const Patience = 30 * time.Second

// Server is a Prometheus that runs. Its methods may be called from any goroutine.
type Server struct {
	URL string

	process *child.Child
	http    *http.Client
}

// Start starts a Prometheus with a configuration and waits until it answers. Close must be called.
func Start(config string) (*Server, error) {
	var s *Server
	var err error
	for range 3 { // between the choice of a port and its use another process may take it
		if s, err = begin(config); err != nil {
			return nil, err
		}
		if err = s.await(); err == nil {
			return s, nil
		}
		s.Close()
	}
	return nil, fmt.Errorf("prometheus: %w\n%s", err, s.process.Output())
}

func begin(config string) (*Server, error) {
	port, err := redisproc.FreePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	s := &Server{URL: "http://" + address, http: &http.Client{Timeout: Patience}}
	s.process, err = child.Start(exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(filepath.Dir(config), "data"),
		"--web.listen-address="+address, "--log.level=warn"))
	return s, err
}

// await waits until it answers.
func (s *Server) await() error {
	for end := time.Now().Add(Patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		err := s.get(ctx, "/api/v1/status/buildinfo", nil, nil)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Gone:
			return errors.New("it ended at once")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// Close ends it.
func (s *Server) Close() {
	s.http.CloseIdleConnections()
	_ = s.process.End(syscall.SIGKILL) // its data is not to be kept
}
