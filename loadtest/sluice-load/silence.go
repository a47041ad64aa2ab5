package main

import (
	"time"

	"sluice/loadtest/internal/fleet"
)

// silence is how long a count has stood still, as far as somebody has looked. It belongs to one goroutine.
type silence struct {
	most   int64 // ns that one look adds: who had no processor to look had none for what should have come
	count  int64
	at     int64 // of the last look; ns
	lasted int64 // ns
}

// newSilence begins with a count. quiet is what will be held against it: it takes eight looks to get there.
func newSilence(count int64, quiet time.Duration) silence {
	return silence{most: int64(quiet/8) + 1, count: count, at: fleet.Now()}
}

// look says how long it has been silent, after the count has been looked at again.
func (s *silence) look(count int64) time.Duration { return s.lookAt(count, fleet.Now()) }

func (s *silence) lookAt(count, now int64) time.Duration {
	s.lasted += min(now-s.at, s.most)
	if s.at = now; count != s.count {
		s.count, s.lasted = count, 0
	}
	return time.Duration(s.lasted)
}
