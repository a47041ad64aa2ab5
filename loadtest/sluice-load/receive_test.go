package main

import (
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/codec"
	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/proof"
)

// BenchmarkReceive is the whole receive path on one worker, sockets included: 100 subscribers, each getting 32 messages of 128
// bytes in one write. The time per operation is that of one delivery, the sender's write among it.
func BenchmarkReceive(b *testing.B) {
	const subscriberCount, burst = 100, 32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	accepted := make(chan net.Conn, subscriberCount)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil); err == nil {
			accepted <- c.NetConn()
		}
	})}
	go server.Serve(l) //nolint:errcheck // ends with server.Close below
	defer server.Close()

	cmd := &fanoutCmd{Size: 128}
	cmd.Workers, cmd.Connections = 1, subscriberCount
	f := newFanout(cmd, &run{channels: []string{"news"}}, nil)
	target, err := fleet.NewTarget("ws://"+l.Addr().String()+"/", nil)
	if err != nil {
		b.Fatal(err)
	}
	f.fleet, err = fleet.Start(fleet.Options{Target: target, Concurrency: 10, Timeout: 1e10, Channel: func(int) string { return "" }}, f.script)
	if err != nil {
		b.Fatal(err)
	}
	defer f.fleet.Stop()
	f.fleet.Open(subscriberCount)
	conns := make([]net.Conn, subscriberCount)
	for i := range conns {
		conns[i] = <-accepted
		defer conns[i].Close()
	}
	rounds := b.N/(subscriberCount*burst) + 1
	var wire, payload []byte
	b.SetBytes(128)
	b.ReportAllocs()
	b.ResetTimer()
	for round := range rounds {
		wire = wire[:0]
		for i := range burst {
			payload = proof.Append(payload[:0], proof.Stamp{Run: f.id, Kind: proof.Data, Seq: uint64(round*burst + i), Time: fleet.Now()}, 128)
			wire = codec.AppendFrame(wire, codec.OpText, payload)
		}
		for _, c := range conns {
			if _, err := c.Write(wire); err != nil {
				b.Fatal(err)
			}
		}
		f.due += subscriberCount * burst
		if !f.tally.await(b.Context(), f.due, 5e9) {
			b.Fatalf("%d of %d deliveries", f.tally.delivered.Load(), f.due)
		}
	}
	b.StopTimer()
	b.ReportMetric(f.fleet.WorkerCPU()[0].Seconds()*1e9/float64(rounds*subscriberCount*burst), "receiver-ns/delivery")
	if s := f.scripts[0]; s.counts.Delivered != int64(rounds*subscriberCount*burst) || !s.counts.Clean() {
		b.Errorf("%s deliveries: %+v", strconv.Itoa(rounds*subscriberCount*burst), s.counts)
	}
}
