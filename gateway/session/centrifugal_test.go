package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sluice/gateway/auth"
	"sluice/gateway/hub"
)

// However often tokens are renewed and channels taken up and given up, a connection is noted once, for
// what is due next.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{node: &Node{}, expiry: newExpiry(never), local: newLocal()}
		c, s := conn("192.0.2.1"), &centrifugal{stage: stageConnected}
		start := time.Now()
		s.due = s.watch(h, c, start.Add(time.Hour))
		for i := range 1000 {
			s.due = s.watch(h, c, start.Add(time.Hour+time.Duration(i)*time.Minute))
			one := s.subs.place()
			h.show(c, one, &auth.Identity{}, s.watch(h, c, start.Add(2*time.Hour)))
			h.local.Join(c, &one.Member, fmt.Sprint(i), hub.Wants{})
			s.subs.add(one)
			if i%2 == 0 {
				s.leave(h, c, one)
			}
		}
		if h.expiry.noted != 1 {
			t.Errorf("it is noted %d times", h.expiry.noted)
		}
		looks, ended := 0, time.Duration(0)
		for range 20 * 3600 {
			time.Sleep(time.Second)
			for range h.expiry.take() {
				looks++
				if s.due <= h.expiry.done {
					ended = time.Since(start)
					continue
				}
				for one := range s.subs.all { // as staleSub does, without a client
					if one.token.isOver(h.expiry.done) {
						one.token = nil
					}
				}
				s.looked = 0
				s.lookAt(h, c, s.nextDue())
			}
		}
		if want := time.Hour + 999*time.Minute; ended < want || ended > want+2*time.Second || looks != 3 {
			t.Errorf("it ended after %v, looked at %d times", ended, looks)
		}
	})
}

// Who has not been let in is given nothing: it would be the answer to a connect that has not come.
func TestStrangersAreNotEnrolled(t *testing.T) {
	for _, at := range []stage{stageStranger, stageRefused} {
		h := &Handler{node: &Node{}, expiry: newExpiry(never), local: newLocal()}
		s := &centrifugal{stage: at, entrance: new(entrance)}
		if s.enroll(h, conn("192.0.2.1"), "news"); s.subs.count() != 0 || s.entrance.waiting != 0 {
			t.Errorf("in stage %d it has %q, and %d are waited for", at, s.subs.channels(), s.entrance.waiting)
		}
	}
}
