package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/loop"
)

// never are connections that do not end.
func never(loop.ConnID) bool { return true }

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExpiry(never)
		start := time.Now()
		at := func(d time.Duration) time.Time { return start.Add(d) }
		time.Sleep(300 * time.Millisecond) // a token is hardly ever made at the second that ours begin with
		e.add(1, at(1500*time.Millisecond))
		e.add(2, at(1500*time.Millisecond))
		e.add(3, at(time.Hour))
		e.add(4, at(-time.Hour)) // it expired between the check and now
		e.add(5, at(2*time.Second))
		e.add(6, time.Unix(253402300799, 0)) // the last second of the year 9999
		e.add(7, at(40*365*24*time.Hour))
		ended := map[loop.ConnID]time.Duration{}
		for range 15 * 60 * 61 { // one hour and a minute, four times a second
			time.Sleep(250 * time.Millisecond)
			for _, id := range e.take() {
				if _, twice := ended[id]; twice {
					t.Errorf("connection %d was ended twice", id)
				}
				ended[id] = time.Since(start)
			}
		}
		for id, expires := range map[loop.ConnID]time.Duration{1: 1500 * time.Millisecond, 2: 1500 * time.Millisecond, 3: time.Hour, 4: 0, 5: 2 * time.Second} {
			if after := ended[id] - expires; after < 0 || after > 1250*time.Millisecond {
				t.Errorf("connection %d, whose token expired after %v, was ended after %v", id, expires, ended[id])
			}
		}
		if len(ended) != 5 {
			t.Errorf("ended were %v; want 1 to 5", ended)
		}
		if e.noted != 1 || len(e.due) != 1 { // 7, but not 6: that is never
			t.Errorf("%d are noted in %d seconds, want only the one that expires in 40 years", e.noted, len(e.due))
		}
	})
}

// A reactor that stood still ends those at once whose time came meanwhile.
func TestExpiryCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExpiry(never)
		for i := range 100 {
			e.add(loop.ConnID(i), time.Now().Add(time.Duration(i)*time.Second))
		}
		time.Sleep(2 * time.Minute)
		got := e.take()
		slices.Sort(got)
		if len(got) != 100 || got[0] != 0 || got[99] != 99 {
			t.Errorf("got %v, want 0 to 99", got)
		}
		if again := e.take(); again != nil {
			t.Errorf("and again %v", again)
		}
		if e.noted != 0 || len(e.due) != 0 {
			t.Errorf("%d are still noted, in %d seconds", e.noted, len(e.due))
		}
	})
}

// Clients that come and go with tokens of a long life are forgotten.
func TestExpiryForgets(t *testing.T) {
	open := map[loop.ConnID]bool{}
	e := newExpiry(func(id loop.ConnID) bool { return open[id] })
	expires := time.Now().Add(24 * time.Hour)
	for id := loop.ConnID(0); id < 100_000; id++ {
		open[id] = true
		e.add(id, expires.Add(time.Duration(id/100)*time.Second))
		if id >= 500 && id%1000 != 0 {
			delete(open, id-500) // at most 500 and a few are open
		}
		if e.noted > 3*minNoted {
			t.Fatalf("%d connections are noted, %d are open", e.noted, len(open))
		}
	}
	e.forget()
	noted := map[loop.ConnID]bool{}
	for _, ids := range e.due {
		for _, id := range ids {
			noted[id] = true
		}
	}
	for id := range open {
		if !noted[id] {
			t.Errorf("connection %d is open and was forgotten", id)
		}
	}
	if len(noted) != len(open) || e.noted != len(open) {
		t.Errorf("%d are noted, counted %d, and %d open", len(noted), e.noted, len(open))
	}
}
