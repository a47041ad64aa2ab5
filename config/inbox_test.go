package config

import (
	"slices"
	"strings"
	"testing"
)

func TestInboxStreams(t *testing.T) {
	c := Default()
	c.Namespaces = []Namespace{{Name: "a", Inbox: "orders"}, {Name: "b"}, {Name: "c", Inbox: "orders"}, {Name: "d", Inbox: "inbox"}, {Name: "e", Inbox: "talk"}}
	if got := c.InboxStreams(); !slices.Equal(got, []string{"orders", "talk"}) {
		t.Errorf("got %v", got)
	}
	for channel, want := range map[string]string{"a:1": "orders", "b:1": "inbox", "d:1": "inbox", "e:x:y": "talk", "a": "inbox", "": "inbox"} {
		if got := c.Namespace(channel).Inbox; got != want {
			t.Errorf("%s goes to %s, want %s", channel, got, want)
		}
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Inbox.Streams = 43
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "43 parts of each of 3 streams are 129 Redis Streams") {
		t.Errorf("too many streams: %v", err)
	}
	c.Inbox.Streams, c.Namespaces[4].Inbox = 1, "{talk}"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "inbox") {
		t.Errorf("a name that is none: %v", err)
	}
}
