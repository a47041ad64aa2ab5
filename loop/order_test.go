package loop

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"sluice/codec"
)

// step is one thing done to a connection.
type step struct {
	kind  string // send, write, flush
	sizes []int  // of the messages in it
}

// Whatever mix of Send, Write and pings, inside and outside of OnMessage, to a
// client that reads when it likes: it gets exactly the accepted messages, in
// order, then the close frame, and behind that at most the pongs that are still due
// (RFC 6455 §5.5.2). A queue that overflows loses a tail, and says so.
func TestOrder(t *testing.T) {
	type job struct {
		steps    []step
		accepted chan [][]byte
	}
	jobs := map[string]job{} // by the message that asks for it; owned by the reactor
	count := 0
	run := func(c *Conn, steps []step) (accepted [][]byte) {
		for _, s := range steps {
			if s.kind == "flush" {
				c.flush()
				continue
			}
			var batch []byte
			var payloads [][]byte
			for _, size := range s.sizes {
				count++
				p := numbered(count, size)
				payloads = append(payloads, p)
				batch = codec.AppendFrame(batch, codec.OpBinary, p)
			}
			switch s.kind {
			case "send":
				if c.Send(batch) {
					accepted = append(accepted, payloads...)
				}
			case "write":
				for _, p := range payloads {
					if c.Write(codec.OpBinary, p) {
						accepted = append(accepted, p)
					}
				}
			}
		}
		return accepted
	}
	n := start(t, Options{MaxQueue: 128 << 10}, &script{message: func(c *Conn, _ codec.Opcode, p []byte) {
		j := jobs[string(p)]
		j.accepted <- run(c, j.steps)
	}})
	size := rapid.OneOf(rapid.IntRange(0, 130), rapid.IntRange(0, 70000), rapid.IntRange(corkFrame-20, corkFrame))
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom([]string{"send", "write", "write", "flush"}).Draw(t, "kind"), rapid.SliceOfN(size, 1, 4).Draw(t, "sizes")}
	}), 0, 6)
	rapid.Check(t, func(rt *rapid.T) {
		c := dialOpen(t, n.addr, rapid.SampledFrom([]int{0, 4096}).Draw(rt, "receive buffer"))
		defer c.Close()
		conn := n.only()
		startReading := rapid.IntRange(0, 6).Draw(rt, "reads from turn")
		seed := rapid.Uint64().Draw(rt, "reading")
		var got bytes.Buffer
		read := make(chan error, 1)
		reading := false
		beginReading := func() {
			if reading {
				return
			}
			reading = true
			random := rand.New(rand.NewPCG(seed, 0))
			go func() {
				for {
					b := make([]byte, 1+random.IntN(9000))
					k, err := c.in.Read(b)
					got.Write(b[:k])
					if err != nil {
						read <- err
						return
					}
				}
			}()
		}
		var accepted [][]byte
		for i := range 6 {
			if i >= startReading {
				beginReading()
			}
			c.send(ping(strconv.Itoa(i)))
			s := steps.Draw(rt, "steps")
			if rapid.Bool().Draw(rt, "inside") {
				name := fmt.Sprintf("job %d", i)
				done := make(chan [][]byte, 1)
				isOpen := false
				n.on(func(*Reactor) { jobs[name] = job{s, done}; isOpen = conn.Open() })
				if !isOpen {
					break
				}
				c.send(text(name))
				accepted = append(accepted, <-done...)
			} else {
				n.on(func(*Reactor) { accepted = append(accepted, run(conn, s)...) })
			}
		}
		n.on(func(*Reactor) { conn.Close(1000, "end") })
		beginReading()
		c.send(bye(1000, ""))
		if err := <-read; err != io.EOF {
			rt.Fatalf("after %d bytes: %v", got.Len(), err)
		}
		checkStream(rt, got.Bytes(), accepted)
		until(t, "the end", func() bool { return n.Stats().Connections == 0 })
	})
}

// checkStream parses what a client got, and compares it with what it should.
func checkStream(t *rapid.T, stream []byte, accepted [][]byte) {
	lastPong, closed := -1, false
	for len(stream) > 0 {
		h, n, err := codec.ParseHeader(stream)
		if err != nil || n == 0 || uint64(len(stream)-n) < h.Length {
			t.Fatalf("no whole frame at the end: %.20q, %v", stream, err)
		}
		p := stream[n : n+int(h.Length)]
		stream = stream[n+int(h.Length):]
		switch h.Op {
		case codec.OpPong:
			i, err := strconv.Atoi(string(p))
			if err != nil || i <= lastPong {
				t.Fatalf("pong %q after %d", p, lastPong)
			}
			lastPong = i
		case codec.OpClose:
			code, _, err := codec.ParseClose(p)
			if err != nil || closed {
				t.Fatalf("close frame %q, %d bytes behind it, another one before: %v, %v", p, len(stream), closed, err)
			}
			closed = true
			if code == codec.StatusTryAgainLater {
				accepted = nil
			} else if code != 1000 || len(accepted) > 0 {
				t.Fatalf("closed with %d, %d accepted messages missing", code, len(accepted))
			}
		default:
			if closed || len(accepted) == 0 || !bytes.Equal(p, accepted[0]) {
				t.Fatalf("got message %.12q of %d, %d left", p, len(p), len(accepted))
			}
			accepted = accepted[1:]
		}
	}
	if !closed {
		t.Fatal("no close frame")
	}
}
