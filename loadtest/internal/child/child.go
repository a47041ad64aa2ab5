// Package child is processes that do not outlive the program that started them.
package child

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Child is a process. Its methods may be called from any goroutine.
type Child struct {
	Gone chan struct{} // closed when it has ended

	cmd *exec.Cmd
	err error // how it ended; read after Gone

	mu  sync.Mutex
	out []byte // guarded by mu; the end of what it said
}

const maxOutput = 64 << 10 // bytes of output that are kept

// Start starts cmd and keeps the end of what it says. End must be called.
func Start(cmd *exec.Cmd) (*Child, error) {
	c := &Child{Gone: make(chan struct{}), cmd: cmd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = c, c
	cmd.WaitDelay = time.Second // what it has started holds the pipe, too
	started := make(chan error)
	go func() { // ends with the process; End waits for it
		runtime.LockOSThread() // the kernel kills the child when the thread that started it ends
		defer runtime.UnlockOSThread()
		defer close(c.Gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%w; is it installed? run make deps", err)
	}
	return c, nil
}

// Write keeps what the process says.
func (c *Child) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, b...)
	if more := len(c.out) - maxOutput; more > 0 {
		c.out = append(c.out[:0], c.out[more:]...)
	}
	return len(b), nil
}

// Output is the end of what the process has said.
func (c *Child) Output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.out)
}

// Ended says whether it has ended.
func (c *Child) Ended() bool {
	select {
	case <-c.Gone:
		return true
	default:
		return false
	}
}

// patience is how long a process may take to end when it is told to.
const patience = 2 * time.Minute

// End sends a signal that is to end the process, kills it where that takes too long, and returns how it ended.
func (c *Child) End(s syscall.Signal) error {
	_ = c.cmd.Process.Signal(s) // it may be gone already
	select {
	case <-c.Gone:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill() // as above
		<-c.Gone
	}
	return c.err
}
