//go:build invariants

package loop

import (
	"bytes"
	"fmt"
	"runtime"
)

// owner remembers the goroutine that a reactor belongs to.
type owner struct{ goroutine string }

// claim makes the calling goroutine the owner.
func (o *owner) claim() { o.goroutine = goroutineID() }

// check panics on any other goroutine. The race detector cannot see this: a
// value handed over with a lock is no race and still the wrong loop.
func (o *owner) check() {
	if g := goroutineID(); o.goroutine != "" && g != o.goroutine {
		panic(fmt.Sprintf("loop: reactor state of goroutine %s touched by goroutine %s", o.goroutine, g))
	}
}

func goroutineID() string {
	var b [64]byte
	fields := bytes.Fields(b[:runtime.Stack(b[:], false)]) // "goroutine 7 [running]:"
	return string(fields[1])
}
