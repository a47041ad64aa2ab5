package pubsub

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"sluice/pubsub/redisurl"
)

// servers are the options of the servers of t, or of two that were found by way of it.
func servers(t *target) []*redis.Options {
	if t.Kind == redisurl.Sentinel || t.Kind == redisurl.Cluster {
		return []*redis.Options{t.at("a:1"), t.at("b:2")}
	}
	return t.servers
}

// What the URL says arrives in go-redis' options.
func TestTarget(t *testing.T) {
	show := func(o *redis.Options) string {
		s := fmt.Sprintf("%s/%d", o.Addr, o.DB)
		if o.Username+o.Password != "" {
			s = o.Username + ":" + o.Password + "@" + s
		}
		if o.TLSConfig != nil {
			s += " TLS " + o.TLSConfig.ServerName
		}
		return s
	}
	for _, c := range []struct{ url, want string }{
		{"redis://h", "h:6379/0"},
		{"REDIS://h:1/", "h:1/0"},
		{"redis://h:/15", "h:6379/15"},
		{"redis://h?db=3", "h:6379/3"},
		{"redis://:pw@10.0.0.1:6380/3", ":pw@10.0.0.1:6380/3"},
		{"rediss://me:p%2Fw@example.com", "me:p/w@example.com:6379/0 TLS example.com"},
		{"redis://[::1]", "[::1]:6379/0"},
		{"redis://a redis://:z,@b\n\trediss://u:p@c/2", "a:6379/0, :z,@b:6379/0, u:p@c:6379/2 TLS c"},
		{"rediss+sentinel://u:p@a/4?addr=b:2&master_name=m", "u:p@a:1/4 TLS a, u:p@b:2/4 TLS b"},
		{"redis+cluster://:p@h:7000?addr=i:7001&pubsub=classic", ":p@a:1/0, :p@b:2/0"},
	} {
		parsed, err := parseTarget(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		var got []string
		for _, o := range servers(parsed) {
			got = append(got, show(o))
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.url, got, c.want)
		}
	}
}

func TestTargetRefuses(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"secret:6379", "pubsub: the Redis URL: has no scheme"},
		{"embedded://127.0.0.1:6380", "pubsub: the Redis URL names the embedded broker"},
		{"redis://h?secret=3", "pubsub: the Redis URL has a parameter after the ? that is unknown, or cannot be read"},
		{"redis://h?pool_size=secret", "is unknown, or cannot be read"},
		{"redis://h?addr=secret:1", "is unknown"},
		{"redis://h,redis://i?secret=1", "pubsub: the Redis URL: number 2 of its 2 URLs has a parameter after the ? that is unknown"},
		{"redis+sentinel://h?master_name=m&pubsub=classic", "is unknown"},
		{"redis+cluster://h?master_name=secret", "is unknown"},
	} {
		if _, err := parseTarget(c.url); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
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
		all := servers(parsed)
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
