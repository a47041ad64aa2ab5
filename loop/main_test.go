package loop

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain runs the tests, then looks for goroutines and file descriptors that
// they left. With starvedEnv set, the binary is the server of
// TestOutOfFiles instead.
func TestMain(m *testing.M) {
	if os.Getenv(starvedEnv) != "" {
		serveStarved()
		return
	}
	before := openFiles()
	known := goleak.IgnoreCurrent() // gnet's worker pool begins in an init function
	code := m.Run()
	if code == 0 {
		if err := leaked(known); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		// The runtime keeps one epoll set and one eventfd of its own once it needs them.
		if after, ok := settled(before + 2); !ok {
			fmt.Fprintf(os.Stderr, "open files: %d before, %d after\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked waits until no goroutines are left but those that are known: goleak itself
// gives them half a second to end.
func leaked(known goleak.Option) error {
	for end := time.Now().Add(patience); ; {
		if err := goleak.Find(known); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// settled waits until no more than most files are open.
func settled(most int) (now int, ok bool) {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if now = openFiles(); now <= most {
			return now, true
		}
		if time.Now().After(end) {
			return now, false
		}
	}
}

// openFiles is how many file descriptors the process has.
func openFiles() int {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(dir) - 1 // one is the directory's own
}
