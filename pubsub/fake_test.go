package pubsub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeRedis is the far end of net.Pipes: it answers each command with what
// answer returns, "" for nothing.
type fakeRedis struct {
	answer func(command []string) string

	mu       sync.Mutex
	commands [][]string  // guarded by mu; all, of all connections
	at       []time.Time // guarded by mu; when each arrived
	conns    []net.Conn  // guarded by mu; ours, oldest first
	dials    []time.Time // guarded by mu
	down     error       // guarded by mu; what dials fail with
	running  sync.WaitGroup
}

// polite answers as Redis does.
func polite(command []string) string {
	switch command[0] {
	case "PING":
		return "+PONG\r\n"
	case "SUBSCRIBE", "UNSUBSCRIBE":
		var b strings.Builder
		for _, name := range command[1:] {
			b.WriteString(confirmation(strings.ToLower(command[0]), name, 1))
		}
		return b.String()
	}
	return "+OK\r\n"
}

func (f *fakeRedis) dial(context.Context, string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, time.Now())
	if f.down != nil {
		return nil, f.down
	}
	near, far := net.Pipe()
	f.conns = append(f.conns, far)
	f.running.Go(func() { f.serve(far) })
	return near, nil
}

func (f *fakeRedis) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.commands = append(f.commands, command)
		f.at = append(f.at, time.Now())
		f.mu.Unlock()
		answer := f.answer(command)
		if answer == "" {
			continue // a Write of nothing would be a Read of nothing
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	number := func(mark string) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, mark) || !strings.HasSuffix(line, "\r\n") {
			return 0, fmt.Errorf("%q: %w", line, err)
		}
		return strconv.Atoi(line[1 : len(line)-2])
	}
	n, err := number("*")
	command := make([]string, n)
	for i := range command {
		var size int
		if size, err = number("$"); err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err = readFull(in, word); err != nil {
			return nil, err
		}
		command[i] = string(word[:size])
	}
	return command, err
}

func readFull(in *bufio.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = in.Read(p[n:])
		n += m
	}
	return n, err
}

// push sends text on the newest connection.
func (f *fakeRedis) push(text string) {
	f.mu.Lock()
	newest := len(f.conns) - 1
	f.mu.Unlock()
	f.pushOn(newest, text)
}

// pushOn sends text on a connection, the oldest of which is 0.
func (f *fakeRedis) pushOn(i int, text string) {
	f.mu.Lock()
	conn := f.conns[i]
	f.mu.Unlock()
	_, _ = conn.Write([]byte(text)) // a test that needs it to arrive looks at the sink
}

// hangUp closes the newest connection.
func (f *fakeRedis) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[len(f.conns)-1].Close()
}

func (f *fakeRedis) setDown(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
}

// sent returns the commands that start with word.
func (f *fakeRedis) sent(word string) (commands [][]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.commands {
		if c[0] == word {
			commands = append(commands, c)
		}
	}
	return commands
}

func (f *fakeRedis) dialed() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.dials...)
}

// tape is a Sink that writes down what it hears.
type tape struct {
	mu         sync.Mutex
	lines      []string
	subscribed func(channel string) // may be nil
}

func (t *tape) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *tape) Lane(Link) Receiver              { return t }
func (t *tape) Moved(channel string)            { t.add("moved %s", channel) }
func (t *tape) Skipped(channel string)          { t.add("skipped %s", channel) }
func (t *tape) Deliver(channel, payload []byte) { t.add("message %s %s", channel, payload) }
func (t *tape) Delivered()                      {}
func (t *tape) Interrupted(err error)           { t.add("interrupted") }
func (t *tape) Subscribed(channel string) {
	t.add("subscribed %s", channel)
	if t.subscribed != nil {
		t.subscribed(channel)
	}
}

// take returns what was heard since the last call.
func (t *tape) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(t.lines, ", ")
	t.lines = nil
	return s
}

// stage is a broker that runs against a fakeRedis, inside a synctest bubble:
// time is virtual, and synctest.Wait waits until nothing moves.
type stage struct {
	*Redis
	t     *testing.T
	fake  *fakeRedis
	tape  *tape
	mu    sync.Mutex
	lost  []string        // guarded by mu; the texts of Events.Lost
	waits []time.Duration // guarded by mu; and their waits
	stop  func()
}

// onStage runs a test. o needs no URL.
func onStage(t *testing.T, o Options, answer func([]string) string, test func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, fake: &fakeRedis{answer: answer}, tape: &tape{}}
		if o.URL == "" {
			o.URL = "redis://fake:6379"
		}
		o.dial = s.fake.dial
		if o.ProbeEvery == 0 && o.publish == nil {
			o.ProbeEvery = -1 // probes are published through go-redis, which knows no fake
		}
		o.Events.Lost = func(_ string, err error, retryIn time.Duration) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lost = append(s.lost, err.Error())
			s.waits = append(s.waits, retryIn)
		}
		var err error
		if s.Redis, err = Open(o); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, s.tape) }()
		s.stop = sync.OnceFunc(func() {
			cancel()
			began := time.Now()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("Run took %v to end", took)
			}
			s.fake.running.Wait()
		})
		defer func() {
			s.stop()
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}()
		synctest.Wait()
		test(s)
	})
}

// after lets d pass and all that follows from it happen.
func (s *stage) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// heard checks what the sink heard since the last call.
func (s *stage) heard(want string) {
	s.t.Helper()
	if got := s.tape.take(); got != want {
		s.t.Errorf("the sink heard %q, want %q", got, want)
	}
}

// ready checks Ready: want is "", or a part of its error.
func (s *stage) ready(want string) {
	s.t.Helper()
	switch err := s.Ready(); {
	case want == "" && err != nil:
		s.t.Errorf("not ready: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		s.t.Errorf("Ready: %v, want %q", err, want)
	}
}

// losses returns the texts and waits of Events.Lost.
func (s *stage) losses() ([]string, []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lost), slices.Clone(s.waits)
}

// lostOnce checks that exactly one connection or attempt was lost, and why.
func (s *stage) lostOnce(why string) {
	s.t.Helper()
	if lost, _ := s.losses(); len(lost) != 1 || !strings.Contains(lost[0], why) {
		s.t.Errorf("lost: %q, want one with %q", lost, why)
	}
}

// lane0 is the broker's only lane.
func (s *stage) lane0() *lane { return s.layout.servers[0].lanes[0] }
