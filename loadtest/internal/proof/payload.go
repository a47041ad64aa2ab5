package proof

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
)

// Kind says what a payload is for.
type Kind uint8

const (
	Data  Kind = 1 // counted: sequence numbers start at 0 and have no holes
	Probe Kind = 2 // only shows that a subscription is live; carries no meaningful sequence
)

// Stamp is what a payload proves.
type Stamp struct {
	Run     uint32 // one load run; tells this run's messages from another's on the same channel
	Kind    Kind   // 0..15
	Channel uint32 // index of the channel, 0..1<<28-1
	Seq     uint64 // per channel, from 0
	Time    int64  // ns on the sending process' own monotonic clock
}

// MinSize is the least size of a payload in bytes: magic, run, kind and channel, sequence, time, checksum.
const MinSize = offEnd

// Every field is a whole number of 8-byte words. A number is written as letters, four bits each ('a' is 0, 'p' is 15): that is as
// printable as hexadecimal, but eight letters are packed and unpacked in three steps without a table.
const (
	magic   = "sluiceLT"
	offRun  = 8
	offChan = 16
	offSeq  = 24
	offTime = 40
	offSum  = 56
	offEnd  = 72
)

var (
	// ErrNoStamp means that no payload of this package is in the message.
	ErrNoStamp = errors.New("no stamped payload in the message")
	// ErrChecksum means that a payload was found, but that it is not as it was sent.
	ErrChecksum = errors.New("stamped payload was altered on its way")
)

// filler is what stands after the fields; where it starts differs from message to message, so that shifted or mixed-up bytes show.
var filler = makeFiller(4096)

func makeFiller(n int) []byte {
	b := make([]byte, n)
	x := uint64(0x9e3779b97f4a7c15)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = 'A' + byte(x>>33)%26
	}
	return b
}

// Append adds one payload of size bytes to dst. A size below MinSize is taken as MinSize.
func Append(dst []byte, s Stamp, size int) []byte {
	size = max(size, MinSize)
	at := len(dst)
	dst = append(dst, magic...)
	dst = append32(dst, s.Run)
	dst = append32(dst, uint32(s.Kind)<<28|s.Channel&(1<<28-1))
	dst = append64(dst, s.Seq)
	dst = append64(dst, uint64(s.Time))
	dst = append64(dst, 0) // the checksum's place
	shift := int(s.Seq*31) & 63
	for len(dst)-at < size {
		part := filler[shift:]
		dst = append(dst, part[:min(len(part), size-(len(dst)-at))]...)
		shift = 0
	}
	p := dst[at:]
	sum := checksum(p)
	binary.LittleEndian.PutUint64(p[offSum:], letters(uint32(sum>>32)))
	binary.LittleEndian.PutUint64(p[offSum+8:], letters(uint32(sum)))
	return dst
}

// Parse finds the payload of size bytes in message and takes its fields out. The message may have an envelope around the payload.
// It keeps nothing of message. Errors are ErrNoStamp and ErrChecksum.
func Parse(message []byte, size int) (Stamp, error) {
	s, _, err := Next(message, size)
	return s, err
}

// Next is Parse for messages in which a server may have put several payloads. rest is what follows the first one; it is a part
// of message.
func Next(message []byte, size int) (s Stamp, rest []byte, err error) {
	size = max(size, MinSize)
	if len(message) != size || string(message[:len(magic)]) != magic {
		at := bytes.Index(message, []byte(magic))
		if at < 0 {
			return Stamp{}, nil, ErrNoStamp
		}
		if len(message)-at < size {
			return Stamp{}, nil, ErrChecksum // cut short
		}
		message, rest = message[at:at+size], message[at+size:]
	}
	// The letters are compared, not the number in them: several bytes stand for one nibble, and one altered there must show too.
	sum := checksum(message)
	if binary.LittleEndian.Uint64(message[offSum:]) != letters(uint32(sum>>32)) ||
		binary.LittleEndian.Uint64(message[offSum+8:]) != letters(uint32(sum)) {
		return Stamp{}, rest, ErrChecksum
	}
	channel := read32(message[offChan:])
	return Stamp{
		Run:     read32(message[offRun:]),
		Kind:    Kind(channel >> 28),
		Channel: channel & (1<<28 - 1),
		Seq:     read64(message[offSeq:]),
		Time:    int64(read64(message[offTime:])),
	}, rest, nil
}

// checksum covers all of p but the checksum's own place. Two lanes, because one multiply per word in a single chain would cost
// more than everything else done per delivery.
func checksum(p []byte) uint64 {
	const k = 0x9e3779b97f4a7c15
	a, b := uint64(len(p))*k, uint64(k)
	p0 := p[:offSum]
	for ; len(p0) >= 16; p0 = p0[16:] {
		a = bits.RotateLeft64((a^binary.LittleEndian.Uint64(p0))*k, 29)
		b = bits.RotateLeft64((b^binary.LittleEndian.Uint64(p0[8:]))*k, 31)
	}
	a = (a ^ binary.LittleEndian.Uint64(p0)) * k // offSum is 8 more than a multiple of 16
	p = p[offEnd:]
	for ; len(p) >= 16; p = p[16:] {
		a = bits.RotateLeft64((a^binary.LittleEndian.Uint64(p))*k, 29)
		b = bits.RotateLeft64((b^binary.LittleEndian.Uint64(p[8:]))*k, 31)
	}
	for _, c := range p {
		a = bits.RotateLeft64((a^uint64(c))*k, 29)
	}
	a ^= bits.RotateLeft64(b, 17)
	return a ^ a>>32
}

// letters spreads the 8 nibbles of x over 8 bytes, lowest nibble first, and makes each a letter 'a'..'p'.
func letters(x uint32) uint64 {
	v := uint64(x)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	return v + 0x6161616161616161
}

// number is the inverse of letters; what is not a letter 'a'..'p' gives some other number, which the checksum then betrays.
func number(v uint64) uint32 {
	v = (v - 0x6161616161616161) & 0x0f0f0f0f0f0f0f0f
	v = (v | v>>4) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint32(v | v>>16)
}

func append32(dst []byte, x uint32) []byte {
	return binary.LittleEndian.AppendUint64(dst, letters(x))
}

func append64(dst []byte, x uint64) []byte { return append32(append32(dst, uint32(x>>32)), uint32(x)) }

func read32(p []byte) uint32 { return number(binary.LittleEndian.Uint64(p)) }

func read64(p []byte) uint64 { return uint64(read32(p))<<32 | uint64(read32(p[8:])) }
