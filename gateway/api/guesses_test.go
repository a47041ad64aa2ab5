package api

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"
)

func TestGuesses(t *testing.T) {
	var g guesses
	now := time.Unix(1_790_000_000, 0)
	guess := func(from, key string) { g.note(from, sha256.Sum256([]byte(key)), now) }
	for range 100 {
		guess("a", "the old key of a service")
	}
	if g.tooMany("a", now) {
		t.Error("one wrong key is taken for many")
	}
	for i := range maxGuesses - 1 {
		guess("a", fmt.Sprint(i))
	}
	if !g.tooMany("a", now) || g.tooMany("b", now) {
		t.Error("the limit is not where it was put, or concerns others")
	}
	guess("a", "3") // has been tried
	now = now.Add(forgetAfter + 1)
	if g.tooMany("a", now) {
		t.Error("they are not forgotten")
	}
	for i := range 3 * maxAddresses {
		guess(fmt.Sprint("from ", i), "k")
	}
	if len(g.from) > maxAddresses {
		t.Errorf("%d addresses are remembered", len(g.from))
	}
}
