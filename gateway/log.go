package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/config"
)

// newLog makes the process log. Reactors write to it, so a write never waits
// for the disk or the terminal: lines are queued, and when the queue is full
// they are dropped and counted. Of a message that comes often, one line a
// second is written, except where the log begins at level debug. The level may be set
// at any time.
func newLog(c config.Log, w io.Writer) (*zap.Logger, zap.AtomicLevel, *lineQueue, error) {
	level, err := zap.ParseAtomicLevel(c.Level)
	if err != nil {
		return nil, level, nil, fmt.Errorf("log.level: %w", err)
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if c.Format == "console" {
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	queue := newLineQueue(w)
	var core zapcore.Core = coding{zapcore.NewCore(encoder, queue, level)}
	if level.Level() > zapcore.DebugLevel { // who debugs wants to see all of it
		core = zapcore.NewSamplerWithOptions(core, time.Second, 1, 0)
	}
	return zap.New(core), level, queue, nil
}

// lineQueue is a zapcore.WriteSyncer whose Write never blocks.
type lineQueue struct {
	w       io.Writer
	dropped atomic.Int64
	pool    sync.Pool // of *[]byte

	mu     sync.RWMutex // held for writing by Close alone
	closed bool         // guarded by mu
	lines  chan *[]byte

	done chan struct{} // closed when the writer has ended
}

// maxLines is how many log lines wait at most.
const maxLines = 4096

func newLineQueue(w io.Writer) *lineQueue {
	q := &lineQueue{
		w:     w,
		lines: make(chan *[]byte, maxLines),
		done:  make(chan struct{}),
		pool:  sync.Pool{New: func() any { return new([]byte) }},
	}
	go q.run()
	return q
}

// Write queues a line. It implements io.Writer and always succeeds: there is
// nobody who could be told.
func (q *lineQueue) Write(p []byte) (int, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		q.dropped.Add(1)
		return len(p), nil
	}
	line := q.pool.Get().(*[]byte)
	*line = append((*line)[:0], p...) // zap reuses p
	select {
	case q.lines <- line:
	default:
		q.dropped.Add(1)
		q.pool.Put(line)
	}
	return len(p), nil
}

// Sync implements zapcore.WriteSyncer. zap calls it for lines above error level,
// also on reactors, so it waits for nothing.
func (q *lineQueue) Sync() error { return nil }

// Dropped is how many lines were lost: the writer was too slow, or failed.
func (q *lineQueue) Dropped() int64 { return q.dropped.Load() }

func (q *lineQueue) run() {
	defer close(q.done)
	for line := range q.lines {
		if _, err := q.w.Write(*line); err != nil {
			q.dropped.Add(1) // a log that cannot be written has nowhere else to say so
		}
		q.pool.Put(line)
	}
}

// maxFlush is how long Close waits for what is queued to be written: a terminal
// that somebody stopped must not keep the process from ending.
const maxFlush = time.Second

// Close writes what is queued and ends the writer, if it can.
func (q *lineQueue) Close() {
	q.mu.Lock()
	first := !q.closed
	q.closed = true
	q.mu.Unlock()
	if first {
		close(q.lines)
	}
	select {
	case <-q.done:
	case <-time.After(maxFlush):
	}
}
