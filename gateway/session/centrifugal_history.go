package session

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/centrifugal/protocol"

	"sluice/gateway/centrifuge"
	"sluice/loop"
	"sluice/pubsub"
)

// history reads a channel's log. limit is how many messages are wanted: 0 only the position, less
// than that as many as a client may have. Who may subscribe may read.
func (s *centrifugal) history(h *Handler, c *loop.Conn, command uint32, r *protocol.HistoryRequest) {
	p := h.node.InForce()
	switch {
	case r.Channel == "":
		s.refuse(h, c, command, centrifuge.ErrBadRequest)
		return
	case pubsub.CheckChannel(r.Channel) != nil:
		s.refuse(h, c, command, centrifuge.ErrUnknownChannel)
		return
	case s.subs.find(r.Channel) == nil && !p.mayTakeUp(s.who, r.Channel):
		s.refuse(h, c, command, centrifuge.ErrPermissionDenied)
		return
	case !p.isDurable(r.Channel):
		s.refuse(h, c, command, centrifuge.ErrNotAvailable)
		return
	case r.Since != nil && r.Since.Offset >= 1<<53: // it is none of ours
		s.refuse(h, c, command, centrifuge.ErrUnrecoverable)
		return
	}
	q := question{channel: strings.Clone(r.Channel), limit: int(r.Limit), bytes: p.MaxReply, reverse: r.Reverse}
	if r.Limit < 0 || q.limit > p.MaxRecovery {
		q.limit = p.MaxRecovery
	}
	if r.Since != nil {
		q.since, q.epoch, q.resumes = pubsub.Position(r.Since.Offset), strings.Clone(r.Since.Epoch), true
	}
	var log pubsub.History
	h.ask(c, func(ctx context.Context, b Broker) (err error) {
		log, err = q.ask(ctx, b)
		log.Entries = fitting(log.Entries, p.MaxReply)
		return err
	}, func(err error) {
		if err == nil && !q.isAnswered(&log) {
			s.refuse(h, c, command, centrifuge.ErrUnrecoverable)
			return
		}
		if err != nil {
			s.refuse(h, c, command, unanswered(err))
			return
		}
		result := &protocol.HistoryResult{Publications: []*protocol.Publication{}, Epoch: log.Epoch, Offset: uint64(log.Last)}
		for _, e := range log.Entries {
			result.Publications = append(result.Publications, &protocol.Publication{Data: s.encoding.Value(e.Payload), Offset: uint64(e.Position)})
		}
		s.reply(h, c, &protocol.Reply{Id: command, History: result})
	})
}

// unanswered is how a client is told that something could not be found out.
func unanswered(err error) *protocol.Error {
	if errors.Is(err, errManyAsked) {
		return centrifuge.ErrTooManyRequests
	}
	return centrifuge.ErrInternal
}

// fitting are the first entries of a log whose payloads have at most so many bytes
// together, but one at least: the client asks for the rest from the last one on.
func fitting(entries []pubsub.Durable, most int) []pubsub.Durable {
	size := 0
	for i := range entries {
		if size += len(entries[i].Payload); size > most && i > 0 {
			return slices.Clone(entries[:i]) // not to keep the others
		}
	}
	return entries
}

// question is what a client wants to know of a channel's log.
type question struct {
	channel string
	limit   int
	bytes   int  // of payloads, if there is more than one
	reverse bool // the newest first
	resumes bool // from since on, which is of epoch
	since   pubsub.Position
	epoch   string
}

func (q *question) ask(ctx context.Context, b Broker) (pubsub.History, error) {
	switch {
	case q.reverse:
		return b.HistoryBefore(ctx, q.channel, q.since, q.limit)
	case q.limit == 0:
		return b.History(ctx, q.channel, 0, 0, 0)
	}
	return b.History(ctx, q.channel, q.since, q.limit, q.bytes)
}

// isAnswered says whether the log goes on from where the client wants it to, without a
// hole. One that is read backwards does not begin anywhere, one of which only the position is
// wanted is not read.
func (q *question) isAnswered(log *pubsub.History) bool {
	switch {
	case !q.resumes:
		return true
	case q.epoch != "" && q.epoch != log.Epoch:
		return false
	case q.reverse || q.limit == 0:
		return true
	case len(log.Entries) > 0:
		return log.Entries[0].Before == q.since
	}
	return log.Last == q.since
}
