package pubsub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// message is one pub/sub message on the wire.
func message(channel, payload string) string {
	return fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(channel), channel, len(payload), payload)
}

func confirmation(word, channel string, count int) string {
	return fmt.Sprintf("*3\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n:%d\r\n", len(word), word, len(channel), channel, count)
}

// transcript reads src to its end: one line per reply, and the error.
func transcript(src io.Reader, buffer, maxPayload int) (replies []string, err error) {
	in := newReceiver(src, buffer, maxPayload)
	for {
		rep, err := in.next()
		if err != nil {
			return replies, err
		}
		replies = append(replies, fmt.Sprintf("%d %q %q %d", rep.kind, rep.channel, rep.payload, rep.size))
	}
}

func TestReplies(t *testing.T) {
	const limit = 40
	for _, c := range []struct{ name, in, want string }{
		{"message", message("news", "hello"), `1 "news" "hello" 0`},
		{"empty payload", message("news", ""), `1 "news" "" 0`},
		{"empty channel", message("", "x"), `1 "" "x" 0`},
		{"CRLF and NUL in a payload", message("a", "\r\n\x00\r\n"), `1 "a" "\r\n\x00\r\n" 0`},
		{"as long as allowed", message("a", strings.Repeat("x", limit)), `1 "a" "` + strings.Repeat("x", limit) + `" 0`},
		{"one byte more", message("a", strings.Repeat("x", limit+1)), `2 "a" "" 41`},
		{"subscribe", confirmation("subscribe", "a", 1), `3 "a" "" 0`},
		{"unsubscribe", confirmation("unsubscribe", "a", 0), `4 "a" "" 0`},
		{"pong while subscribed", "*2\r\n$4\r\npong\r\n$0\r\n\r\n", `5 "" "" 0`},
		{"pong", "+PONG\r\n", `5 "" "" 0`},
		{"status", "+OK\r\n", `6 "" "OK" 0`},
		{"a master's role", roleMaster, `8 "" "master" 0`},
		{"a replica's role", roleReplica, `8 "" "slave" 0`},
		{"a sentinel's role", "*2\r\n$8\r\nsentinel\r\n*1\r\n$1\r\nm\r\n", `8 "" "sentinel" 0`},
		{"error", "-NOAUTH Authentication required.\r\n", `7 "" "NOAUTH Authentication required." 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := transcript(strings.NewReader(c.in+"+OK\r\n"), minReadBuffer, limit)
			if err != io.EOF || len(got) != 2 || got[0] != c.want || got[1] != `6 "" "OK" 0` {
				t.Errorf("got %q, %v; want %s and the +OK after it", got, err, c.want)
			}
		})
	}
}

func TestMalformedReplies(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"a request", "GET / HTTP/1.1\r\n"},
		{"an integer", ":1\r\n"},
		{"a lone bulk string", "$1\r\na\r\n"},
		{"RESP3 push", ">3\r\n"},
		{"leading zero", "*03\r\n"},
		{"sign", "*+3\r\n"},
		{"null array", "*-1\r\n"},
		{"no number", "*\r\n"},
		{"number without end", "*3333333333333333"},
		{"line feed only", "*3\n$7\n"},
		{"carriage return only", "*3\r$7\r"},
		{"four elements", "*4\r\n$7\r\nmessage\r\n"},
		{"message of two", "*2\r\n$7\r\nmessage\r\n"},
		{"unknown push", "*3\r\n$8\r\npmessage\r\n"},
		{"long word", "*3\r\n$70\r\n"},
		{"channel is a number", "*3\r\n$7\r\nmessage\r\n:1\r\n"},
		{"null channel", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"},
		{"long channel", "*3\r\n$7\r\nmessage\r\n$99999\r\n"},
		{"payload longer than its length", "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nabc\r\n"},
		{"huge payload", "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$99999999999999999999\r\n"},
		{"count is a word", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n$1\r\n1\r\n"},
		{"a list too deep in a role", "*2\r\n$6\r\nmaster\r\n*1\r\n*1\r\n*1\r\n*1\r\n$1\r\nx\r\n"},
		{"an error in a role", "*2\r\n$6\r\nmaster\r\n-ERR\r\n"},
		{"endless role", "*1000000\r\n$6\r\nmaster\r\n" + strings.Repeat(":1\r\n", maxRole/4+2)},
		{"endless error", "-" + strings.Repeat("x", maxLine+2)},
		{"bare line feed in an error", "-\n"},
		{"oversize without CRLF", "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$50\r\n" + strings.Repeat("x", 52)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := transcript(strings.NewReader(c.in), minReadBuffer, 40)
			if bad := (*ProtocolError)(nil); !errors.As(err, &bad) {
				t.Errorf("got %v, want a ProtocolError", err)
			}
		})
	}
}

func TestUnfinishedReplies(t *testing.T) {
	whole := message("news", "hello") + confirmation("subscribe", "a", 1) + roleMaster + "-ERR x\r\n" + message("a", strings.Repeat("y", 100))
	for cut := range len(whole) {
		got, err := transcript(strings.NewReader(whole[:cut]), minReadBuffer, 40)
		if err != io.EOF {
			t.Fatalf("cut after %d bytes: %q, %v", cut, got, err)
		}
	}
}

// FuzzRESP: however the stream is cut into reads, the same replies and the
// same error come out.
func FuzzRESP(f *testing.F) {
	f.Add([]byte(message("a", "b")+message("", "")+confirmation("subscribe", "a", 12)), byte(1), uint16(40))
	f.Add([]byte("+PONG\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n-ERR no\r\n+OK\r\n"), byte(3), uint16(0))
	f.Add([]byte(message("a", strings.Repeat("z", 5000))+message("a", "after")), byte(7), uint16(100))
	f.Add([]byte(message("a", strings.Repeat("z", 9000))+message("a", "after")), byte(200), uint16(10000))
	f.Add([]byte("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-1\r\n"), byte(2), uint16(9))
	f.Add([]byte(roleMaster+roleReplica+"+PONG\r\n"), byte(5), uint16(9))
	f.Fuzz(func(t *testing.T, stream []byte, step byte, limit uint16) {
		want, wantErr := transcript(bytes.NewReader(stream), minReadBuffer, int(limit))
		for name, src := range map[string]io.Reader{
			"bytes":  iotest.OneByteReader(bytes.NewReader(stream)),
			"steps":  &stepReader{stream, int(step) + 1},
			"halves": iotest.HalfReader(bytes.NewReader(stream)),
		} {
			got, err := transcript(src, minReadBuffer+int(step), int(limit))
			if fmt.Sprint(got) != fmt.Sprint(want) || (err == io.EOF) != (wantErr == io.EOF) {
				t.Fatalf("%s: got %q, %v; whole: %q, %v", name, got, err, want, wantErr)
			}
		}
	})
}

// stepReader hands out step bytes at a time, then their double, and so on.
type stepReader struct {
	rest []byte
	step int
}

func (r *stepReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest[:min(r.step, len(r.rest))])
	r.rest = r.rest[n:]
	r.step = r.step*2%1021 + 1
	return n, nil
}

// loop repeats a stream for ever, whole reads at a time.
type loop struct {
	stream []byte
	at     int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.stream[l.at:])
	l.at = (l.at + n) % len(l.stream)
	return n, nil
}

func TestReceiverAllocates(t *testing.T) {
	for _, c := range []struct {
		name   string
		stream string
	}{
		{"small messages", message("sluice:news", strings.Repeat("x", 128))},
		{"large messages", message("sluice:news", strings.Repeat("x", 300_000))},
		{"oversize messages", message("sluice:news", strings.Repeat("x", 2<<20)) + message("a", "b")},
		{"confirmations", confirmation("subscribe", "sluice:a", 100) + "+PONG\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := newReceiver(&loop{stream: []byte(c.stream)}, 64<<10, 1<<20)
			allocs := testing.AllocsPerRun(1000, func() {
				if _, err := in.next(); err != nil {
					t.Fatal(err)
				}
			})
			if allocs != 0 {
				t.Errorf("%v allocations per reply, want none", allocs)
			}
		})
	}
}

// nobody is a Sink for figures.
type nobody struct{ messages int }

func (n *nobody) Deliver(_, _ []byte) { n.messages++ }
func (n *nobody) Subscribed(string)   {}
func (n *nobody) Delivered()          {}
func (n *nobody) Interrupted(error)   {}
func (n *nobody) Moved(string)        {}
func (n *nobody) Skipped(string)      {}
func (n *nobody) Lane(Link) Receiver  { return n }

// offline is a session without a connection.
func offline(t testing.TB, out Receiver) *session {
	t.Helper()
	r, err := Open(Options{URL: "redis://fake"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &session{l: r.layout.servers[0].lanes[0], opts: &r.opts, out: out}
}

func TestDeliveryAllocates(t *testing.T) {
	sink := &nobody{}
	s := offline(t, sink)
	in := newReceiver(&loop{stream: []byte(message("sluice:news", strings.Repeat("x", 128)))}, 64<<10, 1<<20)
	allocs := testing.AllocsPerRun(1000, func() {
		rep, err := in.next()
		if err == nil {
			err = s.handle(t.Context(), rep)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 || sink.messages < 1000 {
		t.Errorf("%v allocations per message, want none; %d delivered", allocs, sink.messages)
	}
}

func TestReceiverShrinks(t *testing.T) {
	const base = 64 << 10
	stream := message("a", strings.Repeat("x", 5<<20)) + strings.Repeat(message("a", "small"), 4000)
	in := newReceiver(&stepReader{[]byte(stream), 1000}, base, 16<<20)
	if _, err := in.next(); err != nil {
		t.Fatal(err)
	}
	if len(in.buf) < 5<<20 {
		t.Fatalf("the buffer has %d bytes, though it holds 5 MiB", len(in.buf))
	}
	for range 4000 {
		rep, err := in.next()
		if err != nil || string(rep.payload) != "small" {
			t.Fatalf("%q, %v", rep.payload, err)
		}
	}
	if len(in.buf) != base {
		t.Errorf("the buffer still has %d bytes, want %d", len(in.buf), base)
	}
}

// BenchmarkReceiver is the receive path from read to Deliver.
func BenchmarkReceiver(b *testing.B) {
	for _, size := range []int{0, 128, 1024, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			one := message("sluice:news", strings.Repeat("x", size))
			in := newReceiver(&loop{stream: []byte(strings.Repeat(one, 1+(1<<20)/len(one)))}, 64<<10, 16<<20)
			s := offline(b, &nobody{})
			b.SetBytes(int64(len(one)))
			b.ReportAllocs()
			for b.Loop() {
				rep, err := in.next()
				if err == nil {
					err = s.handle(b.Context(), rep)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
