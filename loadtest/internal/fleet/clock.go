package fleet

import (
	"time"

	"golang.org/x/sys/unix"
)

var epoch, since = startClock()

// startClock is now, on Go's clock and on the machine's, which all processes share. Both stand still while the machine sleeps.
func startClock() (time.Time, int64) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return time.Now(), 0 // cannot fail for this clock and a valid address
	}
	return time.Now(), ts.Nano()
}

// Now is the time in ns on the machine's monotonic clock: one for all processes, from some moment on. Send times in payloads and
// arrival times are both Now.
func Now() int64 { return since + int64(time.Since(epoch)) }
