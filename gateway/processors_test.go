package main

import (
	"runtime"
	"testing"
)

func TestProcessorsToSpare(t *testing.T) {
	was := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
	for _, row := range []struct {
		name           string
		environ        []string
		have, reactors int
		want           int
	}{
		{"one per reactor", []string{"HOME=/"}, 4, 4, 4 + spareProcessors},
		{"enough", []string{"GOMAXPROCS="}, 16, 2, 16},
		{"somebody chose", []string{"GOMAXPROCS=4"}, 4, 4, 4},
	} {
		runtime.GOMAXPROCS(row.have)
		if tuneProcessors(row.environ, row.reactors); runtime.GOMAXPROCS(0) != row.want {
			t.Errorf("%s: %d, want %d", row.name, runtime.GOMAXPROCS(0), row.want)
		}
	}
}
