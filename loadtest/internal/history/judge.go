package history

import (
	"fmt"
	"slices"
	"time"
)

// OnTheWay is how long a message may take from Redis' answer to its subscriber
// at the most, for the question whether a fault can have hit it.
const OnTheWay = int64(250 * time.Millisecond)

// Counts are messages by class, once for each subscription.
type Counts struct {
	OK           int64 `json:"ok"`
	LostTold     int64 `json:"lost_told"`
	LostSilently int64 `json:"lost_silently"`
	Spoiled      int64 `json:"spoiled"`
	Unknown      int64 `json:"unknown"`
	Duplicate    int64 `json:"duplicate"`
	Echoed       int64 `json:"echoed"` // came twice where History.Echoes allows for it
	OutOfOrder   int64 `json:"out_of_order"`
	Altered      int64 `json:"altered"`
	LostQuietly  int64 `json:"lost_quietly"` // of those lost, told or not: no fault was being made
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.OK += o.OK
	c.LostTold += o.LostTold
	c.LostSilently += o.LostSilently
	c.Spoiled += o.Spoiled
	c.Unknown += o.Unknown
	c.Duplicate += o.Duplicate
	c.Echoed += o.Echoed
	c.OutOfOrder += o.OutOfOrder
	c.Altered += o.Altered
	c.LostQuietly += o.LostQuietly
}

// Verdict is what Judge finds.
type Verdict struct {
	Total   Counts
	ByFault []Counts // by index in History.Faults; Altered is in Total alone
	Quiet   Counts   // outside of all faults
	Oddness []string // the first of what should not be, for people
}

const maxOddness = 25

func (v *Verdict) odd(format string, args ...any) {
	if len(v.Oddness) < maxOddness {
		v.Oddness = append(v.Oddness, fmt.Sprintf(format, args...))
	}
}

// judge is the state of one Judge.
type judge struct {
	h        *History
	v        *Verdict
	windows  map[string][]Window  // by node
	streams  map[string][]int32   // by channel
	carriers map[string][]Carrier // by channel
}

// Judge classifies.
func Judge(h *History) Verdict {
	j := judge{h: h, v: &Verdict{ByFault: make([]Counts, len(h.Faults))}, windows: map[string][]Window{}, streams: map[string][]int32{}, carriers: map[string][]Carrier{}}
	for _, c := range h.Carriers {
		j.carriers[c.Channel] = append(j.carriers[c.Channel], c)
	}
	for _, w := range h.Windows {
		j.windows[w.Node] = append(j.windows[w.Node], w)
	}
	for i, s := range h.Streams {
		j.streams[s.Channel] = append(j.streams[s.Channel], int32(i))
	}
	for i := range h.Subscriptions {
		j.subscription(&h.Subscriptions[i])
	}
	return *j.v
}

func (j *judge) subscription(s *Subscription) {
	j.v.Total.Altered += int64(s.Altered)
	byStream := map[int32][]Arrival{}
	for _, a := range s.Arrivals {
		byStream[a.Stream] = append(byStream[a.Stream], a)
	}
	for _, i := range j.streams[s.Channel] {
		j.stream(s, i, byStream[i])
		delete(byStream, i)
	}
	for _, strays := range byStream { // of other channels
		for range strays {
			j.v.Total.Altered++
			j.v.odd("connection %d on %s got on %s what was sent to %s", s.Conn, s.Node, s.Channel, j.h.Streams[strays[0].Stream].Channel)
		}
	}
}

// stream judges one publisher's messages at one subscription.
func (j *judge) stream(s *Subscription, index int32, arrivals []Arrival) {
	messages := j.h.Streams[index].Messages
	seen := make([]bool, len(messages))
	highest := int32(-1)
	for _, a := range arrivals {
		m := messages[a.Number]
		var c Counts
		switch {
		case seen[a.Number] && j.h.Echoes && j.changing(s.Channel, m):
			c.Echoed = 1
		case seen[a.Number]:
			c.Duplicate = 1
			j.v.odd("connection %d on %s got message %d of %s twice", s.Conn, s.Node, a.Number, s.Channel)
		case a.Number < highest && m.Acked != 0: // what was never acked Redis may have taken at any time
			c.OutOfOrder = 1
			j.v.odd("connection %d on %s got message %d of %s after message %d", s.Conn, s.Node, a.Number, s.Channel, highest)
		}
		seen[a.Number] = true
		highest = max(highest, a.Number)
		j.count(m, c)
	}
	entitled := int32(len(messages))
	if !s.Stayed {
		entitled = highest + 1
	}
	first, _ := slices.BinarySearchFunc(messages, s.Opened, func(m Message, at int64) int {
		if m.Sent < at {
			return -1
		}
		return 1
	})
	for n := int32(first); n < entitled; n++ {
		j.count(messages[n], j.class(s, n, messages[n], seen[n]))
	}
}

func (j *judge) class(s *Subscription, number int32, m Message, seen bool) Counts {
	fault := j.fault(m)
	switch {
	case seen:
		return Counts{OK: 1}
	case m.Acked == 0:
		return Counts{Unknown: 1}
	}
	var c Counts
	if fault < 0 {
		c.LostQuietly = 1
		j.v.odd("connection %d on %s lost message %d of %s while no fault was being made, sent %s", s.Conn, s.Node, number, s.Channel, clock(m.Sent))
	}
	switch {
	case j.told(s, m):
		c.LostTold = 1
	case fault >= 0 && j.h.Faults[fault].Spoils && m.Sent <= j.h.Faults[fault].Healed:
		c.Spoiled = 1
	default:
		c.LostSilently = 1
		j.v.odd("connection %d on %s lost message %d of %s, sent %s, without a word from its node", s.Conn, s.Node, number, s.Channel, clock(m.Sent))
	}
	return c
}

func (j *judge) told(s *Subscription, m Message) bool {
	return slices.ContainsFunc(j.windows[s.Node], func(w Window) bool {
		return (w.Channel == "" || w.Channel == s.Channel) && w.From <= m.Acked && (w.To == 0 || m.Sent <= w.To) && j.carried(s.Channel, w.Link, m)
	})
}

// carried says whether a message may have gone through a link.
func (j *judge) carried(channel, link string, m Message) bool {
	carriers := j.carriers[channel]
	return link == "" || len(carriers) == 0 || slices.ContainsFunc(carriers, func(c Carrier) bool {
		return c.Link == link && c.From <= m.Acked && (c.To == 0 || m.Sent <= c.To)
	})
}

// changing says whether a message's channel was on its way from one link to another.
func (j *judge) changing(channel string, m Message) bool {
	n := 0
	for _, c := range j.carriers[channel] {
		if c.From <= max(m.Acked, m.Sent) && (c.To == 0 || m.Sent <= c.To) {
			n++
		}
	}
	return n > 1
}

// fault is the index of the first fault that can have hit a message, -1 if none.
func (j *judge) fault(m Message) int {
	return slices.IndexFunc(j.h.Faults, func(f Fault) bool {
		return m.Sent <= f.End && max(m.Acked, m.Sent)+OnTheWay >= f.Begin
	})
}

// count books a message's class where its time belongs.
func (j *judge) count(m Message, c Counts) {
	j.v.Total.Add(c)
	if fault := j.fault(m); fault >= 0 {
		j.v.ByFault[fault].Add(c)
	} else {
		j.v.Quiet.Add(c)
	}
}

func clock(ns int64) string { return time.Unix(0, ns).UTC().Format("15:04:05.000") }
