package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sluice/loop"
)

// However often tokens are renewed and channels taken up and given up, a connection is noted once, for
// what is due next.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{node: &Node{}, expiry: newExpiry(func(loop.ConnID) bool { return true })}
		c, s := conn("192.0.2.1"), &centrifugal{stage: stageConnected}
		start := time.Now()
		s.due = s.watch(h, c, start.Add(time.Hour))
		for i := range 1000 {
			s.due = s.watch(h, c, start.Add(time.Hour+time.Duration(i)*time.Minute))
			one := &sub{name: fmt.Sprint(i)}
			one.due = s.watch(h, c, start.Add(2*time.Hour))
			s.subs.add(one)
			if i%2 == 0 {
				s.subs.remove(one)
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
				for _, one := range s.subs.list { // as staleSub does, without a client
					if one.due <= h.expiry.done {
						one.due = 0
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

// The list of subscriptions against a map, across the length at which it gets an index.
func TestSubs(t *testing.T) {
	var s subs
	want := map[string]*sub{}
	for i := range 2000 {
		name := fmt.Sprint((i * 7919) % 40)
		if one := s.find(name); one != want[name] {
			t.Fatalf("step %d: %s is %v, want %v", i, name, one, want[name])
		}
		if one := want[name]; one != nil {
			s.remove(one)
			delete(want, name)
		} else {
			one = &sub{name: name}
			s.add(one)
			want[name] = one
		}
		if len(s.list) != len(want) || s.index != nil && len(s.index) != len(want) {
			t.Fatalf("step %d: %d are listed, %d indexed, want %d", i, len(s.list), len(s.index), len(want))
		}
	}
	for _, one := range want {
		s.remove(one)
	}
	if s.list != nil || s.index != nil {
		t.Errorf("all have left, and there is %+v", s)
	}
}
