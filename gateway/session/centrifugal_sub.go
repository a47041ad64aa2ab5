package session

import (
	"time"

	"sluice/gateway/hub"
)

// sub is one subscription of a centrifugal connection.
type sub struct {
	hub.Member
	asked *asked // until it has been answered
	token *shown // nil: the client has asked for it, and needed none
}

// isGiven reports whether the client has it without having asked for it: by its connection's
// token, or from a service.
func (one *sub) isGiven() bool { return one.token != nil && one.token.given }

// asked is what a subscription's answer needs.
type asked struct {
	command  uint32    // that asked for it
	epoch    string    // that the client's position is of; "": it does not say
	expires  time.Time // when its token does; zero: never, or it has none
	until    moment    // up to which Redis is waited for; 0: the client does not wait, or connect does
	steered  bool      // a service has subscribed it
	resuming bool      // the client has said what it had
	strict   bool      // it would rather be refused than not be recovered
}
