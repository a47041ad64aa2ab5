package pubsub_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sluice/pubsub"
)

// channelName is the rule as one says it: letters, marks, numbers, punctuation and symbols, but for those that mean something to Redis.
var channelName = regexp.MustCompile(`^[\p{L}\p{M}\p{N}\p{P}\p{S}]+$`)

// FuzzCheckChannel compares the check with that rule, and sees to it that a name which is a channel's can mean nothing else to Redis.
func FuzzCheckChannel(f *testing.F) {
	for _, name := range []string{
		"news", "a", "#42", "größe", "世界", "e\u0301", "👍", "\uFFFD", "news:sport/2026_#1!$%&'()+,;<=>^|~\".`", strings.Repeat("x", 255),
		"", strings.Repeat("x", 256), strings.Repeat("世", 86), "a\xff{", "\xed\xa0\x80", "\xc0\x80", "a b", "a\r\nPUBLISH x y", "a\x00b", "a\u00a0b", "a\u200db", "a\u202eb",
		"\ufeffa", "a\ue000b", "*", "[a-", "?", `\`, "{}", "{x}{y}", "a:{tag}", "__keyspace@0__:*", "sluice:news", "a\u0378b",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		err := pubsub.CheckChannel(name)
		want := len(name) <= 255 && utf8.ValidString(name) && channelName.MatchString(name) && !strings.ContainsAny(name, `{}*?[]\`)
		if (err == nil) != want {
			t.Fatalf("%q: %v, but it is a name: %v", name, err, want)
		}
		if !slices.Contains([]error{nil, pubsub.ErrChannelEmpty, pubsub.ErrChannelLong, pubsub.ErrChannelUTF8, pubsub.ErrChannelSpace, pubsub.ErrChannelControl, pubsub.ErrChannelPattern}, err) {
			t.Fatalf("%q: %v is no rule of the package", name, err)
		}
		if long := len(name) > pubsub.MaxChannel; (err == pubsub.ErrChannelEmpty) != (name == "") || (err == pubsub.ErrChannelLong) != long {
			t.Fatalf("%q of %d bytes: %v", name, len(name), err)
		}
	})
}
