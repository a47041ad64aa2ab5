package pubsub_test

import (
	"strings"
	"testing"

	"sluice/pubsub"
)

func TestCheckChannel(t *testing.T) {
	for _, c := range []struct {
		name string
		want error
	}{
		{"news", nil},
		{"a", nil},
		{"news:sport/football@2026-final_#1!$%&'()+,;<=>^|~\".`", nil},
		{"#42", nil},
		{"größe", nil},
		{"世界", nil},
		{"e\u0301", nil}, // a combining mark
		{"👍", nil},
		{"\uFFFD", nil}, // the replacement character itself is valid UTF-8
		{strings.Repeat("x", 255), nil},
		{"", pubsub.ErrChannelEmpty},
		{strings.Repeat("x", 256), pubsub.ErrChannelLong},
		{strings.Repeat("世", 86), pubsub.ErrChannelLong},
		{"a\xff", pubsub.ErrChannelUTF8},
		{"a\xe4\xb8", pubsub.ErrChannelUTF8},
		{"\xed\xa0\x80", pubsub.ErrChannelUTF8}, // a surrogate
		{"\xc0\x80", pubsub.ErrChannelUTF8},     // an overlong NUL
		{"a b", pubsub.ErrChannelSpace},
		{"a\tb", pubsub.ErrChannelSpace},
		{"a\nb", pubsub.ErrChannelSpace},
		{"a\u00a0b", pubsub.ErrChannelSpace}, // no-break space
		{"a\u3000b", pubsub.ErrChannelSpace}, // ideographic space
		{"a\u2028b", pubsub.ErrChannelSpace}, // line separator
		{"a\x00b", pubsub.ErrChannelControl},
		{"a\x7fb", pubsub.ErrChannelControl},
		{"a\u009fb", pubsub.ErrChannelControl},
		{"a\u200bb", pubsub.ErrChannelControl}, // zero-width space
		{"a\u200db", pubsub.ErrChannelControl}, // zero-width joiner
		{"a\u202eb", pubsub.ErrChannelControl}, // right-to-left override
		{"\ufeffa", pubsub.ErrChannelControl},  // byte order mark
		{"a\ue000b", pubsub.ErrChannelControl}, // private use
		{"a\u0378b", pubsub.ErrChannelControl}, // not assigned
		{"{a}", pubsub.ErrChannelPattern},
		{"a}", pubsub.ErrChannelPattern},
		{"a*", pubsub.ErrChannelPattern},
		{"a?", pubsub.ErrChannelPattern},
		{"[a", pubsub.ErrChannelPattern},
		{"a]", pubsub.ErrChannelPattern},
		{`a\b`, pubsub.ErrChannelPattern},
	} {
		if got := pubsub.CheckChannel(c.name); got != c.want {
			t.Errorf("%q: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCheckChannelAllocates(t *testing.T) {
	for _, name := range []string{"news:sport", "世界", "a b"} {
		if n := testing.AllocsPerRun(100, func() { _ = pubsub.CheckChannel(name) }); n != 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}
