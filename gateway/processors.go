package main

import (
	"runtime"
	"strings"
)

// tuneProcessors lets others run beside as many busy reactors as there are. A reactor
// that always finds something to do keeps its processor, in Go's sense: Go takes it
// away only every 10 ms, and looks no sooner whether the sockets of others have
// something, Redis' among them. With processors to spare they have threads of their own,
// and the kernel lets a thread that has slept run at once. GOMAXPROCS has precedence.
func tuneProcessors(environ []string, reactors int) {
	for _, e := range environ {
		if n, ok := strings.CutPrefix(e, "GOMAXPROCS="); ok && n != "" {
			return
		}
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), reactors+spareProcessors))
}

// spareProcessors are for what reads from Redis and what writes to it.
const spareProcessors = 2
