package pubsub

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// show puts into words what of t a test can compare.
func (t *target) show() string {
	server := func(o *redis.Options) string {
		s := fmt.Sprintf("%s/%d", o.Addr, o.DB)
		if o.Username+o.Password != "" {
			s = o.Username + ":" + o.Password + "@" + s
		}
		if o.TLSConfig != nil {
			s += " TLS " + o.TLSConfig.ServerName
		}
		return s
	}
	switch t.kind {
	case sentinelled:
		return fmt.Sprintf("%s of %v, then %s", t.master, t.seeds, server(t.at("found:1")))
	case clustered:
		return fmt.Sprintf("cluster at %v classic=%v, then %s", t.seeds, t.classic, server(t.at("found:1")))
	case standalone, shards:
	}
	var s []string
	for _, o := range t.servers {
		s = append(s, server(o))
	}
	return strings.Join(s, ", ")
}

func TestTarget(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"redis://h", "h:6379/0"},
		{"  redis://h\n", "h:6379/0"},
		{"REDIS://h:1/", "h:1/0"},
		{"redis://h/15", "h:6379/15"},
		{"redis://h?db=3", "h:6379/3"},
		{"redis://:pw@10.0.0.1:6380/3", ":pw@10.0.0.1:6380/3"},
		{"rediss://me:p%2Fw@example.com", "me:p/w@example.com:6379/0 TLS example.com"},
		{"redis://[::1]", "[::1]:6379/0"},
		{"redis://:a,b@h", ":a,b@h:6379/0"},
		{"redis://h?max_retries=-1&pool_size=5", "h:6379/0"},

		{"redis://b:2,redis://a:1", "b:2/0, a:1/0"},
		{"redis://a redis://b\n\trediss://u:p@c/2 ,  redis://d", "a:6379/0, b:6379/0, u:p@c:6379/2 TLS c, d:6379/0"},
		{"redis://:x,y@a,redis://:z,@b", ":x,y@a:6379/0, :z,@b:6379/0"},

		{"redis+sentinel://h?master_name=mymaster", "mymaster of [h:26379], then found:1/0"},
		{"redis+sentinel://h:1/4?sentinel_master_name=m", "m of [h:1], then found:1/4"},
		{"rediss+sentinel://u:p@a/?addr=b:2&addr=c&addr=[::1]&addr=a:26379&master_name=m", "m of [a:26379 b:2 c:26379 [::1]:26379], then u:p@found:1/0 TLS found"},

		{"redis+cluster://h", "cluster at [h:6379] classic=false, then found:1/0"},
		{"redis+cluster://h/0?pubsub=sharded", "cluster at [h:6379] classic=false, then found:1/0"},
		{"rediss+cluster://:p@h:7000?addr=i:7001&addr=j&pubsub=classic", "cluster at [h:7000 i:7001 j:6379] classic=true, then :p@found:1/0 TLS found"},
	} {
		got, err := parseTarget(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
		} else if got.show() != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.url, got.show(), c.want)
		}
	}
}

func TestTargetRefuses(t *testing.T) {
	const m = "?master_name=m"
	for _, c := range []struct{ url, want string }{
		{"", "no Redis URL given"},
		{" \n", "no Redis URL given"},
		{"secret:6379", "the Redis URL has no scheme"},
		{"user:secret@host", "has no scheme"},
		{"http://secret", "has an unknown scheme; use redis, rediss (TLS), redis+sentinel"},
		{"secret://h", "has an unknown scheme"},
		{"redis://", "names no host"},
		{"redis://:secret@", "names no host"},
		{"redis://:secret@:6379", "names no host"},
		{"redis://:secret@h:port", "is not a URL"},
		{"redis://:secret@h:0", "has a port that is not a number"},
		{"redis://:secret@h:66666", "has a port that is not a number"},
		{"redis://:sec%zzret@h", "with special characters in the password as %XX"},
		{"redis://:sec/ret@h:6379", "is not a URL"},
		{"redis://sec/ret@h:6379", "has a path that is not a database number"},
		{"redis://sec#ret@h:6379", "is not a URL"},
		{"redis://sec?ret@h:6379", "has a parameter after the ? that is unknown"},
		{"redis://h?a=%zz", "is not a URL"},
		{"redis://h/main", "has a path that is not a database number"},
		{"redis://h/-1", "has a path that is not a database number"},
		{"redis://h/1/2", "has a path that is not a database number"},
		{"redis://h?secret=3", "is unknown, or cannot be read"},
		{"redis://h?pool_size=secret", "is unknown, or cannot be read"},
		{"redis://h?max_retries=3", "has max_retries, which would send a message twice"},
		{"redis://h?addr=i:1", "is unknown"},

		{"redis://a:1,b:2", "has a comma in its host; write shards as redis://a:6379,redis://b:6379"},
		{"redis://u:secret@a,b", "has a comma in its host"},
		{"redis://a,", "has a comma in its host"},
		{"redis://a, http://secret", "number 2 of the 2 Redis URLs has an unknown scheme"},
		{"redis://a redis://:secret@b/x redis://c", "number 2 of the 3 Redis URLs has a path"},
		{"redis://a,redis://b,redis://a:6379", "number 3 of the 3 Redis URLs names the same server as one before it"},
		{"redis://a/0,redis://a/1", "pub/sub knows no databases"},
		{"redis+cluster://a,redis+cluster://b", "number 1 of the 2 Redis URLs stands in a list"},
		{"redis://a,redis+sentinel://b" + m, "number 2 of the 2 Redis URLs stands in a list"},

		{"redis+sentinel://h", "add ?master_name="},
		{"redis+sentinel://h?master_name=", "add ?master_name="},
		{"redis+sentinel://h" + m + "&sentinel_master_name=secret", "names the master twice"},
		{"redis+sentinel://h" + m + "&master_name=secret", "has more than one master_name"},
		{"redis+sentinel://h" + m + "&sentinel_username=secret", "without a sentinel_password"},
		{"redis+sentinel://h" + m + "&addr=secret:port", "has an addr parameter that is not host:port"},
		{"redis+sentinel://h" + m + "&addr=a:1,b:2", "give one for each server"},
		{"redis+sentinel://h" + m + "&addr=", "has an addr parameter"},
		{"redis+sentinel://h" + m + "&addr=u:secret@h", "has an addr parameter"},
		{"redis+sentinel://h" + m + "&pubsub=classic", "is unknown"},
		{"redis+sentinel://a:1,b:2" + m, "further servers of a sentinel or cluster as &addr=host:port"},
		{"redis+sentinel://h" + m + "&max_retries=1", "has max_retries"},

		{"redis+cluster://h/1", "names a database, but a Redis Cluster has only number 0"},
		{"redis+cluster://h?db=1", "names a database"},
		{"redis+cluster://h?pubsub=secret", "neither sharded nor classic"},
		{"redis+cluster://h?master_name=secret", "is unknown"},
		{"redis+cluster://h?addr=:1", "has an addr parameter"},
	} {
		got, err := parseTarget(c.url)
		if err == nil {
			t.Errorf("%q is accepted: %s", c.url, got.show())
			continue
		}
		if text := err.Error(); !strings.Contains(text, c.want) || !strings.HasPrefix(text, "pubsub: ") || strings.Contains(text, "\n") {
			t.Errorf("%q: %s, want %q", c.url, text, c.want)
		}
		for _, part := range []string{"secret", "ret@", "sec/", "sec#", "sec%"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%q: a part of it stands in the error: %v", c.url, err)
			}
		}
	}
}

// What every client needs, whichever way its server was found.
func TestTargetOptions(t *testing.T) {
	for _, url := range []string{
		"rediss://u:p@h?dial_timeout=3s&skip_verify=true",
		"rediss://u:p@h?dial_timeout=3s&skip_verify=true,rediss://u:p@i?dial_timeout=3s&skip_verify=true",
		"rediss+sentinel://u:p@h?master_name=m&dial_timeout=3s&skip_verify=true",
		"rediss+cluster://u:p@h?dial_timeout=3s&skip_verify=true",
	} {
		parsed, err := parseTarget(url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		all := parsed.servers
		if parsed.template != nil {
			all = []*redis.Options{parsed.at("a:1"), parsed.at("b:2")}
		}
		for i, o := range all {
			if o.MaxRetries != -1 || o.DialerRetries != 1 || !o.ContextTimeoutEnabled || o.Protocol != 0 ||
				o.MaintNotificationsConfig.Mode != maintnotifications.ModeDisabled {
				t.Errorf("%s: %+v", url, o)
			}
			if o.DialTimeout != 3*time.Second || !o.TLSConfig.InsecureSkipVerify || o.Username != "u" || o.Password != "p" {
				t.Errorf("%s: lost a parameter: %+v", url, o)
			}
			if slices.ContainsFunc(all[:i], func(other *redis.Options) bool {
				return other.TLSConfig == o.TLSConfig || other.MaintNotificationsConfig == o.MaintNotificationsConfig
			}) {
				t.Errorf("%s: two servers share a configuration", url)
			}
		}
	}
}

func TestTargetSentinelLogin(t *testing.T) {
	parsed, err := parseTarget("redis+sentinel://u:p@h/3?master_name=m&sentinel_username=su&sentinel_password=sp")
	if err != nil {
		t.Fatal(err)
	}
	server, sentinel := parsed.at("a:1"), parsed.sentinelAt("b:2")
	if server.Username != "u" || server.Password != "p" || server.DB != 3 || server.Addr != "a:1" {
		t.Errorf("server: %+v", server)
	}
	if sentinel.Username != "su" || sentinel.Password != "sp" || sentinel.DB != 0 || sentinel.Addr != "b:2" {
		t.Errorf("sentinel: %+v", sentinel)
	}
	if parsed, err = parseTarget("redis+sentinel://u:p@h?master_name=m"); err != nil {
		t.Fatal(err)
	}
	if o := parsed.sentinelAt("b:2"); o.Username+o.Password != "" {
		t.Errorf("the servers' login goes to the sentinels: %+v", o)
	}
}

func TestTargetServerName(t *testing.T) {
	for _, c := range []struct{ url, addr, want string }{
		{"rediss+cluster://redis.example", "node-1.redis.example:6379", "node-1.redis.example"},
		{"rediss+cluster://redis.example", "10.0.0.7:6379", "redis.example"},
		{"rediss+cluster://redis.example", "[fd00::7]:6379", "redis.example"},
		{"rediss+cluster://10.0.0.1", "10.0.0.7:6379", "10.0.0.7"},
	} {
		parsed, err := parseTarget(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.at(c.addr).TLSConfig.ServerName; got != c.want {
			t.Errorf("%s, found %s: the certificate must be for %s, want %s", c.url, c.addr, got, c.want)
		}
	}
}

// FuzzTarget: nothing panics, and no error repeats what it was given.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"redis://:hunter2@h:1/2", "redis://a,redis://b", "redis+sentinel://h?master_name=m&addr=x:1",
		"rediss+cluster://h?pubsub=classic", "redis://hun#ter2@h", "redis://h?hunter2=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "hunter2"
		text = strings.ReplaceAll(text, "S", secret)
		got, err := parseTarget(text)
		switch {
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("%q: %v", text, err)
		case err == nil && got.kind == shards && len(got.servers) < 2, err == nil && got.kind == standalone && len(got.servers) != 1:
			t.Errorf("%q: %d servers", text, len(got.servers))
		case err == nil && (got.kind == sentinelled || got.kind == clustered) && (got.template == nil || len(got.seeds) == 0):
			t.Errorf("%q: nothing to go by", text)
		}
	})
}
