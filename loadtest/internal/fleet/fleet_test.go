package fleet

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// talk is a server that lets each connection's bytes be written by hand.
type talk struct {
	net.Listener
	serving sync.WaitGroup
}

// listen serves every connection with serve, given the value of Sec-WebSocket-Key; of a listener that wrap makes, where one does.
func listen(t *testing.T, serve func(c net.Conn, in *bufio.Reader, key string), wrap ...func(net.Listener) net.Listener) *talk {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrap {
		l = w(l)
	}
	s := &talk{Listener: l}
	s.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed at the end of the test
			}
			s.serving.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				key := ""
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					if value, ok := strings.CutPrefix(line, "Sec-WebSocket-Key: "); ok {
						key = strings.TrimSpace(value)
					}
					if line == "\r\n" {
						break
					}
				}
				serve(c, in, key)
			})
		}
	})
	t.Cleanup(func() { l.Close(); s.serving.Wait() })
	return s
}

func switching(key string) string { return string(codec.AppendSwitch(nil, key, "", "")) }

// sending sends what the test wants and then waits for the client to end.
func sending(wire string) func(net.Conn, *bufio.Reader, string) {
	return func(c net.Conn, in *bufio.Reader, key string) {
		_, _ = c.Write([]byte(switching(key) + wire)) // the client may have gone: the test sees that
		for {
			if _, err := in.ReadByte(); err != nil {
				return
			}
		}
	}
}

// keeper is a Script that keeps what it hears.
type keeper struct {
	mu     sync.Mutex
	heard  []string
	closed []string
}

func (k *keeper) Opened(*Conn) {}
func (k *keeper) Message(_ *Conn, m Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.heard = append(k.heard, fmt.Sprintf("%v %s", m.Op, m.Payload))
}
func (k *keeper) Closed(_ *Conn, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = append(k.closed, why)
}
func (k *keeper) Turn() {}

func (k *keeper) list() (heard, closed []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.heard...), append([]string(nil), k.closed...)
}

// connectTo starts a fleet with one worker and opens n connections.
func connectTo(t *testing.T, addr string, n int, o Options) (*Fleet, *keeper) {
	target, err := NewTarget("ws://"+addr+"/ws?channel={channel}", []string{"X-Test: 1"})
	if err != nil {
		t.Fatal(err)
	}
	o.Target, o.Concurrency, o.Channel = target, 16, func(int) string { return "a b" }
	return launch(t, n, o)
}

// launch has a fleet open n connections, and keep what they are told.
func launch(t *testing.T, n int, o Options) (*Fleet, *keeper) {
	t.Helper()
	k := &keeper{}
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	f, err := Start(o, func(int) Script { return k })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	f.Open(n)
	return f, k
}

// patience is for what must come, also on a machine that is busy with other tests.
const patience = 30 * time.Second

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWhatAServerMustNotSend(t *testing.T) {
	for _, test := range []struct{ name, wire, kind string }{
		{"§5.1 masked", "\x81\x81abcdx", "protocol: masked frame from the server"},
		{"§5.2 reserved bit", "\xc1\x01x", "protocol: reserved bit set without an extension"},
		{"§5.2 unknown opcode", "\x83\x01x", "protocol: unknown opcode"},
		{"§5.2 unknown control opcode", "\x8b\x00", "protocol: unknown opcode"},
		{"§5.4 continuation of nothing", "\x80\x01x", "protocol: continuation out of place"},
		{"§5.4 message inside a message", "\x01\x01x\x81\x01y", "protocol: continuation out of place"},
		{"§5.5 long control frame", "\x89\x7e\x00\x80" + strings.Repeat("x", 128), "protocol: control frame long or fragmented"},
		{"§5.5 fragmented control frame", "\x09\x00", "protocol: control frame long or fragmented"},
		{"frame of 1 TiB", "\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00", "protocol: frame above 64 MiB"},
		{"close", "\x88\x06\x03\xf4busy", `closed by the server: 1012 "busy"`},
		{"close without a code", "\x88\x00", "closed by the server: no code"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, sending(test.wire))
			f, k := connectTo(t, s.Addr().String(), 1, Options{})
			eventually(t, "the connection ends", func() bool { return f.Stats().Lost == 1 })
			if got := f.Faults(); len(got) != 1 || got[test.kind] != 1 {
				t.Errorf("faults %v", got)
			}
			if _, closed := k.list(); len(closed) != 1 || closed[0] != test.kind {
				t.Errorf("Closed: %q", closed)
			}
		})
	}
}

func TestHandshakesThatFail(t *testing.T) {
	for _, test := range []struct {
		name, answer, kind string
	}{
		{"refused", "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", "handshake: HTTP status 503"},
		{"wrong accept", "HTTP/1.1 101 X\r\nSec-WebSocket-Accept: bm90IHRoZSBhbnN3ZXI=\r\n\r\n", "handshake: Sec-WebSocket-Accept missing or wrong"},
		{"no accept", "HTTP/1.1 101 X\r\n\r\n", "handshake: Sec-WebSocket-Accept missing or wrong"},
		{"not HTTP", "SSH-2.0-x\r\n\r\n", "handshake: answer is not HTTP"},
		{"gone", "HTTP/1.1 101 X\r\n", "handshake: connection ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, func(c net.Conn, _ *bufio.Reader, _ string) { _, _ = c.Write([]byte(test.answer)) })
			f, _ := connectTo(t, s.Addr().String(), 3, Options{})
			eventually(t, "all fail", func() bool { return f.Stats().Failed == 3 })
			if got := f.Faults(); got[test.kind] != 3 {
				t.Errorf("faults %v", got)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		s := listen(t, func(_ net.Conn, in *bufio.Reader, _ string) { _, _ = in.ReadByte() }) // until the client ends it
		f, _ := connectTo(t, s.Addr().String(), 1, Options{Timeout: 50 * time.Millisecond})
		eventually(t, "it times out", func() bool { return f.Stats().Failed == 1 })
		if got := f.Faults(); got["handshake: no answer in time"] != 1 {
			t.Errorf("faults %v", got)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		s := listen(t, nil)
		s.Close()
		f, _ := connectTo(t, s.Addr().String(), 1, Options{})
		eventually(t, "it is refused", func() bool { return f.Stats().Failed == 1 })
		if got := f.Faults(); got["connect: ECONNREFUSED"] != 1 {
			t.Errorf("faults %v", got)
		}
	})
}

func TestAnyCutGivesTheSameMessages(t *testing.T) {
	long := strings.Repeat("0123456789", 40_000) // longer than the shared buffer
	var wire []byte
	wire = codec.AppendFrame(wire, codec.OpText, []byte("one"))
	wire = append(wire, "\x01\x02tw\x89\x02hi\x00\x00\x80\x01o"...) // two, in fragments around a ping
	wire = codec.AppendFrame(wire, codec.OpBinary, nil)
	wire = codec.AppendFrame(wire, codec.OpText, []byte(strings.Repeat("x", 300)))
	head := len(wire)
	wire = codec.AppendFrame(wire, codec.OpText, []byte(long))
	wire = codec.AppendFrame(wire, codec.OpText, []byte("last"))
	want := []string{"text one", "text two", "binary ", "text " + strings.Repeat("x", 300), "text " + long, "text last"}

	for _, step := range []int{1, 7, 1000, len(wire)} {
		pongs := make(chan string, 1)
		s := listen(t, func(c net.Conn, in *bufio.Reader, key string) {
			out := append([]byte(switching(key)), wire...)
			fine := len(out) - len(wire) + head + 20
			for len(out) > 0 {
				n := min(step, len(out))
				if fine -= n; fine < 0 { // no more single bytes in the long payload
					n = min(max(step, 50_000), len(out))
				}
				if _, err := c.Write(out[:n]); err != nil {
					return
				}
				out = out[n:]
			}
			frame := make([]byte, 8)
			for i := range frame {
				b, err := in.ReadByte()
				if err != nil {
					return
				}
				frame[i] = b
			}
			var d codec.Decoder
			d.Init(&codec.DecoderOptions{MaxMessage: 100, MaxFragments: 1})
			m, _, err := d.Next(frame)
			pongs <- fmt.Sprintf("%v %s %v", m.Op, m.Payload, err)
			_, _ = in.ReadByte() // until the client ends it
		})
		f, k := connectTo(t, s.Addr().String(), 1, Options{})
		eventually(t, "all messages", func() bool { heard, _ := k.list(); return len(heard) >= len(want) })
		heard, _ := k.list()
		for i := range want {
			if heard[i] != want[i] {
				t.Errorf("cut every %d: message %d is %.60q", step, i, heard[i])
			}
		}
		if pong := <-pongs; pong != "pong hi <nil>" {
			t.Errorf("cut every %d: %s", step, pong)
		}
		eventually(t, "the counts", func() bool { return f.Stats().Messages == int64(len(want)) }) // told at the end of a turn
		if st := f.Stats(); st.Open != 1 || st.Pings != 1 || len(f.Faults()) != 0 {
			t.Errorf("%+v, %v", st, f.Faults())
		}
	}
}

func TestSendsWhatTheSocketDoesNotTakeLater(t *testing.T) {
	const size, count = 1 << 20, 12 // more than the socket buffers hold
	got := make(chan int, 1)
	start := make(chan struct{})
	s := listen(t, func(c net.Conn, in *bufio.Reader, key string) {
		_, _ = c.Write([]byte(switching(key)))
		<-start
		var d codec.Decoder
		d.Init(&codec.DecoderOptions{MaxMessage: size, MaxFragments: 1})
		buf, n := make([]byte, 256<<10), 0
		for n < count {
			have, err := in.Read(buf)
			if err != nil {
				break
			}
			for b := buf[:have]; len(b) > 0; {
				m, used, err := d.Next(b)
				if err != nil {
					got <- -1
					return
				}
				if b = b[used:]; m.Op == codec.OpBinary && bytes.Count(m.Payload, []byte{byte(n)}) == size {
					n++
				}
			}
		}
		got <- n
	})
	f, _ := connectTo(t, s.Addr().String(), 1, Options{})
	eventually(t, "open", func() bool { return f.Stats().Open == 1 })
	f.Each(func(w *Worker) {
		for i := range count {
			w.Conns(func(c *Conn) { c.Send(codec.OpBinary, bytes.Repeat([]byte{byte(i)}, size)) })
		}
	})
	close(start)
	if n := <-got; n != count {
		t.Errorf("%d of %d messages arrived whole and in order", n, count)
	}
}

func TestConnectionsOverSources(t *testing.T) {
	var mu sync.Mutex
	from := map[string]int{}
	s := listen(t, func(c net.Conn, in *bufio.Reader, key string) {
		mu.Lock()
		from[c.RemoteAddr().(*net.TCPAddr).IP.String()]++
		mu.Unlock()
		sending("")(c, in, key)
	})
	list, err := Sources(netip.MustParseAddr("127.0.0.1"), 30, 10, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := connectTo(t, s.Addr().String(), 30, Options{Sources: list, PerSource: 10, Workers: 2, Rate: 2000})
	eventually(t, "all open", func() bool { return f.Stats().Open == 30 })
	mu.Lock()
	defer mu.Unlock()
	if len(from) != 3 || from["127.0.0.1"] != 10 || from["127.0.0.3"] != 10 {
		t.Errorf("%v, faults %v", from, f.Faults())
	}
}

func TestSources(t *testing.T) {
	for _, test := range []struct {
		dest, first string
		n           int
		want, fails string
	}{
		{"127.0.0.1", "", 25_000, "[]", ""},
		{"127.0.0.1", "", 25_001, "[127.0.0.1 127.0.0.2]", ""},
		{"10.1.2.3", "10.9.9.1", 60_000, "[10.9.9.1 10.9.9.2 10.9.9.3]", ""},
		{"10.1.2.3", "10.9.9.1", 1, "[10.9.9.1]", ""},
		{"10.1.2.3", "", 60_000, "", "--source"},
		{"::1", "", 60_000, "", "--source"},
		{"::1", "127.0.0.1", 1, "", "IP version"},
	} {
		first, _ := netip.ParseAddr(test.first) // "" is no address
		got, err := Sources(netip.MustParseAddr(test.dest), test.n, 25_000, first)
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%+v: %v", test, err)
			}
		} else if err != nil || fmt.Sprint(got) != test.want {
			t.Errorf("%+v: %v, %v", test, got, err)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, test := range []struct{ url, line, fails string }{
		{"ws://127.0.0.1:8000/ws?channel={channel}", "GET /ws?channel=a+b HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n", ""},
		{"ws://127.0.0.1", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", ""},
		{"ws://127.0.0.1?x=1", "GET /?x=1 HTTP/1.1\r\n", ""},
		{"http://127.0.0.1/sse?channel={channel}", "GET /sse?channel=a+b HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n", ""},
		{"https://127.0.0.1/", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n", ""},
		{"wss://127.0.0.1/ws", "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n", ""},
		{"ftp://127.0.0.1/", "", "want ws://"},
		{"ws://127.0.0.1:http-but-no/", "", "invalid port"},
	} {
		target, err := NewTarget(test.url, nil)
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%s: %v", test.url, err)
			}
		} else if err != nil || !strings.HasPrefix(string(target.request("a b", "")), test.line) {
			t.Errorf("%s: %v", test.url, err)
		}
	}
}

func TestDeadlinesComeInOrder(t *testing.T) {
	var d deadlines
	conns := make([]*Conn, 10_000)
	for i := range conns {
		conns[i] = &Conn{ID: i}
		d.add(conns[i])
	}
	for i := range conns {
		if c := d.next(Now()); c != conns[i] {
			t.Fatalf("deadline %d: %v", i, c)
		}
	}
	if d.pending() || d.next(Now()) != nil {
		t.Error("more than were added")
	}
}

// silent is a Script that does nothing.
type silent struct{}

func (silent) Opened(*Conn)           {}
func (silent) Message(*Conn, Message) {}
func (silent) Closed(*Conn, string)   {}
func (silent) Turn()                  {}

func TestScanDoesNotAllocate(t *testing.T) {
	var wire []byte
	for range 32 {
		wire = codec.AppendFrame(wire, codec.OpText, bytes.Repeat([]byte("x"), 128))
	}
	c := &Conn{w: &Worker{script: silent{}, o: &Options{}}, state: open}
	if n := testing.AllocsPerRun(100, func() {
		if used, _, err := c.scan(wire, 0); used != len(wire) || err != nil {
			t.Fatal(used, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for 32 frames", n)
	}
}

func TestAnswers(t *testing.T) {
	got := make(chan string, 10)
	s := listen(t, func(c net.Conn, in *bufio.Reader, key string) {
		_, _ = c.Write([]byte(switching(key) + "\x81\x012" + "\x81\x042\nhi" + "\x81\x022x"))
		for { // the client's frames are short and masked
			head := make([]byte, 6)
			if _, err := io.ReadFull(in, head); err != nil {
				return
			}
			body := make([]byte, head[1]&0x7f)
			if _, err := io.ReadFull(in, body); err != nil {
				return
			}
			for i := range body {
				body[i] ^= head[2+i%4]
			}
			got <- string(body)
		}
	})
	f, k := connectTo(t, s.Addr().String(), 1, Options{Answers: map[string]string{"2": "3"}})
	for range 2 {
		if text := <-got; text != "3" {
			t.Errorf("the server got %q, want 3", text)
		}
	}
	eventually(t, "two messages", func() bool { heard, _ := k.list(); return len(heard) == 2 })
	if heard, _ := k.list(); heard[0] != "text 2\nhi" || heard[1] != "text 2x" {
		t.Errorf("the script heard %q", heard)
	}
	eventually(t, "two answers counted", func() bool { return f.Stats().Pings == 2 })
}

// TestStalledConnections stops reading until the server cannot send any more, and then lets it end the connection.
func TestStalledConnections(t *testing.T) {
	blocked := make(chan struct{})
	s := listen(t, func(c net.Conn, _ *bufio.Reader, key string) {
		_, _ = c.Write([]byte(switching(key) + "\x81\x02go"))
		<-blocked
		frame := codec.AppendFrame(nil, codec.OpText, make([]byte, 60000))
		for { // for as long as the socket takes something
			_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			if _, err := c.Write(frame); err != nil {
				break
			}
		}
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	f, k := connectTo(t, s.Addr().String(), 1, Options{})
	eventually(t, "the first message", func() bool { heard, _ := k.list(); return len(heard) == 1 })
	f.Each(func(w *Worker) { w.Conns(func(c *Conn) { c.Stall() }) })
	close(blocked)
	eventually(t, "the end", func() bool { return f.Stats().Cut == 1 })
	heard, closed := k.list()
	if s := f.Stats(); len(heard) != 1 || len(closed) != 1 || closed[0] != "" || s.Lost != 0 || s.Open != 0 {
		t.Errorf("heard %d messages, closed %q, %+v", len(heard), closed, s)
	}
}
