package loop

import (
	"testing"
	"time"

	"sluice/codec"
)

// TestLook: what a connection shows of itself, while it lives and in its last call.
func TestLook(t *testing.T) {
	looks, ages := make(chan Look, 4), make(chan time.Duration, 1)
	n := start(t, Options{}, &script{
		message: func(c *Conn, _ codec.Opcode, _ []byte) { looks <- c.Look() },
		closed:  func(c *Conn, _ End) { ages <- c.Age() },
	})
	c := dialOpen(t, n.addr, 0)
	c.send(text("hello"))
	l := <-looks
	if !l.Opened || l.Closing || l.Pinged || l.Queued != 0 || l.Blocked || l.Silent > patience || l.Age > patience {
		t.Errorf("%+v", l)
	}
	if k := l.Kernel; k == nil || k.Bytes_received < 100 || k.Rtt == 0 {
		t.Errorf("the kernel says %+v", k)
	}
	until(t, "it is older", func() bool {
		c.send(text("again"))
		return (<-looks).Age > 2*tickLength
	})
	c.Close()
	if age := <-ages; age <= 2*tickLength || age > patience {
		t.Errorf("in its last call it is %v old", age)
	}
}
