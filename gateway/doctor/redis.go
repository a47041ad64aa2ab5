package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/pubsub"
)

// Redis is what is asked of the broker.
type Redis struct {
	Servers func(context.Context) ([]pubsub.Server, error)
	Prefix  string
	Timeout time.Duration // for one server
}

// Check looks at every server.
func (r Redis) Check(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	servers, err := r.Servers(ctx)
	if err != nil {
		return []Finding{{Topic: "Redis", Grade: Fault, Seen: err.Error(), Why: "nothing arrives, and nothing that clients send is kept",
			Mend: "check the setting redis, and that a Redis listens there: redis-cli -u <url> PING"}}
	}
	var findings []Finding
	for _, server := range servers {
		findings = append(findings, r.server(ctx, server)...)
	}
	return findings
}

// patient is one Redis server that is being looked at.
type patient struct {
	pubsub.Server
	info   map[string]string
	prefix string
}

// first is the first word of an answer.
func (p *patient) first(ctx context.Context, command ...any) (string, error) {
	words, err := p.Ask(ctx, command...)
	if err != nil || len(words) == 0 {
		return "", err
	}
	return words[0], nil
}

// setting is what CONFIG GET says of a name.
func (p *patient) setting(ctx context.Context, name string) (string, error) {
	words, err := p.Ask(ctx, "CONFIG", "GET", name)
	if err == nil && len(words) < 2 {
		err = errors.New("it has no " + name)
	}
	if err != nil {
		return "", err
	}
	return words[1], nil
}

func (r Redis) server(ctx context.Context, server pubsub.Server) []Finding {
	p := &patient{Server: server, prefix: r.Prefix}
	began := time.Now()
	_, err := p.first(ctx, "PING")
	took := time.Since(began)
	if err != nil {
		return []Finding{p.finding("answer", Fault, err.Error(), "nothing arrives from it, and nothing reaches it",
			"check that it runs, its password and TLS: redis-cli -u <url> PING")}
	}
	findings := []Finding{p.latency(took)}
	text, err := p.first(ctx, "INFO")
	if err != nil {
		return append(findings, p.notAsked("INFO", err))
	}
	p.info = parseInfo(text)
	for _, look := range []func(context.Context) Finding{p.version, p.role, p.clock, p.outputBuffer, p.eviction, p.persistence, p.idleTimeout, p.functions, p.rights} {
		findings = append(findings, look(ctx))
	}
	return findings
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[key] = value
		}
	}
	return info
}

func (p *patient) finding(what string, g Grade, seen, why, mend string) Finding {
	return Finding{Topic: "Redis " + p.Addr + ", " + what, Grade: g, Seen: seen, Why: why, Mend: mend}
}

func (p *patient) good(what, seen string) Finding { return p.finding(what, Good, seen, "", "") }

// notAsked is for what this user may not ask, or this Redis does not know.
func (p *patient) notAsked(what string, err error) Finding {
	return p.finding(what, Unknown, "it does not say: "+err.Error(), "", "")
}

func (p *patient) latency(took time.Duration) Finding {
	seen := fmt.Sprintf("PING takes %v", took.Round(10*time.Microsecond))
	if took > 20*time.Millisecond {
		return p.finding("distance", Warning, seen, "every message and every subscription waits that long, and probes are late sooner", "run the nodes near their Redis")
	}
	return p.good("distance", seen)
}

func (p *patient) version(context.Context) Finding {
	text := p.info["redis_version"]
	major, minor := numbers(text)
	switch {
	case major < 6 || major == 6 && minor < 2:
		return p.finding("version", Fault, text, "Sluice uses commands of Redis 6.2", "upgrade it")
	case major < 7:
		return p.finding("version", Warning, text, "services cannot call sluice_publish and its kin with FCALL before Redis 7", "upgrade it, or have services run the library as a script: sluice functions")
	}
	return p.good("version", text)
}

func numbers(version string) (major, minor int) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return 0, 0
	}
	if minor, err = strconv.Atoi(parts[1]); err != nil {
		return 0, 0
	}
	return major, minor
}

func (p *patient) role(context.Context) Finding {
	if role := p.info["role"]; role != "master" {
		return p.finding("role", Fault, role, "a replica takes neither inbox entries nor durable messages, and what is published on its master may not come",
			"name the master, or its Sentinels: redis+sentinel://host:26379?master_name=name")
	}
	return p.good("role", "master, with "+p.info["connected_slaves"]+" replicas")
}

// clock compares Redis' with ours, as of the middle of the question.
func (p *patient) clock(ctx context.Context) Finding {
	began := time.Now()
	words, err := p.Ask(ctx, "TIME")
	if err != nil {
		return p.notAsked("clock", err)
	}
	now := began.Add(time.Since(began) / 2)
	var seconds, micros int64
	if _, err := fmt.Sscan(strings.Join(words, " "), &seconds, &micros); err != nil {
		return p.notAsked("clock", err)
	}
	apart := time.Unix(seconds, micros*1000).Sub(now).Abs()
	seen := fmt.Sprintf("%v apart from this machine's", apart.Round(time.Millisecond))
	if apart > time.Second {
		return p.finding("clock", Warning, seen, "tokens are judged by this machine's clock and positions come from Redis'; after a failover to a clock that is behind clients are told to load afresh, more than need be",
			"keep the time on all machines: sudo timedatectl set-ntp true")
	}
	return p.good("clock", seen)
}

// outputBuffer: what Redis holds for a subscriber that is behind, before it cuts it.
func (p *patient) outputBuffer(ctx context.Context) Finding {
	const what = "output buffer for subscribers"
	got, err := p.setting(ctx, "client-output-buffer-limit")
	if err != nil {
		return p.notAsked(what, err)
	}
	words := strings.Fields(got)
	i := slices.Index(words, "pubsub")
	if i < 0 || i+3 >= len(words) {
		return p.notAsked(what, errors.New("its answer has no pubsub class"))
	}
	hard, err := strconv.Atoi(words[i+1])
	if err != nil {
		return p.notAsked(what, err)
	}
	seen := fmt.Sprintf("%d MiB, %s bytes for %s s", hard>>20, words[i+2], words[i+3])
	if hard != 0 && hard < 128<<20 {
		return p.finding(what, Warning, seen, "Redis cuts a node that falls behind by that much for a moment, and what was under way is lost to plain channels (and told)",
			"redis-cli CONFIG SET client-output-buffer-limit 'pubsub 256mb 64mb 60', and the same in redis.conf")
	}
	return p.good(what, seen)
}

func (p *patient) eviction(context.Context) Finding {
	policy, most := p.info["maxmemory_policy"], p.info["maxmemory"]
	seen := fmt.Sprintf("%s at %s bytes", policy, most)
	if most != "0" && policy != "noeviction" {
		return p.finding("eviction", Warning, seen, "when memory is short Redis drops keys, logs of durable channels and the inbox among them: clients are told to load afresh, and entries that nobody has read are gone",
			"redis-cli CONFIG SET maxmemory-policy noeviction, and an alert on used_memory")
	}
	return p.good("eviction", seen)
}

func (p *patient) persistence(context.Context) Finding {
	seen := "AOF " + map[string]string{"1": "on", "0": "off"}[p.info["aof_enabled"]] + ", last snapshot " + p.info["rdb_last_bgsave_status"]
	if p.info["aof_enabled"] != "1" {
		return p.finding("persistence", Warning, seen, "what Redis has acknowledged since its last snapshot is gone after a crash: inbox entries, and durable messages, which is detected and told",
			"redis-cli CONFIG SET appendonly yes, and for inbox entries that must not be lost appendfsync always")
	}
	return p.good("persistence", seen)
}

func (p *patient) idleTimeout(ctx context.Context) Finding {
	t, err := p.setting(ctx, "timeout")
	if err != nil {
		return p.notAsked("idle clients", err)
	}
	if t != "0" && t != "" {
		return p.good("idle clients", "are cut after "+t+" s; the nodes' connections are never that idle")
	}
	return p.good("idle clients", "are not cut")
}

func (p *patient) functions(ctx context.Context) Finding {
	version, err := p.first(ctx, "FCALL", "sluice_version", 0)
	switch {
	case err == nil:
		return p.good("functions", "version "+version+" is loaded")
	case strings.Contains(err.Error(), "unknown command"):
		return p.good("functions", "this Redis has none: nodes run them as a script")
	case strings.Contains(strings.ToLower(err.Error()), "function not found"):
		return p.finding("functions", Warning, "they are not loaded", "services cannot call sluice_publish and its kin",
			"start a node that may load them, or: sluice functions | redis-cli -x FUNCTION LOAD REPLACE")
	}
	return p.finding("functions", Warning, err.Error(), "services with such a user cannot call sluice_publish and its kin", "ACL SETUSER <user> +fcall ~"+p.prefix+"* '~{"+p.prefix+"*'")
}

// rights tries what a node does on this server, dry.
func (p *patient) rights(ctx context.Context) Finding {
	const what = "rights"
	me, err := p.first(ctx, "ACL", "WHOAMI")
	if err != nil {
		return p.notAsked(what, err)
	}
	var denied []string
	commands := [][]any{
		{"SUBSCRIBE", p.prefix + "news"},
		{"PUBLISH", p.prefix + "news", "x"},
		{"XADD", p.prefix + "inbox", "*", "type", "message"},
		{"HSETNX", "{" + p.prefix + "inbox}.open.x", "conn", "{}"},
		{"EVAL", "return 0", "2", p.prefix + "inbox", "{" + p.prefix + "inbox}.open.x"},
		{"PING"},
		{"EVALSHA", "x", "1", "{" + p.prefix + "news}.log"},
	}
	if p.Named {
		commands = append(commands, []any{"ROLE"})
	}
	for _, command := range commands {
		answer, err := p.first(ctx, append([]any{"ACL", "DRYRUN", me}, command...)...)
		if err != nil {
			return p.notAsked(what, err)
		}
		if answer != "OK" {
			denied = append(denied, answer)
		}
	}
	if len(denied) > 0 {
		return p.finding(what, Fault, strings.Join(denied, "; "), "the node cannot do its work as this user", "deploy/redis has the rules of a node's user")
	}
	if me == "default" {
		return p.finding(what, Warning, "the nodes are the user default, who may do everything", "whoever can reach Redis can publish to every client: services need rights of their own, too",
			"give the nodes and each service a user: deploy/redis has the rules")
	}
	return p.good(what, "user "+me+" may do what a node does")
}
