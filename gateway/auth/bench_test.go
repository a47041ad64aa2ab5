package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A token as an application makes it: some channels, some rights.
func benchToken(b *testing.B, k Key, n int) string {
	return mustSign(b, k, Claims{
		User: fmt.Sprintf("user-%d", n), TTL: time.Hour, ID: fmt.Sprint(n), Channels: []string{"news", "room.7"},
		Allow: Allow{Subscribe: []Pattern{"news.*", "room.*"}, Publish: []Pattern{"room.*.say"}},
	})
}

func BenchmarkVerifyCold(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(alg.name, func(b *testing.B) {
			verifies, signs := keysFor(alg.name)
			v, err := New(Options{Keys: []Key{verifies}, Now: atNoon, Cache: -1})
			if err != nil {
				b.Fatal(err)
			}
			token := benchToken(b, signs, 0)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	v, err := New(Options{Keys: []Key{hs256}, Now: atNoon})
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([]string, 4096)
	for n := range tokens {
		tokens[n] = benchToken(b, hs256, n)
		if _, err := v.Verify(tokens[n]); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if _, err := v.Verify(tokens[n%len(tokens)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				if _, err := v.Verify(tokens[n%len(tokens)]); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkVerifyRefused(b *testing.B) {
	v, err := New(Options{Keys: []Key{hs256}, Now: atNoon})
	if err != nil {
		b.Fatal(err)
	}
	good := benchToken(b, hs256, 0)
	for name, token := range map[string]string{
		"dots":      strings.Repeat(".", 4096),
		"letters":   strings.Repeat("a", 4096),
		"signature": good[:len(good)-4] + "AAAA",
		"members":   b64(`{"alg":"HS256"}`) + "." + b64(`{"a":0`+strings.Repeat(`,"":0`, 500)+"}") + ".AAAA",
		"nesting":   b64(`{"alg":"HS256"}`) + "." + b64(strings.Repeat(`{"":`, 500)+"0"+strings.Repeat("}", 500)) + ".AAAA",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkPattern(b *testing.B) {
	channel := strings.Repeat("a", 254) + "b"
	for _, pattern := range []Pattern{"room.*", Pattern(strings.Repeat("a*", 127)), "*" + Pattern(strings.Repeat("a", 120)) + "b*c"} {
		b.Run(fmt.Sprintf("%.12s", pattern), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pattern.Match(channel)
			}
		})
	}
}
