package auth

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func digestOf(n int) digest { return digest{byte(n), byte(n >> 8), byte(n >> 16)} }

func TestCacheForgetsTheOldest(t *testing.T) {
	c, k := newCache(100), &key{}
	for n := range 1000 {
		c.put(digestOf(n), verified{key: k})
		if _, ok := c.get(digestOf(0)); !ok { // asked for all the time
			t.Fatalf("the token in use is forgotten after %d others", n)
		}
		for back := range min(n+1, 40) { // a little less than half, because the other moves too
			if _, ok := c.get(digestOf(n - back)); !ok {
				t.Fatalf("%d is forgotten after %d others", n-back, back)
			}
		}
		if c.len() > 100 {
			t.Fatalf("%d are remembered", c.len())
		}
	}
	if _, ok := c.get(digestOf(1)); ok {
		t.Error("nothing is ever forgotten")
	}
}

func TestCacheOfNothing(t *testing.T) {
	c := newCache(-1)
	c.put(digestOf(1), verified{key: &key{}})
	if _, ok := c.get(digestOf(1)); ok || c.len() != 0 {
		t.Error("something is remembered")
	}
	c = newCache(1)
	for n := range 10 {
		c.put(digestOf(n), verified{key: &key{}})
	}
	if c.len() > 2 {
		t.Errorf("%d are remembered", c.len())
	}
}

func TestCacheDropsTokensOfRetiredKeys(t *testing.T) {
	c, k := newCache(4), &key{}
	for n := range 4 { // in both generations
		c.put(digestOf(n), verified{key: k})
	}
	k.retired.Store(true)
	for n := range 4 {
		if _, ok := c.get(digestOf(n)); ok {
			t.Errorf("token %d of a retired key counts", n)
		}
	}
}

func TestRefusalsAreNotRemembered(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}})
	good := mustSign(t, hs256, Claims{})
	for n := range 1000 {
		wantCode(t, v, good[:len(good)-4]+fmt.Sprintf("%04d", n)[:3]+"A", CodeBadSignature)
	}
	wantCode(t, v, mustSign(t, hs256, Claims{Issued: noon.Add(-2 * time.Hour)}), CodeExpired)
	if n := v.seen.len(); n != 0 {
		t.Errorf("%d refused tokens are remembered", n)
	}
	first, second := wantCode(t, v, good, ""), wantCode(t, v, good, "")
	if first != second || v.seen.len() != 1 {
		t.Error("a verified token is not remembered")
	}
}

func TestExpiredTokensAreForgotten(t *testing.T) {
	now := noon
	v := mustNew(t, Options{Keys: []Key{hs256}, Now: func() time.Time { return now }})
	token := mustSign(t, hs256, Claims{TTL: time.Minute})
	wantCode(t, v, token, "")
	now = noon.Add(time.Hour)
	wantCode(t, v, token, CodeExpired)
	if v.seen.len() != 0 {
		t.Error("it is remembered")
	}
}

func TestRememberedTokensCostNoAllocation(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}})
	token := mustSign(t, hs256, Claims{})
	wantCode(t, v, token, "")
	if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(token) }); n > 1 { // the token's bytes, for the hash
		t.Errorf("%v allocations", n)
	}
}

func TestManyGoroutines(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}, Cache: 8})
	tokens := make([]string, 32)
	for n := range tokens {
		tokens[n] = mustSign(t, hs256, Claims{User: fmt.Sprintf("user%d", n)})
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 200 {
				n = (n*7 + g) % len(tokens)
				id, err := v.Verify(tokens[n])
				if err != nil || id.User != fmt.Sprintf("user%d", n) {
					t.Errorf("token %d: %v, %v", n, id, err)
				}
			}
		})
	}
	all.Wait()
}
