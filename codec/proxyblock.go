package codec

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The block of version 2 (§2.2): signature, version and command, family and protocol, length of what follows, addresses, extensions.
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = 16 // bytes before the addresses
	proxyVersion   = 2

	proxyLocal   = 0 // commands
	proxyProxy   = 1
	proxyTCP4    = 0x11 // family and protocol
	proxyTCP6    = 0x21
	proxyUnix    = 3 // the last family
	proxyDgram   = 2 // the last protocol
	proxyAddrs4  = 4 + 4 + 2 + 2
	proxyAddrs6  = 16 + 16 + 2 + 2
	tlvFixed     = 3 // type and length
	tlvCRC32C    = 0x03
	checksumSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// noChecksum stands for the checksum where it is computed; a variable of a function would be allocated.
var noChecksum = make([]byte, checksumSize)

// scanProxyBlock reads version 2.
func scanProxyBlock(b []byte) (h ProxyHeader, n int, err *ProxyError) {
	addrs, size, err := scanProxyFixed(b)
	if size == 0 || err != nil {
		return h, 0, err
	}
	if addrs == 0 {
		if len(b) < size {
			return h, 0, nil
		}
		return ProxyHeader{Local: true}, size, nil
	}
	sum, err := findProxyChecksum(b, proxyFixed+addrs, size)
	if err != nil || len(b) < size {
		return h, 0, err
	}
	if sum > 0 && binary.BigEndian.Uint32(b[sum:]) != proxyChecksum(b[:size], sum) {
		return h, 0, ErrProxyChecksum
	}
	return readProxyAddrs(b[proxyFixed : proxyFixed+addrs]), size, nil
}

// scanProxyFixed reads the first 16 bytes: size is that of the whole header, 0 when b ends before it is known, addrs that of the
// addresses, 0 for a header that is local.
func scanProxyFixed(b []byte) (addrs, size int, err *ProxyError) {
	rest, err := expect(b, proxySignature, ErrProxySignature)
	if len(rest) == 0 {
		return 0, 0, err
	}
	command := rest[0] & 0x0F
	if rest[0]>>4 != proxyVersion {
		return 0, 0, ErrProxyVersion
	}
	if command > proxyProxy {
		return 0, 0, ErrProxyCommand
	}
	if len(rest) == 1 {
		return 0, 0, nil
	}
	// LOCAL ignores the family altogether.
	if command == proxyProxy {
		if family, protocol := rest[1]>>4, rest[1]&0x0F; family > proxyUnix || protocol > proxyDgram {
			return 0, 0, ErrProxyFamily
		}
		switch rest[1] {
		case proxyTCP4:
			addrs = proxyAddrs4
		case proxyTCP6:
			addrs = proxyAddrs6
		}
	}
	length := leastLength(rest[2:])
	if proxyFixed+length > maxProxy {
		return 0, 0, ErrProxyTooBig
	}
	if len(rest) < proxyFixed-len(proxySignature) {
		return 0, 0, nil
	}
	if length < addrs {
		return 0, 0, ErrProxyTruncated
	}
	return addrs, proxyFixed + length, nil
}

// leastLength is the length of two bytes at the front of b, or, while not both are in sight, the least that it can be.
func leastLength(b []byte) int {
	switch len(b) {
	case 0:
		return 0
	case 1:
		return int(b[0]) << 8
	}
	return int(binary.BigEndian.Uint16(b))
}

// findProxyChecksum walks over the extensions from at to the header's end at size, or as far as b goes, and returns where the checksum's
// four bytes begin, 0 when there is none. Extensions must fill the header exactly; two checksums cannot both be right.
func findProxyChecksum(b []byte, at, size int) (sum int, err *ProxyError) {
	for at < size {
		if size-at < tlvFixed {
			return 0, ErrProxyTLV
		}
		if at >= len(b) {
			break
		}
		length := leastLength(b[at+1:])
		if length > size-at-tlvFixed {
			return 0, ErrProxyTLV
		}
		if len(b) < at+tlvFixed {
			break
		}
		if b[at] == tlvCRC32C {
			if length != checksumSize || sum > 0 {
				return 0, ErrProxyTLV
			}
			sum = at + tlvFixed
		}
		at += tlvFixed + length
	}
	return sum, nil
}

// proxyChecksum is the CRC32C of a header with the checksum's own bytes, at sum, taken for zeros (§2.2.3).
func proxyChecksum(header []byte, sum int) uint32 {
	crc := crc32.Update(0, castagnoli, header[:sum])
	crc = crc32.Update(crc, castagnoli, noChecksum)
	return crc32.Update(crc, castagnoli, header[sum+checksumSize:])
}

// readProxyAddrs reads a block of addresses, whose length tells the family.
func readProxyAddrs(b []byte) ProxyHeader {
	size := (len(b) - 4) / 2
	from, _ := netip.AddrFromSlice(b[:size]) // 4 or 16 bytes always are one
	to, _ := netip.AddrFromSlice(b[size : 2*size])
	return ProxyHeader{
		Source:      netip.AddrPortFrom(from.Unmap(), binary.BigEndian.Uint16(b[2*size:])),
		Destination: netip.AddrPortFrom(to.Unmap(), binary.BigEndian.Uint16(b[2*size+2:])),
	}
}

// AppendProxyV2 appends the block that a load balancer sends, without extensions, for tests and load generators. Addresses of two families
// both go as IPv6; if one is invalid, the command is LOCAL.
func AppendProxyV2(dst []byte, source, destination netip.AddrPort) []byte {
	dst = append(dst, proxySignature...)
	from, to, family := proxyPair(source.Addr(), destination.Addr())
	switch family {
	case 0:
		return append(dst, proxyVersion<<4|proxyLocal, 0, 0, 0)
	case 4:
		dst = append(dst, proxyVersion<<4|proxyProxy, proxyTCP4, 0, proxyAddrs4)
	case 6:
		dst = append(dst, proxyVersion<<4|proxyProxy, proxyTCP6, 0, proxyAddrs6)
	}
	dst = append(append(dst, from.AsSlice()...), to.AsSlice()...)
	dst = binary.BigEndian.AppendUint16(dst, source.Port())
	return binary.BigEndian.AppendUint16(dst, destination.Port())
}
