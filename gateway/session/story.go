package session

import (
	"iter"
	"time"

	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/gateway/reason"
	"sluice/gateway/story"
	"sluice/loop"
)

// Question asks a reactor for what it knows of connections: of one, or, where Conn is 0, of a user's. Answers gets one slice, and
// must have room for it.
type Question struct {
	Conn    loop.ConnID
	User    string
	Answers chan<- []story.Story
}

// maxStories bounds what a reactor tells of one user's connections, those that have ended apart.
const maxStories = 100

// answer tells what is known.
func (h *Handler) answer(q Question) {
	var stories []story.Story
	switch {
	case q.Conn == 0:
		for l := h.crew.users[q.User]; l != nil && len(stories) < maxStories; l = l.next {
			stories = append(stories, h.story(l.conn))
		}
		past := 0
		h.endings.Of(q.User, func(e *story.Ending) bool {
			stories = append(stories, h.past(e))
			past++
			return past < maxStories
		})
	default:
		if c := h.r.Conn(q.Conn); c != nil {
			stories = append(stories, h.story(c))
		} else if e := h.endings.Find(uint64(q.Conn)); e != nil {
			stories = append(stories, h.past(e))
		}
	}
	q.Answers <- stories
}

// story is that of a connection which has not ended.
func (h *Handler) story(c *loop.Conn) story.Story {
	l := c.Look()
	s := story.Story{Conn: hub.ConnName(h.node.Life, c.ID()), Node: h.node.ID, State: story.Open, Dialect: dialectOf(c), Remote: story.Address(c.Remote()),
		Accepted: time.Now().Add(-l.Age), Queue: &story.Queue{Bytes: l.Queued, Blocked: l.Blocked},
		Wire: &story.Wire{Silent: l.Silent.Seconds(), Pinged: l.Pinged}}
	switch {
	case l.Closing:
		s.State = story.Closing
	case !l.Opened:
		s.State = story.Opening
	}
	if k := l.Kernel; k != nil {
		s.Wire.RTT = (time.Duration(k.Rtt) * time.Microsecond).Seconds()
		s.Wire.In, s.Wire.Out = k.Bytes_received, k.Bytes_acked
		s.Wire.Unsent, s.Wire.Retransmits = k.Notsent_bytes, k.Total_retrans
	}
	if g, ok := c.Session.(host); ok {
		s.User, s.Entries = g.self().user(), g.self().sent
	}
	for m := range membersOf(c) {
		if m.Name() == "" {
			continue
		}
		if len(s.Channels) == story.MaxChannels {
			s.More++
			continue
		}
		state, at := m.Where()
		s.Channels = append(s.Channels, story.Channel{Name: m.Name(), State: state, Position: uint64(at)})
	}
	return s
}

// past is the story of one that has.
func (h *Handler) past(e *story.Ending) story.Story {
	s := e.Story()
	if e.By == story.ByNode {
		s.End.Cause = string(reason.Of(e.Reason))
	}
	s.Conn, s.Node = hub.ConnName(h.node.Life, loop.ConnID(e.ID)), h.node.ID
	return s
}

// remember keeps the end of a connection. It is called while its dialect still has what it had.
func (h *Handler) remember(c *loop.Conn, g *guest, end loop.End) {
	now := time.Now()
	h.endings.Add(story.Ending{ID: uint64(c.ID()), Dialect: dialectOf(c), User: g.user(), Channels: channelsOf(c), Reason: end.Reason, By: endedBy(end),
		Remote: c.Remote(), Accepted: now.Add(-c.Age()).UnixNano(), At: now.UnixNano(), Entries: g.sent, Code: uint16(end.Code)})
}

func endedBy(end loop.End) string {
	switch {
	case end.Local && end.Code >= 4000:
		return story.ByService
	case end.Local:
		return story.ByNode
	case end.Code == codec.StatusAbnormal:
		return story.ByNetwork
	}
	return story.ByClient
}

// dialectOf is what a connection speaks, in the words of the metrics, also before its handshake is answered.
func dialectOf(c *loop.Conn) string {
	switch c.Session.(type) {
	case *plain:
		return KindNames[KindPlain]
	case *wrapped:
		return KindNames[KindEnvelope]
	case *events:
		return KindNames[KindEvents]
	case *centrifugal:
		return KindNames[KindCentrifuge]
	case *echo:
		return KindNames[KindEcho]
	}
	return KindNames[KindRequest]
}

// membersOf are a connection's memberships; those that have ended have no name.
func membersOf(c *loop.Conn) iter.Seq[*hub.Member] {
	switch s := c.Session.(type) {
	case interface{ members() iter.Seq[*hub.Member] }:
		return s.members()
	case *wrapped:
		return func(yield func(*hub.Member) bool) {
			for one := range s.subs.all {
				if !yield(&one.Member) {
					return
				}
			}
		}
	case *centrifugal:
		return func(yield func(*hub.Member) bool) {
			for one := range s.subs.all {
				if !yield(&one.Member) {
					return
				}
			}
		}
	}
	return func(func(*hub.Member) bool) {}
}
