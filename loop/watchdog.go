package loop

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Stall is what a reactor, or the whole process, was held up by.
type Stall uint8

// The stalls. The first three are of the parts of a turn.
const (
	StallDeadlines Stall = iota // timers, and what a shutdown, a drain or a reload asks of all connections
	StallEvents                 // the handler took its time over what was posted
	StallFlush                  // writing to sockets
	StallInput                  // between turns: it worked off what clients sent, or was not given a processor
	StallProcess                // not even the ticker ran: the machine is overloaded, or was paused

	Stalls = int(StallProcess) + 1 // how many there are
)

// stallNames are the stalls' names, for labels and the log.
var stallNames = [Stalls]string{"deadlines", "events", "flush", "input", "process"}

// String is one word, fit for a label.
func (s Stall) String() string { return stallNames[s] }

// Line is what the log says of it.
func (s Stall) Line() string { return stallLines[s] }

// stallLines are what the log says of them: a text for each, because it has few lines
// a second of the same text.
var stallLines = [Stalls]string{
	StallDeadlines: "a reactor was held up by deadlines",
	StallEvents:    "a reactor was held up by events",
	StallFlush:     "a reactor was held up by writing",
	StallInput:     "a reactor was held up between its turns",
	StallProcess:   "the process was held up",
}

// stallLimit is what counts as a stall: until then nobody notices.
const stallLimit = 100 * time.Millisecond

// watchdog measures its reactor's turns, and what it was kept from them by. It belongs
// to the reactor.
type watchdog struct {
	began time.Duration // of the engine's clock: when this turn did
	ended time.Duration // when what was noted last did
	parts [StallInput]time.Duration
}

// beginTurn notes that a turn begins, and how long it was waited for.
func (r *Reactor) beginTurn(now time.Duration) {
	if rung := time.Duration(r.count.rung.Load()); rung != 0 {
		r.count.rung.Store(0)
		lag := now - rung
		r.count.lag.Add(lag)
		if lag > stallLimit && r.dog.ended < rung { // else the last turn has told
			r.stalled(StallInput, lag)
		}
	}
	r.count.turns.Add(1)
	r.count.lastTurn.Store(int64(now))
	r.count.longest.turn(now)
	r.dog = watchdog{began: now, ended: now}
}

// passed notes that a part of the turn is over, and returns the time.
func (r *Reactor) passed(part Stall) (now time.Duration) {
	now = r.engine.now()
	r.dog.parts[part] += now - r.dog.ended
	r.dog.ended = now
	return now
}

// endTurn notes how long the turn took, and tells what held it up.
func (r *Reactor) endTurn() {
	took := r.dog.ended - r.dog.began
	r.count.turn.Add(took)
	r.count.longest.raise(took)
	if took <= stallLimit {
		return
	}
	worst := StallDeadlines
	for part, d := range r.dog.parts {
		if d > r.dog.parts[worst] {
			worst = Stall(part)
		}
	}
	r.stalled(worst, took)
}

func (r *Reactor) stalled(why Stall, took time.Duration) {
	r.log.Warn(stallLines[why], zap.Duration("took", took), zap.Int64("connections", r.count.connections.Load()))
	r.count.stalls[why].Add(1)
}

// peak is the most of what came in the last one to two windows. Its owner raises it,
// any goroutine reads.
type peak struct {
	now, before atomic.Int64  // nanoseconds: of the window that lasts, and the one before
	began       time.Duration // of the window
}

// peakWindow is longer than most intervals at which metrics are asked for, so that a
// peak is seen by each who asks, however many do.
const peakWindow = 15 * time.Second

// turn begins another window where it is time.
func (p *peak) turn(now time.Duration) {
	if now-p.began < peakWindow {
		return
	}
	p.before.Store(p.now.Load())
	p.now.Store(0)
	p.began = now
}

func (p *peak) raise(d time.Duration) {
	if int64(d) > p.now.Load() {
		p.now.Store(int64(d))
	}
}

func (p *peak) most() time.Duration { return time.Duration(max(p.now.Load(), p.before.Load())) }
