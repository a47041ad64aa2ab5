// Package programtest is for tests that run the program.
package programtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/loadtest/internal/program"
)

// Main runs the tests of a package: it builds the program, has path say where, and finds goroutines that are left. The
// result is the exit status.
func Main(m *testing.M, path *string) int {
	dir, err := os.MkdirTemp("", "sluice")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // left over at worst
	*path = filepath.Join(dir, "sluice")
	if err := program.Build(context.Background(), *path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status := m.Run()
	err = goleak.Find()
	for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); { // what has been told to end may take its time
		err = goleak.Find()
	}
	if err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}
