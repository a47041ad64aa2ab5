package redisproc

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child that does not outlive this program.
type process struct {
	*os.Process
	gone chan struct{} // closed when it has been waited for
}

// spawn starts cmd. end must be called.
func spawn(cmd *exec.Cmd) (*process, error) {
	// The kernel kills the child when the thread that started it dies. So the
	// child does not outlive a program that panicked, and that thread must live.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	p := &process{gone: make(chan struct{})}
	go func() { // ends when the child does; end waits for it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed children exit with an error; that is the point
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.Process = cmd.Process
	return p, nil
}

// end sends a signal that ends the child, and waits until it is gone.
func (p *process) end(sig syscall.Signal) {
	_ = p.Signal(sig)             // it may be gone already
	_ = p.Signal(syscall.SIGCONT) // a stopped one hears nothing but SIGKILL
	select {
	case <-p.gone:
	case <-time.After(10 * time.Second):
		_ = p.Process.Kill() // as above
		<-p.gone
	}
}
