package auth

import "sync"

// verified is what is remembered of a token.
type verified struct {
	identity *Identity
	times    times
	key      *key
}

// digest is the SHA-256 of a token: two tokens that share one can not be made, and the cache holds no tokens.
type digest [32]byte

// cache remembers verified tokens, so that a whole fleet of clients that comes back costs hashes and not
// signatures. Refusals are not remembered: anybody can make as many as he likes.
//
// It has two generations. New tokens go to the young one; when that is full it becomes the old one, and the old one
// is dropped. A token that is asked for while it is in the old one moves to the young one. So the last half of what
// the cache may hold is always there, and nothing has to be looked for to be evicted.
type cache struct {
	mu         sync.Mutex
	half       int // entries in a generation; 0: nothing is remembered
	young, old map[digest]verified
}

func newCache(size int) *cache {
	half := 0
	if size > 0 {
		half = (size + 1) / 2
	}
	return &cache{half: half, young: map[digest]verified{}}
}

// get is what is remembered, unless its key has been retired.
func (c *cache) get(d digest) (verified, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[d]
	if !ok {
		if v, ok = c.old[d]; ok {
			delete(c.old, d)
			c.add(d, v)
		}
	}
	if ok && v.key.retired.Load() {
		delete(c.young, d)
		return verified{}, false
	}
	return v, ok
}

func (c *cache) put(d digest, v verified) {
	if c.half == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(d, v)
}

func (c *cache) add(d digest, v verified) {
	if len(c.young) >= c.half {
		c.young, c.old = map[digest]verified{}, c.young
	}
	c.young[d] = v
}

func (c *cache) remove(d digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, d)
	delete(c.old, d)
}

// len is how many tokens are remembered.
func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}
