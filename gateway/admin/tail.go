package admin

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	maxTailed   = 32                     // channels that one page follows at once
	tailEvery   = 250 * time.Millisecond // between two batches
	tailBatch   = 25                     // messages of one
	maxShown    = 4 << 10                // bytes of a payload that are shown
	maxShownHex = 512                    // bytes of one that is no text
)

// Tailed is what has come on the channels that a page follows since it was told last. Any
// goroutine may add to it, and none ever waits: what is too much for the page is counted.
type Tailed struct {
	mu      sync.Mutex
	batch   batch
	arrived chan struct{} // has one when there is something to tell
}

// batch is one event of a tail's stream.
type batch struct {
	Messages []tailedMessage `json:"messages,omitempty"`
	Skipped  int             `json:"skipped,omitempty"` // messages that are not shown, because too many came
	Notes    []string        `json:"notes,omitempty"`   // what has happened to the tail itself
	Channels []string        `json:"channels,omitempty"`
}

// tailedMessage is one as the page shows it.
type tailedMessage struct {
	Time     time.Time `json:"time"`
	Channel  string    `json:"channel"`
	Position string    `json:"position,omitempty"` // of a durable message
	Event    string    `json:"event,omitempty"`    // join or leave, of whom Text says; "": it is a message
	Size     int       `json:"size"`               // bytes
	Text     *string   `json:"text,omitempty"`     // it, or its beginning
	Bytes    []byte    `json:"bytes,omitempty"`    // of one that is no text: in base64 its beginning
	Cut      bool      `json:"cut,omitempty"`      // there is more
}

func newTailed() *Tailed { return &Tailed{arrived: make(chan struct{}, 1)} }

// Add takes a message. It does not keep payload.
func (t *Tailed) Add(channel, payload []byte, position uint64) { t.add("", channel, payload, position) }

// Come takes it that somebody comes or goes, who is text.
func (t *Tailed) Come(channel []byte, came bool, who string) {
	event := "leave"
	if came {
		event = "join"
	}
	t.add(event, channel, []byte(who), 0)
}

func (t *Tailed) add(event string, channel, payload []byte, position uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.batch.Messages) == tailBatch {
		t.batch.Skipped++
		return
	}
	m := tailedMessage{Time: time.Now(), Channel: string(channel), Event: event, Size: len(payload)}
	if position != 0 {
		m.Position = strconv.FormatUint(position, 10)
	}
	if utf8.Valid(payload) {
		shown := payload[:textEnd(payload, maxShown)]
		s := string(shown)
		m.Text, m.Cut = &s, len(shown) < len(payload)
	} else {
		m.Bytes = append([]byte(nil), payload[:min(len(payload), maxShownHex)]...)
		m.Cut = len(m.Bytes) < len(payload)
	}
	t.batch.Messages = append(t.batch.Messages, m)
	t.tell()
}

// textEnd is where valid text is cut that may have most bytes: not inside a character.
func textEnd(s []byte, most int) int {
	if len(s) <= most {
		return len(s)
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return most
}

// Note takes a line about the tail itself.
func (t *Tailed) Note(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.batch.Notes) < tailBatch {
		t.batch.Notes = append(t.batch.Notes, line)
	}
	t.tell()
}

func (t *Tailed) tell() {
	select {
	case t.arrived <- struct{}{}:
	default:
	}
}

// take empties it.
func (t *Tailed) take() (b batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, t.batch = t.batch, batch{}
	return b
}

// serveTail streams what is published on channels, however much that is: a batch four times
// a second at most.
func (l *listener) serveTail(w http.ResponseWriter, r *http.Request) {
	if l.Tail == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node follows no channels for the console")
		return
	}
	channels := r.URL.Query()["channel"]
	if len(channels) == 0 || len(channels) > maxTailed {
		refuse(w, http.StatusBadRequest, codeBadRequest, "1 to %d channels can be followed at once, there are %d", maxTailed, len(channels))
		return
	}
	for _, name := range channels {
		if err := l.checkChannel(name); err != nil {
			refuse(w, http.StatusBadRequest, codeBadRequest, "channel %q: %v", clip(name), err)
			return
		}
	}
	if !l.tails.take() {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, codeNotAvailable, "as many pages follow channels as this node serves at once (%d): stop some", maxTails)
		return
	}
	defer l.tails.leave()
	if !l.streams.take() {
		l.refuseStream(w)
		return
	}
	defer l.streams.leave()
	l.tail(w, r, channels)
}

// tail ends when the page has gone, or what it follows.
func (l *listener) tail(w http.ResponseWriter, r *http.Request, channels []string) {
	o, ctx, cancel := beginStream(w, r)
	tailed := newTailed()
	ended := make(chan error, 1)
	go func() { // waited for below
		defer close(ended)
		ended <- l.Tail(ctx, channels, tailed)
	}()
	defer func() {
		cancel()
		for range ended { // that it was stopped is no fault
		}
	}()
	first, err := json.Marshal(batch{Channels: channels})
	if err != nil || o.send("tail", first) != nil {
		return
	}
	alive := time.NewTicker(sendTime)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-ended:
			if err != nil && ctx.Err() == nil {
				tailed.Note("following has ended: " + err.Error())
			}
			o.sendBatch(tailed.take())
			return
		case <-alive.C: // so that a page which has gone is noticed
		case <-tailed.arrived:
		}
		if !o.sendBatch(tailed.take()) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tailEvery):
		}
	}
}

func (o *outgoing) sendBatch(b batch) bool {
	line, err := json.Marshal(b)
	return err == nil && o.send("tail", line) == nil
}
