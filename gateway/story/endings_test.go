package story

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unsafe"
)

func TestEndings(t *testing.T) {
	var e Endings
	if e.Find(1) != nil {
		t.Error("found in nothing")
	}
	of := func(user string) (ids []uint64) {
		e.Of(user, func(one *Ending) bool { ids = append(ids, one.ID); return len(ids) < 3 })
		return ids
	}
	for id := uint64(1); id <= 5; id++ {
		e.Add(Ending{ID: id, User: fmt.Sprint("u", id%2)})
	}
	if got := fmt.Sprint(of("u1"), of("u0"), of("u2")); got != "[5 3 1] [4 2] []" {
		t.Errorf("before it is full: %s", got)
	}
	for id := uint64(6); id <= Kept+7; id++ {
		e.Add(Ending{ID: id, User: fmt.Sprint("u", id%2)})
	}
	for id, want := range map[uint64]bool{1: false, 7: false, 8: true, Kept: true, Kept + 7: true, Kept + 8: false} {
		if one := e.Find(id); (one != nil) != want || one != nil && one.ID != id {
			t.Errorf("%d: found %v, want %v", id, one, want)
		}
	}
	if got, want := fmt.Sprint(of("u0")), fmt.Sprint([]uint64{Kept + 6, Kept + 4, Kept + 2}); got != want {
		t.Errorf("the newest of one: %s, want %s", got, want)
	}
	n := 0
	e.Of("u1", func(one *Ending) bool {
		n++
		return one.ID > 7
	})
	if n != Kept/2 {
		t.Errorf("all of one: %d, want %d", n, Kept/2)
	}
}

// TestEndingsAreBounded: a client with many channels is remembered at the price of one with few.
func TestEndingsAreBounded(t *testing.T) {
	var e Endings
	e.Add(Ending{ID: 1, Channels: strings.Repeat("channel ", 1000)})
	e.Add(Ending{ID: 2, Channels: strings.Repeat("x", 255)})
	if n := len(e.Find(1).Channels); n > maxNames+len("…") {
		t.Errorf("%d bytes of names are kept", n)
	}
	if s := e.Find(1).Story(); s.Channels[0].Name != "channel" || s.Channels[len(s.Channels)-1].Name != "…" {
		t.Errorf("%+v", s.Channels)
	}
	if s := e.Find(2).Story(); len(s.Channels) != 1 || len(s.Channels[0].Name) != 255 {
		t.Errorf("%+v", s.Channels)
	}
	if size := unsafe.Sizeof(Ending{}); size > 144 {
		t.Errorf("an ending takes %d bytes", size)
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.1:80": "192.0.2.1:80", "192.0.2.1:0": "192.0.2.1", "[2001:db8::1]:0": "2001:db8::1", "[2001:db8::1]:5": "[2001:db8::1]:5"} {
		if got := Address(netip.MustParseAddrPort(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
