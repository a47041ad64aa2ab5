package pubsub

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// silentFrom answers politely but for PINGs from the nth on (0 is the first).
func silentFrom(n int) func([]string) string {
	var pings atomic.Int32
	return func(command []string) string {
		if command[0] == "PING" && int(pings.Add(1)) > n {
			return ""
		}
		return polite(command)
	}
}

// muted answers politely until mute is set: then nothing at all.
func muted(mute *atomic.Bool) func([]string) string {
	return func(command []string) string {
		if mute.Load() {
			return ""
		}
		return polite(command)
	}
}

// A Redis that says nothing is not left while nothing else answers either: it may
// go on, and what it delivers then is not missed.
func TestSilenceIsDoubted(t *testing.T) {
	var mute atomic.Bool
	onStage(t, Options{}, muted(&mute), func(s *stage) {
		s.Subscribe("a")
		s.after(time.Second)
		s.heard("subscribed a")
		mute.Store(true)
		s.after(4*time.Second + 2*time.Second + time.Millisecond) // PingEvery, ReadyLag
		s.ready("has not answered a PING")
		s.after(time.Minute)
		s.heard("")
		if n := len(s.fake.dialed()); n < 10 {
			t.Errorf("%d other connections were tried in a minute", n-1)
		}
		mute.Store(false)
		s.fake.pushOn(0, message("sluice:a", "late")+"+PONG\r\n")
		s.after(0)
		s.heard("message a late")
		s.ready("")
		tried := len(s.fake.dialed())
		s.after(time.Minute)
		s.heard("")
		if n := len(s.fake.dialed()); n != tried {
			t.Errorf("%d more connections were tried though the first one lives", n-tried)
		}
		if lost, _ := s.losses(); len(lost) != 0 {
			t.Errorf("lost: %q", lost)
		}
	})
}

// A connection that says nothing while another one is answered is dead.
func TestDeafConnectionIsReplaced(t *testing.T) {
	var mute atomic.Bool
	var gaps []Gap
	o := Options{Events: Events{Gap: func(g Gap) { gaps = append(gaps, g) }}}
	onStage(t, o, muted(&mute), func(s *stage) {
		s.Subscribe("a")
		s.after(time.Second)
		s.heard("subscribed a")
		mute.Store(true)
		s.after(10 * time.Second)
		s.heard("")
		mute.Store(false)
		s.after(longestWait + hedgeAfter + graceOfOld)
		s.heard("interrupted, subscribed a")
		s.lostOnce("on this connection, and answers another one")
		s.ready("")
		if st := s.Stats(); st.Losses != 1 || st.Connects != 2 || !strings.Contains(st.LastError, "nothing") {
			t.Errorf("%+v", st)
		}
		if len(gaps) != 2 || gaps[0].ID != gaps[1].ID || !gaps[0].To.IsZero() || gaps[1].To.IsZero() ||
			gaps[1].Cause != CauseConnection || gaps[1].Channels != 1 || gaps[1].Link != "fake:6379#0" {
			t.Errorf("gaps: %+v", gaps)
		}
	})
}

func TestSilenceAtLogin(t *testing.T) {
	onStage(t, Options{}, silentFrom(0), func(s *stage) {
		s.ready("not connected to Redis at fake:6379 yet")
		s.after(time.Second)
		s.lostOnce("has sent nothing for 1s")
		s.heard("") // nothing was subscribed, so nothing is interrupted
		if st := s.Stats(); st.FailedDial != 1 || st.Losses != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestMissingPongWhileMessagesFlow(t *testing.T) {
	onStage(t, Options{PongTimeout: 3 * time.Second}, silentFrom(1), func(s *stage) {
		for range 14 { // PINGs at 5 s; ReplyTimeout is 10 s
			s.after(time.Second)
			s.fake.push(message("sluice:a", "x"))
		}
		if lost, _ := s.losses(); len(lost) != 0 {
			t.Fatalf("lost: %q", lost)
		}
		s.after(time.Second)
		s.lostOnce("has not answered PING for 10s")
	})
}

func TestPings(t *testing.T) {
	onStage(t, Options{}, polite, func(s *stage) {
		s.after(time.Minute)
		if lost, _ := s.losses(); len(s.fake.sent("PING")) != 13 || len(lost) != 0 {
			t.Errorf("%d PINGs in a minute; lost: %q", len(s.fake.sent("PING")), lost)
		}
		s.ready("")
	})
}

// A Redis that stopped reading: the write blocks.
func TestBlockedWrite(t *testing.T) {
	var blocked chan struct{}
	onStage(t, Options{}, func(command []string) string {
		if command[0] == "SUBSCRIBE" {
			<-blocked
		}
		return polite(command)
	}, func(s *stage) {
		blocked = make(chan struct{}) // made inside the bubble
		s.Subscribe("a")
		synctest.Wait()
		s.Subscribe("b")
		s.after(6 * time.Second)
		s.lostOnce("writing to Redis")
		close(blocked)
	})
}

func TestLoginIsRefused(t *testing.T) {
	for _, c := range []struct{ url, command, answer, want string }{
		{"redis://me:wrong@fake", "AUTH", "-WRONGPASS invalid username-password pair\r\n", "refuses the login: WRONGPASS invalid username-password pair; check user and password"},
		{"redis://fake", "PING", "-NOAUTH Authentication required.\r\n", "wants a password: NOAUTH"},
		{"redis://fake", "PING", "-LOADING Redis is loading the dataset in memory\r\n", "answers PING with: LOADING"},
		{"redis://fake", "PING", "+OK\r\n", `not the Redis protocol: "OK" answers PING`},
		{"redis://fake", "PING", "HTTP/1.1 400 Bad Request\r\n", `a reply cannot start with "HTTP/1.1 400`},
		{"redis://fake", "PING", "+PONG\r\n+PONG\r\n", "an answer"},
		{"redis://fake", "PING", "+PONG\r\n-ERR max number of clients reached\r\n", "says: ERR max number"},
	} {
		t.Run(c.want, func(t *testing.T) {
			onStage(t, Options{URL: c.url}, func(command []string) string {
				if command[0] == c.command {
					return c.answer
				}
				return polite(command)
			}, func(s *stage) {
				s.lostOnce(c.want)
				s.ready(c.want)
				lost, _ := s.losses()
				for _, text := range lost {
					if strings.Contains(text, "wrong") {
						t.Errorf("the password is in the error: %s", text)
					}
				}
			})
		})
	}
}

func TestLoginCommands(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"redis://fake", "[CLIENT SETNAME sluice-sub] [PING]"},
		{"redis://:pw@fake", "[AUTH pw] [CLIENT SETNAME sluice-sub] [PING]"},
		{"redis://me:p%2Fw@fake/3", "[AUTH me p/w] [CLIENT SETNAME sluice-sub] [PING]"},
	} {
		onStage(t, Options{URL: c.url}, func(command []string) string {
			if command[0] == "CLIENT" {
				return "-NOPERM this user has no permissions to run the 'client|setname' command\r\n" // decoration only
			}
			return polite(command)
		}, func(s *stage) {
			if got := strings.Trim(fmt.Sprint(s.fake.commands), "[]"); "["+got+"]" != c.want {
				t.Errorf("%s: [%s], want %s", c.url, got, c.want)
			}
			s.ready("")
		})
	}
}

func TestReconnects(t *testing.T) {
	var restored []int
	o := Options{Events: Events{Restored: func(_ string, n int, _ time.Duration) { restored = append(restored, n) }}}
	onStage(t, o, polite, func(s *stage) {
		s.Subscribe("a")
		s.Subscribe("b")
		s.Subscribe("c")
		s.after(10 * time.Second)
		s.heard("subscribed a, subscribed b, subscribed c")
		s.fake.setDown(errors.New("connection refused"))
		s.fake.hangUp()
		s.after(time.Minute)
		s.heard("interrupted")
		lost, waits := s.losses()
		if n := len(lost); n < 60 || n > 300 {
			t.Errorf("%d attempts in a minute", n)
		}
		for i, d := range waits {
			if i == 0 && d != 0 || i > 0 && (d < firstRetry/2 || d > longestWait) {
				t.Errorf("wait %d: %v", i, d)
			}
		}
		s.ready("not connected to Redis: pubsub: connecting to Redis at fake:6379: connection refused")
		s.Unsubscribe("b")
		s.Subscribe("d")
		s.fake.setDown(nil)
		s.after(longestWait)
		heard := strings.Split(s.tape.take(), ", ")
		slices.Sort(heard)
		if got := strings.Join(heard, ", "); got != "subscribed a, subscribed c, subscribed d" {
			t.Errorf("after the reconnect: %s", got)
		}
		s.ready("")
		if !slices.Equal(restored, []int{3}) { // there was nothing at the first connect
			t.Errorf("restored %v", restored)
		}
		if st := s.Stats(); st.Wished != 3 || st.Confirmed != 3 || st.Pending != 0 || st.Connects != 2 || st.Losses != 1 {
			t.Errorf("%+v", st)
		}
		// It has lived for more than a few seconds: the next loss is followed
		// by a quick attempt again.
		s.after(10 * time.Second)
		s.fake.hangUp()
		s.after(firstRetry)
		s.ready("")
	})
}

// A connection that breaks again and again right after login is not retried
// in a tight loop.
func TestShortLivedConnectionsBackOff(t *testing.T) {
	onStage(t, Options{}, func(command []string) string {
		if command[0] == "SUBSCRIBE" {
			return "nonsense"
		}
		return polite(command)
	}, func(s *stage) {
		s.Subscribe("a")
		s.after(time.Minute)
		if n := len(s.fake.dialed()); n < 60 || n > 300 {
			t.Errorf("%d connections in a minute", n)
		}
	})
}

func TestWishesAreCoalesced(t *testing.T) {
	onStage(t, Options{ChunkNames: 1000}, polite, func(s *stage) {
		s.after(time.Second)
		began := time.Now()
		s.Subscribe("first")
		synctest.Wait()
		if got := len(s.fake.sent("SUBSCRIBE")); got != 1 || time.Since(began) != 0 {
			t.Errorf("%d SUBSCRIBE after %v; the first wish goes at once", got, time.Since(began))
		}
		for i := range 500 {
			s.Subscribe(fmt.Sprint(i))
		}
		s.Unsubscribe("first")
		synctest.Wait()
		s.after(2 * time.Millisecond)
		if subs, unsubs := s.fake.sent("SUBSCRIBE"), s.fake.sent("UNSUBSCRIBE"); len(subs) != 2 || len(subs[1]) != 501 || len(unsubs) != 1 {
			t.Errorf("%d SUBSCRIBE and %d UNSUBSCRIBE", len(subs), len(unsubs))
		}
	})
}

// Lanes share what may be outstanding on their server.
func TestLanesShareTheWindow(t *testing.T) {
	const names, room, lanes = 4000, 40_000, 2
	outstanding := room / confirmationBytes(len("sluice:")+200)
	onStage(t, Options{ChunkBytes: room, Lanes: lanes}, func(command []string) string {
		if command[0] == "SUBSCRIBE" {
			return ""
		}
		return polite(command)
	}, func(s *stage) {
		for i := range names {
			s.Subscribe(fmt.Sprintf("%0200d", i))
		}
		s.after(time.Second)
		n := 0
		for _, c := range s.fake.sent("SUBSCRIBE") {
			n += len(c) - 1
		}
		if n < outstanding/2 || n > outstanding+lanes { // the writer waits until half is free
			t.Errorf("%d names are outstanding, want up to %d", n, outstanding)
		}
	})
}

// What is asked for next waits until half of what was outstanding is confirmed:
// else each confirmation would be followed by a command for one name.
func TestWriterIsWokenForMany(t *testing.T) {
	s := offline(t, &nobody{})
	s.kick = make(chan struct{}, 1)
	names := []string{"0", "1", "2", "3", "4", "5"}
	s.window = len(names) * confirmationBytes(len("sluice:")+1)
	s.room = s.window
	for i := range names {
		s.expect(command{verb: verbSubscribe, names: names[i : i+1]})
	}
	woken := ""
	for _, name := range names {
		if err := s.confirmed(verbSubscribe, []byte("sluice:"+name)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.kick:
			woken += name
		default:
		}
	}
	if woken != "35" || s.room != s.window {
		t.Errorf("woken after %q, %d bytes of %d are free", woken, s.room, s.window)
	}
}

func TestChunks(t *testing.T) {
	const names, room = 5000, 100_000
	var let atomic.Bool
	onStage(t, Options{ChunkBytes: room}, func(command []string) string {
		if !let.Load() && command[0] == "SUBSCRIBE" {
			return ""
		}
		return polite(command)
	}, func(s *stage) {
		for i := range names {
			s.Subscribe(fmt.Sprintf("%0200d", i))
		}
		s.after(100 * time.Millisecond)
		commands := s.fake.sent("SUBSCRIBE")
		outstanding := 0
		for _, c := range commands {
			if len(c) > 1001 {
				t.Errorf("%d names in one SUBSCRIBE", len(c)-1)
			}
			outstanding += len(polite(c))
		}
		if outstanding < room/3 || outstanding > room+1000 { // the writer waits until half is free
			t.Errorf("%d bytes of confirmations are outstanding, %d are allowed", outstanding, room)
		}
		s.after(3 * time.Second)
		s.ready("5000 subscriptions wait for Redis' confirmation")
		let.Store(true)
		var answers strings.Builder // in one piece: what is subscribed next is answered, too
		for _, c := range commands {
			answers.WriteString(polite(c))
		}
		s.fake.push(answers.String())
		s.after(100 * time.Millisecond)
		s.ready("")
		if st := s.Stats(); st.Confirmed != names || st.Pending != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestStrangeConfirmations(t *testing.T) {
	for _, answer := range []string{
		confirmation("subscribe", "sluice:b", 1),
		confirmation("subscribe", "other:a", 1),
		confirmation("unsubscribe", "sluice:a", 1),
		"+PONG\r\n", "+OK\r\n",
	} {
		var polished atomic.Bool
		onStage(t, Options{}, func(command []string) string {
			if command[0] == "SUBSCRIBE" && polished.CompareAndSwap(false, true) {
				return answer
			}
			return polite(command)
		}, func(s *stage) {
			s.Subscribe("a")
			synctest.Wait()
			s.lostOnce("not the Redis protocol")
			s.heard("interrupted")
			s.after(time.Second)
			s.heard("subscribed a")
		})
	}
}

// Restored comes even if some wishes are withdrawn before they are sent again.
func TestRestoredWithoutTheWithdrawn(t *testing.T) {
	var restored atomic.Int32
	var late *stage
	o := Options{Events: Events{
		Connected: func(string) {
			if late != nil {
				late.Unsubscribe("a")
			}
		},
		Restored: func(string, int, time.Duration) { restored.Add(1) },
	}}
	onStage(t, o, polite, func(s *stage) {
		s.Subscribe("a")
		s.Subscribe("b")
		s.after(time.Second)
		late = s
		s.fake.hangUp()
		s.after(6 * time.Second)
		if n := restored.Load(); n != 1 {
			t.Errorf("restored %d times, want once", n)
		}
	})
}

// While Subscribed runs, no UNSUBSCRIBE leaves, so what it says stays true.
func TestNoUnsubscribeWhileAnnouncing(t *testing.T) {
	onStage(t, Options{}, polite, func(s *stage) {
		s.tape.subscribed = func(string) {
			s.tape.subscribed = nil
			s.Unsubscribe("a")
			if s.lane0().state.session.turn.TryLock() { // state is set before the loop starts
				t.Error("the writer could send while Subscribed runs")
			}
			s.Subscribe("a")
		}
		s.Subscribe("a")
		s.after(time.Second)
		s.heard("subscribed a, subscribed a")
		if n := len(s.fake.sent("UNSUBSCRIBE")); n != 0 {
			t.Errorf("%d UNSUBSCRIBE, though the wish was renewed in time", n)
		}
	})
}

func TestStrayMessages(t *testing.T) {
	var events []string
	o := Options{MaxMessage: 10, Events: Events{
		Oversize:   func(channel string, n int64) { events = append(events, fmt.Sprint("oversize ", channel, " ", n)) },
		Unexpected: func(channel string) { events = append(events, "unexpected "+channel) },
	}}
	onStage(t, o, polite, func(s *stage) {
		s.fake.push(message("sluice:a", "0123456789") + message("sluice:a", "0123456789x") + message("other:a", "x") +
			message("sluice", "x") + message("sluice:a", "after"))
		synctest.Wait()
		s.heard("message a 0123456789, skipped a, message a after")
		if got := fmt.Sprint(events); got != "[oversize a 11 unexpected other:a unexpected sluice]" {
			t.Error(got)
		}
		if st := s.Stats(); st.Messages != 2 || st.Bytes != 15 || st.Oversize != 1 || st.OversizeBytes != 11 {
			t.Errorf("%+v", st)
		}
	})
}

func TestRunEndsAtOnce(t *testing.T) {
	t.Run("while it waits to dial", func(t *testing.T) {
		onStage(t, Options{}, polite, func(s *stage) {
			s.fake.setDown(errors.New("no route to host"))
			s.fake.hangUp()
			s.after(20 * time.Second)
			s.stop()
		})
	})
	t.Run("while Redis is silent", func(t *testing.T) {
		onStage(t, Options{}, silentFrom(1), func(s *stage) {
			s.after(6 * time.Second)
			s.stop()
			s.heard("")
		})
	})
	t.Run("by Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeRedis{answer: polite}
			b, err := Open(Options{URL: "redis://fake", fakes: fakes{dial: f.dial}})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() { done <- b.Run(t.Context(), &tape{}) }()
			synctest.Wait()
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if err := <-done; !errors.Is(err, ErrClosed) {
				t.Errorf("Run: %v", err)
			}
			if err := b.Ready(); !errors.Is(err, ErrClosed) {
				t.Errorf("Ready: %v", err)
			}
			f.running.Wait()
		})
	})
}
