package loop

import (
	"testing"
	"unsafe"
)

func TestConnIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 192 { // a size class of the allocator; the next is 208
		t.Errorf("a Conn takes %d bytes", size)
	} else {
		t.Logf("%d bytes", size)
	}
}
