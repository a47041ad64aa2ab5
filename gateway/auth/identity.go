package auth

import (
	"encoding/json"
	"time"
)

// Identity is what a verified token says. Many connections may hold the same one: it is never changed.
type Identity struct {
	User    string    // sub: 1 to 255 printable bytes of UTF-8
	Issuer  string    // iss, "" if the token has none
	ID      string    // jti, "" if the token has none
	Issued  time.Time // iat, zero if the token has none
	Expires time.Time // from then on Verify refuses the token: exp and Options.Leeway; zero: never

	Channel  string          // channel: the one that a subscription token is for; "" in a connection's token
	Channels []string        // to be subscribed when the client connects; no name twice. This is no permission
	Allow    Allow           // what the client may ask for
	Info     json.RawMessage // info: any JSON, for others to see; nil if the token has none
}

// Allow are rights that a claim gives, on top of what the configuration gives everybody. None by default.
type Allow struct {
	Subscribe []Pattern `json:"subscribe,omitempty"`
	Publish   []Pattern `json:"publish,omitempty"`
	Presence  []Pattern `json:"presence,omitempty"` // to see who is subscribed
}

// MaySubscribe reports whether the token gives the right to subscribe to the channel.
func (i *Identity) MaySubscribe(channel string) bool { return matchAny(i.Allow.Subscribe, channel) }

// MaySeePresence reports whether the token gives the right to see who is subscribed to the channel.
func (i *Identity) MaySeePresence(channel string) bool { return matchAny(i.Allow.Presence, channel) }

// MayPublish reports whether the token gives the right to publish in the channel.
func (i *Identity) MayPublish(channel string) bool { return matchAny(i.Allow.Publish, channel) }
