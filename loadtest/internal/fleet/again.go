package fleet

import (
	"container/heap"
	"time"
)

// comebacks are the connections of a worker that have ended and are to be opened again, by when.
type comebacks []comeback

type comeback struct {
	id int
	at int64 // ns on Now's clock
}

func (c comebacks) Len() int           { return len(c) }
func (c comebacks) Less(i, j int) bool { return c[i].at < c[j].at }
func (c comebacks) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *comebacks) Push(x any)        { *c = append(*c, x.(comeback)) }

// Pop implements heap.Interface.
func (c *comebacks) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	*c = (*c)[:last]
	return x
}

// ended asks whether, and when, a connection is to be opened again.
func (w *Worker) ended(id int, opened bool) {
	if w.o.Again == nil {
		return
	}
	if after := w.o.Again(id, opened); after >= 0 {
		heap.Push(&w.again, comeback{id, Now() + int64(after)})
	}
}

// startComebacks opens those whose time has come, as far as handshakes may be under way.
func (w *Worker) startComebacks(now int64) {
	for len(w.again) > 0 && w.again[0].at <= now && w.dial.inflight < w.dial.limit {
		w.connect(heap.Pop(&w.again).(comeback).id)
	}
}

// untilComeback is how long the worker may sleep for the sake of the next one, at most most ms.
func (w *Worker) untilComeback(now int64, most int) int {
	if len(w.again) == 0 {
		return most
	}
	if w.dial.inflight >= w.dial.limit { // one of those that are under way wakes the worker
		return most
	}
	left := time.Duration(w.again[0].at - now)
	return max(0, min(most, int((left+time.Millisecond-1)/time.Millisecond)))
}
