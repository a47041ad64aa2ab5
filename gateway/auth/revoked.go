package auth

import (
	"sync"
	"time"
)

// MostRevoked is how many tokens and users can be revoked at once.
const MostRevoked = 200_000

// Revoked is what is not valid any more although it is signed and has not expired:
// single tokens, by their jti, and the tokens of a user that were issued until some
// moment. Any goroutine may use it. The zero value is empty.
type Revoked struct {
	mu     sync.RWMutex
	tokens map[string]int64       // guarded by mu; by jti, the Unix second until which it has to be remembered
	users  map[string]userRevoked // guarded by mu
}

type userRevoked struct {
	before int64 // tokens that were issued until this Unix second are not valid
	till   int64 // until when that has to be remembered, Unix seconds
}

// Token revokes a token until a Unix second. false: there are too many.
func (r *Revoked) Token(jti string, till int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.tokens[jti]; !known && r.full() {
		return false
	}
	if r.tokens == nil {
		r.tokens = map[string]int64{}
	}
	r.tokens[jti] = max(till, r.tokens[jti])
	return true
}

// User revokes the tokens of a user that were issued until the Unix second before,
// and those that do not say when they were. false: there are too many.
func (r *Revoked) User(user string, before, till int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, known := r.users[user]
	if !known && r.full() {
		return false
	}
	if r.users == nil {
		r.users = map[string]userRevoked{}
	}
	r.users[user] = userRevoked{max(before, was.before), max(till, was.till)}
	return true
}

// full makes room, and reports whether there is none. r.mu is held.
func (r *Revoked) full() bool {
	if len(r.tokens)+len(r.users) < MostRevoked {
		return false
	}
	r.forget(time.Now().Unix())
	return len(r.tokens)+len(r.users) >= MostRevoked
}

// Forget drops what nobody needs to remember any more.
func (r *Revoked) Forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now.Unix())
}

func (r *Revoked) forget(now int64) {
	for jti, till := range r.tokens {
		if till < now {
			delete(r.tokens, jti)
		}
	}
	for user, u := range r.users {
		if u.till < now {
			delete(r.users, user)
		}
	}
}

// Len is how many tokens and users are revoked.
func (r *Revoked) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.tokens) + len(r.users)
}

// Has reports whether what a token says is revoked at a moment.
func (r *Revoked) Has(id *Identity, now time.Time) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if id.ID != "" && r.tokens[id.ID] >= now.Unix() {
		return true
	}
	u, ok := r.users[id.User]
	return ok && u.till >= now.Unix() && id.IssuedUntil(u.before)
}

// IssuedUntil reports whether the token was issued until a Unix second, or does not say when.
func (i *Identity) IssuedUntil(second int64) bool {
	return i.Issued.IsZero() || i.Issued.Unix() <= second
}
