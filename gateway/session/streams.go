package session

import (
	"strings"
	"sync"

	"sluice/pubsub"
)

// stream is the key of the stream for what clients say through a channel, "" for the
// usual one.
func (p *Policy) stream(channel string) string {
	if p.Inbox == nil || channel == "" {
		return ""
	}
	return p.Inbox(channel)
}

// byStream sorts channels, put together with spaces, by the stream in which they lie.
func (p *Policy) byStream(channels string) (streams []string, of map[string][]string) {
	of = map[string][]string{}
	for name := range strings.SplitSeq(channels, " ") {
		stream := p.stream(name)
		if of[stream] == nil {
			streams = append(streams, stream)
		}
		of[stream] = append(of[stream], name)
	}
	return streams, of
}

// route puts an entry into the streams of its channels. done is as in report.
func (h *Handler) route(e pubsub.Entry, done func(error)) {
	p := h.node.InForce()
	if p.Inbox == nil || !strings.Contains(e.Channel, " ") {
		e.Stream = p.stream(e.Channel)
		h.add(e, done)
		return
	}
	streams, of := p.byStream(e.Channel)
	done = jointly(len(streams), done)
	for _, e.Stream = range streams {
		e.Channel = strings.Join(of[e.Stream], " ")
		h.add(e, done) // the bytes are shared: they are only read
	}
}

// jointly returns a done that is to be called n times, from any goroutine, and calls
// done with the first error, if any, the last time.
func jointly(n int, done func(error)) func(error) {
	if n == 1 || done == nil {
		return done
	}
	var mu sync.Mutex
	var first error
	return func(err error) {
		mu.Lock()
		if n--; first == nil {
			first = err
		}
		last, err := n == 0, first
		mu.Unlock()
		if last {
			done(err)
		}
	}
}
