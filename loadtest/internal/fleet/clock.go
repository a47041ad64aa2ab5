package fleet

import "time"

var epoch = time.Now()

// Now is the time in ns on this process' monotonic clock, from its start. Send times in payloads and arrival times are both Now.
func Now() int64 { return int64(time.Since(epoch)) }
