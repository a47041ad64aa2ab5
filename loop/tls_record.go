package loop

import "encoding/binary"

// cutter cuts a stream of bytes where TLS records end (RFC 8446 §5.1), so that crypto/tls
// is given one at a time: the buffer that it keeps for as long as the connection lasts is
// then no bigger than the biggest record that the client has sent.
type cutter struct {
	header [recordHeader]byte
	have   int // bytes of the current record that were passed on
	size   int // of it, header included; 0 while that is not complete
}

const (
	recordHeader    = 5 // bytes: type, version, length
	recordHandshake = 22
	maxCiphertext   = maxRecord + 2048 // bytes that a record may have in TLS 1.2, RFC 5246 §6.2.3
)

// pass copies bytes of the current record from b to p, its header or what is behind that,
// and returns how many. whole: these were the record's last.
func (k *cutter) pass(p, b []byte) (n int, whole bool) {
	if k.size == 0 {
		n = copy(k.header[k.have:], b[:min(len(b), len(p))])
		copy(p, k.header[k.have:k.have+n])
		if k.have += n; k.have == recordHeader {
			k.size = recordHeader + int(binary.BigEndian.Uint16(k.header[3:]))
		}
	} else {
		n = copy(p, b[:min(len(b), k.size-k.have)])
		k.have += n
	}
	if k.have == k.size && k.size > 0 {
		k.have, k.size = 0, 0
		return n, true
	}
	return n, false
}

// opening is what the first bytes of a connection are.
type opening uint8

const (
	openingShort   opening = iota // too few to tell, or not complete
	openingHello                  // they begin with a whole record of a TLS handshake
	openingPlain                  // HTTP, from somebody who does not know that TLS is spoken here
	openingGarbage                // anything else
)

// openingOf looks at the first bytes of a connection.
func openingOf(b []byte) opening {
	switch {
	case len(b) == 0:
		return openingShort
	case b[0] >= 'A' && b[0] <= 'Z':
		return openingPlain
	case b[0] != recordHandshake, len(b) > 1 && b[1] != 3:
		return openingGarbage
	case len(b) < recordHeader:
		return openingShort
	}
	size := int(binary.BigEndian.Uint16(b[3:]))
	switch {
	case size == 0 || size > maxRecord: // nothing is encrypted yet
		return openingGarbage
	case len(b) < recordHeader+size:
		return openingShort
	}
	return openingHello
}
