package loop

import (
	"testing"

	"sluice/codec"
)

// What connections send and are sent counts for what they are at that time.
func TestTrafficByKind(t *testing.T) {
	n := start(t, Options{}, &script{request: func(c *Conn, r *codec.Request) {
		accept(c, r)
		c.SetKind(3)
	}, message: func(c *Conn, op codec.Opcode, p []byte) {
		c.Write(op, p)
		c.CountOut(2)
	}})
	client := dialOpen(t, n.addr, 0)
	client.send(text("hello"))
	client.frame()
	s := n.Stats()
	if got, want := s.Kinds[3].Open, int64(1); got != want || s.Kinds[0].Open != 0 {
		t.Errorf("%d are open of kind 3, %d of kind 0", got, s.Kinds[0].Open)
	}
	if got := s.Kinds[3]; got.MessagesIn != 1 || got.MessagesOut != 2 || got.BytesIn != int64(len(text("hello"))) || got.BytesOut <= got.BytesIn {
		t.Errorf("%+v", got)
	}
	if got := s.Kinds[0]; got.BytesIn != int64(len(request)) || got.MessagesIn != 0 || got.BytesOut != 0 {
		t.Errorf("before it was of that kind: %+v", got)
	}
	if got := s.Handshake.Total(); got != 1 || s.Handshake.Sum <= 0 || s.Handshake.Sum > patience {
		t.Errorf("%d handshakes, which took %v", got, s.Handshake.Sum)
	}
	client.Close()
	until(t, "the end to be counted", func() bool { return n.Stats().Kinds[3].Open == 0 })
}
