package loop

import (
	"bytes"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"sluice/codec"
)

func BenchmarkMailbox(b *testing.B) {
	for _, burst := range []int{1, 100} {
		b.Run(fmt.Sprintf("burst=%d", burst), func(b *testing.B) {
			b.ReportAllocs()
			m := mailbox{maxCount: 1 << 16, maxSize: 1 << 30}
			event := any(&m)
			for i := 0; i < b.N; i += burst {
				for range burst {
					m.offer(event, 100)
				}
				m.take(nil)
				m.release()
			}
		})
	}
}

// BenchmarkFanOut delivers one shared frame, or a burst of them, to every
// connection. One operation is one burst; the figure to look at is ns/delivery.
func BenchmarkFanOut(b *testing.B) {
	for _, conns := range []int{1000, 8000} {
		for _, burst := range []int{1, 4, 32} {
			b.Run(fmt.Sprintf("conns=%d/burst=%d", conns, burst), func(b *testing.B) { fanOut(b, conns, burst) })
		}
	}
}

func fanOut(b *testing.B, conns, burst int) {
	frame := codec.AppendFrame(nil, codec.OpBinary, make([]byte, 128))
	r, s := serveBench(b, conns)
	send := func() {
		for range burst {
			r.conns.each(func(c *Conn) { c.Send(frame) })
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		want := s.bytes.Load() + int64(conns*burst*len(frame))
		r.Post(send)
		s.until(want)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*conns*burst), "ns/delivery")
}

func BenchmarkEcho(b *testing.B) {
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			e, addr := benchEngine(b)
			defer e.Close()
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			buf := make([]byte, 64<<10)
			round := func(out []byte, in int) {
				if _, err := conn.Write(out); err != nil {
					b.Fatal(err)
				}
				for in > 0 {
					n, err := conn.Read(buf)
					if err != nil {
						b.Fatal(err)
					}
					in -= n
				}
			}
			round([]byte(request), len(codec.AppendSwitch(nil, "dGhlIHNhbXBsZSBub25jZQ==", "", "")))
			var out []byte
			for range depth {
				out = append(out, masked(codec.OpBinary, string(make([]byte, 128)))...)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += depth {
				round(out, depth*codec.FrameSize(128))
			}
		})
	}
}

// BenchmarkLimits is what the bounds of what a client may send cost: reads of 100 small messages, without and with each of them.
func BenchmarkLimits(b *testing.B) {
	const frames, much = 100, 1 << 24
	for _, bb := range []struct {
		name string
		o    Options
	}{
		{"none", Options{}},
		{"messages", Options{MessageRate: much, MessageBurst: much}},
		{"bytes", Options{ByteRate: much, ByteBurst: much}},
		{"controls", Options{ControlRate: much, ControlBurst: much}},
		{"all", Options{MessageRate: much, MessageBurst: much, ByteRate: much, ByteBurst: much, ControlRate: much, ControlBurst: much}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			e, addr := benchEngineOf(b, bb.o, &script{message: func(*Conn, codec.Opcode, []byte) {}})
			defer e.Close()
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(request)); err != nil {
				b.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				b.Fatal(err)
			}
			wire := bytes.Repeat([]byte(text("0123456789abcdef")), frames)
			read := make([]byte, len(wire))
			done := make(chan struct{})
			b.ReportAllocs()
			e.Reactors()[0].Post(func() {
				defer close(done)
				r := e.Reactors()[0]
				r.conns.each(func(c *Conn) {
					b.ResetTimer()
					for range b.N {
						c.allowance.fill(&e.reactors[0].rates)
						copy(read, wire)
						r.read(c, read)
					}
					b.StopTimer()
					if !c.Open() {
						b.Error("it was closed")
					}
				})
			})
			<-done
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/message")
		})
	}
}

func benchEngine(b *testing.B) (*Engine, string) { return benchEngineOf(b, Options{}, &script{}) }

func benchEngineOf(b *testing.B, o Options, s *script) (*Engine, string) {
	o.Reactors, o.Log = 1, zap.NewNop()
	e, err := New(o, func(*Reactor) Handler { return s })
	if err != nil {
		b.Fatal(err)
	}
	ln, err := e.Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = e.Serve(ln) }() // nil: the engine ends first
	return e, ln.Addr().String()
}

// sink reads and drops what arrives at any number of sockets.
type sink struct {
	epoll int
	bytes atomic.Int64
	want  atomic.Int64
	done  chan struct{}
}

// serveBench is a reactor with conns connections, which a sink reads.
func serveBench(b *testing.B, conns int) (*Reactor, *sink) {
	e, addr := benchEngine(b)
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	s := &sink{epoll: epoll, done: make(chan struct{}, 1)}
	var clients []net.Conn
	for range conns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		clients = append(clients, conn)
		if _, err := conn.Write([]byte(request)); err != nil {
			b.Fatal(err)
		}
		raw, err := conn.(syscall.Conn).SyscallConn()
		if err != nil {
			b.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		}); err != nil {
			b.Fatal(err)
		}
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.run()
	}()
	s.until(int64(conns * len(codec.AppendSwitch(nil, "dGhlIHNhbXBsZSBub25jZQ==", "", ""))))
	b.Cleanup(func() {
		_ = e.Close() // the clients' sockets end, which ends the sink
		for _, c := range clients {
			_ = c.Close()
		}
		<-finished
		_ = unix.Close(epoll)
	})
	return e.Reactors()[0], s
}

// run reads until a connection ends.
func (s *sink) run() {
	events := make([]unix.EpollEvent, 1024)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err == unix.EINTR {
			continue
		}
		for _, e := range events[:max(n, 0)] {
			k, err := unix.Read(int(e.Fd), buf)
			if err == unix.EAGAIN || err == unix.EINTR {
				continue
			}
			if k <= 0 {
				return
			}
			if now := s.bytes.Add(int64(k)); now >= s.want.Load() && now-int64(k) < s.want.Load() {
				s.done <- struct{}{}
			}
		}
	}
}

// until waits for that many bytes in all.
func (s *sink) until(want int64) {
	s.want.Store(want)
	if s.bytes.Load() >= want {
		select {
		case <-s.done:
		default:
		}
		return
	}
	<-s.done
}
