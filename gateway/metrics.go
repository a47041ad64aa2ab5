package main

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/gateway/hub"
	"sluice/gateway/session"
	"sluice/loop"
	"sluice/pubsub"
)

// metrics is everything that /metrics shows. The parts count with plain atomics
// on their hot paths; this collects their snapshots at each scrape.
type metrics struct {
	app     *App
	figures []metric
	refused *prometheus.Desc
	closed  *prometheus.Desc
	limits  *prometheus.Desc
	build   *prometheus.Desc
	tls     tlsMetrics
	gaps    *prometheus.Desc
	proof   *prometheus.Desc
	probe   *prometheus.Desc
	lane    *prometheus.Desc
	api     *prometheus.Desc
	spreads []spread
	shares  []share
	usages  []usage

	refusals, closings *prometheus.Desc
	stalls             *prometheus.Desc
}

// metric is one figure of a snapshot.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*snapshot) float64
}

// limitSettings are the settings that set the limits of package loop.
var limitSettings = [loop.Limits]string{
	loop.LimitLine:          "handshake.line",
	loop.LimitHead:          "handshake.head",
	loop.LimitHeaders:       "handshake.headers",
	loop.LimitHandshakeTime: "handshake.timeout",
	loop.LimitMessage:       "message.max",
	loop.LimitFragments:     "message.fragments",
	loop.LimitMessageTime:   "message.timeout",
	loop.LimitIncomplete:    "message.incomplete",
	loop.LimitMessageRate:   "message.rate",
	loop.LimitByteRate:      "message.bytes_rate",
	loop.LimitControlRate:   "message.control_rate",
	loop.LimitConnections:   "connections.max",
	loop.LimitAcceptRate:    "connections.accept_rate",
	loop.LimitQueue:         "queue.max",
	loop.LimitBacklog:       "queue.total",
}

// limits is how often clients reached each limit, by the name of its setting.
func (s *snapshot) limits() map[string]int64 {
	c := &s.app.node.Counters
	reached := map[string]int64{
		"connections.per_address": c.PerAddress.Load(),
		"connections.per_user":    c.PerUser.Load(),
		"rpc.pending":             c.ManyCalls.Load(),
		"connections.channels":    c.Channels.Load(),
	}
	for l, setting := range limitSettings {
		reached[setting] = s.loop.Limits[l]
	}
	return reached
}

// snapshot is one moment of all parts.
type snapshot struct {
	loop     loop.Stats
	tls      loop.TLSStats
	hub      hub.Stats
	broker   pubsub.Stats
	inbox    pubsub.InboxStats
	lease    pubsub.LeaseStats
	presence pubsub.PresenceStats
	errands  session.ErrandStats
	steering pubsub.SteeringStats
	app      *App
}

func (a *App) snapshot() *snapshot {
	return &snapshot{
		loop: a.engine.Stats(), tls: a.engine.TLSStats(), hub: a.hub.Stats(), broker: a.broker.Stats(), inbox: a.inbox.Stats(), lease: a.lease.Stats(),
		errands: a.node.Errands.Stats(), presence: a.presence.Stats(), steering: a.steering.Stats(), app: a,
	}
}

// causes is how often messages of a namespace may have been missed, by cause.
func causes(g *hub.Gaps) map[pubsub.Cause]int64 {
	return map[pubsub.Cause]int64{
		pubsub.CauseConnection: g.Connection.Load(), pubsub.CauseMoved: g.Moved.Load(),
		pubsub.CauseMailbox: g.Mailbox.Load(), pubsub.CauseOversize: g.Oversize.Load(), pubsub.CauseLog: g.Log.Load(),
	}
}

// metricsHandler serves /metrics.
func (a *App) metricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newMetrics(a), newInboxLags(a), runtimeMetrics(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: a.complaints()})
}

func newMetrics(a *App) *metrics {
	m := &metrics{
		app: a,
		refused: prometheus.NewDesc("sluice_refused_total",
			"Requests refused, by HTTP status. 503: the node is full or cannot subscribe; 401, 403: clients that may not in; 4xx in numbers: a scanner, or a broken client.",
			[]string{"status"}, nil),
		closed: prometheus.NewDesc("sluice_closed_total",
			"WebSocket connections ended, by close code and by who closed. Abnormal: the socket just ended; try_again_later by the node: slow clients, or an inbox that is down.",
			[]string{"code", "by"}, nil),
		limits: prometheus.NewDesc("sluice_limits_total",
			"Clients that reached a limit, by the setting's name: refused, closed or dropped, with connections.accept_rate let wait.",
			[]string{"setting"}, nil),
		gaps: prometheus.NewDesc("sluice_channel_gaps_total",
			"How often messages may have been missed, counted for each channel, by namespace and cause. connection: Redis, or the way to it, failed; moved: a Cluster resharded or failed over; mailbox: a reactor was too far behind; oversize: a message was too long; log: a durable channel's log does not hold what was missed.",
			[]string{"namespace", "cause"}, nil),
		proof: prometheus.NewDesc("sluice_redis_proof_age_seconds",
			"Age of the newest probe that came back, by subscribe connection; +Inf: none ever did. Above some seconds nothing is proven to arrive.", []string{"link"}, nil),
		probe: prometheus.NewDesc("sluice_redis_probe_seconds", "Time that the newest probe was under way through Redis and back.", []string{"link"}, nil),
		lane:  prometheus.NewDesc("sluice_redis_link_messages_total", "Messages by subscribe connection. One that has far more than the others has a busy channel.", []string{"link"}, nil),
		api:   prometheus.NewDesc("sluice_api_commands_total", "Commands of the HTTP API by method, \"\" for what is none, and whether they were done or got an error.", []string{"method", "result"}, nil),
		build: prometheus.NewDesc("sluice_build_info", "Always 1; says which version runs.", []string{"version", "node"}, nil),
	}
	gauge := func(name, help string, value func(*snapshot) float64) {
		m.add(prometheus.GaugeValue, name, help, value)
	}
	counter := func(name, help string, value func(*snapshot) float64) {
		m.add(prometheus.CounterValue, name, help, value)
	}

	gauge("connections", "Sockets open on the public port.", func(s *snapshot) float64 { return float64(s.loop.Connections) })
	gauge("connections_limit", "Sockets served at once; at the limit clients are answered 503. Raise the limit of open files, or add nodes.",
		func(s *snapshot) float64 { return float64(s.app.engine.Limit()) })
	gauge("channels", "Channels with members on this node.", func(s *snapshot) float64 { return float64(s.hub.Channels) })
	gauge("subscriptions", "Subscriptions of this node's clients.", func(s *snapshot) float64 { return float64(s.hub.Subscriptions) })
	gauge("ready", "1 while new clients should be sent here, as /readyz says.", func(s *snapshot) float64 { return truth(s.app.Ready() == nil) })

	counter("accepted_total", "Sockets accepted.", func(s *snapshot) float64 { return float64(s.loop.Accepted) })
	counter("accept_errors_total", "Sockets that could not be accepted. It grows when open files run out: raise the limit.",
		func(s *snapshot) float64 { return float64(s.loop.AcceptErrors) })
	counter("dropped_connections_total", "Sockets closed without an answer, because the node was full and enough others were being told so (503).",
		func(s *snapshot) float64 { return float64(s.loop.Dropped) })
	counter("misproxied_total", "Connections from proxy.from dropped because they did not begin with the PROXY header that proxy.protocol wants.",
		func(s *snapshot) float64 { return float64(s.loop.Misproxied) })
	counter("upgrades_total", "Handshakes that became WebSocket connections.", func(s *snapshot) float64 { return float64(s.loop.Upgraded) })
	counter("streams_total", "Requests answered with an event stream.", func(s *snapshot) float64 { return float64(s.loop.Streamed) })
	counter("timeouts_total", "Clients cut because a handshake (handshake.timeout) or a message (message.timeout) did not come to its end.", func(s *snapshot) float64 { return float64(s.loop.Timeouts) })
	counter("ping_timeouts_total", "Clients gone without a word, found by a ping that they did not answer, or because nothing that was sent to them was acknowledged.", func(s *snapshot) float64 { return float64(s.loop.Unanswered) })
	counter("writes_total", "Frames handed to connections; those of one channel and one burst count once.", func(s *snapshot) float64 { return float64(s.loop.FramesOut) })
	counter("sends_total", "System calls that wrote to clients.", func(s *snapshot) float64 { return float64(s.loop.Sends) })
	counter("blocked_sends_total", "Of those, how many found the client's socket full. It grows with clients that read slowly.",
		func(s *snapshot) float64 { return float64(s.loop.Blocked) })
	counter("slow_consumers_total", "Clients closed because queue.max bytes waited for them.", func(s *snapshot) float64 { return float64(s.loop.Overflows) })
	counter("dropped_total", "Messages that slow clients missed by the policy of their channel (drop).", func(s *snapshot) float64 { return float64(s.hub.Dropped) })
	counter("conflated_total", "Messages that slow clients missed because a newer one took their place (policy latest).",
		func(s *snapshot) float64 { return float64(s.hub.Conflated) })
	gauge("backlogged", "Clients whose sockets are full, so that what they are sent waits for them.", func(s *snapshot) float64 { return float64(s.loop.Waiting) })
	gauge("backlog_bytes", "Bytes that wait for clients whose sockets are full; queue.total bounds it.", func(s *snapshot) float64 { return float64(s.loop.Backlog) })
	gauge("incomplete_bytes", "Bytes of messages from clients that are not complete; message.incomplete bounds it.",
		func(s *snapshot) float64 { return float64(s.loop.Incomplete) })
	counter("excesses_total", "Clients closed because they sent more than message.rate and its kin allow.", func(s *snapshot) float64 { return float64(s.loop.Excesses) })
	counter("panics_total", "Panics survived. Each is a bug: the log has the stack, please report it.", func(s *snapshot) float64 { return float64(s.loop.Panics + s.errands.Panics) })
	gauge("mailbox_events", "Events that wait for reactors.", func(s *snapshot) float64 { return float64(s.loop.Mailbox) })
	counter("reactor_turns_total", "Turns taken by reactors.", func(s *snapshot) float64 { return float64(s.loop.Turns) })

	counter("deliveries_total", "Messages from Redis for channels with members here.", func(s *snapshot) float64 { return float64(s.hub.Delivered) })
	counter("lost_total", "Messages lost on this node because a reactor was too far behind (queue.mailbox), counted for each reactor. Add nodes, or reactors.",
		func(s *snapshot) float64 { return float64(s.hub.Lost) })
	counter("unwanted_total", "Messages from Redis for channels that had just been left.", func(s *snapshot) float64 { return float64(s.hub.Unwanted) })
	counter("log_readings_total", "Readings of durable channels' logs: to fill what did not come live, or for clients that come back.", func(s *snapshot) float64 { return float64(s.hub.Readings) })
	counter("log_reading_failures_total", "Of those, how many failed; they are tried again.", func(s *snapshot) float64 { return float64(s.hub.ReadFailed) })
	counter("log_filled_total", "Entries of logs that were read because a durable message had not come live, or might not have.", func(s *snapshot) float64 { return float64(s.hub.Filled) })
	counter("log_holes_total", "Gaps on durable channels that the log could not fill; the subscribers are told.", func(s *snapshot) float64 { return float64(s.hub.Holes) })
	counter("repeated_total", "Durable messages that came again, and were dropped.", func(s *snapshot) float64 { return float64(s.hub.Repeated) })
	counter("recoveries_total", "Subscriptions that went on from a client's position and missed nothing.", func(s *snapshot) float64 { return float64(s.hub.Recovered) })
	counter("recoveries_failed_total", "Subscriptions that could not: the clients were told to load their state anew. Raise recovery.max, or how much of the logs is kept.", func(s *snapshot) float64 { return float64(s.hub.Reset) })
	counter("direct_total", "Messages for one connection.", func(s *snapshot) float64 { return float64(s.hub.Directs) })
	counter("direct_undeliverable_total", "Of those, how many came too late for their connection.", func(s *snapshot) float64 { return float64(s.hub.Undeliverable) })

	gauge("redis_connected", "1 while all subscribe connections are up. Whether messages arrive, sluice_redis_proof_age_seconds says.", func(s *snapshot) float64 { return truth(s.broker.Connected) })
	counter("redis_connects_total", "Subscribe connections that came up.", func(s *snapshot) float64 { return float64(s.broker.Connects) })
	counter("redis_interruptions_total", "Subscribe connections that broke; what was published until the channels were subscribed again is lost to plain channels.",
		func(s *snapshot) float64 { return float64(s.hub.Interruptions) })
	counter("redis_resubscribed_total", "Channels that Redis has confirmed again, after the connection that carried them had broken or they had moved.",
		func(s *snapshot) float64 { return float64(s.hub.Resubscribed) })
	counter("redis_probes_total", "Probes that came back: published through Redis, heard on the subscribe connection.", func(s *snapshot) float64 { return float64(s.broker.Probes) })
	gauge("gaps_open", "Stretches of time in which messages may have been missed that have not ended; /api/gaps lists them.", func(s *snapshot) float64 { return float64(s.app.gaps.Open()) })
	counter("stale_total", "Messages dropped because they came from a Redis that their channel had moved away from, or that had not confirmed it: another one may bring them, too.", func(s *snapshot) float64 { return float64(s.hub.Stale) })
	counter("redis_oversize_total", "Messages lost because they were longer than a node takes from Redis.", func(s *snapshot) float64 { return float64(s.broker.Oversize) })
	gauge("redis_channels_pending", "Channels whose SUBSCRIBE or UNSUBSCRIBE Redis has not confirmed.", func(s *snapshot) float64 { return float64(s.broker.Pending) })
	gauge("redis_channels_refused", "Channels whose SUBSCRIBE Redis refuses: check the ACL of the node's user.", func(s *snapshot) float64 { return float64(s.broker.Refused) })
	gauge("redis_round_trip_seconds", "Last PING on the subscribe connection, what was queued before it included.", func(s *snapshot) float64 { return s.broker.RoundTrip.Seconds() })

	counter("inbox_written_total", "Inbox entries that Redis has.", func(s *snapshot) float64 { return float64(s.inbox.Written) })
	counter("inbox_failed_total", "Inbox entries that are not in Redis, or not surely. Clients whose messages they were have been told, with close code 1013.", func(s *snapshot) float64 {
		return float64(s.app.node.Counters.InboxFailed.Load())
	})
	gauge("inbox_down", "1 while Redis takes no inbox entries; clients that send are closed with 1013.", func(s *snapshot) float64 { return truth(s.inbox.Down) })
	counter("inbox_unknown_total", "Of the failed, those that Redis may have all the same: it did not answer.", func(s *snapshot) float64 { return float64(s.inbox.Unknown) })
	gauge("inbox_queue_entries", "Inbox entries that wait for Redis.", func(s *snapshot) float64 { return float64(s.inbox.QueueEntries) })
	gauge("inbox_queue_bytes", "Bytes of those.", func(s *snapshot) float64 { return float64(s.inbox.QueueBytes) })
	gauge("inbox_wait_seconds", "How long the oldest of them has waited.", func(s *snapshot) float64 { return s.inbox.OldestWait.Seconds() })

	gauge("inbox_owed", "Connect and disconnect entries that Redis did not take yet: they are sent again.", func(s *snapshot) float64 { return float64(s.inbox.Owed) })
	counter("inbox_repeated_total", "Times that such an entry had to be sent again.", func(s *snapshot) float64 { return float64(s.inbox.Repeated) })
	counter("inbox_completed_total", "Disconnect entries that this node wrote for nodes that had died.", func(s *snapshot) float64 { return float64(s.inbox.Buried) })
	counter("inbox_record_losses_total", "Times that open connections had to be reported again, because Redis had lost data or would take none for too long.",
		func(s *snapshot) float64 { return float64(s.inbox.Forgotten) })

	counter("rpc_calls_total", "Calls that clients made.", func(s *snapshot) float64 { return float64(s.app.node.Counters.Calls.Made.Load()) })
	counter("rpc_answers_total", "Calls that services answered in time.", func(s *snapshot) float64 { return float64(s.app.node.Counters.Calls.Answered.Load()) })
	counter("rpc_timeouts_total", "Calls that nobody answered within rpc.timeout: the workers are slow, or there are none.",
		func(s *snapshot) float64 { return float64(s.app.node.Counters.Calls.Timeouts.Load()) })
	counter("rpc_unexpected_total", "Answers to no call that waits: they came late, twice, or with a name that was never given.",
		func(s *snapshot) float64 { return float64(s.app.node.Counters.Calls.Unexpected.Load()) })
	gauge("rpc_pending", "Calls that wait for an answer.", func(s *snapshot) float64 { return float64(s.app.node.Counters.Calls.Pending.Load()) })

	gauge("presence_entries", "Subscriptions of this node's clients that presence shows.", func(s *snapshot) float64 { return float64(s.presence.Entries) })
	gauge("presence_pending", "Channels whose presence in Redis is not what it should be yet.", func(s *snapshot) float64 { return float64(s.presence.Pending) })
	gauge("presence_down", "1 while Redis does not take presence; it is written as soon as it does.", func(s *snapshot) float64 { return truth(s.presence.Down) })
	counter("presence_written_total", "Entries of presence written and removed.", func(s *snapshot) float64 { return float64(s.presence.Written) })
	counter("presence_failed_total", "Writes of presence that failed, each for some entries of a channel; they are repeated.", func(s *snapshot) float64 { return float64(s.presence.Failed) })
	counter("presence_buried_total", "Entries of dead nodes that this one has removed.", func(s *snapshot) float64 { return float64(s.presence.Buried) })
	counter("presence_outdated_total", "Entries removed that nobody stood for any more: Redis had gone back to an old snapshot, or nobody had buried a dead node.",
		func(s *snapshot) float64 { return float64(s.presence.Outdated) })
	counter("presence_resyncs_total", "How often all entries were written again, because Redis may have lost them.", func(s *snapshot) float64 { return float64(s.presence.Resyncs) })

	counter("api_wrong_keys_total", "Requests to the HTTP API with another key than its own, or with none: a service is configured wrongly, or somebody tries keys; the log says from where.",
		func(s *snapshot) float64 { return float64(s.app.api.WrongKeys()) })
	gauge("errands_pending", "Calls to Redis that clients wait for: history, presence, what is relayed.", func(s *snapshot) float64 { return float64(s.errands.Pending) })
	counter("errands_total", "Calls to Redis that were made for clients who wait for them.", func(s *snapshot) float64 { return float64(s.errands.Made) })
	counter("errands_failed_total", "Of those, how many failed; the log says why. The clients were told.", func(s *snapshot) float64 { return float64(s.errands.Failed) })
	counter("errands_refused_total", "Calls of clients that there was no room for, because Redis does not keep up or one connection has made too many at once; the clients were told to try again.",
		func(s *snapshot) float64 { return float64(s.errands.Refused) })

	counter("steering_commands_total", "Commands of services about clients that this node has read: sluice_disconnect and its kin; every node reads all.", func(s *snapshot) float64 { return float64(s.steering.Commands) })
	counter("steering_effective_total", "Connections of this node that they were about.", func(s *snapshot) float64 { return float64(s.app.node.Counters.Steered.Load()) })
	counter("steering_malformed_total", "Entries of sluice:{control}.log that were no commands: somebody writes there what does not belong.", func(s *snapshot) float64 { return float64(s.steering.Malformed) })
	counter("steering_missed_total", "Times that commands may have been lost, because Redis had lost its data.", func(s *snapshot) float64 { return float64(s.steering.Missed) })
	counter("steering_failed_total", "Looks for commands that failed; the next comes within a second.", func(s *snapshot) float64 { return float64(s.steering.Failed) })
	gauge("revoked", "Tokens and users whose tokens are revoked.", func(s *snapshot) float64 { return float64(s.app.revoked.Len()) })

	gauge("nodes", "Nodes that are alive as far as this one knows, itself included.", func(s *snapshot) float64 { return float64(s.lease.Peers) })
	gauge("lease_age_seconds", "Time since this node last showed Redis that it lives; +Inf: it never has. Beyond node.lease_ttl the other nodes may take it for dead.",
		func(s *snapshot) float64 { return age(s.lease.Age) })
	counter("node_deaths_total", "Other nodes that died: they ended without leaving, or could not reach Redis for node.lease_ttl though others could.",
		func(s *snapshot) float64 { return float64(s.lease.Deaths) })
	counter("lease_lapses_total", "How often the other nodes took this one for dead though it lives. It was cut off from Redis, or starved; if neither, raise node.lease_ttl on all nodes.",
		func(s *snapshot) float64 { return float64(s.lease.Lapses) })
	counter("lease_failures_total", "Attempts to renew this node's lease, or to look at those of others, that failed; the log says why.",
		func(s *snapshot) float64 { return float64(s.lease.Failures) })

	counter("log_lines_lost_total", "Log lines dropped because standard error did not take them fast enough.", func(s *snapshot) float64 {
		if s.app.logLost == nil {
			return 0
		}
		return float64(s.app.logLost())
	})
	m.addTimes()
	m.addTraffic()
	m.addNamespaces()
	m.addReasons()
	m.addTLS()
	return m
}

func (m *metrics) add(kind prometheus.ValueType, name, help string, value func(*snapshot) float64) {
	m.figures = append(m.figures, metric{prometheus.NewDesc("sluice_"+name, help, nil, nil), kind, value})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// age is d in seconds, or infinite where it is negative: it never was.
func age(d time.Duration) float64 {
	if d < 0 {
		return math.Inf(1)
	}
	return d.Seconds()
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range m.figures {
		ch <- g.desc
	}
	ch <- m.refused
	ch <- m.closed
	ch <- m.limits
	ch <- m.build
	ch <- m.gaps
	ch <- m.proof
	ch <- m.probe
	ch <- m.lane
	ch <- m.api
	m.describeTimes(ch)
	m.describeTraffic(ch)
	m.describeNamespaces(ch)
	ch <- m.refusals
	ch <- m.closings
	m.describeTLS(ch)
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	a := m.app
	s := a.snapshot()
	for _, g := range m.figures {
		ch <- prometheus.MustNewConstMetric(g.desc, g.kind, g.value(s))
	}
	for status := range a.node.Counters.Refused {
		if n := a.node.Counters.Refused[status].Load(); n > 0 {
			ch <- prometheus.MustNewConstMetric(m.refused, prometheus.CounterValue, float64(n), strconv.Itoa(status))
		}
	}
	a.node.Counters.Closed.Each(func(code, by string, n int64) {
		ch <- prometheus.MustNewConstMetric(m.closed, prometheus.CounterValue, float64(n), code, by)
	})
	for setting, n := range s.limits() {
		ch <- prometheus.MustNewConstMetric(m.limits, prometheus.CounterValue, float64(n), setting)
	}
	for name, t := range a.now.Load().tallies {
		for cause, n := range causes(&t.gaps) {
			ch <- prometheus.MustNewConstMetric(m.gaps, prometheus.CounterValue, float64(n), name, string(cause))
		}
	}
	for _, l := range s.broker.Lanes {
		ch <- prometheus.MustNewConstMetric(m.proof, prometheus.GaugeValue, age(l.ProofAge), l.Name)
		ch <- prometheus.MustNewConstMetric(m.probe, prometheus.GaugeValue, l.ProbeTime.Seconds(), l.Name)
		ch <- prometheus.MustNewConstMetric(m.lane, prometheus.CounterValue, float64(l.Messages), l.Name)
	}
	a.api.Each(func(method string, done, failed int64) {
		ch <- prometheus.MustNewConstMetric(m.api, prometheus.CounterValue, float64(done), method, "done")
		ch <- prometheus.MustNewConstMetric(m.api, prometheus.CounterValue, float64(failed), method, "error")
	})
	m.collectTimes(ch, s)
	m.collectTraffic(ch, s)
	m.collectNamespaces(ch)
	m.collectReasons(ch)
	m.collectTLS(ch, s)
	ch <- prometheus.MustNewConstMetric(m.build, prometheus.GaugeValue, 1, version, a.node.ID)
}
