//go:build !invariants

// With invariants each check asks for the goroutine's number, which allocates.

package loop

import (
	"io"
	"testing"

	"sluice/codec"
)

// Handing a shared frame to a connection and flushing it allocates nothing.
func TestSendAllocatesNothing(t *testing.T) {
	n := start(t, Options{}, &script{})
	client := dialOpen(t, n.addr, 0)
	c := n.only()
	frame := codec.AppendFrame(nil, codec.OpText, make([]byte, 128))
	in := make([]byte, 32*len(frame))
	n.on(func(r *Reactor) {
		for _, burst := range []int{1, 2, 32} {
			allocs := testing.AllocsPerRun(200, func() {
				for range burst {
					if !c.Send(frame) {
						t.Error("refused")
					}
				}
				r.flushSlice()
				if _, err := io.ReadFull(client.TCPConn, in[:burst*len(frame)]); err != nil {
					t.Error(err)
				}
			})
			t.Logf("%d frames: %v allocations", burst, allocs)
			if allocs > 0 {
				t.Errorf("%d frames and a flush: %v allocations", burst, allocs)
			}
		}
		if c.first != nil || c.more != nil || c.queued != 0 {
			t.Errorf("something stays with the connection: %d bytes", c.queued)
		}
	})
}
