package main

import (
	"testing"

	"sluice/config"
	"sluice/pubsub"
)

// TestRedisSetting: what the configuration says of a Redis setting is what the
// broker says of it.
func TestRedisSetting(t *testing.T) {
	for _, row := range []struct {
		setting string
		good    bool
	}{
		{"redis://h", true},
		{"  redis://h\n", true},
		{"REDIS://h:1/", true},
		{"redis://h/15", true},
		{"redis://h?db=3", true},
		{"redis://:pw@10.0.0.1:6380/3", true},
		{"rediss://me:p%2Fw@example.com?skip_verify=true", true},
		{"redis://[::1]", true},
		{"redis://:a,b@h", true},
		{"redis://h?max_retries=-1&pool_size=5", true},
		{"redis://b:2,redis://a:1", true},
		{"redis://a redis://b\n\trediss://u:p@c/2 ,  redis://d", true},
		{"redis://:x,y@a:6379,redis://:z,@b", true},
		{"redis+sentinel://h?master_name=mymaster", true},
		{"redis+sentinel://h:1/4?sentinel_master_name=m", true},
		{"rediss+sentinel://u:p@a/?addr=b:2&addr=c&addr=[::1]&addr=a:26379&master_name=m", true},
		{"redis+sentinel://h?master_name=m&sentinel_username=su&sentinel_password=sp", true},
		{"redis+cluster://h", true},
		{"redis+cluster://h/0?pubsub=sharded", true},
		{"rediss+cluster://:p@h:7000?addr=i:7001&addr=j&pubsub=classic", true},

		{"", false},
		{" \n", false},
		{"h:6379", false},
		{"user:pw@host", false},
		{"http://h", false},
		{"redis://", false},
		{"redis://:pw@:6379", false},
		{"redis://h:port", false},
		{"redis://h:0", false},
		{"redis://h:66666", false},
		{"redis://:p%zzw@h", false},
		{"redis://:p/w@h:6379", false},
		{"redis://p/w@h:6379", false},
		{"redis://p#w@h:6379", false},
		{"redis://h?a=%zz", false},
		{"redis://h/main", false},
		{"redis://h/-1", false},
		{"redis://h/1/2", false},
		{"redis://h?max_retries=3", false},
		{"redis://a:1,b:2", false},
		{"redis://a,", false},
		{"redis://a, http://b", false},
		{"redis://a redis://b/x redis://c", false},
		{"redis://a,redis://b,redis://a:6379", false},
		{"redis://a/0,redis://a/1", false},
		{"redis+cluster://a,redis+cluster://b", false},
		{"redis://a,redis+sentinel://b?master_name=m", false},
		{"redis+sentinel://h", false},
		{"redis+sentinel://h?master_name=", false},
		{"redis+sentinel://h?master_name=m&sentinel_master_name=n", false},
		{"redis+sentinel://h?master_name=m&master_name=n", false},
		{"redis+sentinel://h?master_name=m&sentinel_username=su", false},
		{"redis+sentinel://h?master_name=m&addr=i:port", false},
		{"redis+sentinel://h?master_name=m&addr=a:1,b:2", false},
		{"redis+sentinel://h?master_name=m&addr=", false},
		{"redis+sentinel://h?master_name=m&addr=u:p@h", false},
		{"redis+sentinel://a:1,b:2?master_name=m", false},
		{"redis+sentinel://h?master_name=m&max_retries=1", false},
		{"redis+cluster://h/1", false},
		{"redis+cluster://h?db=1", false},
		{"redis+cluster://h?pubsub=both", false},
		{"redis+cluster://h?pubsub=sharded&pubsub=classic", false},
		{"redis+cluster://h?addr=:1", false},
	} {
		c := config.Default()
		c.Redis = row.setting
		said := c.Validate()
		broker, err := pubsub.Open(pubsub.Options{URL: row.setting})
		if err == nil {
			err = broker.Close()
		}
		if (said == nil) != row.good || (err == nil) != row.good {
			t.Errorf("%q: good is %v, the configuration says %v, the broker says %v", row.setting, row.good, said, err)
		}
	}
}

// A parameter that only Redis' own library knows is found out by config check.
func TestConfigCheckOpensTheBroker(t *testing.T) {
	for _, setting := range []string{"redis://h?pool=3", "redis://h?pool_size=many", "redis+cluster://h?master_name=m", "redis+sentinel://h?master_name=m&pubsub=classic"} {
		if status, stdout, stderr := verb(t, "", "config", "check", "--redis", setting); status == 0 {
			t.Errorf("%s is accepted: %s%s", setting, stdout, stderr)
		}
	}
}
