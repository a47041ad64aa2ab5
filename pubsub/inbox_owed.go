package pubsub

import (
	"errors"
	"slices"
	"time"
)

// Recorded entries that Redis has not taken, or not surely, are owed: they are sent
// again, before all others and in their order. inbox.lua sees to it that what Redis
// had taken all the same is not written twice.

// owedPause is between attempts where Redis answers, and refuses.
const owedPause = time.Second

// owe puts an entry with those that are owed. Where there are too many of them it is
// dropped, and lost is true: then all that is open has to be added again. b.mu is held.
func (b *Inbox) owe(e waiting) (lost bool) {
	size := e.entry.size()
	if len(b.owed) >= b.opts.QueueEntries || len(b.owed) > 0 && b.owedBytes+size > b.opts.QueueBytes {
		return true
	}
	b.owed = append(b.owed, e)
	b.owedBytes += size
	return false
}

// retryOwed has the next attempt made now. b.mu is held.
func (b *Inbox) retryOwed() {
	b.owedNext = time.Time{}
	b.rouse()
}

// forgot notes that the record is not what it should be, if that is so.
func (b *Inbox) forgot(lost bool) {
	if !lost {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = true
	b.rouse()
}

// rouse has the writer look what there is to do.
func (b *Inbox) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// tellForgotten says that what is open has to be added again, once Redis can be
// expected to take it.
func (w *inboxWriter) tellForgotten() {
	w.mu.Lock()
	tell := w.lost && !w.down && len(w.owed) == 0
	if tell {
		w.lost = false
		w.stats.Forgotten++
	}
	w.mu.Unlock()
	if f := w.opts.Forgotten; tell && f != nil {
		f()
	}
}

// divert has the recorded entries of the queue get in line behind those that are
// owed. w.mu is held.
func (w *inboxWriter) divert() (lost bool) {
	kept := w.queue[:0]
	for _, e := range w.queue {
		if !w.tracks(&e.entry) {
			kept = append(kept, e)
			continue
		}
		size := e.entry.size()
		w.bytes -= size
		w.quota.give(1, size)
		lost = w.owe(e) || lost
	}
	clear(w.queue[len(kept):])
	w.queue = kept
	return lost
}

// owedBatch is how many entries that are owed go into one pipeline, and nothing else
// does: a Redis that could not take many in time takes a few.
const owedBatch = 64

// takeOwed removes the next entries that are owed and due. w.mu is held.
func (w *inboxWriter) takeOwed(now time.Time) []waiting {
	if now.Before(w.owedNext) {
		return nil
	}
	n, size := 0, int64(0)
	for n < len(w.owed) && n < min(w.opts.Batch, owedBatch) {
		next := w.owed[n].entry.size()
		if n > 0 && size+next > w.opts.BatchBytes {
			break
		}
		size += next
		n++
	}
	batch := w.owed[:n:n]
	w.owedBytes -= size
	if w.owed = w.owed[n:]; len(w.owed) == 0 {
		w.owed = nil
	}
	return batch
}

// nextOwed is how long the writer may sleep for what is owed; false: nothing is.
func (w *inboxWriter) nextOwed() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(0, time.Until(w.owedNext)), len(w.owed) > 0
}

// unsettled gathers the recorded entries of a batch that have to be sent again.
type unsettled struct {
	entries []waiting
	opening map[string]bool // connections whose connect entry Redis does not have, or not surely
	refused error           // why Redis has refused the last of them; nil: it has refused none
}

func (u *unsettled) add(e waiting) {
	u.note(&e.entry)
	u.entries = append(u.entries, e)
}

func (u *unsettled) note(e *Entry) {
	if e.Type != entryConnect {
		return
	}
	if u.opening == nil {
		u.opening = map[string]bool{}
	}
	u.opening[e.Conn] = true
}

// shows takes out the connect entry of a connection: its disconnect entry was
// written, so Redis has had it, though it did not answer. It returns it.
func (u *unsettled) shows(conn string) (connect waiting, ok bool) {
	delete(u.opening, conn)
	i := slices.IndexFunc(u.entries, func(e waiting) bool { return e.entry.Conn == conn && e.entry.Type == entryConnect })
	if i < 0 {
		return waiting{}, false
	}
	connect = u.entries[i]
	u.entries = slices.Delete(u.entries, i, i+1)
	return connect, true
}

// settleRecorded notes what became of a recorded entry, in the order of the batch.
func (w *inboxWriter) settleRecorded(e waiting, a outcome, left *unsettled) {
	did, before, err := int64(0), int64(0), a.err
	if err == nil {
		did, before, err = readRecorded(a.recorded)
	}
	if err != nil {
		w.noteError(err)
		if err = verdict(err); errors.Is(err, ErrInboxRefused) {
			left.refused = err
		}
		left.add(e)
		return
	}
	w.forgot(w.see(did, before, a.number))
	switch {
	case did < 0: // this life is over, as its lease will find
		left.add(e)
		return
	case e.entry.Type == entryDisconnect && left.opening[e.entry.Conn]:
		if did == 0 { // it was not open yet
			left.add(e)
			return
		}
		if connect, ok := left.shows(e.entry.Conn); ok {
			w.settle(&connect.entry, nil)
		}
	case e.entry.Type == entryConnect:
		delete(left.opening, e.entry.Conn)
	}
	if e.entry.Type == entryDisconnect {
		w.noteEnded(e.entry.Conn)
	}
	if did == 0 {
		w.mu.Lock()
		w.stats.Needless++
		w.mu.Unlock()
		e.entry.done(nil)
		return
	}
	w.settle(&e.entry, nil)
}

// see compares the number that Redis says was the last with what it has shown to
// know. Less is the past: it has lost data.
func (b *Inbox) see(did, before, number int64) (lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.record
	if did < 0 {
		if before < lastWord { // it is ahead of us: go on from there
			r.number = max(r.number, before)
		}
		return false
	}
	lost = before < r.known
	r.known = number
	return lost
}

// putBack ends a batch and makes what it leaves owed, before what already is. It does
// both at once: nobody sees an entry that is neither under way nor owed.
func (w *inboxWriter) putBack(u unsettled) {
	w.mu.Lock()
	w.flight = time.Time{}
	if len(u.entries) == 0 {
		w.mu.Unlock()
		return
	}
	later := w.owed
	w.owed, w.owedBytes = nil, 0
	lost := false
	for _, e := range slices.Concat(u.entries, later) {
		lost = w.owe(e) || lost
	}
	w.stats.Repeated += int64(len(u.entries))
	w.owedNext = time.Now().Add(owedPause)
	w.mu.Unlock()
	w.forgot(lost)
	if f := w.opts.Owing; f != nil && u.refused != nil {
		f(u.refused)
	}
}
