package main

import "go.uber.org/zap/zapcore"

const (
	atDebug = zapcore.DebugLevel
	atInfo  = zapcore.InfoLevel
	atWarn  = zapcore.WarnLevel
	atError = zapcore.ErrorLevel
)

// events is every line that this program logs, in the order of docs/LOGS.md.
var events = []event{
	{"serving", atInfo, "serving", "The node has started. The fields say which version, where it listens, and which Redis it has."},
	{"configuration", atWarn, "the configuration: ", "Something that is allowed and hardly meant; the line says what to change."},
	{"reloaded", atInfo, "the configuration and the files of keys and certificates have been read again", "After SIGHUP."},
	{"setting_changed", atInfo, "reloaded: ", "What a reload has changed; from and to say how."},
	{"setting_fixed", atWarn, "reloading does not change ", "A setting that was changed in the file and holds only after a restart."},
	{"reload_failed", atError, "the configuration cannot be reloaded: the old one stays in force", "The error says where the file is wrong: `sluice config check`."},
	{"reload_level", atError, "reloading could not set log.level: it stays as it was", ""},
	{"certificate", atWarn, "a certificate is not valid today: clients refuse it", "It has expired, or its time is still to come. Renew it and send SIGHUP."},
	{"reread", atInfo, "the files of certificates have changed, and have been read again", "Every tls.reread they are looked at; expires is when the first of the certificates ends."},
	{"reread_failed", atError, "the files of certificates have changed and cannot be used: the old ones stay in force", "A certificate and its key do not belong together, most likely, or not yet. The error says which; they are looked at again when they have changed."},
	{"reload_keys", atWarn, "the key sets of before the reload were not given up in order: the new ones are in force", "No harm is done."},
	{"leaving", atInfo, "leaving: clients are told to come back; a second signal ends it at once", "After SIGTERM: new clients are sent elsewhere, those that are here come back within drain.window."},
	{"left", atInfo, "all clients have left", "The end of the drain; took says how long it was."},
	{"cut", atWarn, "connections were cut that did not end in time", "Clients that did not answer the close within shutdown.timeout. Raise it, if they should be given longer."},
	{"closing", atWarn, "closing the node", "Something could not be ended in order; the process ends all the same."},
	{"part_failed", atError, "a part of the node has failed: it leaves at once", "The error says which. The supervisor starts the node again; its clients go to the others."},

	{"refused", atInfo, "refused: ", "A request was refused; the reasons stand below. At most one line a second for each: sluice_refused_by_reason_total has the number."},
	{"closed", atInfo, "closed: ", "This node has closed a connection; the reasons stand below. sluice_closed_by_reason_total has the number."},
	{"ended", atDebug, "connection ended", "A client has left, or was told to in a drain."},
	{"steered", atDebug, "a service has had a connection closed", ""},
	{"proxy_header", atWarn, "a connection from proxy.from is dropped: ", "A balancer does not send the PROXY header that proxy.protocol wants, or proxy.from names more than the balancers."},
	{"tls", atInfo, "a TLS handshake came to nothing: ", "A client or a scanner that does not get through TLS; sluice_tls_failures_total counts them by the same reasons."},
	{"dropped", atWarn, "connections dropped: this node has as many as it may", "Even those who were to be told 503 were too many. Raise connections.max or the limit of open files, or add nodes."},
	{"accept", atWarn, "cannot accept connections for the moment, trying on", "Open files have run out, most likely: raise LimitNOFILE."},
	{"enrol", atWarn, "cannot hand a connection to its reactor: it is dropped", "Open files or memory have run out."},
	{"watch", atError, "cannot watch a socket for writability: the connection is dropped", "Memory of the kernel has run out (fs.epoll.max_user_watches)."},
	{"panic", atError, "panic survived: the connection it happened on is closed, please report this", "A bug; the line has the stack. Nobody else has noticed."},
	{"panic_call", atError, "panic survived: a call that a client waits for is answered with an error, please report this", "A bug; the line has the stack."},

	{"stall_deadlines", atWarn, "a reactor was held up by deadlines", "For more than 0.1 s, by timers, or by a drain or a shutdown of many clients, when it is to be expected."},
	{"stall_events", atWarn, "a reactor was held up by events", "For more than 0.1 s, by handing out what came from Redis: more is published than this node can take. Add nodes, or reactors."},
	{"stall_flush", atWarn, "a reactor was held up by writing", "For more than 0.1 s, by system calls: the kernel, or the machine, is overloaded."},
	{"stall_input", atWarn, "a reactor was held up between its turns", "For more than 0.1 s, by what clients sent, or because it was not given a processor: see sluice_messages_in_total and go_sched_latencies_seconds."},
	{"stall_process", atWarn, "the process was held up", "All of it, for more than 0.1 s: the machine is overloaded, was paused or migrated, or a CPU quota holds the process back."},
	{"stuck", atError, "a reactor stands still", "For more than ten seconds. A node whose reactor does so for half a minute ends itself, to be started again. Please report it."},
	{"watcher", atError, "stalled clients are no longer served: restart this node", "Waiting for sockets to become writable has failed; /healthz fails from now on."},
	{"event_loop", atDebug, "event loop: ", "What the library of the event loops says of itself; above the level debug: please report it."},

	{"redis_connected", atInfo, "connected to Redis", ""},
	{"redis_lost", atWarn, "no connection to Redis: nothing arrives until it is back", "The error says why, retry_in when it is tried again. Clients stay, and are told what they may have missed."},
	{"redis_silent", atWarn, "Redis says nothing: waiting for it, and trying another connection", "Not even to PING: Redis is busy (a slow command, a fork), or the network swallows packets."},
	{"redis_subscribing", atInfo, "channels are being subscribed", "After a reconnect; done of channels."},
	{"redis_subscribed", atInfo, "channels subscribed", "All channels are heard again; took says how long it was."},
	{"redis_masters", atInfo, "the masters of Redis are known, or have changed, or what they carry has", "A failover, or a Cluster was resharded."},
	{"redis_functions", atWarn, "Redis has not taken the functions: services cannot call them there; load them with `sluice functions`, see --help", "The node's Redis user may not load functions, or that Redis has none. The gateway itself goes on with EVALSHA."},
	{"redis_refused", atWarn, "Redis refuses a channel: its clients wait in vain, check the ACL of this node's Redis user", "The user lacks the channel: &sluice:* in its ACL."},
	{"oversize", atWarn, "a message was lost: it is longer than this node takes from Redis", "A service publishes more than 16 MiB at once, which no node takes: channel says where."},
	{"foreign", atWarn, "a message was dropped: its channel is outside the prefix", "Something else answers on this connection; please report it."},
	{"missed", atWarn, "messages may have been missed: ", "On all channels of the link, or the one that is named, between from and to; /api/gaps lists these. connection: Redis, or the way to it, failed; moved: a Cluster moved slots; mailbox: a reactor was too far behind; log: a durable channel's log does not hold what was missed."},

	{"inbox_down", atWarn, "Redis takes no inbox entries: clients that send are told to send again", "The error says why: full (maxmemory), read-only, not there."},
	{"inbox_up", atInfo, "Redis takes inbox entries again", ""},
	{"inbox_refused", atWarn, "Redis refuses connect and disconnect entries, which are tried again: sluice doctor says whether this node may write them", "The ACL of the node's Redis user lacks the inbox's keys."},
	{"inbox_entry_lost", atWarn, "an inbox entry is lost, or may be: ", "Its type follows. The client, if it was a message, has been told."},
	{"inbox_lost", atWarn, "entries of the inbox were lost, or may be, since this node started", "The sum, when the node ends."},
	{"inbox_behind", atWarn, "a consumer group is so far behind that inbox entries will be trimmed before it reads them: add workers, or raise inbox.maxlen", "group and stream say which."},
	{"inbox_trimmed", atError, "inbox entries were trimmed before a consumer group had read them: add workers, or raise inbox.maxlen", "Messages of clients are lost to that group."},
	{"call_failed", atWarn, "a call that a client waits for has failed", "History, presence, or something relayed: the error is Redis'. The client was told."},

	{"presence_down", atWarn, "Redis does not take presence: it shows who was there before, until it does", "The error says why."},
	{"presence_up", atInfo, "Redis takes presence again", ""},
	{"steering_down", atWarn, "it cannot be read what services want done about clients: nobody is disconnected or revoked by them until it can", "The error says why."},
	{"steering_up", atInfo, "what services want done about clients can be read again", ""},
	{"steering_lost", atWarn, "Redis has lost what services told the nodes to do about their clients, or may have: what was revoked since is not known here", "Redis went back to an older state. Revoke again what must stay revoked."},
	{"revocations_full", atError, "a token is not refused although it was revoked: there are too many revocations", "Revoke users instead of tokens, or change the key."},

	{"peer_there", atInfo, "another node is there", ""},
	{"peer_left", atInfo, "another node has left", ""},
	{"peer_died", atWarn, "another node has died", "It ended without leaving, or was cut off from Redis for node.lease_ttl."},
	{"peer_same_id", atWarn, "another node has this node's id, or this one was restarted", "node.id must differ between nodes that run at the same time."},
	{"burial", atInfo, "disconnect entries were written for a dead node", ""},
	{"burial_failed", atWarn, "what a dead node has left behind is not cleared up: it is tried again", ""},
	{"lease_late", atWarn, "this node's lease is not renewed: if that lasts, the other nodes take it for dead", "The error says why; until then nothing has happened."},
	{"lease_renewed", atInfo, "this node's lease is renewed again", ""},
	{"lease_lost", atError, "the other nodes have taken this one for dead, because its lease had run out: it goes on under another life", "It was cut off from Redis, or starved; its clients' presence and disconnect entries are written anew."},
	{"lease_forgotten", atWarn, "Redis has lost its data: this node has registered again", ""},
	{"departure", atWarn, "this node could not clear up behind itself: others will, when its lease has run out", ""},

	{"keys_fetched", atInfo, "key set fetched", ""},
	{"keys_stale", atWarn, "cannot fetch a key set: the last good one stays in use", "The error says why. New keys of the issuer are not known until it can be fetched."},
	{"keys_unusable", atWarn, "a key of a key set cannot be used", "why says it; tokens that were signed with it are refused."},
	{"api_key", atWarn, "a request to the HTTP API has not got the right key: a service is configured wrongly, or somebody tries keys", "remote says from where."},
}
