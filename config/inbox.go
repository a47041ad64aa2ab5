package config

import (
	"fmt"
	"slices"
)

// maxStreams is how many Redis Streams a node writes to: each has a writer and a connection of its own.
const maxStreams = 128

// InboxStreams are the names of the streams that namespaces have besides Inbox.Stream, each once.
func (c *Config) InboxStreams() []string {
	var names []string
	for _, n := range c.Namespaces {
		if n.Inbox != "" && n.Inbox != c.Inbox.Stream && !slices.Contains(names, n.Inbox) {
			names = append(names, n.Inbox)
		}
	}
	return names
}

// inboxStreams checks their names and their number.
func (v *validator) inboxStreams() {
	for i, n := range v.config.Namespaces {
		if path := itemPath("namespaces", i); n.Inbox != "" && !v.broken[path] {
			v.fault(path+".inbox", checkName(n.Inbox))
		}
	}
	streams := 1 + len(v.config.InboxStreams())
	if n := streams * v.config.Inbox.Streams; n > maxStreams && !v.broken["inbox.streams"] {
		v.fault("inbox.streams", fmt.Errorf("%d parts of each of %d streams are %d Redis Streams; a node writes to %d at most",
			v.config.Inbox.Streams, streams, n, maxStreams))
	}
}
