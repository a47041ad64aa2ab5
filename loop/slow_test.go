package loop

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

// only is the one connection of n, once it is open. It may be used on its
// reactor.
func (n *node) only() (c *Conn) {
	n.t.Helper()
	until(n.t, "one open connection", func() bool {
		open := 0
		n.on(func(r *Reactor) {
			r.conns.each(func(one *Conn) {
				if one.Open() {
					c = one
					open++
				}
			})
		})
		return open == 1
	})
	return c
}

// A client that never reads costs a bounded queue, and its neighbours nothing.
func TestNeverReads(t *testing.T) {
	const queue = 64 << 10
	var told ends
	n := start(t, Options{MaxQueue: queue, CloseTimeout: 300 * time.Millisecond}, &script{closed: told.add})
	stuck := dialOpen(t, n.addr, 4096)
	c := n.only()
	canary := dial(t, n.addr)
	frame := codec.AppendFrame(nil, codec.OpBinary, bytes.Repeat([]byte{'x'}, 5000))
	sum := crc32.ChecksumIEEE(frame)
	taken, closed := 0, false
	for !closed {
		roundTrip(t, canary)
		n.on(func(*Reactor) {
			if !c.Send(frame) {
				closed = true
				return
			}
			taken++
			if c.queued > burstFactor*queue {
				t.Errorf("%d bytes queued", c.queued)
			}
		})
		if taken > 1000 {
			t.Fatal("5 MB were taken for a client that does not read")
		}
	}
	n.on(func(*Reactor) {
		if c.Open() || c.Send(frame) || c.Write(codec.OpText, nil) {
			t.Error("it is still open")
		}
		if int(c.queued) > 2*len(frame) {
			t.Errorf("%d bytes still queued", c.queued)
		}
	})
	roundTrip(t, canary)
	until(t, "the end", func() bool { return len(told.all()) > 0 })
	told.want(t, "1013 by us: "+errSlow.Reason)
	roundTrip(t, canary)
	if got := crc32.ChecksumIEEE(frame); got != sum {
		t.Error("a shared frame was changed")
	}
	if s := n.Stats(); s.Overflows != 1 || s.Connections != 1 || s.Blocked == 0 || s.Waiting != 0 {
		t.Errorf("%d overflows, %d connections, %d blocked, %d of them now", s.Overflows, s.Connections, s.Blocked, s.Waiting)
	}
	// What it reads now, if the kernel still has it, are whole frames.
	for {
		got := stuck.frame()
		if got == "RST" || strings.HasPrefix(got, "error: ") && strings.Contains(got, "inside a frame") || strings.Contains(got, "unexpected EOF") {
			break
		}
		if got != "binary of 5000" {
			t.Fatal(got)
		}
	}
}

// One that reads again in time learns why it is closed, after a whole number of
// frames.
func TestOverflowIsExplained(t *testing.T) {
	n := start(t, Options{MaxQueue: 64 << 10}, &script{})
	c := dialOpen(t, n.addr, 4096)
	conn := n.only()
	sent := 0
	for ok := true; ok; sent++ {
		n.on(func(*Reactor) { ok = conn.Send(codec.AppendFrame(nil, codec.OpText, numbered(sent, sent*7%5000))) })
	}
	for i := 0; ; i++ {
		h, p, err := c.read()
		if err != nil {
			t.Fatalf("after %d of %d frames: %v", i, sent, err)
		}
		if h.Op == codec.OpClose {
			if code, reason, err := codec.ParseClose(p); code != 1013 || reason != errSlow.Reason || err != nil {
				t.Errorf("closed with %d %s, %v", code, reason, err)
			}
			break
		}
		if want := numbered(i, i*7%5000); !bytes.Equal(p, want) {
			t.Fatalf("frame %d is %.12q of %d", i, p, len(p))
		}
	}
	c.send(bye(1013, ""))
	if got := c.all(); got != "FIN" {
		t.Error(got)
	}
}

// A client that pauses gets everything, in order, wherever the socket cut it.
func TestResumes(t *testing.T) {
	n := start(t, Options{MaxQueue: 16 << 20}, &script{})
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 3 {
		c := dialOpen(t, n.addr, 4096)
		conn := n.only()
		var frames [][]byte
		for i := range 200 {
			size := random.IntN(3000)
			if i%50 == 49 {
				size = 300 << 10
			}
			frames = append(frames, codec.AppendFrame(nil, codec.OpText, numbered(i, size)))
		}
		sums := make([]uint32, len(frames))
		for i, f := range frames {
			sums[i] = crc32.ChecksumIEEE(f)
			n.on(func(*Reactor) {
				if !conn.Send(f) {
					t.Errorf("frame %d was refused", i)
				}
			})
		}
		n.on(func(*Reactor) { conn.Close(1000, "done") })
		for i, f := range frames {
			_, p, err := c.read()
			if err != nil {
				t.Fatalf("round %d, frame %d: %v", round, i, err)
			}
			if !bytes.HasSuffix(f, p) || len(p) < 8 {
				t.Fatalf("round %d, frame %d: got %.12q of %d bytes", round, i, p, len(p))
			}
		}
		if got := c.frame(); got != `close 1000 "done"` {
			t.Error(got)
		}
		c.send(bye(1000, ""))
		if got := c.all(); got != "FIN" {
			t.Error(got)
		}
		for i, f := range frames {
			if crc32.ChecksumIEEE(f) != sums[i] {
				t.Errorf("shared frame %d was changed", i)
			}
		}
		until(t, "the end", func() bool { return n.Stats().Connections == 0 })
	}
}

// A client that pings without reading is owed the newest answer only
// (RFC 6455 §5.5.3).
func TestPongsDoNotGather(t *testing.T) {
	n := start(t, Options{MaxQueue: 1 << 20}, &script{})
	c := dialOpen(t, n.addr, 4096)
	conn := n.only()
	big := codec.AppendFrame(nil, codec.OpBinary, make([]byte, 800<<10))
	n.on(func(*Reactor) { conn.Send(big) })
	until(t, "a full socket", func() (blocked bool) {
		n.on(func(*Reactor) { blocked = conn.marks.has(markBlocked) })
		return blocked
	})
	const last = 20000
	var pings strings.Builder
	for i := range last {
		pings.WriteString(ping(fmt.Sprint(i + 1)))
	}
	in := n.Stats().BytesIn
	c.send(pings.String())
	until(t, "all pings to be read", func() bool { return n.Stats().BytesIn-in == int64(pings.Len()) })
	n.on(func(*Reactor) {
		if int(conn.queued) > len(big)+2*chunkCost {
			t.Errorf("%d bytes queued", conn.queued)
		}
	})
	if got := c.frame(); got != "binary of 819200" {
		t.Error(got)
	}
	for {
		got := c.frame()
		if got == fmt.Sprintf("pong %q", fmt.Sprint(last)) {
			break
		}
		if !strings.HasPrefix(got, "pong ") {
			t.Fatal(got)
		}
	}
	c.send(text("and on"))
	if got := c.frame(); got != `text "and on"` {
		t.Error(got)
	}
}

// An echo client that does not read is closed like any other that is too slow.
func TestEchoWithoutReading(t *testing.T) {
	var told ends
	n := start(t, Options{MaxQueue: 256 << 10, CloseTimeout: 200 * time.Millisecond}, &script{closed: told.add})
	c := dialOpen(t, n.addr, 4096)
	go func() { c.send(strings.Repeat(text(strings.Repeat("x", 1000)), 20000)) }()
	told.want(t, "1013 by us: "+errSlow.Reason)
}

// A burst that is bigger than the queue does not make a client slow that takes it
// as fast as it can.
func TestBurstBeyondTheQueue(t *testing.T) {
	n := start(t, Options{MaxQueue: 64 << 10}, &script{})
	c := dialOpen(t, n.addr, 0)
	conn := n.only()
	frame := codec.AppendFrame(nil, codec.OpBinary, make([]byte, 100<<10))
	const burst = 8
	n.on(func(*Reactor) {
		for i := range burst {
			if !conn.Send(frame) {
				t.Errorf("message %d of a burst was refused", i)
			}
		}
	})
	for i := range burst {
		if _, got, err := c.read(); err != nil || len(got) != 100<<10 {
			t.Fatalf("message %d: %d bytes, %v", i, len(got), err)
		}
	}
	until(t, "an empty queue", func() (empty bool) {
		n.on(func(*Reactor) { empty = conn.first == nil && conn.over == 0 && conn.Open() })
		return empty
	})
	if n.Stats().Overflows != 0 || n.Stats().Backlog != 0 {
		t.Errorf("%d overflows, %d bytes of backlog", n.Stats().Overflows, n.Stats().Backlog)
	}
}
