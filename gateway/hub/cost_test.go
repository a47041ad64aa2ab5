package hub

import (
	"testing"
	"unsafe"
)

func TestMemberIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Member{}); size > 24 { // every connection has one; the sizes of sessions count on it
		t.Errorf("a Member takes %d bytes", size)
	}
}
