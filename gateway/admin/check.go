package admin

import (
	"errors"
	"net/http"
	"time"
)

// redisPatience bounds what one request may wait for Redis.
const redisPatience = 5 * time.Second

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
