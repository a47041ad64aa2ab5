package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/config"
)

// stuck is a terminal that somebody has stopped with Ctrl-S.
type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.release
	return len(p), nil
}

func TestLogNeverBlocks(t *testing.T) {
	w := stuck{make(chan struct{})}
	log, _, queue, err := newLog(config.Log{Level: "debug", Format: "json"}, w)
	if err != nil {
		t.Fatal(err)
	}
	for range maxLines + 100 {
		log.Info("line")
	}
	if lost := queue.Dropped(); lost < 98 || lost > 100 { // the writer may have taken one or two
		t.Errorf("%d lines were dropped, want about 100", lost)
	}
	close(w.release)
	queue.Close()
	log.Info("after the end")
	queue.Close()
}

func TestLogSamplesByReason(t *testing.T) {
	var b bytes.Buffer
	log, _, queue, err := newLog(config.Log{Level: "info", Format: "json"}, &b)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 1000 {
		log.Info("one reason")
		log.Info("another reason")
	}
	most := 2 + int(time.Since(began)/time.Second) // one in each second that they touch
	queue.Close()
	for _, reason := range []string{"one reason", "another reason"} {
		if n := strings.Count(b.String(), reason); n < 1 || n > most {
			t.Errorf("%q was written %d times, want %d at most", reason, n, most)
		}
	}
}
