package redisurl

import (
	"fmt"
	"strings"
	"testing"
)

// show puts s into words.
func show(s *Setting) string {
	how := map[Kind]string{Standalone: "one", Shards: "shards", Sentinel: s.Master + " of", Cluster: "cluster", Embedded: "embedded"}[s.Kind]
	if s.User+s.Password != "" {
		how += " " + s.User + ":" + s.Password + "@"
	}
	if s.Classic {
		how += ", classic,"
	}
	return strings.Join(append(append([]string{how}, s.Addrs...), fmt.Sprint(s.Servers)), " ")
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"redis://h", "one h:6379 [redis://h]"},
		{"  redis://h\n", "one h:6379 [redis://h]"},
		{"REDIS://h:1/", "one h:1 [redis://h:1/]"},
		{"redis://h:/15", "one h:6379 [redis://h:/15]"},
		{"redis://h?db=3", "one h:6379 [redis://h?db=3]"},
		{"redis://:pw@10.0.0.1:6380/3", "one 10.0.0.1:6380 [redis://:pw@10.0.0.1:6380/3]"},
		{"rediss://me:p%2Fw@example.com", "one example.com:6379 [rediss://me:p%2Fw@example.com]"},
		{"redis://[::1]", "one [::1]:6379 [redis://[::1]]"},
		{"redis://:a,b@h", "one h:6379 [redis://:a,b@h]"},
		{"redis://:p@ss@h", "one h:6379 [redis://:p%40ss@h]"},
		{"redis://h?max_retries=-1&dial_timeout=3s&theirs=x", "one h:6379 [redis://h?dial_timeout=3s&max_retries=-1&theirs=x]"},

		{"redis://b:2,redis://a:1", "shards b:2 a:1 [redis://b:2 redis://a:1]"},
		{"redis://a redis://b\n\trediss://u:p@c/2 ,  redis://d", "shards a:6379 b:6379 c:6379 d:6379 [redis://a redis://b rediss://u:p@c/2 redis://d]"},
		{"redis://:x,y@a,redis://:z,@b", "shards a:6379 b:6379 [redis://:x,y@a redis://:z,@b]"},

		{"redis+sentinel://h?master_name=mymaster", "mymaster of h:26379 [redis://h]"},
		{"redis+sentinel://h:1/4?sentinel_master_name=m", "m of h:1 [redis://h:1/4]"},
		{"rediss+sentinel://u:p@a/?addr=b:2&addr=c&addr=[::1]&addr=a:26379&master_name=m&db=1", "m of a:26379 b:2 c:26379 [::1]:26379 [rediss://u:p@a/?db=1]"},
		{"redis+sentinel://u:p@h/1?master_name=m&sentinel_username=s&sentinel_password=q", "m of s:q@ h:26379 [redis://u:p@h/1]"},
		{"redis+sentinel://u:p@h?master_name=m&sentinel_password=q", "m of :q@ h:26379 [redis://u:p@h]"},

		{"redis+cluster://h", "cluster h:6379 [redis://h]"},
		{"redis+cluster://h/0?pubsub=sharded&db=0", "cluster h:6379 [redis://h/0?db=0]"},
		{"rediss+cluster://:p@h:7000?addr=i:7001&addr=j&pubsub=classic", "cluster, classic, h:7000 i:7001 j:6379 [rediss://:p@h:7000]"},

		{"embedded://127.0.0.1:6380", "embedded 127.0.0.1:6380 [embedded://127.0.0.1:6380]"},
		{" embedded://[::1]:0/", "embedded [::1]:0 [embedded://[::1]:0/]"},
	} {
		s, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if got := show(s); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const m = "?master_name=m"
	for _, c := range []struct{ text, want string }{
		{"", "is empty; write redis://host:6379"},
		{" \n", "is empty"},
		{",redis://a", "number 1 of its 2 URLs is empty"},
		{"secret:6379", "has no scheme; write redis://host:6379"},
		{"user:secret@host", "has no scheme"},
		{"http://", "has an unknown scheme"},
		{"http://secret/secret", "has an unknown scheme; use redis, rediss (TLS), redis+sentinel"},
		{"secret://h", "has an unknown scheme"},
		{"redis://", "names no host; write host:port after the ://"},
		{"redis://:secret@", "names no host"},
		{"redis://:secret@:6379", "names no host"},
		{"redis://:secret@h:port", "is not a URL"},
		{"redis://:secret@h:0", "has a port that is not a number from 1 to 65535"},
		{"redis://:secret@h:66666", "has a port that is not a number"},
		{"redis://:sec%zzret@h", "with special characters in the password as %XX"},
		{"redis://:sec/ret@h:6379", "is not a URL"},
		{"redis://sec/ret@h:6379", "has a path that is not a database number"},
		{"redis://sec#ret@h:6379", "is not a URL"},
		{"redis://sec?ret@h:6379", "is not a URL"},
		{"redis://u:p#ss%@h", "is not a URL"},
		{"redis://h?a=%zz", "is not a URL"},
		{"redis://h/main", "has a path that is not a database number, like /0"},
		{"redis://h/-1", "has a path that is not a database number"},
		{"redis://h/1/2", "has a path that is not a database number"},
		{"redis://h?max_retries=3", "has max_retries, which would send a message twice"},
		{"redis://h?max_retries=0&max_retries=3", "has max_retries"},
		{"redis://u:xxxxx@secret", "has the password xxxxx, which stands for a hidden one"},
		{"redis://h?some_token=xxxxx", "has the password xxxxx"},

		{"redis://a:1,b:2", "has a comma in its host; write shards as redis://a:6379,redis://b:6379"},
		{"redis://u:secret@a,b", "has a comma in its host"},
		{"redis://a,", "has a comma in its host"},
		{"redis://a, http://secret", "number 2 of its 2 URLs has an unknown scheme"},
		{"redis://a redis://:secret@b/x redis://c", "number 2 of its 3 URLs has a path"},
		{"redis://a,redis://:xxxxx@b", "number 2 of its 2 URLs has the password xxxxx"},
		{"redis://a,redis://b,redis://a:6379", "number 3 of its 3 URLs names the same server as one before it"},
		{"redis://a/0,redis://a/1", "pub/sub knows no databases"},
		{"redis+cluster://a,redis+cluster://b", "number 1 of its 2 URLs stands in a list"},
		{"redis://a,redis+sentinel://b" + m, "number 2 of its 2 URLs stands in a list"},
		{"redis://a,embedded://127.0.0.1:1", "number 2 of its 2 URLs stands in a list"},

		{"redis+sentinel://h", "does not say which master the sentinels watch; add ?master_name="},
		{"redis+sentinel://h?master_name=", "add ?master_name="},
		{"redis+sentinel://h" + m + "&sentinel_master_name=secret", "names the master twice; remove sentinel_master_name"},
		{"redis+sentinel://h" + m + "&master_name=secret", "has more than one master_name"},
		{"redis+sentinel://h" + m + "&sentinel_username=secret", "without a sentinel_password"},
		{"redis+sentinel://h" + m + "&sentinel_password=xxxxx", "has the password xxxxx"},
		{"redis+sentinel://h" + m + "&addr=secret:port", "has an addr parameter that is not host:port"},
		{"redis+sentinel://h" + m + "&addr=a:1,b:2", "give one for each server"},
		{"redis+sentinel://h" + m + "&addr=", "has an addr parameter"},
		{"redis+sentinel://h" + m + "&addr=u:secret@h", "has an addr parameter"},
		{"redis+sentinel://a:1,b:2" + m, "further servers of a sentinel or cluster as &addr=host:port"},
		{"redis+sentinel://h" + m + "&max_retries=1", "has max_retries"},

		{"redis+cluster://h/1", "names a database, but a Redis Cluster has only number 0"},
		{"redis+cluster://h?db=1", "names a database"},
		{"redis+cluster://h/1?db=0", "names a database"},
		{"redis+cluster://h?pubsub=secret", "neither sharded nor classic"},
		{"redis+cluster://h?pubsub=sharded&pubsub=classic", "has more than one pubsub"},
		{"redis+cluster://h?addr=:1", "has an addr parameter"},

		{"embedded://:6380", "names no host; write embedded://host:port"},
		{"embedded://secret", "names no port; write embedded://host:port"},
		{"embedded://h:65536", "has a port that is not a number from 0 to 65535"},
		{"embedded://h:1/2", "embedded:// takes host:port and nothing else"},
		{"embedded://:secret@h:1", "takes host:port and nothing else"},
		{"embedded://h:1?db=0", "takes host:port and nothing else"},
	} {
		s, err := Parse(c.text)
		if err == nil {
			t.Errorf("%q is accepted: %s", c.text, show(s))
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
		for _, part := range []string{"secret", "ret@", "sec/", "sec#", "sec?", "sec%"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%q: a part of it stands in the error: %v", c.text, err)
			}
		}
	}
}
