package pubsub

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice/pubsub/redistest"
)

// hashTags are the cases of the Redis Cluster specification, "Hash tags":
// what of a key is hashed.
var hashTags = []struct{ key, hashed string }{
	{"", ""},
	{"foo", "foo"},
	{"{user1000}.following", "user1000"},
	{"{user1000}.followers", "user1000"},
	{"foo{}{bar}", "foo{}{bar}"},
	{"foo{{bar}}zap", "{bar"},
	{"foo{bar}{zap}", "bar"},
	{"{}", "{}"},
	{"{", "{"},
	{"}{", "}{"},
	{"}a{b}", "b"},
	{"a{b", "a{b"},
	{"{a", "{a"},
	{"sluice:{nodes}.Z", "nodes"},
	{"{sluice:news}.log", "sluice:news"},
	{"Grüße {\x00\xff}", "\x00\xff"},
}

func TestKeySlotVectors(t *testing.T) {
	for _, c := range []struct {
		key  string
		want uint16
	}{
		{"", 0},
		{"123456789", 12739}, // 0x31C3, the specification's own
		{"foo", 12182},
		{"bar", 5061},
	} {
		if got := keySlot(c.key); got != c.want {
			t.Errorf("%q: slot %d, want %d", c.key, got, c.want)
		}
	}
	for _, c := range hashTags {
		if got, want := keySlot(c.key), xmodem(c.hashed); got != want {
			t.Errorf("%q: slot %d, want %d, that of %q", c.key, got, want, c.hashed)
		}
		if keySlot(c.key) != keySlot([]byte(c.key)) {
			t.Errorf("%q: another slot as bytes", c.key)
		}
	}
}

func TestKeySlotAsRedis(t *testing.T) {
	s := redistest.Start(t, "--cluster-enabled", "yes")
	keys := []string{"news", "chat:42", "#42", "Grüße", strings.Repeat("x", 1000), "a\r\nb", "\x00"}
	for _, c := range hashTags {
		keys = append(keys, c.key)
	}
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("sluice:channel-%d", i))
	}
	for _, key := range keys {
		if want := s.Do("CLUSTER", "KEYSLOT", key); int64(keySlot(key)) != want {
			t.Errorf("%q: slot %d, Redis says %v", key, keySlot(key), want)
		}
	}
}

func TestKeySlotAllocatesNothing(t *testing.T) {
	name, raw := "{sluice:news}.log", []byte("sluice:news")
	var sum int
	if n := testing.AllocsPerRun(100, func() { sum += int(keySlot(name)) + int(keySlot(raw)) + shardOf(name, 7) }); n != 0 || sum == 0 {
		t.Errorf("%v allocations", n)
	}
}

// xmodem is keySlot without table or hash tags, bit by bit.
func xmodem(text string) uint16 {
	crc := 0
	for _, b := range []byte(text) {
		for bit := 7; bit >= 0; bit-- {
			top := crc >> 15 & 1
			crc = crc << 1 & 0xffff
			if top != int(b)>>bit&1 {
				crc ^= 0x1021
			}
		}
	}
	return uint16(crc % 16384)
}

func FuzzKeySlot(f *testing.F) {
	for _, c := range hashTags {
		f.Add(c.key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		hashed := key
		if _, after, ok := strings.Cut(key, "{"); ok {
			if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
				hashed = tag
			}
		}
		if got, want := keySlot(key), xmodem(hashed); got != want || keySlot([]byte(key)) != want {
			t.Errorf("%q: slot %d, want %d", key, got, want)
		}
	})
}

// These can never change: publishers in other languages compute them too.
func TestShardOfIsForEver(t *testing.T) {
	for _, c := range []struct {
		channel string
		want    [5]int // of 1, 2, 3, 10, 1000 shards
	}{
		{"", [5]int{0, 1, 1, 1, 266}},
		{"news", [5]int{0, 1, 2, 3, 81}},
		{"chat:42", [5]int{0, 1, 1, 1, 996}},
		{"#42", [5]int{0, 1, 1, 1, 745}},
		{"Grüße", [5]int{0, 0, 2, 3, 946}},
	} {
		var got [5]int
		for i, n := range []int{1, 2, 3, 10, 1000} {
			got[i] = shardOf(c.channel, n)
		}
		if got != c.want {
			t.Errorf("%q: %v, want %v", c.channel, got, c.want)
		}
	}
}

// One more shard: a channel stays, or moves to the new one.
func TestShardOfMovesLittle(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		channel, n := rapid.String().Draw(r, "channel"), rapid.IntRange(1, 1000).Draw(r, "n")
		before, after := shardOf(channel, n), shardOf(channel, n+1)
		if before < 0 || before >= n {
			r.Errorf("%d of %d", before, n)
		}
		if after != before && after != n {
			r.Errorf("with the new shard %d it moved from %d to %d", n, before, after)
		}
	})
}

func TestShardOfBalances(t *testing.T) {
	const channels = 20000
	for _, form := range []string{"news:%d", "#%d", "room-%08x", "%d"} {
		for _, n := range []int{2, 3, 5, 16} {
			load, moved := make([]int, n), 0
			for i := range channels {
				channel := fmt.Sprintf(form, i)
				shard := shardOf(channel, n)
				load[shard]++
				if shardOf(channel, n+1) != shard {
					moved++
				}
			}
			// The names are fixed, and so is the outcome: a tenth is 3.6 standard deviations at 16.
			for shard, got := range load {
				if even := channels / n; got < even*9/10 || got > even*11/10 {
					t.Errorf("%s: shard %d of %d has %d channels, an even share is %d", form, shard, n, got, even)
				}
			}
			if even := channels / (n + 1); moved < even*9/10 || moved > even*11/10 {
				t.Errorf("%s: from %d to %d shards %d channels move, an even share is %d", form, n, n+1, moved, even)
			}
		}
	}
}
