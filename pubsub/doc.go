// Package pubsub connects a node with Redis: messages come in by SUBSCRIBE,
// what clients say goes out by XADD. It knows nothing of sockets, sessions or
// clients.
//
// # What comes in, what goes out
//
//	       PUBLISH sluice:news hello                    XREADGROUP … STREAMS sluice:inbox >
//	                │                                                  ▲
//	              Redis ────────────────────────────────────────────────┘
//	                │ subscribe connections                            │ pipelined XADD
//	  Subscribe ──▶ Redis.Run ──▶ Receiver.Deliver        Inbox.Add ──▶ Inbox.Run ──▶ Entry.Done
//	Unsubscribe                   Receiver.Subscribed
//	                              Receiver.Interrupted, Moved
//
// [Open] makes a [Redis] (a [Broker]) from a URL and does not connect;
// [Redis.Run] connects, and reconnects by itself for ever. Wishes
// (Subscribe, Unsubscribe) may come from any goroutine at any time: they are
// coalesced and sent every few milliseconds in bounded chunks, and again after
// every reconnect. A receive loop reads with a parser of its own, which
// allocates nothing per message, and calls a [Receiver]; it must never be
// blocked. [NewInbox] makes an [Inbox] on the same Redis. [NewLease] makes a
// [Lease] there, by which nodes hear of each other, and of each other's death: each
// renews a key that expires, every second, and looks at those of the others.
// [StartEmbedded] starts a Redis-protocol server in the process, which the same
// code reaches over TCP.
//
// # Lanes and the layout
//
// A lane is one subscribe connection and the channels that it carries. Each
// server has one or more. What differs between one Redis, shards, a Sentinel group
// and a Cluster is only the layout: which servers there are, and which channels
// each carries.
//
//	             layout (fixed, or found by sentinel.go, cluster.go)
//	                │ which lane has channel c
//	wishes ──▶ lane 10.0.0.7:6379#0 ── session ── Redis     one receive loop and one Receiver each
//	       ──▶ lane 10.0.0.7:6379#1 ── session ── Redis
//	       ──▶ lane 10.0.0.8:6379#0 ── session ── Redis
//
// When the layout changes (failover, slots that move) channels go to the lanes that
// carry them now, wish by wish, while others go on wishing.
//
// Start reading at broker.go (the contract), redisurl (what a URL names), redis.go and layout.go (who carries
// what), lane.go (reconnecting), session.go, writer.go and answers.go (one connection), wishes.go
// (what is wanted, what Redis knows), proof.go, doubt.go, gaps.go, resp.go (the
// wire), inbox.go and inbox.lua, inboxes.go, lease.go.
//
// # A lane over a failover
//
// Behind Sentinel there is one server at a time, the one that the sentinels name. What becomes of its lanes
// when another one takes over:
//
//   - Sentinel has a replica promoted, and names it. The old master is told some time later to follow it, or when
//     it comes back; with that Sentinel has it end the connections of its clients. Until then what is
//     published there is heard here, or by nobody. From then on it is a replica, and delivers what
//     the new one takes, after a while all that it has taken since it made the copy that the replica began with.
//   - A lane whose connection has ended connects again to the same address, and asks with ROLE, on that very connection,
//     before it subscribes (role.go). A replica it leaves, and asks again after a pause. Where ROLE is refused, or unknown,
//     it believes the sentinels.
//   - At the latest after Options.RefreshEvery, and much sooner where a connection has broken, the sentinels are asked (watch.go,
//     sentinel.go). When they name another server, lanes to it begin to connect. The receiver is told that the channels have
//     moved away from the old lanes (Moved), and takes nothing more of them. Only then the wishes go to the new lanes
//     (layout.go), and the old ones end.
//   - A new lane connects, is told that its server is a master, subscribes, and says of each channel when that
//     is confirmed (Subscribed). The gap has been open since the last proof of the old lane, and ends when all is confirmed and
//     the old master knows that it is none (gaps.go, abdication.go).
//
// Why nothing comes twice or in another order, however slow this node is in between: what was taken of the old lane had been published
// before the new server was asked for the channel, so the new one's PUBLISH does not bring it there again; and the new one
// is a master, so its replication does not, either. What the old lane still has is not taken. Both are
// tried in gateway/hub/failover_test.go. What is missed for that is told as a gap.
//
// # Guarantees
//
// Plain channel: at most once; in order per channel per connection while
// connected; known losses are counted.
//
//   - After Receiver.Subscribed(c), what is published on c is delivered, until
//     Unsubscribe(c), Interrupted or Moved.
//   - After Interrupted, and until Subscribed(c) comes again, messages on c may
//     have been missed. So they may from the last proof before it on.
//   - Events.Gap tells of every such stretch, from the last proof to the last
//     confirmation. What was published outside of all gaps has been delivered.
//     After a failover, or while slots move, the gap lasts until the old master
//     knows that it is none: until then it takes messages that nobody hears.
//   - In a Cluster with sharded pub/sub a replica that becomes the master may
//     deliver again what its master has delivered just before, inside the gap.
//     Redis does that, and nothing in a plain message tells it from a new one.
//   - A message longer than Options.MaxMessage is skipped, counted, and told.
//   - Publish has Redis execute a message once or not at all; a command is sent
//     again only where a server has answered that it did not execute it.
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
//   - connect and disconnect of a connection take turns in the stream, beginning with
//     connect, and there are as many of one as of the other when it has ended: whatever
//     Redis and nodes go through, and whoever has to write them (inbox.lua). Where Redis
//     does not take them they wait, bounded in number, and where their node dies another
//     one writes, once its lease has run out, that its connections have ended. Meanwhile
//     messages may stand before the connect entry of their connection, or after the
//     disconnect entry.
//   - What cannot hold: where Redis loses what it has acknowledged, this node states
//     anew what is open, under other ids, which a worker may have seen before; what came
//     and went before that was noticed has no entries; and where a node dies with it,
//     nobody knows of its connections.
//
// # A connection's health
//
// Every Options.ProbeEvery each lane publishes a probe through Redis, on a channel
// that it alone has subscribed, and expects it back. After that it sends a PING. If
// the PING is answered and the probe has not come, it is not coming: Redis had
// put it into the same connection before. Then the connection is made anew. However
// slow this node is, it does not mistake that for a dead connection. [Redis.Ready]
// follows the probes.
//
// If nothing at all arrives for Options.PongTimeout after a PING, the connection is
// doubted: others are opened, and when one of them is answered and the old one still
// is not, the old one is dead. A Redis that stands still (SIGSTOP, DEBUG SLEEP, a
// slow command) answers neither, and is waited for: when it goes on, nothing has
// been missed. If some command stays unanswered for Options.ReplyTimeout though
// other things arrive, the connection is dead, too.
//
// Between attempts to connect passes a twentieth of the time that there has been no
// connection, 50 ms to 1 s, with jitter; an attempt that hangs is joined by others.
//
// # What Redis must allow
//
// The user in the URL needs +subscribe +unsubscribe +ping +publish +xadd, the
// channels &sluice:* (or the permitted ones and &sluice:{*, by which the node
// itself is reached) and the key ~sluice:inbox; in a Cluster +ssubscribe
// +sunsubscribe +spublish +cluster|nodes; behind Sentinel +role, without which a replica
// that is named as the master is subscribed on, and the gap of a failover lasts for a minute; +select where the URL names a
// database, and +client for names in CLIENT LIST. For a [Lease] it needs +set +get
// +mget +hset +hgetall +hdel +del and the keys ~sluice:{nodes}*. [Inboxes] that record
// connections need +eval +evalsha +hget +hset +hsetnx +hdel +hscan +expire, the keys
// ~{sluice:inbox*, and, to see how far services are, +xlen +xpending +xinfo|groups. A forbidden
// channel is found by halving the SUBSCRIBE that it spoiled, told to
// Events.Refused, and tried again every Options.RefusedRetry.
//
// # Durable messages
//
// functions.lua and its sisters are a library of Redis Functions, and a script, by which
// services put a message into a channel's log and publish it in one step. [Redis.Run] loads it
// where it may; [Redis.PublishDurable] and [Redis.History] call it; [ParseDurable]
// takes apart what it publishes. What a position proves is written there.
//
// # Presence
//
// A [Presence] keeps in Redis who is subscribed to the channels of this node, by
// functions of the same library (functions_presence.lua), from a goroutine of its own:
// what is wanted is only noted by its callers. It needs the commands of the functions,
// +hset +hget +hdel +hlen +hscan +hgetall +hincrby +exists +expire +del +time, and
// +sadd +srem +sscan for the index by which dead nodes are buried.
//
// # Steering
//
// By functions of the same library (functions_steering.lua) services have all nodes
// disconnect clients, revoke tokens, subscribe and unsubscribe. A [Steering] reads the
// log that they write, when something comes on [ControlChannel] and every second in any
// case. deploy/redis/users.acl has all that a node's user needs for these.
//
// # The inbox stream: a contract with workers
//
// Each entry has these fields; their order may change, their names will not.
//
//	type     always  connect, message, rpc, subscribe, unsubscribe, disconnect
//	id       always  idempotency id: this node's, or user:<user>:<id>, conn:<conn>:<id> with the client's
//	conn     always  connection id; PUBLISH <reply> '<conn> …' reaches it
//	user     always  user id; empty: anonymous
//	reply    always  channel of this node, with prefix
//	node     always  node id
//	time     always  when the node took it, Unix milliseconds, decimal
//	channel  if any  channel name, without prefix; several: with spaces between
//	call     rpc     what the answer names: PUBLISH <reply> '<conn>:<call> …'
//	method   rpc     what the client calls
//	data     if any  the client's bytes, verbatim; may be empty
//
// # What it never does
//
// It never blocks a caller of Subscribe, Unsubscribe or Add, never subscribes
// to patterns, never repeats a command that may have been executed and would then be
// executed twice, never dials in Open, and starts no goroutine that Run or Close does not end. The
// embedded broker listens on loopback only.
package pubsub
