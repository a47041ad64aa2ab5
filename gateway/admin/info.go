package admin

import (
	"net/http"
	"time"

	"sluice/pubsub/redisurl"
)

// Info is what a node tells of itself on /api/info.
type Info struct {
	Version string    `json:"version"`
	Node    string    `json:"node"`
	Life    string    `json:"life"` // what the names of its connections begin with
	Started time.Time `json:"started"`
	Uptime  float64   `json:"uptime_seconds"` // filled in by New's handler
	Dev     bool      `json:"dev"`
	Prefix  string    `json:"prefix"` // of Redis channels and keys, "sluice:"

	// Listen is the public listener's bound address: "127.0.0.1:8000", "[::]:8000".
	Listen    string     `json:"listen"`
	TLS       bool       `json:"tls"` // it speaks that
	Endpoints []Endpoint `json:"endpoints"`

	Redis Redis `json:"redis"`

	Ready  bool   `json:"ready"`            // filled in by New's handler, like Reason
	Reason string `json:"reason,omitempty"` // why not ready

	Connections   int64 `json:"connections"`
	Subscriptions int64 `json:"subscriptions"`
	Channels      int64 `json:"channels"`

	// Acts says who may publish and disconnect by way of the HTTP API: ActsOpen, ActsKey or
	// ActsOff.
	Acts string `json:"acts"`

	Nodes []Node `json:"nodes"` // that are alive as far as this one knows, itself included
}

// Who may act by way of the HTTP API.
const (
	ActsOpen = "open" // whoever reaches the listener, as on a laptop
	ActsKey  = "key"  // who knows api.key
	ActsOff  = "off"  // nobody: no key is configured
)

// Node is one of the nodes of the installation.
type Node struct {
	ID      string    `json:"id"`
	Life    string    `json:"life"`    // one run of it
	Address string    `json:"address"` // its public listener, as bound
	Started time.Time `json:"started"`
	Age     float64   `json:"age_seconds"` // since its last sign of life
}

// Endpoint is a path of the public listener that speaks WebSocket. The console
// connects to those whose dialect is "plain" (channels in the URL) or "echo".
type Endpoint struct {
	Path    string `json:"path"`
	Dialect string `json:"dialect"`
}

// Redis is the broker as the node sees it.
type Redis struct {
	URL   string `json:"url"`   // secrets are removed before it leaves
	OK    bool   `json:"ok"`    // messages are arriving, not merely connections open
	State string `json:"state"` // in a few words: "delivering", "no probe for 4 s"
}

func (o Options) serveInfo(w http.ResponseWriter, _ *http.Request) {
	if o.Info == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node does not describe itself")
		return
	}
	reply(w, http.StatusOK, o.describe())
}

// describe is Info with what it is filled in with.
func (o Options) describe() Info {
	info := o.Info()
	info.Redis.URL = redisurl.Redact(info.Redis.URL)
	if !info.Started.IsZero() {
		info.Uptime = time.Since(info.Started).Seconds()
	}
	if info.Endpoints == nil {
		info.Endpoints = []Endpoint{} // [] in JSON, not null
	}
	if info.Nodes == nil {
		info.Nodes = []Node{}
	}
	info.Ready = true
	if err := o.ready(); err != nil {
		info.Ready, info.Reason = false, err.Error()
	}
	return info
}
