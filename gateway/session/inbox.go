package session

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// maxEntryID is the longest idempotency id of a client, bytes.
const maxEntryID = 64

var errEntryID = errors.New("session: an idempotency id has 1 to 64 of A-Z a-z 0-9 _ . -")

// checkEntryID judges an idempotency id that a client has sent.
func checkEntryID(id string) error {
	if id == "" || len(id) > maxEntryID {
		return errEntryID
	}
	for _, b := range []byte(id) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '_', b == '.', b == '-':
		default:
			return errEntryID
		}
	}
	return nil
}

// scopedID is a client's idempotency id as it stands in the inbox: nobody can name
// what somebody else has sent. A user's ids are the same on all connections, so
// that what was sent may be sent again after coming back; those of an anonymous
// client end with its connection, for nothing else tells it from others. The last
// colon is before the client's part, which has none, and ids of our own have none.
func scopedID(g *guest, conn, id string) string {
	if g.who == nil {
		return "conn:" + conn + ":" + id
	}
	return "user:" + g.who.User + ":" + id
}

// report completes an entry about c, of which g is the guest, and puts it into the
// inbox: into the stream of the namespace of its channel, or the usual one where it
// has none; connect and disconnect belong to no channel. Where the channels of an entry
// lie in several streams it goes to each of them, with those that do. An ID in e is the
// client's and has passed checkEntryID. done, if any, is called once with what became
// of it: from a goroutine of the inbox, or, where it is refused at once, before report
// returns.
func (h *Handler) report(c *loop.Conn, g *guest, e pubsub.Entry, done func(error)) {
	e.Conn = hub.ConnName(h.node.Life, c.ID())
	if e.ID == "" {
		g.sent++
		e.ID = e.Conn + "." + strconv.FormatUint(uint64(g.sent), 36)
	} else {
		e.ID = scopedID(g, e.Conn, e.ID)
	}
	e.User = g.user()
	switch e.Type {
	case "connect", "disconnect":
		g.reported = e.Type == "connect"
		h.add(e, done)
	default:
		h.route(e, done)
	}
}

// add completes an entry with what all of this node have, and puts it into the inbox.
// done is as in report.
func (h *Handler) add(e pubsub.Entry, done func(error)) {
	e.Reply, e.Node, e.Time = h.node.Reply, h.node.ID, time.Now()
	e.Done = func(err error) {
		if err != nil {
			h.node.Counters.InboxFailed.Add(1)
			h.node.Log.Warn("an inbox entry is lost, or may be: "+e.Type, zap.String("conn", e.Conn), zap.Error(err))
		}
		if done != nil {
			done(err)
		}
	}
	if err := h.node.Inbox.Add(e); err != nil {
		e.Done(err)
	}
}

// tell is report for those who want to know on the reactor what became of the
// entry. done, if any, is called once, not before tell has returned, and never after
// the connection has ended. nil means that Redis has the entry; what other errors
// mean package pubsub says.
func (h *Handler) tell(c *loop.Conn, g *guest, e pubsub.Entry, done func(err error)) {
	if done == nil {
		h.report(c, g, e, nil)
		return
	}
	id, r := c.ID(), h.r
	h.report(c, g, e, func(err error) { r.Post(outcome{id, err, done}) })
}

// outcome tells a reactor what became of something that a connection's dialect
// waits for.
type outcome struct {
	conn loop.ConnID
	err  error
	done func(error)
}

func (h *Handler) outcome(o outcome) {
	if h.r.Conn(o.conn) != nil {
		o.done(o.err)
	}
}

// connected reports a connection and the channels that it has, put together with
// spaces, to the inbox. It must be followed by disconnected when the connection ends;
// a dialect that has a method channelNames, or channels, is asked for the channels
// when the connection has to be reported again.
func (h *Handler) connected(c *loop.Conn, g *guest, channels string) {
	for channel := range strings.FieldsSeq(channels) {
		h.present(c, g, channel)
	}
	h.report(c, g, pubsub.Entry{Type: "connect", Channel: channels}, nil)
}

// subscribedTo reports a channel that a connection has taken up since.
func (h *Handler) subscribedTo(c *loop.Conn, g *guest, channel string) {
	h.present(c, g, channel)
	h.report(c, g, pubsub.Entry{Type: "subscribe", Channel: channel}, nil)
}

// unsubscribedFrom reports a channel that a connection has given up. That it gives
// up all when it ends goes without saying.
func (h *Handler) unsubscribedFrom(c *loop.Conn, g *guest, channel string) {
	h.report(c, g, pubsub.Entry{Type: "unsubscribe", Channel: channel}, nil)
}

// disconnected reports how a connection that was reported has ended, and the
// channels that it had.
func (h *Handler) disconnected(c *loop.Conn, g *guest, channels string, end loop.End) {
	data := []byte(strconv.Itoa(int(end.Code)) + " " + end.Reason)
	h.report(c, g, pubsub.Entry{Type: "disconnect", Channel: channels, Data: data}, nil)
}

// unstored tells a reactor that a client's message is not in the inbox.
type unstored struct {
	conn loop.ConnID
	err  error
}

// unstored tells the client in the one way that the plain dialect has: the
// connection ends, with a code that means "come back and send it again".
func (h *Handler) unstored(u unstored) {
	c := h.r.Conn(u.conn)
	if c == nil || !c.Open() {
		return
	}
	if errors.Is(u.err, errReserved) {
		c.Close(codec.StatusPolicyViolation, "a message begins as durable ones do on their way to the nodes")
		return
	}
	reason := "message not stored: send it again"
	if errors.Is(u.err, pubsub.ErrInboxFull) {
		reason = "message not stored: the inbox is full"
	}
	c.Close(codec.StatusTryAgainLater, reason)
}
