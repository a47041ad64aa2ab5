package certificate

import (
	"crypto"
	"crypto/tls"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkHandshake is what TLS costs a node's processor for a client that comes, whole and
// with a ticket, by the key of its certificate: the CPU time of the thread that does the
// server's half, as the median and the least of all handshakes. What the
// reactor and the request cost is not in it. They take turns, so that a busy machine does all the same harm.
func BenchmarkHandshake(b *testing.B) {
	elliptical, old := keys(b)
	type row struct {
		name           string
		server, client *tls.Config
		took           []time.Duration
	}
	var rows []*row
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, key := range map[string]crypto.Signer{"P-256": elliptical, "RSA-2048": old} {
			set, err := Load([]Files{files(b, key, "one.example", 30)})
			if err != nil {
				b.Fatal(err)
			}
			store := NewStore(set, tls.VersionTLS12)
			for _, resumed := range []bool{false, true} {
				client := &tls.Config{ServerName: "one.example", InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}
				what := "whole"
				if resumed {
					client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
					what = "ticket"
				}
				rows = append(rows, &row{name: name + "-" + tls.VersionName(version)[4:] + "-" + what, server: store.Config(), client: client})
				handshake(b, store.Config(), client) // the ticket
			}
		}
	}
	b.ResetTimer()
	for range b.N {
		for _, r := range rows {
			r.took = append(r.took, handshake(b, r.server, r.client))
		}
	}
	for _, r := range rows {
		slices.Sort(r.took)
		b.ReportMetric(float64(r.took[len(r.took)/2].Nanoseconds())/1e3, r.name+"-µs")
		b.ReportMetric(float64(r.took[0].Nanoseconds())/1e3, r.name+"-least-µs")
	}
	b.ReportMetric(0, "ns/op")
}

// handshake does one, and returns what the server's thread computed for it.
func handshake(b *testing.B, server, client *tls.Config) (took time.Duration) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	theirs, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer theirs.Close()
	ours, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer ours.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // its time is read
		defer runtime.UnlockOSThread()
		began := threadTime()
		conn := tls.Server(ours, server)
		err := conn.Handshake()
		took = threadTime() - began
		if err == nil {
			_, err = conn.Write([]byte{0}) // behind a ticket of TLS 1.3, for the client to have read it
		}
		done <- err
	}()
	conn := tls.Client(theirs, client)
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return took
}

func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0 // it cannot fail
	}
	return time.Duration(t.Nano())
}
