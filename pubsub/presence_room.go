package pubsub

import (
	"container/list"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// room is what a Presence knows of one channel. Presence.mu guards it.
type room struct {
	channel    string
	life       string // under which its entries are written …
	generation uint64 // … and the generation
	seats      map[string]*seat
	changed    []*seat // whose entries may have to be written
	age        *list.Element
	renewed    time.Time // when its turn to be written last came, or it was made

	queued  bool    // it stands in Presence.queue or in Presence.failed
	indexed bool    // the channel is in this life's index …
	listed  bool    // … or may be
	known   bool    // Redis has heard of this life in this channel
	due     bool    // its time has come to be renewed
	sweeps  []sweep // to be made, one after the other
	cursor  string  // where the first of them goes on
}

// sweep removes entries that nobody stands for.
type sweep struct {
	life   string
	before string // the generation; "-": any
}

// seat is one connection's place in a room.
type seat struct {
	Attendee
	wanted    bool // the connection is subscribed
	sent      bool // an entry of it may be in Redis
	announced bool // its coming has been announced, if that is done here
	changed   bool // it stands in room.changed
}

func newRoom(channel, life string, generation uint64) *room {
	return &room{channel: channel, life: life, generation: generation, seats: map[string]*seat{}}
}

// join seats a connection, and says whether it had no seat.
func (r *room) join(a Attendee) (first bool) {
	s := r.seats[a.Conn]
	if s == nil {
		s = new(seat)
		r.seats[a.Conn] = s
	}
	first = !s.wanted
	s.Attendee, s.wanted = a, true
	r.change(s)
	return first
}

// leave takes its seat away, and says whether it had one. The seat stays until
// its entry is known not to be in Redis.
func (r *room) leave(conn string) bool {
	s := r.seats[conn]
	if s == nil || !s.wanted {
		return false
	}
	s.wanted = false
	r.change(s)
	return true
}

// vacate has all leave, and says how many that were.
func (r *room) vacate() (n int) {
	for conn := range r.seats {
		if r.leave(conn) {
			n++
		}
	}
	return n
}

func (r *room) change(s *seat) {
	if !s.changed {
		s.changed = true
		r.changed = append(r.changed, s)
	}
}

// follow has all entries written again, if they are of an older generation.
func (r *room) follow(life string, generation uint64) {
	if r.generation == generation {
		return
	}
	if r.life != life {
		for _, s := range r.seats {
			s.announced = false // whoever buries the old life says that they have gone
		}
		r.listed = false // and clears its index
	}
	r.lost()
	r.life, r.generation, r.indexed, r.known = life, generation, false, false
	r.sweepOwn()
}

// lost has all entries written again: Redis does not have them any more.
func (r *room) lost() {
	for _, s := range r.seats {
		r.change(s)
	}
	r.indexed = false
}

// sweepOwn has the entries of this life's older generations removed.
func (r *room) sweepOwn() {
	r.sweeps, r.cursor = []sweep{{r.life, strconv.FormatUint(r.generation, 10)}}, "0"
}

// sweepAway has the entries of lives removed whose time has passed.
func (r *room) sweepAway(lives []string) {
	for _, life := range lives {
		if one := (sweep{life, "-"}); !slices.Contains(r.sweeps, one) {
			r.sweeps = append(r.sweeps, one)
		}
	}
}

// swept notes that a sweep has come to cursor.
func (r *room) swept(by sweep, cursor string) {
	if len(r.sweeps) == 0 || r.sweeps[0] != by {
		return // a new generation has begun
	}
	if r.cursor = cursor; cursor == "0" {
		r.sweeps = r.sweeps[1:]
	}
}

// take returns the next changes, n at most. What has come and gone meanwhile, and
// was never sent, is none.
func (r *room) take(n int) (changes []*seat) {
	rest := r.changed
	for len(rest) > 0 && len(changes) < n {
		s := rest[0]
		rest[0] = nil
		rest = rest[1:]
		s.changed = false
		if !s.wanted && !s.sent {
			delete(r.seats, s.Conn)
			continue
		}
		changes = append(changes, s)
	}
	if r.changed = rest; len(rest) == 0 {
		r.changed = nil
	}
	return changes
}

// empty reports whether nothing of it is wanted, nor in Redis as far as is known.
func (r *room) empty() bool { return len(r.seats) == 0 && len(r.sweeps) == 0 }

// idle reports whether there is nothing to write.
func (r *room) idle() bool { return len(r.changed) == 0 && len(r.sweeps) == 0 && !r.due }

// entry is a seat's value in Redis. functions_presence.lua reads life and gen where
// they stand here.
func (s *seat) entry(life string, generation uint64) []byte {
	e := entryText{life, generation, s.User, s.Info, s.Since.UnixMilli()}
	text, err := json.Marshal(e)
	if err != nil { // info is no JSON
		e.Info = nil
		text, _ = json.Marshal(e) // strings and numbers can be marshalled
	}
	return text
}

// entryText is what stands in Redis about an Attendee.
type entryText struct {
	Life       string          `json:"life"`
	Generation uint64          `json:"gen"`
	User       string          `json:"user,omitempty"`
	Info       json.RawMessage `json:"info,omitempty"`
	Since      int64           `json:"since"`
}
