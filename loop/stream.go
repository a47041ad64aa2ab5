package loop

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"sluice/codec"
)

// A stream is a connection whose request was answered with a response that lasts:
// whole events instead of frames, and nothing from the client. It is open like
// others, and Send, Offer and Close mean the same for it; what Send is given are
// whole events, so that wherever the queue is cut no event is in halves.

// Stream answers the request with an event stream, under headers as for Respond,
// and c is open. The client is told how long to wait before it comes back when
// the stream has ended. It reports false, and nothing happens, when the request
// has been answered already: its deadline may have passed.
func (c *Conn) Stream(header []string) bool {
	c.r.owner.check()
	if c.state != pending {
		return false
	}
	early := 0
	if c.rare != nil {
		early = len(c.rare.early)
	}
	c.rare = nil
	c.state = open
	c.marks |= markStream
	c.opened()
	c.r.count.streamed.Add(1)
	c.r.armPing(c)
	c.output(codec.AppendRetry(codec.AppendStreamHead(c.r.scratch[:0], header), c.r.absence()))
	if early > 0 {
		c.discard(early)
	}
	return true
}

// absence is how long a client is to stay away once its stream has ended: long
// enough that those who were cut together do not come back together.
func (r *Reactor) absence() time.Duration {
	return minAbsence + time.Duration(r.random.Int64N(int64(maxAbsence-minAbsence)+1))
}

const (
	minAbsence = time.Second
	maxAbsence = 3 * time.Second
)

// endStream says why, as an event of the type close with the code and the reason
// that a WebSocket would be closed with, and ends the response.
func (c *Conn) endStream(code codec.StatusCode, reason string) {
	c.begin(End{Code: code, Reason: reason, Local: true})
	data := append(strconv.AppendInt(nil, int64(code), 10), ' ')
	c.output(codec.AppendEvent(codec.AppendRetry(c.r.scratch[:0], c.r.absence()), "", "close", append(data, reason...)))
	c.linger()
}

// beat is a stream's heartbeat: a comment, which keeps the way open. Nobody answers
// it but the client's kernel, or that of a proxy before it. Where that one does not,
// ours gives up after TCP_USER_TIMEOUT (see Engine.setSocketOptions), so that a
// client which vanished is gone after twice PingInterval and once PingTimeout.
func (r *Reactor) beat(c *Conn) {
	if c.first == nil { // else what waits does the same
		c.push(comment)
		c.flushSoon()
	}
	r.waitForSilence(c, r.opts.PingInterval)
}

// comment is a heartbeat, shared by everyone.
var comment = []byte(codec.Comment)

// lost notes the end of a connection whose socket just ended, with err. A stream's
// client has no other way to leave.
func (c *Conn) lost(err error) {
	switch {
	case c.special().ending:
	case errors.Is(err, unix.ETIMEDOUT):
		c.r.count.unanswered.Add(1)
		c.begin(End{Code: errSilent.Code, Reason: errSilent.Reason, Local: true})
	case c.marks.has(markStream):
		c.begin(End{Code: codec.StatusGoingAway, Reason: "the client left"})
	default:
		c.begin(End{Code: codec.StatusAbnormal, Reason: "connection lost"})
	}
}

// refusal is an error as a response; a HEAD request gets the header alone.
func (c *Conn) refusal(err *codec.HTTPError, header []string) []byte {
	response := err.Append(c.r.scratch[:0], header...)
	if c.marks.has(markHead) {
		response, _, _ = bytes.Cut(response, []byte("\r\n\r\n"))
		response = append(response, "\r\n\r\n"...)
	}
	return response
}
