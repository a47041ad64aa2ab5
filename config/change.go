package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Change is a setting that has another value in another configuration.
type Change struct {
	Key      string
	From, To string // in the file's notation; of a secret there is the placeholder
	Live     bool   // a reload puts it into effect; else a restart does
}

func (c Change) String() string { return fmt.Sprintf("%s: %s → %s", c.Key, c.From, c.To) }

// Changes are the settings that differ in next, in the order of the documentation. Items of lists are compared as
// they stand in the file.
func (c *Config) Changes(next *Config) []Change {
	var changes []Change
	for _, s := range entries() {
		if reflect.DeepEqual(s.field(c).Interface(), s.field(next).Interface()) {
			continue
		}
		changes = append(changes, Change{Key: s.key, From: s.brief(c), To: s.brief(next), Live: s.live})
	}
	return changes
}

// brief is the setting's value on one line: of a list of sections what each item says, of Redis' address what may be
// shown.
func (s setting) brief(c *Config) string {
	if s.key == "redis" {
		return c.RedactedRedis()
	}
	if s.item == nil {
		return s.scalar(c)
	}
	items := make([]string, 0)
	empty := s.newItem()
	for _, item := range s.items(c) {
		var leaves []string
		for _, leaf := range s.item {
			if !reflect.DeepEqual(leaf.field(item).Interface(), leaf.field(empty).Interface()) {
				leaves = append(leaves, leaf.key+": "+leaf.scalar(item))
			}
		}
		items = append(items, "{"+strings.Join(leaves, ", ")+"}")
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// Reloaded is the configuration with the live settings of next, the others as they are.
func (c *Config) Reloaded(next *Config) *Config {
	merged := *c
	for _, s := range entries() {
		if s.live {
			s.field(&merged).Set(s.field(next))
		}
	}
	merged.from = next.from // what is said of a setting names where it was written last
	return &merged
}
