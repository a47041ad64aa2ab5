package deploy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// process is a child that ends with its test.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has been waited for
	err  error         // how it ended; read after gone

	mu  sync.Mutex
	out bytes.Buffer // guarded by mu; what it wrote
}

// start starts cmd. When the test ends it is told to end, and killed if it does not.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, gone: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	// A group of its own: workers that outlive their master are ended with it. And a test that dies leaves no master behind.
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	cmd.WaitDelay = patience / 3 // workers hold the pipe, too
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; is it installed? run make deps", err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // nothing in these tests is lost with a balancer
		<-p.gone
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, p.output())
		}
	})
	return p
}

// Write keeps what the process says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ended says whether it has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readAll reads a file, or all that are in a folder, by their paths. One that is not there has none.
func readAll(path string) (map[string]string, error) {
	texts := map[string]string{}
	err := filepath.WalkDir(path, func(file string, entry os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(file)
		texts[file] = string(b)
		return err
	})
	return texts, err
}
