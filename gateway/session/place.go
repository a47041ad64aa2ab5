package session

import (
	"net/url"
	"strconv"
	"strings"

	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// place is where an event stream stands in the logs of its channels. It is what the
// client remembers as its last event ID: of one channel the position of the newest
// message that it has, of several all their positions, in the order of the channels,
// with dots between: 28512345678901234.0.28512345678900000. 0 stands for a channel
// that keeps no log, or of which nothing is known.
//
// A position proves by itself what the client has: it names one message and is
// never given twice, and Redis checks the chain from it (sluice_history), so the epoch
// need not be in it.
type place struct {
	at    []pubsub.Position // by channel
	shown bool              // the client has shown an id
}

// placeOf reads where a client of these channels was: from the header by which
// browsers come back, which is newer than what stands in their URL, else from
// ?since=, which is such an id or, as for /ws, a position for the channel in the same
// place of the query. What the header says may have been said by another stream: one
// that fits none of these channels is nothing that a browser could mend, so its
// client is told to start afresh.
func (p *Policy) placeOf(header []string, query url.Values, channels []string) (place, *codec.HTTPError) {
	w := place{at: make([]pubsub.Position, len(channels))}
	since := query["since"]
	switch {
	case len(header) > 0:
		w.shown = header[0] != ""
		if len(header) > 1 || !w.parse(header[0]) {
			clear(w.at)
		}
	case len(since) == 1 && strings.Contains(since[0], "."):
		w.shown = true
		if !w.parse(since[0]) {
			return w, errSince
		}
	case len(since) > 0:
		at, refusal := p.since(since, query["channel"])
		if refusal != nil {
			return w, refusal
		}
		w.shown = len(at) > 0
		for i, name := range channels {
			w.at[i] = at[name]
		}
	}
	return w, nil
}

// parse reads an id for all channels.
func (p *place) parse(id string) bool {
	parts := strings.Split(id, ".")
	if len(parts) != len(p.at) {
		return false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 53)
		if err != nil {
			return false
		}
		p.at[i] = pubsub.Position(n)
	}
	return true
}

// append appends it as an id.
func (p *place) append(dst []byte) []byte {
	for i, at := range p.at {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(at), 10)
	}
	return dst
}

// begin is where the i-th channel begins for a client that has not said where it was.
func (p *place) begin(i int, r *hub.Recovery) {
	if !p.shown {
		p.at[i] = r.Position
	}
}

// recovered sends what the log of the i-th channel has for the client: whether that is
// all, the messages, and the place behind them. That one comes with an event: an id by
// itself would do by the standard, but not all clients remember it.
func (p *place) recovered(c *loop.Conn, i int, channel string, r *hub.Recovery) {
	if r.Err != nil {
		if p.shown { // it comes back with the same id, and may be luckier
			c.Close(codec.StatusTryAgainLater, "the channel's log cannot be read: come back")
		}
		return
	}
	resumed := r.Recovered && p.at[i] != 0
	switch {
	case resumed && p.shown:
		c.Send(codec.AppendEvent(nil, "", resumedEvent, []byte(channel)))
	case !resumed && (p.shown || p.at[i] != 0):
		c.Send(codec.AppendEvent(nil, "", resetEvent, []byte(channel)))
	}
	if len(p.at) == 1 {
		if len(r.Messages) > 0 {
			c.Send(r.Encoded(FormEvent, false))
		}
	} else {
		var all []byte
		for _, m := range r.Messages {
			all = append(all, p.event(i, m)...)
		}
		if len(all) > 0 {
			c.Send(all)
		}
	}
	p.at[i] = r.Position
	c.Send(codec.AppendEvent(nil, string(p.append(nil)), readyEvent, []byte(channel)))
}

// event is a message of the i-th of several channels, and goes on to it.
func (p *place) event(i int, m *hub.Message) []byte {
	if m.Position == 0 {
		return appendMessage(nil, "", m.Payload)
	}
	p.at[i] = m.Position
	return appendMessage(nil, string(p.append(nil)), m.Payload)
}
