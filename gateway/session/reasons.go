package session

import (
	"sync"
	"sync/atomic"

	"sluice/gateway/reason"
)

// Reasons counts refusals, and connections that this node has closed, by the reason
// given. Any goroutine may use it; it is for what does not happen often.
type Reasons struct {
	refused sync.Map // of *atomic.Int64 by reason.Reason
	closed  sync.Map // of *atomic.Int64 by closing
}

// closing is a close code, by its name, and a reason.
type closing struct {
	code   string
	reason reason.Reason
}

func (r *Reasons) refuse(text string) { count(&r.refused, reason.Of(text)) }

func (r *Reasons) close(code, text string) { count(&r.closed, closing{code, reason.Of(text)}) }

func count(counters *sync.Map, key any) {
	n, ok := counters.Load(key)
	if !ok {
		n, _ = counters.LoadOrStore(key, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}

// Refused calls f for every reason that there is.
func (r *Reasons) Refused(f func(why reason.Reason, n int64)) {
	for _, row := range reason.Table {
		var n int64
		if counter, ok := r.refused.Load(row.Reason); ok {
			n = counter.(*atomic.Int64).Load()
		}
		f(row.Reason, n)
	}
}

// Closed calls f for every close code and reason that have been counted.
func (r *Reasons) Closed(f func(code string, why reason.Reason, n int64)) {
	r.closed.Range(func(key, counter any) bool {
		c := key.(closing)
		f(c.code, c.reason, counter.(*atomic.Int64).Load())
		return true
	})
}
