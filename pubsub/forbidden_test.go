package pubsub

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// One channel that the ACL forbids fails the SUBSCRIBE of all; the others must
// not suffer.
func TestForbiddenChannels(t *testing.T) {
	var allowed atomic.Bool
	forbidden := map[string]bool{"sluice:17": true, "sluice:500": true, "sluice:501": true}
	var refused []string
	o := Options{Events: Events{Refused: func(channel string, _ error) { refused = append(refused, channel) }}}
	onStage(t, o, func(command []string) string {
		for _, name := range command[1:] {
			if command[0] == "SUBSCRIBE" && forbidden[name] && !allowed.Load() {
				return "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n"
			}
		}
		return polite(command)
	}, func(s *stage) {
		for i := range 1000 {
			s.Subscribe(fmt.Sprint(i))
		}
		s.after(time.Second)
		slices.Sort(refused)
		if got := fmt.Sprint(refused); got != "[17 500 501]" {
			t.Errorf("refused: %s", got)
		}
		lost, _ := s.losses()
		if st := s.Stats(); st.Confirmed != 997 || st.Refused != 3 || st.Pending != 0 || len(lost) != 0 {
			t.Errorf("%+v, lost %q", st, lost)
		}
		if n := len(s.fake.sent("SUBSCRIBE")); n > 100 {
			t.Errorf("%d SUBSCRIBE for that", n)
		}
		s.ready("") // one client's odd wish does not take the node out of service
		s.Unsubscribe("500")
		s.after(time.Millisecond * 10)
		if st := s.Stats(); st.Refused != 2 {
			t.Errorf("%+v", st)
		}
		allowed.Store(true)
		s.tape.take()
		s.after(15 * time.Second) // RefusedRetry is 10 s
		s.ready("")
		if got := s.tape.take(); got != "subscribed 17, subscribed 501" && got != "subscribed 501, subscribed 17" {
			t.Errorf("after the permission came: %q", got)
		}
	})
}

func TestEverythingForbidden(t *testing.T) {
	onStage(t, Options{}, func(command []string) string {
		if command[0] == "SUBSCRIBE" {
			return "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n"
		}
		return polite(command)
	}, func(s *stage) {
		s.Subscribe("a")
		s.Subscribe("b")
		s.after(time.Second)
		s.ready("all 2 channels are refused")
		s.ready("allow the user +subscribe and the channels &sluice:*")
	})
}

func TestForbiddenUnsubscribe(t *testing.T) {
	onStage(t, Options{}, func(command []string) string {
		if command[0] == "UNSUBSCRIBE" {
			return "-NOPERM this user has no permissions to run the 'unsubscribe' command\r\n"
		}
		return polite(command)
	}, func(s *stage) {
		s.Subscribe("a")
		synctest.Wait()
		s.Unsubscribe("a")
		s.after(2 * time.Millisecond)
		s.lostOnce("allow the user +unsubscribe")
	})
}
