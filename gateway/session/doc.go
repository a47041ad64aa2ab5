// Package session is what a client can do: it answers HTTP requests on the
// public port, decides who may connect, and speaks the client dialects. It
// implements loop.Handler, one Handler for each reactor.
//
//	loop ── OnRequest, OnMessage, OnClose ─▶ Handler ─▶ plain, wrapped, events, centrifugal, echo
//	     ◀── Upgrade, Refuse, Send, Close ──┘    │ │
//	                     hub.Local ◀── Join ─────┘ └── Add ──▶ pubsub.Inbox
//
// A dialect is what a path speaks:
//
//	/ws?channel=…           plain: payloads verbatim, what the client sends goes to the inbox;
//	                        with the subprotocol sluice.v1 wrapped: JSON around them, positions, answers
//	/sse?channel=…          events: the same as an event stream, one way
//	/connection/websocket   centrifugal: Centrifugo's client protocol
//	/echo                   what arrives goes back
//
// Who may connect and to what is in Policy: policy.go has the Origin and the
// subprotocol, guest.go the token and the limits by address and user, access.go
// the namespaces.
//
// What all dialects have: calls.go, errands.go and relay.go take what clients ask to
// Redis and back, presence.go says who is there, crew.go and steer.go do what services
// want done about a user.
//
// Everything shared by the reactors is in Node and does not change, or counts with
// atomics; but for the policy, which a reload replaces as a whole (Node.InForce).
package session
