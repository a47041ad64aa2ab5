// Package pubsub connects a node with Redis: messages come in by SUBSCRIBE,
// what clients say goes out by XADD. It knows nothing of sockets, sessions or
// clients.
//
// # What comes in, what goes out
//
//	       PUBLISH sluice:news hello                    XREADGROUP … STREAMS sluice:inbox >
//	                │                                                  ▲
//	              Redis ────────────────────────────────────────────────┘
//	                │ one subscribe connection                         │ pipelined XADD
//	  Subscribe ──▶ Redis.Run ──▶ Sink.Deliver            Inbox.Add ──▶ Inbox.Run ──▶ Entry.Done
//	Unsubscribe                   Sink.Subscribed
//	                              Sink.Interrupted
//
// [Open] makes a [Redis] (a [Broker]) from a URL and does not connect;
// [Redis.Run] connects, and reconnects by itself for ever. Wishes
// (Subscribe, Unsubscribe) may come from any goroutine at any time: they are
// coalesced and sent every few milliseconds in bounded chunks, and again after
// every reconnect. The receive loop reads with a parser of its own, which
// allocates nothing per message, and calls the [Sink]; it must never be
// blocked. [NewInbox] makes an [Inbox] on the same Redis. [StartEmbedded]
// starts a Redis-protocol server in the process, which the same code reaches
// over TCP.
//
// Start reading at broker.go (the contract), then wishes.go (what is wanted,
// what Redis knows), session.go and writer.go (one connection), run.go
// (reconnecting), resp.go (the wire), inbox.go.
//
// # Guarantees
//
// Plain channel: at most once; in order per channel per connection while
// connected; known losses are counted.
//
//   - After Sink.Subscribed(c), what is published on c is delivered, until
//     Unsubscribe(c) or Sink.Interrupted.
//   - After Sink.Interrupted, and until Sink.Subscribed(c) comes again,
//     messages on c may have been missed.
//   - A message longer than Options.MaxMessage is skipped, counted, and told
//     to Events.Oversize.
//   - Publish sends a message once or not at all; no command of this package
//     is ever repeated by itself.
//
// Inbox: at least once after the ack; no ack means unknown: send again with
// the same id.
//
//   - Entry.Done(nil) means that Redis has the entry. Redis' own persistence
//     and MAXLEN decide how long.
//   - Acknowledged entries stand in the stream in the order of Add. One whose
//     outcome was unknown may stand anywhere, or nowhere.
//   - Nothing waits long: a batch is answered or given up within
//     InboxOptions.Timeout, and while Redis is down Add refuses.
//
// # A connection's health
//
// A PING goes out every Options.PingEvery. If then nothing arrives for
// Options.PongTimeout, or some command stays unanswered for
// Options.ReplyTimeout though other things arrive, the connection is dead:
// it is closed, the sink hears Interrupted, and a new one is made after a
// jittered wait of 25 ms to 5 s. [Redis.Ready] says whether messages can be
// expected to arrive now, and why not.
//
// # What Redis must allow
//
// The user in the URL needs +subscribe +unsubscribe +ping +publish +xadd, the
// channels &sluice:* and the key ~sluice:inbox; +select where the URL names a
// database, and +client for names in CLIENT LIST. A forbidden channel is found by halving the SUBSCRIBE that it spoiled, told
// to Events.Refused, and tried again every Options.RefusedRetry.
//
// # The inbox stream: a contract with workers
//
// Each entry has these fields; their order may change, their names will not.
//
//	type     always  connect, message, rpc, subscribe, unsubscribe, disconnect
//	id       always  idempotency id: the client's, or this node's
//	conn     always  connection id; PUBLISH <reply> '<conn> …' reaches it
//	user     always  user id; empty: anonymous
//	reply    always  channel of this node, with prefix
//	node     always  node id
//	time     always  when the node took it, Unix milliseconds, decimal
//	channel  if any  channel name, without prefix
//	call     rpc     what the answer names: PUBLISH <reply> '<conn>:<call> …'
//	method   rpc     what the client calls
//	data     if any  the client's bytes, verbatim; may be empty
//
// # What it never does
//
// It never blocks a caller of Subscribe, Unsubscribe or Add, never subscribes
// to patterns, never retries a command that may have been executed, never
// dials in Open, and starts no goroutine that Run or Close does not end. The
// embedded broker listens on loopback only.
package pubsub
