package codec

import (
	"encoding/binary"
	"math/bits"
)

// mask masks or unmasks b in place (RFC 6455 §5.3; the operation is its own inverse) and returns the key turned to the phase at
// which the bytes that follow b go on.
func mask(b []byte, key uint32) uint32 {
	wide := uint64(key)<<32 | uint64(key)
	for len(b) >= 64 {
		xor(b[0:8:8], wide)
		xor(b[8:16:16], wide)
		xor(b[16:24:24], wide)
		xor(b[24:32:32], wide)
		xor(b[32:40:40], wide)
		xor(b[40:48:48], wide)
		xor(b[48:56:56], wide)
		xor(b[56:64:64], wide)
		b = b[64:]
	}
	for len(b) >= 8 {
		xor(b, wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}

func xor(b []byte, key uint64) {
	binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^key)
}
