package loop

// clock is a reactor's time, in ticks. Where the reactor stood still, because
// the process was stopped, the machine paused or a handler blocked, its time
// stands still with it: what clients sent meanwhile lies unread in their
// sockets, and deadlines that passed for want of a reader are not theirs.
type clock struct {
	lost  uint32 // ticks that were not counted
	stood bool   // the last turn was late
}

// maxJump is how many ticks may pass between two turns of a reactor that runs.
const maxJump = 10

// advance is the time at the engine's tick, after the time last. Between late
// turns in a row one tick passes, so that a reactor which is always late has
// deadlines all the same.
func (k *clock) advance(tick, last uint32) uint32 {
	elapsed := tick - k.lost - last
	if elapsed <= maxJump {
		k.stood = false
		return last + elapsed
	}
	var counted uint32
	if k.stood {
		counted = 1
	}
	k.stood = true
	k.lost += elapsed - counted
	return last + counted
}
