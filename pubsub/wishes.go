package pubsub

import (
	"slices"
	"sync"
	"time"
)

// wish is what this node wants of one channel, and what Redis knows of it. At
// most one command per channel is in flight, so its confirmation always
// describes the present, however fast the wish flaps.
type wish struct {
	want     bool      // the wish stands
	announce bool      // Subscribe was called since Sink.Subscribed was
	queued   bool      // it stands in wishes.queue
	told     toldState // what Redis has been told on this connection
	epoch    uint8     // wishes.epoch when the two above were true
}

type toldState uint8

const (
	toldNothing       toldState = iota // not subscribed
	toldSubscribe                      // SUBSCRIBE in flight
	toldUnsubscribe                    // UNSUBSCRIBE in flight
	isSubscribed                       // confirmed; or perhaps so, after an error
	refusedSubscribed                  // Redis answered SUBSCRIBE with an error; an earlier one may hold
)

// wishes is the set of channels that this node wants, and the queue of those
// for which Redis has to be told something. Any goroutine may call want and
// drop; the others belong to a session.
type wishes struct {
	wake chan struct{} // holds a token when the queue may have become non-empty

	mu        sync.Mutex
	online    bool            // guarded by mu; a session is up, so changes are queued for it
	epoch     uint8           // guarded by mu; counts the sessions that were up; no wish is older than the last
	set       map[string]wish // guarded by mu; by name without prefix; read it with get
	queue     []queued        // guarded by mu; each name at most once
	head      int             // guarded by mu; queue[:head] is taken
	pushed    uint64          // guarded by mu; how many have ever joined the queue
	wished    int             // guarded by mu; wishes that stand
	confirmed int             // guarded by mu; of those, subscribed
	flying    int             // guarded by mu; names of which Redis has been told something and has not confirmed it
	refused   int             // guarded by mu; of those, refused
	example   string          // guarded by mu; a refused channel
	because   error           // guarded by mu; why
}

type queued struct {
	name string
	at   time.Time // when it joined the queue
}

func newWishes() *wishes {
	return &wishes{wake: make(chan struct{}, 1), set: map[string]wish{}}
}

// want records a wish.
func (w *wishes) want(name string) {
	w.mu.Lock()
	old := w.get(name)
	now := old
	now.want, now.announce = true, true
	w.put(name, old, now)
	w.mu.Unlock()
	w.signal()
}

// renew has a wish that stands confirmed and announced once more.
func (w *wishes) renew(name string) {
	w.mu.Lock()
	if old := w.get(name); old.want {
		now := old
		now.announce = true
		w.put(name, old, now)
	}
	w.mu.Unlock()
	w.signal()
}

// stands says whether name is wished for.
func (w *wishes) stands(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.get(name).want
}

// drop withdraws a wish, and says whether it stood.
func (w *wishes) drop(name string) (stood bool) {
	w.mu.Lock()
	old := w.get(name)
	if old.want {
		now := old
		now.want, now.announce = false, false
		w.put(name, old, now)
	}
	w.mu.Unlock()
	w.signal()
	return old.want
}

func (w *wishes) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// get returns the wish for name as it is on this connection. w.mu is held.
func (w *wishes) get(name string) wish {
	return w.fresh(w.set[name])
}

// fresh forgets what an earlier connection knew of i.
func (w *wishes) fresh(i wish) wish {
	if i.epoch != w.epoch {
		return wish{want: i.want, announce: i.want, epoch: w.epoch}
	}
	return i
}

// put stores a changed wish, queues it if Redis has to be told something, and
// forgets it if there is nothing to remember. w.mu is held.
func (w *wishes) put(name string, old, now wish) {
	if w.online && !now.queued && now.due() {
		now.queued = true
		w.queue = append(w.queue, queued{name, time.Now()})
		w.pushed++
	}
	w.wished += count(now.want) - count(old.want)
	w.confirmed += count(now.confirmed()) - count(old.confirmed())
	w.flying += count(now.flies()) - count(old.flies())
	w.refused += count(now.want && now.told == refusedSubscribed) - count(old.want && old.told == refusedSubscribed)
	if !now.want && !now.queued && now.told == toldNothing {
		delete(w.set, name)
		return
	}
	w.set[name] = now
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// due says whether Redis has to be told something now: nothing while a command
// is in flight, because its confirmation asks again.
func (i wish) due() bool {
	switch i.told {
	case toldNothing:
		return i.want
	case isSubscribed:
		return !i.want || i.announce
	case refusedSubscribed:
		return !i.want || i.announce
	case toldSubscribe, toldUnsubscribe: // in flight
	}
	return false
}

// flies says whether a command is in flight.
func (i wish) flies() bool { return i.told == toldSubscribe || i.told == toldUnsubscribe }

// confirmed says whether messages arrive for a wish that stands.
func (i wish) confirmed() bool {
	return i.want && !i.announce && i.told == isSubscribed
}

// lost forgets what Redis was told: the connection is gone. Until restart,
// wishes are only recorded, so they cost nothing once they are withdrawn.
func (w *wishes) lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.online = false
	w.epoch++
	w.queue, w.head = nil, 0
	w.confirmed, w.flying, w.refused, w.because = 0, 0, 0, nil
}

// turnNames is after how many names a walk over all of them lets others in.
const turnNames = 1000

// restart queues every wish for a new connection, first before all others. It returns how many there
// are. Callers of want and drop get their turn in between: half a million
// channels take a fifth of a second. No session may take meanwhile.
func (w *wishes) restart(first string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.online = true
	w.queue = slices.Grow(w.queue, w.wished)
	if i, ok := w.set[first]; ok {
		i = w.fresh(i)
		w.put(first, i, i)
	}
	n := 0
	for name, i := range w.set { // entries may come, go and change while it runs
		i = w.fresh(i)
		w.put(name, i, i)
		if n++; n%turnNames == 0 {
			w.mu.Unlock()
			w.mu.Lock()
		}
	}
	return w.wished
}

// end is the place in the queue of what joins it next: places are counted from
// the first that ever joined.
func (w *wishes) end() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pushed
}

// front is the place of what take takes next.
func (w *wishes) front() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pushed - uint64(len(w.queue)-w.head)
}

// take moves up to limit names, and confirmations of up to room bytes, from
// the queue into two commands. since is when the oldest of them was queued, from
// the place of the first that was taken.
func (w *wishes) take(limit, room, prefix int) (sub, unsub []string, since time.Time, from uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from = w.pushed - uint64(len(w.queue)-w.head)
	for w.head < len(w.queue) && len(sub)+len(unsub) < limit && room > 0 {
		q := w.queue[w.head]
		w.queue[w.head] = queued{}
		w.head++
		old := w.get(q.name)
		now := old
		now.queued = false
		if due := now.due(); due && now.want {
			now.told = toldSubscribe
			sub = append(sub, q.name)
		} else if due {
			now.told = toldUnsubscribe
			unsub = append(unsub, q.name)
		}
		w.put(q.name, old, now)
		if now.flies() {
			room -= confirmationBytes(prefix + len(q.name))
			if since.IsZero() {
				since = q.at
			}
		}
	}
	w.trim()
	return sub, unsub, since, from
}

// trim gives back the memory of what was taken. w.mu is held.
func (w *wishes) trim() {
	switch {
	case w.head == len(w.queue) && cap(w.queue) > 4096:
		w.queue, w.head = nil, 0
	case w.head == len(w.queue):
		w.queue, w.head = w.queue[:0], 0
	case w.head > 4096 && w.head > len(w.queue)/2:
		n := copy(w.queue, w.queue[w.head:])
		clear(w.queue[n:])
		w.queue, w.head = w.queue[:n], 0
	}
}

// confirmationBytes is what Redis sends for one name of wire bytes.
func confirmationBytes(wire int) int {
	return wire + len("*3\r\n$11\r\nunsubscribe\r\n$255\r\n\r\n:1000000\r\n")
}

// subscribed records the confirmation of a SUBSCRIBE, and says whether to
// announce it.
func (w *wishes) subscribed(name string) (announce bool) {
	w.mu.Lock()
	old := w.get(name)
	now := old
	now.told = isSubscribed
	now.announce = false
	w.put(name, old, now)
	w.mu.Unlock()
	return now.want
}

// unsubscribed records the confirmation of an UNSUBSCRIBE.
func (w *wishes) unsubscribed(name string) {
	w.mu.Lock()
	old := w.get(name)
	now := old
	now.told = toldNothing
	w.put(name, old, now)
	w.mu.Unlock()
}

// again records that Redis has ended a subscription by itself, or does not
// begin it although it may elsewhere or later: a wish that stands is queued.
func (w *wishes) again(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.get(name)
	now := old
	now.told, now.announce = toldNothing, old.want
	w.put(name, old, now)
}

// isSubscribed says whether messages arrive for name.
func (w *wishes) isSubscribed(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.get(name).confirmed()
}

// names lists the wishes that stand. Callers of want and drop get their turn in
// between, as in restart: what they change meanwhile may be listed or not.
func (w *wishes) names() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names = make([]string, 0, w.wished)
	n := 0
	for name, i := range w.set {
		if i.want {
			names = append(names, name)
		}
		if n++; n%turnNames == 0 {
			w.mu.Unlock()
			w.mu.Lock()
		}
	}
	return names
}

// retry queues names again whose SUBSCRIBE was refused together with others.
// Any of them may be subscribed from before, so a withdrawn one is
// unsubscribed.
func (w *wishes) retry(names []string) {
	w.mu.Lock()
	for _, name := range names {
		old := w.get(name)
		now := old
		now.told, now.announce = isSubscribed, old.want
		w.put(name, old, now)
	}
	w.mu.Unlock()
}

// refuse records that Redis refuses name.
func (w *wishes) refuse(name string, err error) {
	w.mu.Lock()
	old := w.get(name)
	now := old
	now.told, now.announce = refusedSubscribed, false
	w.put(name, old, now)
	w.example, w.because = name, err
	w.mu.Unlock()
}

// retryRefused queues up to limit refused names again.
func (w *wishes) retryRefused(limit int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused == 0 {
		return
	}
	for name, old := range w.set { // all are fresh: restart has seen them
		if old.want && old.told == refusedSubscribed && !old.queued {
			now := old
			now.told, now.announce = isSubscribed, true
			w.put(name, old, now)
			if limit--; limit <= 0 {
				return
			}
		}
	}
}

// wishCount is a snapshot of wishes.
type wishCount struct {
	wished, confirmed, refused, queued, flying int
	oldest                                     time.Time // in the queue; zero: it is empty
	example                                    string    // a refused channel
	because                                    error     // why
}

func (w *wishes) count() wishCount {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := wishCount{wished: w.wished, confirmed: w.confirmed, refused: w.refused, queued: len(w.queue) - w.head, flying: w.flying}
	if c.queued > 0 {
		c.oldest = w.queue[w.head].at
	}
	if c.refused > 0 {
		c.example, c.because = w.example, w.because
	}
	return c
}
