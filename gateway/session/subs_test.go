package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"sluice/gateway/hub"
)

// newLocal is a reactor's half of a channel table, of no reactor.
func newLocal() *hub.Local {
	return hub.New(hub.Options{Broker: nobody{}, Node: "n", Life: "n.x", Rules: func(string) *hub.Rules { return &hub.Rules{} }, Encoders: Encoders}).Local(0, hub.Events{})
}

// Subscriptions against a map, across the length at which they get an index, and back to one and none.
func TestSubs(t *testing.T) {
	var s subs[subscription, *subscription]
	local := newLocal()
	want := map[string]*subscription{}
	leave := func(one *subscription) {
		delete(want, one.Name())
		s.remove(one)
		local.Leave(&one.Member)
	}
	compare := func(step int) {
		t.Helper()
		var names []string
		for one := range s.all {
			names = append(names, one.Name())
			if one != want[one.Name()] {
				t.Fatalf("step %d: %s is %p, want %p", step, one.Name(), one, want[one.Name()])
			}
		}
		if s.count() != len(want) || len(names) != len(want) || s.channels() != strings.Join(names, " ") {
			t.Fatalf("step %d: there are %d, and %q, want %d", step, s.count(), s.channels(), len(want))
		}
		for i := range 40 {
			if name := fmt.Sprint(i); s.find(name) != want[name] {
				t.Fatalf("step %d: %s is %p, want %p", step, name, s.find(name), want[name])
			}
		}
	}
	for i := range 2000 {
		name := fmt.Sprint((i * 7919) % (40 - i/50)) // fewer and fewer names, down to one
		if one := want[name]; one != nil {
			leave(one)
		} else {
			one = s.place()
			if one.wish != nil || one.Name() != "" {
				t.Fatalf("step %d: the place is not free", i)
			}
			one.wish = new(wish)
			local.Join(nil, &one.Member, name, hub.Wants{})
			s.add(one)
			want[name] = one
		}
		compare(i)
	}
	if s.find("") != nil {
		t.Error("there is one without a channel")
	}
	for one := range s.all {
		leave(one)
	}
	if compare(2000); s.more != nil {
		t.Errorf("all have left, and there is %+v", s.more)
	}
}

// While all are gone through, any of them may go.
func TestSubsGoOneByOne(t *testing.T) {
	for gone := range 5 {
		var s subs[subscription, *subscription]
		local := newLocal()
		for i := range 4 {
			one := s.place()
			local.Join(nil, &one.Member, fmt.Sprint(i), hub.Wants{})
			s.add(one)
		}
		var names []string
		for one := range s.all {
			names = append(names, one.Name())
			if gone == 4 || one.Name() == fmt.Sprint(gone) {
				s.remove(one)
				local.Leave(&one.Member)
			}
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != "0 1 2 3" {
			t.Errorf("%d goes: yielded were %s", gone, got)
		}
		if want := []int{3, 3, 3, 3, 0}[gone]; s.count() != want {
			t.Errorf("%d goes: %d are left, want %d", gone, s.count(), want)
		}
	}
}

// What each connection takes whatever it does, by the size classes of the allocator.
func TestSessionsAreSmall(t *testing.T) {
	for _, row := range []struct {
		dialect   string
		size, max uintptr
	}{
		{"plain", unsafe.Sizeof(plain{}), 64},
		{"wrapped", unsafe.Sizeof(wrapped{}), 64},
		{"events", unsafe.Sizeof(events{}), 96},
		{"centrifugal", unsafe.Sizeof(centrifugal{}), 96},
	} {
		if row.size > row.max {
			t.Errorf("a connection that speaks %s takes %d bytes, want at most %d", row.dialect, row.size, row.max)
		}
	}
}
