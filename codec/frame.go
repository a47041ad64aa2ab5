package codec

import (
	"encoding/binary"
	"math"
)

// Opcode says what a frame carries (RFC 6455 §5.2).
type Opcode uint8

// The opcodes that exist; all others are refused.
const (
	OpContinuation Opcode = 0
	OpText         Opcode = 1
	OpBinary       Opcode = 2
	OpClose        Opcode = 8
	OpPing         Opcode = 9
	OpPong         Opcode = 10
)

// IsControl reports whether op is a control frame's: close, ping or pong (§5.5).
func (op Opcode) IsControl() bool { return op&8 != 0 }

// String is a short stable name for logs and metric labels.
func (op Opcode) String() string {
	switch op {
	case OpContinuation:
		return "continuation"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return "reserved"
}

const (
	bitFIN  = 0x80
	bitRSV1 = 0x40
	bitRSV2 = 0x20
	bitRSV3 = 0x10
	bitMask = 0x80

	maxControl = 125 // payload bytes of a control frame (§5.5)
	maxHeader  = 14  // 2 + 8 bytes of length + 4 of mask

	// knownOpcodes has a bit for each Opcode that exists.
	knownOpcodes = 1<<OpContinuation | 1<<OpText | 1<<OpBinary | 1<<OpClose | 1<<OpPing | 1<<OpPong
)

// Header is a frame's header (§5.2).
type Header struct {
	Length uint64 // payload bytes, as declared
	Key    uint32 // masking key: its four wire bytes read little-endian
	Op     Opcode
	Fin    bool
	RSV1   bool // only ever on the first frame of a data message (RFC 7692 §6)
	Masked bool
}

// headerRules are a connection's conditions on a header. The zero value is ParseHeader's: either masking, RSV1 allowed.
type headerRules uint8

const (
	refuseRSV1 headerRules = 1 << iota
	refuseMasked
	refuseUnmasked
)

// ParseHeader reads the frame header at the front of b; n is its length in bytes, 2–14, or 0 while b is too short. The error
// is always an *Error of code 1002 and comes with the first byte that proves it: reserved bits and opcodes, fragmented or long control
// frames, lengths not minimally encoded (a choice: §5.2 demands it of the sender) or with the highest bit set.
func ParseHeader(b []byte) (h Header, n int, err error) {
	h, n, bad := parseHeader(b, 0)
	if bad != nil {
		return Header{}, 0, bad
	}
	return h, n, nil
}

// parseHeader looks at the bytes strictly in their order, so that a header gives the same error however it was cut.
func parseHeader(b []byte, rules headerRules) (h Header, n int, err *Error) {
	if len(b) == 0 {
		return h, 0, nil
	}
	if err := checkFirst(b[0], rules); err != nil {
		return h, 0, err
	}
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Op = Opcode(b[0] & 0x0F)
	h.Fin = b[0]&bitFIN != 0
	h.RSV1 = b[0]&bitRSV1 != 0
	h.Masked = b[1]&bitMask != 0
	if h.Masked && rules&refuseMasked != 0 {
		return h, 0, ErrMasked
	}
	if !h.Masked && rules&refuseUnmasked != 0 {
		return h, 0, ErrUnmasked
	}

	h.Length = uint64(b[1] &^ bitMask)
	n = 2
	if h.Length > maxControl {
		if h.Op.IsControl() {
			return h, 0, ErrControlTooLong
		}
		h.Length, n, err = extendedLength(b, h.Length == 126)
		if n == 0 || err != nil {
			return h, 0, err
		}
	}
	if h.Masked {
		if len(b) < n+4 {
			return h, 0, nil
		}
		h.Key = binary.LittleEndian.Uint32(b[n:])
		n += 4
	}
	return h, n, nil
}

// checkFirst judges a header's first byte: FIN, RSV1–3, opcode.
func checkFirst(b byte, rules headerRules) *Error {
	op := Opcode(b & 0x0F)
	switch {
	case b&(bitRSV2|bitRSV3) != 0:
		return ErrReservedBits
	case b&bitRSV1 != 0 && (rules&refuseRSV1 != 0 || op != OpText && op != OpBinary):
		return ErrReservedBits
	case knownOpcodes>>op&1 == 0:
		return ErrOpcode
	case op.IsControl() && b&bitFIN == 0:
		return ErrControlFragmented
	}
	return nil
}

// extendedLength reads the 16- or 64-bit length at b[2:]. n is the header's length so far, 0 while b is too short.
func extendedLength(b []byte, short bool) (length uint64, n int, err *Error) {
	if short {
		if len(b) < 4 {
			return 0, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(b[2:]))
		if length <= maxControl {
			return 0, 0, ErrLengthNotMinimal
		}
		return length, 4, nil
	}
	if len(b) < 10 {
		return 0, 0, nil
	}
	length = binary.BigEndian.Uint64(b[2:])
	if length > math.MaxInt64 {
		return 0, 0, ErrLengthSign
	}
	if length <= math.MaxUint16 {
		return 0, 0, ErrLengthNotMinimal
	}
	return length, 10, nil
}

// FrameSize is the size in bytes of an unmasked frame with a payload of that many bytes.
func FrameSize(payload int) int {
	switch {
	case payload <= maxControl:
		return 2 + payload
	case payload <= math.MaxUint16:
		return 4 + payload
	}
	return 10 + payload
}

// AppendHeader appends the header of a server's frame: FIN set, unmasked, payloadLen bytes to follow. A control frame's payload
// must be at most 125 bytes; that is the caller's to keep.
func AppendHeader(dst []byte, op Opcode, payloadLen int) []byte {
	return appendHeader(dst, bitFIN|byte(op), 0, payloadLen)
}

func appendHeader(dst []byte, first, masked byte, payloadLen int) []byte {
	switch {
	case payloadLen <= maxControl:
		return append(dst, first, masked|byte(payloadLen))
	case payloadLen <= math.MaxUint16:
		return append(dst, first, masked|126, byte(payloadLen>>8), byte(payloadLen))
	}
	dst = append(dst, first, masked|127)
	return binary.BigEndian.AppendUint64(dst, uint64(payloadLen))
}

// AppendFrame appends a server's whole frame: FIN set, unmasked. The same bytes serve every connection of a broadcast.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// AppendMaskedFrame appends a client's whole frame: FIN set, masked with key, whose bytes go out little-endian.
// payload stays as it is.
func AppendMaskedFrame(dst []byte, op Opcode, payload []byte, key uint32) []byte {
	dst = appendHeader(dst, bitFIN|byte(op), bitMask, len(payload))
	dst = binary.LittleEndian.AppendUint32(dst, key)
	start := len(dst)
	dst = append(dst, payload...)
	mask(dst[start:], key)
	return dst
}
