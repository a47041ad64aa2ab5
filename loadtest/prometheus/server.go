package prometheus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"sluice/pubsub/redisproc"
)

// Patience bounds the wait for its start. It is generous: machines that run tests are busy.
const Patience = 30 * time.Second

// Server is a Prometheus that runs. Its methods may be called from any goroutine.
type Server struct {
	URL string

	cmd  *exec.Cmd
	out  bytes.Buffer  // what it said; read after gone
	gone chan struct{} // closed when it has ended; then err is set
	err  error
	http *http.Client
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
	return nil, fmt.Errorf("prometheus: %w\n%s", errors.Join(err, s.err), s.out.String())
}

func begin(config string) (*Server, error) {
	port, err := redisproc.FreePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	s := &Server{URL: "http://" + address, gone: make(chan struct{}), http: &http.Client{Timeout: Patience}}
	s.cmd = exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(filepath.Dir(config), "data"),
		"--web.listen-address="+address, "--log.level=warn")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // whoever dies leaves none behind
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	started := make(chan error)
	go func() { // ends with the process; Close waits for it
		runtime.LockOSThread() // the kernel kills the child when the thread that started it ends
		defer runtime.UnlockOSThread()
		defer close(s.gone)
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%w; is it installed? run make deps", err)
	}
	return s, nil
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
		case <-s.gone:
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
	_ = s.cmd.Process.Kill() // its data is not to be kept; it may have ended
	<-s.gone
}
