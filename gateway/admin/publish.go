package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"
)

const (
	// MaxBody is the largest request body taken by POST /api/publish, in bytes.
	MaxBody = 1 << 20

	// redisPatience bounds what one request may wait for Redis.
	redisPatience = 5 * time.Second
)

// publishRequest has the shape of Centrifugo's publish, and Text besides it.
type publishRequest struct {
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"` // published as the JSON text stands in the body
	Text    *string         `json:"text"` // published as the string's own bytes
}

var errTrailing = errors.New("there is more after the JSON object")

func (o Options) servePublish(w http.ResponseWriter, r *http.Request) {
	if o.Publish == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "publishing is switched off on this node")
		return
	}
	// A form or a plain text body can be sent across origins without a preflight;
	// application/json cannot.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, codeBadRequest, "Content-Type is %q; it must be application/json", r.Header.Get("Content-Type"))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		refuse(w, http.StatusRequestEntityTooLarge, codeBadRequest, "the body is larger than %d bytes; publish through Redis instead, or less at once", MaxBody)
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, codeBadRequest, "the body did not arrive whole: %v", err)
		return
	}
	req, err := parsePublish(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, codeBadRequest, `the body is not {"channel":"…","data":…} or {"channel":"…","text":"…"}: %v`, err)
		return
	}
	if err := o.checkChannel(req.Channel); err != nil {
		refuse(w, http.StatusBadRequest, codeBadRequest, "channel %q: %v", clip(req.Channel), err)
		return
	}
	o.publish(w, r, req)
}

func (o Options) publish(w http.ResponseWriter, r *http.Request, req publishRequest) {
	ctx, cancel := context.WithTimeout(r.Context(), redisPatience)
	defer cancel()
	receivers, err := o.Publish(ctx, req.Channel, req.payload())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, codeInternal, "publishing to %q failed, so it is unknown whether the message was sent: %v", clip(req.Channel), err)
		return
	}
	type result struct {
		Receivers int64 `json:"receivers"` // nodes that Redis handed it to
	}
	reply(w, http.StatusOK, struct {
		Result result `json:"result"`
	}{result{receivers}})
}

func (p publishRequest) payload() []byte {
	if p.Text != nil {
		return []byte(*p.Text)
	}
	return p.Data
}

// parsePublish is strict: a field it does not know is a promise it cannot keep.
func parsePublish(body []byte) (p publishRequest, err error) {
	if !utf8.Valid(body) {
		return p, errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return p, errors.New("it ends too early")
		}
		return p, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return p, errTrailing
	}
	switch {
	case p.Data == nil && p.Text == nil:
		return p, errors.New(`"data" or "text" is missing`)
	case p.Data != nil && p.Text != nil:
		return p, errors.New(`"data" and "text" are both given; one is needed`)
	}
	return p, nil
}

// serveCheck lets the console tell why a handshake failed: a browser hides the
// answer to a refused upgrade from the page.
func (o Options) serveCheck(w http.ResponseWriter, r *http.Request) {
	channel := r.URL.Query().Get("channel")
	if err := o.checkChannel(channel); err != nil {
		refuse(w, http.StatusBadRequest, codeBadRequest, "channel %q: %v", clip(channel), err)
		return
	}
	reply(w, http.StatusOK, struct {
		Result struct{} `json:"result"`
	}{})
}

func (o Options) checkChannel(channel string) error {
	if channel == "" {
		return errors.New("the name is missing")
	}
	if o.CheckChannel == nil {
		return nil
	}
	return o.CheckChannel(channel)
}

// clip keeps a caller's megabyte out of the answer.
func clip(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
