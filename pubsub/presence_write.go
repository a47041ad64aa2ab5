package pubsub

import (
	"context"
	"fmt"
	"time"
)

// presenceWriter is Run's view of a Presence.
type presenceWriter struct{ *Presence }

// Run writes until ctx ends, then what is left to be written, for DrainTimeout at
// most. It returns ctx.Err(). A Presence runs once.
func (p *Presence) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.running {
		p.mu.Unlock()
		return errPresenceRunning
	}
	p.running = true
	p.mu.Unlock()

	w := presenceWriter{p}
	w.untilEnd(ctx)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.opts.DrainTimeout)
	defer cancel()
	w.retry()
	for drain.Err() == nil && w.step(drain) {
	}
	return ctx.Err()
}

func (w presenceWriter) untilEnd(ctx context.Context) {
	tick := time.NewTicker(w.opts.RetryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-tick.C:
			w.retry()
		}
		// A step that has begun is finished even if ctx ends: its timeout bounds it.
		for ctx.Err() == nil && w.step(context.WithoutCancel(ctx)) {
		}
	}
}

// retry has written again what has failed.
func (w presenceWriter) retry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, w.failed...)
	w.failed = nil
}

// job is one room's call.
type job struct {
	room    *room
	channel string
	life    string
	index   bool // the channel has to be put into the life's index first
	stays   bool // there are entries of this node after it
	changes []change
	sweep   *sweep // it is one; nil: it is none
	call    call
}

// change is one entry that is written or removed.
type change struct {
	seat  *seat
	gone  bool
	first bool // nothing of the seat was sent before
}

// step writes for some rooms. It says whether there may be more to do at once.
func (w presenceWriter) step(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	if err := w.checkIndex(ctx); err != nil {
		w.trouble(err)
		return false
	}
	jobs, left, more := w.take()
	if len(left) > 0 {
		w.unindex(ctx, left)
	}
	if len(jobs) == 0 && !more {
		return w.atRest(ctx)
	}
	answers := make([]answer, len(jobs))
	if err := w.index(ctx, jobs); err != nil {
		for i := range answers {
			answers[i].err = err
		}
	} else {
		calls := make([]call, len(jobs))
		for i := range jobs {
			calls[i] = jobs[i].call
		}
		answers = w.far.calls(ctx, calls)
	}
	emptied, failures := w.settle(jobs, answers)
	if len(emptied) > 0 {
		w.unindex(ctx, emptied)
	}
	return failures < len(jobs) || failures == 0
}

// atRest does what has time until everything is written, and says whether there was
// anything: what was written under a past life after that was buried.
func (w presenceWriter) atRest(ctx context.Context) bool {
	w.mu.Lock()
	waits := len(w.failed) > 0
	life := ""
	if len(w.past) > 0 && !waits {
		life = w.past[0]
	}
	w.mu.Unlock()
	if life != "" {
		if err := w.Bury(ctx, Peer{Life: life}); err != nil {
			w.trouble(err)
			return false
		}
		w.mu.Lock()
		w.past = w.past[1:]
		w.mu.Unlock()
	}
	w.works()
	return life != ""
}

// take returns the next jobs, the rooms that all have left before Redis took anything of them,
// and whether there may be others behind them.
func (w presenceWriter) take() (jobs []job, left []*room, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.findDue()
	n := min(len(w.queue), w.opts.Calls)
	for _, r := range w.queue[:n] {
		r.queued = false
		r.follow(w.life, w.generation)
		r.renewed = time.Now()
		w.byAge.MoveToBack(r.age)
		if j, ok := w.job(r); ok {
			jobs = append(jobs, j)
		} else {
			left = append(left, r)
		}
	}
	clear(w.queue[:n])
	if w.queue = w.queue[n:]; len(w.queue) == 0 {
		w.queue = nil
	}
	return jobs, left, len(w.queue) > 0
}

// findDue puts rooms in line that have to be renewed, or written again in a new
// generation, as many as fit into the next pipeline. Those are at the front of byAge:
// a room goes to its end when its turn comes. w.mu is held.
func (w presenceWriter) findDue() {
	for e := w.byAge.Front(); e != nil && len(w.queue) < w.opts.Calls; e = e.Next() {
		r := e.Value.(*room)
		if r.generation == w.generation && time.Since(r.renewed) < w.opts.TTL/3 {
			return
		}
		r.due = true
		if !r.queued {
			r.queued = true
			w.queue = append(w.queue, r)
		}
	}
}

// job is what is to be done for a room next; false: nothing, it is left. w.mu is held.
func (w presenceWriter) job(r *room) (j job, ok bool) {
	j = job{room: r, channel: r.channel, life: r.life}
	announces := flag(w.opts.Announces(r.channel))
	changes := r.take(w.opts.Changes)
	if len(changes) == 0 && len(r.sweeps) > 0 {
		s := r.sweeps[0]
		j.sweep = &s
		j.call = call{r.channel, "sluice_sweep", []any{s.life, s.before, r.cursor, announces}}
		return j, true
	}
	if len(changes) == 0 && r.empty() && !r.known { // all that came have gone before anything was written
		return j, false
	}
	args := []any{r.life, int(w.opts.TTL / time.Second), announces, ""}
	gone := 0
	for _, s := range changes {
		sign, value := "=", []byte(nil)
		switch {
		case !s.wanted:
			sign = "-"
			gone++
		case !s.announced:
			sign = "+"
		}
		j.changes = append(j.changes, change{seat: s, gone: !s.wanted, first: !s.sent})
		if s.wanted {
			s.sent = true
			value = s.entry(r.life, r.generation)
		}
		args = append(args, sign, s.Conn, value)
	}
	j.stays = len(r.seats) > gone
	args[3] = flag(j.stays)
	if r.due {
		r.indexed = false // so that the index is renewed, too
	}
	j.index = !r.indexed && j.stays
	r.listed = r.listed || j.index
	j.call = call{r.channel, "sluice_attend", args}
	return j, true
}

// forget drops a room. w.mu is held.
func (w presenceWriter) forget(r *room) {
	delete(w.rooms, r.channel)
	w.byAge.Remove(r.age)
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// settle notes what has become of jobs, and returns the rooms that have nothing in
// Redis any more, and how many jobs have failed.
func (w presenceWriter) settle(jobs []job, answers []answer) (emptied []*room, failures int) {
	var cause error
	w.mu.Lock()
	for i, j := range jobs {
		r := j.room
		err := answers[i].err
		if err == nil {
			err = w.done(j, answers[i])
		}
		if err != nil {
			cause = err
			failures++
			w.undo(j, err)
			continue
		}
		switch {
		case r.empty() && !r.queued:
			emptied = append(emptied, r)
		case !r.idle():
			w.enqueue(r)
		}
	}
	w.mu.Unlock()
	if cause != nil {
		w.trouble(cause)
	}
	if failures < len(jobs) {
		w.works()
	}
	return emptied, failures
}

// done notes that a job is done. w.mu is held.
func (w presenceWriter) done(j job, a answer) error {
	r := j.room
	if j.sweep != nil {
		cursor, removed, ok := parseSweep(a)
		if !ok {
			return fmt.Errorf("pubsub: sluice_sweep answers what it should not: %.200v", a.value)
		}
		w.stats.Outdated += removed
		r.swept(*j.sweep, cursor)
		return nil
	}
	fresh, lapsed, ok := parseAttend(a)
	if !ok {
		return fmt.Errorf("pubsub: sluice_attend answers what it should not: %.200v", a.value)
	}
	for _, c := range j.changes {
		w.stats.Written++
		if !c.gone {
			c.seat.announced = true
			continue
		}
		c.seat.sent, c.seat.announced = false, false
		if !c.seat.wanted {
			delete(r.seats, c.seat.Conn)
		}
	}
	if r.life == j.life {
		r.indexed = r.indexed || j.index
		r.due = false
		if fresh && r.known {
			r.lost()
		}
		r.known = j.stays
	}
	r.sweepAway(lapsed)
	return nil
}

// parseAttend reads what sluice_attend answers.
func parseAttend(a answer) (fresh bool, lapsed []string, ok bool) {
	items, ok := a.list(2)
	if !ok {
		return false, nil, false
	}
	number, ok1 := items[0].(int64)
	lives, ok2 := items[1].([]any)
	return number == 1, texts(lives), ok1 && ok2
}

// undo has a job that failed done again, after a pause. What Redis has refused it does not
// have: of who leaves before it takes something again nothing is kept. w.mu is held.
func (w presenceWriter) undo(j job, err error) {
	w.stats.Failed++
	none := wroteNothing(err)
	for _, c := range j.changes {
		if none && c.first {
			c.seat.sent = false
		}
		j.room.change(c.seat)
	}
	if !j.room.queued {
		j.room.queued = true
		w.failed = append(w.failed, j.room)
	}
}

// trouble notes that Redis has not taken something.
func (w presenceWriter) trouble(cause error) {
	w.mu.Lock()
	first := w.down.IsZero()
	if first {
		w.down = time.Now()
	}
	w.stats.LastError = cause.Error()
	w.mu.Unlock()
	if first && w.opts.Down != nil {
		w.opts.Down(cause)
	}
}

// works notes that Redis takes entries.
func (w presenceWriter) works() {
	w.mu.Lock()
	was := w.down
	if len(w.failed) > 0 {
		was = time.Time{} // not everything
	} else {
		w.down = time.Time{}
	}
	w.mu.Unlock()
	if !was.IsZero() && w.opts.Up != nil {
		w.opts.Up(time.Since(was))
	}
}
