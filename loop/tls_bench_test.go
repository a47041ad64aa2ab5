package loop

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/codec"
)

// BenchmarkTLS is what TLS costs: the CPU time of the reactor for each delivery of a
// shared frame of 128 bytes to each of 500 clients, and their memory, user space and no
// kernel's, with and without TLS. The clients are in the same process and read nothing
// of the TLS that they are sent, so that it is the reactor which is measured.
func BenchmarkTLS(b *testing.B) {
	for _, version := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
		name := "plain"
		if version != 0 {
			name = tls.VersionName(version)
		}
		b.Run(name, func(b *testing.B) { deliverTLS(b, version) })
	}
}

func deliverTLS(b *testing.B, version uint16) {
	const conns, burst = 500, 16
	o := Options{PingInterval: time.Hour}
	if version != 0 {
		o = overTLS(o)
	}
	e, addr := benchEngineOf(b, o, &script{})
	defer e.Close()
	r := e.Reactors()[0]
	before := heap()
	var sockets []net.Conn
	for range conns {
		socket, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer socket.Close()
		sockets = append(sockets, socket)
		talk := io.ReadWriter(socket)
		if version != 0 {
			talk = tls.Client(socket, trusting(version))
		}
		if _, err := io.WriteString(talk, request); err != nil {
			b.Fatal(err)
		}
		if line, err := bufio.NewReader(talk).ReadString('\n'); err != nil || line != "HTTP/1.1 101 Switching Protocols\r\n" {
			b.Fatal(line, err)
		}
	}
	took := heap() - before // the clients' side is garbage by now
	frame := codec.AppendFrame(nil, codec.OpBinary, make([]byte, 128))
	drain := make([]byte, 64<<10)
	var cpu time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		done := make(chan time.Duration)
		r.Post(func() {
			began := cpuTime()
			for range burst {
				r.conns.each(func(c *Conn) {
					c.Send(frame)
					c.flush()
				})
			}
			done <- cpuTime() - began
		})
		cpu += <-done
		for _, s := range sockets { // what was sent is there: this is loopback
			if _, err := s.Read(drain); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N*conns*burst), "cpu-ns/delivery")
	b.ReportMetric(float64(took)/conns, "heap-B/conn")
	b.ReportMetric(0, "ns/op")
}

func heap() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpuTime is that of the process, in which nothing else goes on to speak of.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(fmt.Sprint("CLOCK_PROCESS_CPUTIME_ID: ", err))
	}
	return time.Duration(t.Nano())
}

// BenchmarkTLSHandshake is what a handshake costs both sides together, with ECDSA P-256.
func BenchmarkTLSHandshake(b *testing.B) {
	for _, resumed := range []bool{false, true} {
		b.Run(fmt.Sprintf("resumed=%v", resumed), func(b *testing.B) {
			e, addr := benchEngineOf(b, overTLS(Options{}), &script{})
			defer e.Close()
			config := trusting(tls.VersionTLS13)
			if resumed {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			for range b.N {
				conn, err := tls.Dial("tcp", addr, config)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.WriteString(conn, request); err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					b.Fatal(err)
				}
				conn.Close()
			}
		})
	}
}
