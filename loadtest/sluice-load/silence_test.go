package main

import (
	"testing"
	"time"
)

// A machine that stood still between two looks is not taken for a server that says nothing.
func TestSilence(t *testing.T) {
	const quiet = 800 * time.Millisecond
	s := newSilence(7, quiet)
	now := s.at
	for _, look := range []struct {
		after time.Duration
		count int64
		want  time.Duration
	}{
		{50 * time.Millisecond, 7, 50 * time.Millisecond},
		{50 * time.Millisecond, 7, 100 * time.Millisecond},
		{50 * time.Millisecond, 8, 0}, // something has come
		{time.Hour, 8, 100 * time.Millisecond},
		{time.Hour, 8, 200 * time.Millisecond},
		{time.Hour, 9, 0},
	} {
		now += int64(look.after)
		if got := s.lookAt(look.count, now).Round(time.Microsecond); got != look.want {
			t.Errorf("after %v, with %d: silent for %v, want %v", look.after, look.count, got, look.want)
		}
	}
	for range 9 { // it ends where nothing comes
		now += int64(time.Hour)
		s.lookAt(9, now)
	}
	if got := s.lookAt(9, now); got <= quiet {
		t.Errorf("after nine looks: silent for %v", got)
	}
}
