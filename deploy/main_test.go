package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// program is the sluice that the tests run, built by TestMain.
var program string

const patience = 30 * time.Second // for anything that should happen, also on a machine that is busy with other tests

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "deploy")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }() // left over at worst
		program = filepath.Join(dir, "sluice")
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, "../gateway")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as in the image
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building sluice: %v\n%s", err, out)
			return 1
		}
		status := m.Run()
		err = goleak.Find()
		for end := time.Now().Add(patience); err != nil && time.Now().Before(end); { // what has been told to end may take its time
			err = goleak.Find()
		}
		if err != nil && status == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return status
	}())
}
