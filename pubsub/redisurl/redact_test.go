package redisurl

import (
	"strings"
	"testing"
)

const unread = "(not a URL, not shown)"

func TestRedact(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"redis://h:6379/0", "redis://h:6379/0"},
		{"redis://user:s3cret@h", "redis://user:xxxxx@h"},
		{"redis://:s3cret@h", "redis://:xxxxx@h"},
		{"redis://h?password=s3cret&db=1&Auth=s3cret", "redis://h?password=xxxxx&db=1&Auth=xxxxx"},
		{"redis://u:s3c#ret%@h", unread},
		{"redis://s3c#ret@h", unread},
		{"redis://s3c/ret@h", unread},
		{"redis://s3c?ret@h", unread},
		{"s3c:ret@h", unread},
		{"", unread},
		{"redis://u:s3c,ret@a:1/2,rediss://:s3cret@b redis://c\n, redis://d", "redis://u:xxxxx@a:1/2,rediss://:xxxxx@b,redis://c,redis://d"},
		{"redis://a,redis://:s3%cret@b", unread},
		{"redis://a,redis://:s3\ncret@b", unread},
		{"redis://:1,redis://s3cret@b", unread}, // one password
		{"redis+sentinel://u:s3cret@h?sentinel_master_name=m&sentinel_password=s3cret", "redis+sentinel://u:xxxxx@h?sentinel_master_name=m&sentinel_password=xxxxx"},
		{"redis+sentinel://h/0?sentinel%5Fpassword=s3cret&addr=[::1]:1&master_name=m", "redis+sentinel://h/0?sentinel%5Fpassword=xxxxx&addr=[::1]:1&master_name=m"},
		{"redis+sentinel://a?master_name=m&%zz=s3cret", unread},
		{"rediss+cluster://:s3cret@h:7000?addr=i:1&pubsub=classic", "rediss+cluster://:xxxxx@h:7000?addr=i:1&pubsub=classic"},
		{"embedded://127.0.0.1:6380", "embedded://127.0.0.1:6380"},
	} {
		if got := Redact(c.text); got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
		if got := Redact(c.want); got != c.want {
			t.Errorf("%s, redacted again, is %s", c.want, got)
		}
	}
}

// FuzzSetting: nothing panics, no error repeats what it was given, no password is shown,
// and what is shown either says the same or is refused for what is hidden in it.
func FuzzSetting(f *testing.F) {
	for _, seed := range []string{
		"redis://:S@h:1/2", "redis://a,redis://u:S@b", "redis+sentinel://h?master_name=m&addr=x:1&sentinel_password=S",
		"rediss+cluster://h?pubsub=classic", "redis://S#S@h", "redis://h?S=1", "embedded://127.0.0.1:0", "redis://u:xxxxx@h",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "hunter2"
		text = strings.ReplaceAll(text, "S", secret)
		s, err := Parse(text)
		shown := Redact(text)
		if again := Redact(shown); again != shown {
			t.Errorf("%q is shown as %q, and that as %q", text, shown, again)
		}
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if len(s.Servers) == 0 || len(s.Addrs) == 0 || (s.Kind == Shards) != (len(s.Servers) > 1) {
			t.Errorf("%q: nothing to go by: %s", text, show(s))
		}
		same, err := Parse(shown)
		if hides := strings.Contains(shown, placeholder); err != nil && !hides || err == nil && show(same) != show(s) {
			t.Errorf("%q is shown as %q: %v", text, shown, err)
		}
		passwords := s.Password
		for _, u := range s.Servers {
			password, _ := u.User.Password()
			passwords += password
		}
		if strings.Contains(passwords, secret) && strings.Count(text, secret) == 1 && !strings.Contains(text, "%") && strings.Contains(shown, secret) {
			t.Errorf("%q is shown as %q", text, shown)
		}
	})
}
