package proof

// Verdict is what one arrival means.
type Verdict uint8

const (
	InOrder    Verdict = iota // the next one expected
	Gap                       // one beyond the next expected: those between are missing, unless they arrive later
	OutOfOrder                // one that was missing, after a later one
	Duplicate                 // one seen before
	Stale                     // so old that the tracker cannot tell whether it is a duplicate or out of order
)

// Window is how many sequence numbers back a Tracker tells a duplicate from a late arrival.
const Window = 64

// Tracker judges the sequence numbers of one channel at one subscriber. The zero value expects 0 first. Not safe for
// concurrent use: the goroutine that reads the subscriber's connection owns it.
type Tracker struct {
	next uint64 // the sequence number expected now
	seen uint64 // bit i: next-1-i has arrived
}

// Next is the sequence number expected now: one more than the highest that has arrived.
func (t *Tracker) Next() uint64 { return t.next }

// Observe takes one arrival. With Gap, skipped is how many were passed over; it is 0 otherwise.
func (t *Tracker) Observe(seq uint64) (v Verdict, skipped uint64) {
	if seq == t.next {
		t.next++
		t.seen = t.seen<<1 | 1
		return InOrder, 0
	}
	if seq > t.next {
		skipped = seq - t.next
		t.next = seq + 1
		if skipped >= Window {
			t.seen = 1
		} else {
			t.seen = t.seen<<(skipped+1) | 1
		}
		return Gap, skipped
	}
	back := t.next - 1 - seq
	if back >= Window {
		return Stale, 0
	}
	if t.seen&(1<<back) != 0 {
		return Duplicate, 0
	}
	t.seen |= 1 << back
	return OutOfOrder, 0
}

// Counts adds up verdicts over any number of trackers. Missing is what was passed over and has not come since; what was
// never followed by anything is added by Close.
type Counts struct {
	Delivered  int64 `json:"delivered"`    // distinct messages: in order, after a gap, or out of order
	Missing    int64 `json:"missing"`      // published and not delivered
	Duplicates int64 `json:"duplicates"`   // delivered again
	OutOfOrder int64 `json:"out_of_order"` // delivered after a later one
	Stale      int64 `json:"stale"`        // more than Window behind: duplicate or out of order
	Corrupt    int64 `json:"corrupt"`      // checksum wrong, or no payload of ours in it
	Misrouted  int64 `json:"misrouted"`    // another channel's message
	Foreign    int64 `json:"foreign"`      // another run's message, or none of ours where the server may say things of its own
}

// Observe gives seq to t and counts the verdict. It says whether this was a delivery: a message for the first time.
func (c *Counts) Observe(t *Tracker, seq uint64) bool {
	v, skipped := t.Observe(seq)
	switch v {
	case InOrder:
		c.Delivered++
	case Gap:
		c.Delivered++
		c.Missing += int64(skipped)
	case OutOfOrder:
		c.Delivered++
		c.Missing--
		c.OutOfOrder++
	case Duplicate:
		c.Duplicates++
		return false
	case Stale:
		c.Stale++
		return false
	}
	return true
}

// Close counts what t never saw of the published messages 0..published-1 because nothing came after it.
func (c *Counts) Close(t *Tracker, published uint64) {
	if published > t.next {
		c.Missing += int64(published - t.next)
		t.next = published
	}
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Delivered += o.Delivered
	c.Missing += o.Missing
	c.Duplicates += o.Duplicates
	c.OutOfOrder += o.OutOfOrder
	c.Stale += o.Stale
	c.Corrupt += o.Corrupt
	c.Misrouted += o.Misrouted
	c.Foreign += o.Foreign
}

// Clean says that nothing was lost, repeated, reordered, altered or misrouted. Another run's messages do not count against
// the server.
func (c *Counts) Clean() bool {
	return c.Missing == 0 && c.Duplicates == 0 && c.OutOfOrder == 0 && c.Stale == 0 && c.Corrupt == 0 && c.Misrouted == 0
}
