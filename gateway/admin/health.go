package admin

import (
	"io"
	"net/http"
)

// serveAlive follows nothing outside the process: a liveness probe that follows
// Redis turns a blip there into a restart, and a reconnect storm, here.
func (o Options) serveAlive(w http.ResponseWriter, _ *http.Request) {
	if o.Alive != nil {
		if err := o.Alive(); err != nil {
			text(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
	}
	text(w, http.StatusOK, "ok\n")
}

func (o Options) serveReady(w http.ResponseWriter, _ *http.Request) {
	if err := o.ready(); err != nil {
		text(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
		return
	}
	text(w, http.StatusOK, "ready\n")
}

func (o Options) ready() error {
	if o.Ready == nil {
		return nil
	}
	return o.Ready()
}

func text(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, s) // fails only when the caller has gone
}
