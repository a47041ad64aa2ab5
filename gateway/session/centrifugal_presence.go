package session

import (
	"context"
	"strings"

	"github.com/centrifugal/protocol"

	"sluice/gateway/centrifuge"
	"sluice/loop"
	"sluice/pubsub"
)

// maxAttendees is how many subscribers of a channel are listed. Where there are more the client is
// told so, rather than given a part: it can ask how many there are.
const maxAttendees = 1000

// presence lists who is subscribed to a channel.
func (s *centrifugal) presence(h *Handler, c *loop.Conn, command uint32, r *protocol.PresenceRequest) {
	if refusal := s.maySeePresence(h, r.Channel); refusal != nil {
		s.refuse(h, c, command, refusal)
		return
	}
	channel := strings.Clone(r.Channel)
	var there []pubsub.Attendee
	var many bool
	most := h.node.InForce().MaxReply
	h.ask(c, func(ctx context.Context, b Broker) (err error) {
		there, many, err = attendees(ctx, b, channel, most)
		return err
	}, func(err error) {
		switch {
		case err != nil:
			s.refuse(h, c, command, unanswered(err))
			return
		case many:
			s.refuse(h, c, command, centrifuge.ErrLimitExceeded)
			return
		}
		result := &protocol.PresenceResult{Presence: make(map[string]*protocol.ClientInfo, len(there))}
		for i := range there {
			result.Presence[there[i].Conn] = clientInfo(s.encoding, &there[i])
		}
		s.reply(h, c, &protocol.Reply{Id: command, Presence: result})
	})
}

// attendees are the subscribers of a channel, or the news that they are many, or have more
// than most bytes.
func attendees(ctx context.Context, b Broker, channel string, most int) (all []pubsub.Attendee, many bool, err error) {
	for cursor := ""; ; {
		part, err := b.Attendance(ctx, channel, maxAttendees, cursor)
		if err != nil {
			return nil, false, err
		}
		all, cursor = append(all, part.Attendees...), part.Next
		for i := range part.Attendees {
			most -= len(part.Attendees[i].Conn) + len(part.Attendees[i].User) + len(part.Attendees[i].Info)
		}
		switch {
		case part.Connections > maxAttendees || len(all) > maxAttendees || most < 0:
			return nil, true, nil
		case cursor == "":
			return all, false, nil
		}
	}
}

// presenceStats tells how many are subscribed to a channel.
func (s *centrifugal) presenceStats(h *Handler, c *loop.Conn, command uint32, r *protocol.PresenceStatsRequest) {
	if refusal := s.maySeePresence(h, r.Channel); refusal != nil {
		s.refuse(h, c, command, refusal)
		return
	}
	channel := strings.Clone(r.Channel)
	result := &protocol.PresenceStatsResult{}
	h.ask(c, func(ctx context.Context, b Broker) error {
		connections, users, err := b.AttendanceStats(ctx, channel)
		result.NumClients, result.NumUsers = uint32(connections), uint32(users)
		return err
	}, func(err error) {
		if err != nil {
			s.refuse(h, c, command, unanswered(err))
			return
		}
		s.reply(h, c, &protocol.Reply{Id: command, PresenceStats: result})
	})
}

// maySeePresence is why who asks after a channel's subscribers is refused, nil if it is not.
func (s *centrifugal) maySeePresence(h *Handler, channel string) *protocol.Error {
	switch {
	case channel == "":
		return centrifuge.ErrBadRequest
	case pubsub.CheckChannel(channel) != nil:
		return centrifuge.ErrUnknownChannel
	case !h.keepsPresence(channel):
		return centrifuge.ErrNotAvailable
	case !h.node.InForce().maySeePresence(s.who, channel):
		return centrifuge.ErrPermissionDenied
	}
	return nil
}

// clientInfo is a subscriber as the protocol shows it. What it tells of itself stands in
// its token, and is JSON.
func clientInfo(e centrifuge.Encoding, a *pubsub.Attendee) *protocol.ClientInfo {
	info := &protocol.ClientInfo{User: a.User, Client: a.Conn}
	if len(a.Info) > 0 {
		info.ConnInfo = e.Value(a.Info)
	}
	return info
}
