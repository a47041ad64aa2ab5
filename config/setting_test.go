package config

import (
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	tests := []struct {
		text string
		want Size // -1: refused
	}{
		{"0", 0}, {"1", 1}, {"512B", 512}, {"64KiB", 65536}, {"64 KiB", 65536}, {"1MiB", 1048576}, {"2GiB", 2 << 30},
		{"8589934591GiB", 8589934591 << 30}, {"8589934592GiB", -1}, {"9223372036854775807", 1<<63 - 1}, {"9223372036854775808", -1},
		{"", -1}, {"-1", -1}, {"+1", -1}, {"1.5MiB", -1}, {"64K", -1}, {"64KB", -1}, {"64kib", -1}, {"KiB", -1}, {"1_000", -1}, {"0x10", -1},
	}
	for _, test := range tests {
		got, err := ParseSize(test.text)
		if (err != nil) != (test.want < 0) || err == nil && got != test.want {
			t.Errorf("%q: got %d, %v, want %d", test.text, got, err, test.want)
		}
	}
}

func TestSizeString(t *testing.T) {
	for size, want := range map[Size]string{0: "0B", 1: "1B", 1023: "1023B", 1024: "1KiB", 65537: "65537B", 3 * MiB: "3MiB", 1536 * KiB: "1536KiB", GiB: "1GiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d: got %s, want %s", int64(size), got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]string{"25s": "25s", "60s": "1m", "90s": "1m30s", "3600s": "1h", "5400s": "1h30m", "500ms": "500ms", "0": "0s", "0s": "0s", "24h": "24h", "10m": "10m", "1h0m10s": "1h0m10s"} {
		d, err := parseDuration(text)
		if err != nil || formatDuration(d) != want {
			t.Errorf("%s: got %s, %v, want %s", text, formatDuration(d), err, want)
		}
		if again, err := time.ParseDuration(formatDuration(d)); err != nil || again != d {
			t.Errorf("%s: printed as %s, read back as %s, %v", text, formatDuration(d), again, err)
		}
	}
	for _, text := range []string{"25", "1.5", "x", "s", "-"} {
		if d, err := parseDuration(text); err == nil {
			t.Errorf("%q: accepted as %s", text, d)
		}
	}
}

func TestNearest(t *testing.T) {
	keys := keysOf("")
	for typed, want := range map[string]string{
		"lissten": "listen", "ping.intervall": "ping.interval", "interval": "ping.interval", "Log.Level": "log.level",
		"log-format": "log.format", "message.maximum": "message.max", "queue.mailbox-bytes": "queue.mailbox_bytes",
	} {
		if got := nearest(typed, keys); got != want {
			t.Errorf("%s: got %s, want %s", typed, got, want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%s, %s: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
