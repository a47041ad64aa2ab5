package hub

import (
	"math"

	"sluice/pubsub"
)

// merged is what a client that resumes is given.
type merged struct {
	messages  []*Message
	position  pubsub.Position // go on from here
	epoch     string          // that position is of
	recovered bool            // messages are all that was published after what it had
}

// merge puts together what the log held after the position that clients had, limit
// entries of it at most were read, and what has come live since before it was read.
// Where the two do not prove to be everything, or the log's part has more than most
// bytes, there is nothing from the log: a part must not be taken for the whole.
func merge(h *pubsub.History, channel string, seen []*Message, most int) merged {
	m := merged{position: h.Last, epoch: h.Epoch, recovered: h.Proven && size(h) <= most}
	if m.recovered {
		for i := range h.Entries {
			e := message(channel, &h.Entries[i])
			e.Epoch = h.Epoch
			m.messages = append(m.messages, e)
		}
	}
	for _, live := range seen {
		switch {
		case live.Position == 0: // by plain PUBLISH: it has no place among the others but the one it came in
		case live.Position <= m.position && live.Epoch == m.epoch:
			continue
		case live.Before != m.position || live.Epoch != m.epoch:
			m.recovered, m.messages = false, nil
		}
		if live.Position != 0 {
			m.position, m.epoch = live.Position, live.Epoch
		}
		m.messages = append(m.messages, live)
	}
	return m
}

// mergeNewest is merge for channels whose newest message says all: that is what the
// clients get, unless it is where they are.
func mergeNewest(h *pubsub.History, since pubsub.Position, channel string, seen []*Message) merged {
	entries := *h
	n := len(h.Entries)
	entries.Proven = n > 0 && h.Entries[n-1].Position == h.Last || n == 0 && since == h.Last
	entries.Entries = nil
	if n > 0 && h.Entries[n-1].Position != since {
		entries.Entries = h.Entries[n-1:]
	}
	return merge(&entries, channel, seen, math.MaxInt)
}

// size is the bytes of the payloads.
func size(h *pubsub.History) (n int) {
	for i := range h.Entries {
		n += len(h.Entries[i].Payload)
	}
	return n
}
