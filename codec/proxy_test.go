package codec

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
	"unsafe"
)

// proxyBlock is a header of version 2 as its parts go over the wire: version and command, family and protocol, the length of the rest.
func proxyBlock(command, family string, rest ...string) string {
	body := strings.Join(rest, "")
	return "\r\n\r\n\x00\r\nQUIT\n" + command + family + string([]byte{byte(len(body) >> 8), byte(len(body))}) + body
}

func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

// sealed puts the right checksum into the four zeros behind the first checksum extension of a header.
func sealed(header string) string {
	b := []byte(header)
	at := strings.Index(header, "\x03\x00\x04\x00\x00\x00\x00") + 3
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

const (
	cmdLocal, cmdProxy = "\x20", "\x21" // version 2 and command
	famNone            = "\x00"         // family and protocol
	famTCP4, famUDP4   = "\x11", "\x12"
	famTCP6, famUnix   = "\x21", "\x31"

	addrs4  = "\xc0\x00\x02\x07" + "\xc6\x33\x64\x01" + "\xdc\x04" + "\x01\xbb"
	client6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
	server6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	mapped4 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07"
	addrs6  = client6 + server6 + "\xdc\x04" + "\x01\xbb"

	zeroSum = "\x00\x00\x00\x00"
)

func proxyHeader(source, destination string) ProxyHeader {
	return ProxyHeader{Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

// readProxy runs a new reader over in, in pieces, and gives the header, what follows it, and after how many bytes it failed.
func readProxy(t fataler, in string, cut func() int) (h ProxyHeader, rest string, done bool, after int, err error) {
	t.Helper()
	var r ProxyReader
	seen := 0
	for seen < len(in) {
		size := min(max(cut(), 1), len(in)-seen)
		var n int
		h, n, done, err = r.Next([]byte(in[seen : seen+size]))
		if r.Held() > maxProxy {
			t.Fatalf("%d bytes held", r.Held())
		}
		if err != nil {
			if _, ok := err.(*ProxyError); !ok || done || h != (ProxyHeader{}) || n != size || r.Held() != 0 || r.Partial() {
				t.Fatalf("error is a %T, done %v, %+v, n %d of %d, %d bytes held", err, done, h, n, size, r.Held())
			}
			if _, n, _, again := r.Next([]byte("PROXY")); again != err || n != 5 {
				t.Fatalf("after %v: n %d, %v", err, n, again)
			}
			return h, "", false, seen + size, err
		}
		if done {
			if n < 1 || n > size || r.Held() != 0 || r.Partial() {
				t.Fatalf("done with %d of %d bytes, %d held", n, size, r.Held())
			}
			return h, in[seen+n:], true, 0, nil
		}
		if n != size || h != (ProxyHeader{}) || !r.Partial() {
			t.Fatalf("not done, but %d of %d bytes taken, %+v", n, size, h)
		}
		seen += size
	}
	return h, "", false, 0, nil
}

func TestProxyAccepted(t *testing.T) {
	four, six := proxyHeader("192.0.2.7:56324", "198.51.100.1:443"), proxyHeader("[2001:db8::7]:56324", "[2001:db8::1]:443")
	local4 := ProxyHeader{Local: true}
	tests := []struct {
		name string
		in   string
		want ProxyHeader
	}{
		{"§2.1: TCP4", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", four},
		{"§2.1: longest TCP4", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", proxyHeader("255.255.255.255:65535", "255.255.255.255:65535")},
		{"§2.1: shortest TCP4, port 0", "PROXY TCP4 0.0.0.0 1.1.1.1 0 0\r\n", proxyHeader("0.0.0.0:0", "1.1.1.1:0")},
		{"§2.1: TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", six},
		{"§2.1: TCP6 in upper case and in full", "PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0007 2001:DB8:0:0:0:0:0:1 56324 443\r\n", six},
		{"§2.1: longest TCP6", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
			proxyHeader("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")},
		{"§2.1: TCP6 of an IPv4 client on a socket for both", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6401 56324 443\r\n", four},
		{"§2.1: UNKNOWN, short", "PROXY UNKNOWN\r\n", local4},
		{"§2.1: UNKNOWN, longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", local4},
		{"§2.1: UNKNOWN with anything", "PROXY UNKNOWN   \x00\xff TCP4\r\n", local4},
		{"§2.2: TCP over IPv4", proxyBlock(cmdProxy, famTCP4, addrs4), four},
		{"§2.2: TCP over IPv6", proxyBlock(cmdProxy, famTCP6, addrs6), six},
		{"§2.2: TCP over IPv6, mapped IPv4", proxyBlock(cmdProxy, famTCP6, mapped4, server6, "\x00\x01\x00\x02"), proxyHeader("192.0.2.7:1", "[2001:db8::1]:2")},
		{"§2.2: extensions", proxyBlock(cmdProxy, famTCP4, addrs4, tlv(0x01, "h2"), tlv(0x04, ""), tlv(0xea, strings.Repeat("x", 300))), four},
		{"§2.2: longest header", proxyBlock(cmdProxy, famTCP6, addrs6, tlv(0xe0, strings.Repeat("x", 520-36-3))), six},
		{"§2.2.3: checksum", sealed(proxyBlock(cmdProxy, famTCP4, addrs4, tlv(0x02, "a.example"), tlv(0x03, zeroSum), tlv(0x04, "\x00"))), four},
		{"§2.2.3: checksum as an AWS Network Load Balancer computes it",
			proxyBlock(cmdProxy, famTCP4, "\xac\x1f\x07\x71\xac\x1f\x0a\x1f\xc8\xf2\x00\x50", tlv(0x03, "\xe8\xd6\x89\x2d"),
				tlv(0xea, "\x01vpce-08d2bf15fac5001c9"), tlv(0x04, strings.Repeat("\x00", 36))),
			proxyHeader("172.31.7.113:51442", "172.31.10.31:80")},
		{"§2.2.3: checksum last", sealed(proxyBlock(cmdProxy, famTCP6, addrs6, tlv(0x03, zeroSum))), six},
		{"§2.2: LOCAL", proxyBlock(cmdLocal, famNone), local4},
		{"§2.2: LOCAL with addresses and no extensions", proxyBlock(cmdLocal, famTCP4, addrs4, "xx"), local4},
		{"§2.2: LOCAL ignores the family", proxyBlock(cmdLocal, "\xff", "x"), local4},
		{"§2.2: PROXY of UNSPEC", proxyBlock(cmdProxy, famNone, "anything"), local4},
		{"§2.2: PROXY of UDP", proxyBlock(cmdProxy, famUDP4, addrs4), local4},
		{"§2.2: PROXY of a unix socket", proxyBlock(cmdProxy, famUnix, strings.Repeat("/", 216)), local4},
		{"§2.2: PROXY of an unspecified protocol over IPv4", proxyBlock(cmdProxy, "\x10", addrs4), local4},
	}
	for _, tt := range tests {
		tt.want.Version = 2
		if tt.in[0] == 'P' {
			tt.want.Version = 1
		}
		t.Run(tt.name, func(t *testing.T) {
			const request = "GET / HTTP/1.1\r\n"
			for _, size := range []int{1 << 30, 1, 2, 7, 100} {
				h, rest, done, _, err := readProxy(t, tt.in+request, pieces(size))
				if err != nil || !done || h != tt.want {
					t.Fatalf("in pieces of %d: done %v, error %v\n got %+v\nwant %+v", size, done, err, h, tt.want)
				}
				if rest != request {
					t.Errorf("in pieces of %d: what follows the header is %q", size, rest)
				}
			}
		})
	}
}

func TestProxyRefused(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want *ProxyError
		at   int // bytes after which it is refused
	}{
		{"HTTP request", "GET / HTTP/1.1\r\n", ErrProxySignature, 1},
		{"HTTP request that begins alike", "PROPFIND / HTTP/1.1\r\n", ErrProxySignature, 4},
		{"TLS ClientHello", "\x16\x03\x01\x02\x00\x01", ErrProxySignature, 1},
		{"WebSocket frame", "\x81\x85aaaabbbbb", ErrProxySignature, 1},
		{"empty line", "\r\n\r\nGET", ErrProxySignature, 5},
		{"bare LF", "\nPROXY", ErrProxySignature, 1},

		{"§2.1: lower case", "proxy TCP4", ErrProxySignature, 1},
		{"§2.1: tab", "PROXY\tTCP4", ErrProxySignature, 6},
		{"§2.1: no transport", "PROXY\r\n", ErrProxySignature, 6},
		{"§2.1: two spaces", "PROXY  TCP4", ErrProxyTransport, 7},
		{"§2.1: transport in lower case", "PROXY tcp4", ErrProxyTransport, 7},
		{"§2.1: TCP5", "PROXY TCP5", ErrProxyTransport, 10},
		{"§2.1: TCP", "PROXY TCP 1", ErrProxyTransport, 10},
		{"§2.1: UDP4", "PROXY UDP4 1.1.1.1", ErrProxyTransport, 8},
		{"§2.1: TCP4 and nothing", "PROXY TCP4\r\n", ErrProxyTransport, 11},
		{"§2.1: UNKNOWNS", "PROXY UNKNOWNS\r\n", ErrProxyTransport, 14},
		{"§2.1: two spaces before an address", "PROXY TCP4  1.1.1.1", ErrProxyAddress, 12},
		{"§2.1: zeros in front", "PROXY TCP4 01.1.1.1 ", ErrProxyAddress, 20},
		{"§2.1: 256", "PROXY TCP4 256.1.1.1 ", ErrProxyAddress, 21},
		{"§2.1: three numbers", "PROXY TCP4 1.1.1 ", ErrProxyAddress, 17},
		{"§2.1: hexadecimal", "PROXY TCP4 0x7f.1", ErrProxyAddress, 13},
		{"§2.1: IPv6 in TCP4", "PROXY TCP4 ::1", ErrProxyAddress, 12},
		{"§2.1: IPv4 in TCP6", "PROXY TCP6 1.1.1.1 ", ErrProxyAddress, 19},
		{"§2.1: IPv4 as the destination of TCP6", "PROXY TCP6 ::1 1.1.1.1 ", ErrProxyAddress, 23},
		{"§2.1: address that never ends", "PROXY TCP4 " + strings.Repeat("1", 1000), ErrProxyAddress, 11 + 16},
		{"§2.1: IPv6 address that never ends", "PROXY TCP6 " + strings.Repeat(":", 1000), ErrProxyAddress, 11 + 40},
		{"§2.1: zone", "PROXY TCP6 fe80::1%eth0 ", ErrProxyAddress, 19},
		{"§2.1: brackets", "PROXY TCP6 [::1]", ErrProxyAddress, 12},
		{"§2.1: two double colons", "PROXY TCP6 1::2::3 ", ErrProxyAddress, 19},
		{"§2.1: five digits", "PROXY TCP6 00001::1 ", ErrProxyAddress, 20},
		{"§2.1: CRLF after an address", "PROXY TCP4 1.1.1.1\r\n", ErrProxyAddress, 19},
		{"§2.1: no port", "PROXY TCP4 1.1.1.1 2.2.2.2 \r\n", ErrProxyPort, 28},
		{"§2.1: port 65536", "PROXY TCP4 1.1.1.1 2.2.2.2 65536", ErrProxyPort, 32},
		{"§2.1: port 080", "PROXY TCP4 1.1.1.1 2.2.2.2 080", ErrProxyPort, 29},
		{"§2.1: port 00", "PROXY TCP4 1.1.1.1 2.2.2.2 00", ErrProxyPort, 29},
		{"§2.1: port -1", "PROXY TCP4 1.1.1.1 2.2.2.2 -1", ErrProxyPort, 28},
		{"§2.1: port +1", "PROXY TCP4 1.1.1.1 2.2.2.2 +1", ErrProxyPort, 28},
		{"§2.1: one port", "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", ErrProxyPort, 29},
		{"§2.1: no second port", "PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n", ErrProxyPort, 30},
		{"§2.1: space at the end", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", ErrProxyPort, 31},
		{"§2.1: bare LF", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", ErrProxyLineEnd, 31},
		{"§2.1: bare CR", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rG", ErrProxyLineEnd, 32},
		{"§2.1: UNKNOWN with a bare LF", "PROXY UNKNOWN\n", ErrProxyTransport, 14},
		{"§2.1: UNKNOWN with a bare LF in the rest", "PROXY UNKNOWN a\nb\r\n", ErrProxyLineEnd, 16},
		{"§2.1: UNKNOWN with a bare CR", "PROXY UNKNOWN\rG", ErrProxyLineEnd, 15},
		{"§2.1: line of 108 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 108-16) + "\r\n", ErrProxyLine, 106},
		{"§2.1: line that never ends", "PROXY UNKNOWN " + strings.Repeat("x", 1<<16), ErrProxyLine, 106},

		{"§2.2: signature with another letter", "\r\n\r\n\x00\r\nQUIX", ErrProxySignature, 11},
		{"§2.2: version 1", proxyBlock("\x11", famTCP4, addrs4), ErrProxyVersion, 13},
		{"§2.2: version 3", proxyBlock("\x31", famTCP4, addrs4), ErrProxyVersion, 13},
		{"§2.2: command 2", proxyBlock("\x22", famTCP4, addrs4), ErrProxyCommand, 13},
		{"§2.2: family 4", proxyBlock(cmdProxy, "\x41", addrs4), ErrProxyFamily, 14},
		{"§2.2: protocol 3", proxyBlock(cmdProxy, "\x13", addrs4), ErrProxyFamily, 14},
		{"§2.2: length 521", proxyBlock(cmdProxy, famTCP4, strings.Repeat("\x00", 521)), ErrProxyTooBig, 16},
		{"§2.2: length 65535", proxyBlock(cmdProxy, famTCP4, strings.Repeat("\x00", 0xFFFF)), ErrProxyTooBig, 15},
		{"§2.2: LOCAL of 521 bytes", proxyBlock(cmdLocal, famNone, strings.Repeat("\x00", 521)), ErrProxyTooBig, 16},
		{"§2.2: IPv4 of 11 bytes", proxyBlock(cmdProxy, famTCP4, addrs4[1:]), ErrProxyTruncated, 16},
		{"§2.2: IPv6 of 12 bytes", proxyBlock(cmdProxy, famTCP6, addrs4), ErrProxyTruncated, 16},
		{"§2.2: IPv4 of 0 bytes", proxyBlock(cmdProxy, famTCP4), ErrProxyTruncated, 16},
		{"§2.2: one byte of an extension", proxyBlock(cmdProxy, famTCP4, addrs4, "\x04"), ErrProxyTLV, 16},
		{"§2.2: two bytes of an extension", proxyBlock(cmdProxy, famTCP4, addrs4, tlv(4, "ab"), "\x04\x00"), ErrProxyTLV, 16 + 12 + 3},
		{"§2.2: extension longer than the header", proxyBlock(cmdProxy, famTCP4, addrs4, "\x04\x00\x01"), ErrProxyTLV, 16 + 12 + 3},
		{"§2.2: extension far longer than the header", proxyBlock(cmdProxy, famTCP4, addrs4, "\x04\xff\x00"), ErrProxyTLV, 16 + 12 + 2},
		{"§2.2.3: wrong checksum", proxyBlock(cmdProxy, famTCP4, addrs4, tlv(3, "\xde\xad\xbe\xef")), ErrProxyChecksum, 16 + 12 + 7},
		{"§2.2.3: changed address", strings.Replace(sealed(proxyBlock(cmdProxy, famTCP4, addrs4, tlv(3, zeroSum))), "\xc0\x00\x02\x07", "\xc0\x00\x02\x08", 1), ErrProxyChecksum, 16 + 12 + 7},
		{"§2.2.3: checksum of three bytes", proxyBlock(cmdProxy, famTCP4, addrs4, tlv(3, "\x00\x00\x00")), ErrProxyTLV, 16 + 12 + 3},
		{"§2.2.3: two checksums", sealed(proxyBlock(cmdProxy, famTCP4, addrs4, tlv(3, zeroSum), tlv(3, zeroSum))), ErrProxyTLV, 16 + 12 + 7 + 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 30, 1, 3, 100} {
				_, _, done, after, err := readProxy(t, tt.in, pieces(size))
				if err != tt.want || done {
					t.Errorf("in pieces of %d: done %v, error %v, want %v", size, done, err, tt.want)
				}
				if size == 1 && after != tt.at {
					t.Errorf("refused after %d bytes, want %d", after, tt.at)
				}
			}
		})
	}
}

// Every header cut off anywhere is incomplete, neither done nor wrong.
func TestProxyCutOff(t *testing.T) {
	for _, in := range []string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
		"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n",
		"PROXY UNKNOWN whatever\r\n",
		proxyBlock(cmdLocal, famNone, "skipped"),
		sealed(proxyBlock(cmdProxy, famTCP6, addrs6, tlv(1, "h2"), tlv(3, zeroSum), tlv(4, "padding"))),
	} {
		for end := range len(in) {
			if h, _, done, _, err := readProxy(t, in[:end], pieces(1<<30)); done || err != nil {
				t.Errorf("%q: done %v, %+v, %v", in[:end], done, h, err)
			}
		}
	}
}

func TestProxyAppend(t *testing.T) {
	tests := []struct {
		source, destination string
		line, block         string
	}{
		{"192.0.2.7:56324", "198.51.100.1:443", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", proxyBlock(cmdProxy, famTCP4, addrs4)},
		{"[::ffff:192.0.2.7]:56324", "198.51.100.1:443", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", proxyBlock(cmdProxy, famTCP4, addrs4)},
		{"[2001:db8::7%eth0]:56324", "[2001:db8::1]:443", "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", proxyBlock(cmdProxy, famTCP6, addrs6)},
		{"192.0.2.7:56324", "[2001:db8::1]:443", "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 56324 443\r\n",
			proxyBlock(cmdProxy, famTCP6, mapped4, server6, "\xdc\x04\x01\xbb")},
		{"", "[2001:db8::1]:443", "PROXY UNKNOWN\r\n", proxyBlock(cmdLocal, famNone)},
	}
	for _, tt := range tests {
		var source netip.AddrPort
		if tt.source != "" {
			source = netip.MustParseAddrPort(tt.source)
		}
		destination := netip.MustParseAddrPort(tt.destination)
		if got := string(AppendProxyV1([]byte("x"), source, destination)); got != "x"+tt.line {
			t.Errorf("%s to %s: line %q, want %q", tt.source, tt.destination, got, tt.line)
		}
		if got := string(AppendProxyV2([]byte("x"), source, destination)); got != "x"+tt.block {
			t.Errorf("%s to %s: block %q, want %q", tt.source, tt.destination, got, tt.block)
		}
	}
}

func TestProxyReaderIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(ProxyReader{}); size > 32 {
		t.Errorf("a ProxyReader takes %d bytes, more than 32", size)
	}
}

func TestProxyAllocatesNothing(t *testing.T) {
	for _, in := range []string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
		"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::ffff:198.51.100.1 56324 443\r\n",
		"PROXY UNKNOWN\r\n",
		proxyBlock(cmdLocal, famNone),
		sealed(proxyBlock(cmdProxy, famTCP6, addrs6, tlv(3, zeroSum))),
	} {
		b := []byte(in + "GET")
		var r ProxyReader
		if allocs := testing.AllocsPerRun(100, func() {
			if _, n, done, err := r.Next(b); !done || err != nil || n != len(in) {
				panic("not read")
			}
		}); allocs != 0 {
			t.Errorf("%q: %v allocations", in, allocs)
		}
	}
}

// FuzzProxy reads a header whole, byte by byte and in fuzzed pieces: the same header, or the same refusal. What was accepted, written
// again in either version, means the same.
func FuzzProxy(f *testing.F) {
	for _, in := range []string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET",
		"PROXY TCP6 2001:db8::7 ::ffff:1.2.3.4 0 65535\r\n",
		"PROXY UNKNOWN \x00\xff\r\n",
		"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
		proxyBlock(cmdLocal, "\xff", "skipped"),
		proxyBlock(cmdProxy, famTCP4, addrs4, tlv(4, "abc")),
		proxyBlock(cmdProxy, famTCP4, addrs4, "\x04\x00\x01"),
		proxyBlock(cmdProxy, famUnix, strings.Repeat("/", 216)),
		sealed(proxyBlock(cmdProxy, famTCP6, addrs6, tlv(1, "h2"), tlv(3, zeroSum))),
		proxyBlock(cmdProxy, famTCP4, strings.Repeat("\x00", 521)),
	} {
		f.Add([]byte(in), []byte{1, 5, 2})
		f.Add([]byte(in), []byte{30})
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		h, rest, done, _, err := readProxy(t, string(in), pieces(1<<20))
		first := 0 // bytes after which it is refused
		for name, cut := range map[string]func() int{"byte by byte": pieces(1), "cut": byCuts(cuts)} {
			otherHeader, otherRest, otherDone, after, otherErr := readProxy(t, string(in), cut)
			if otherErr != err || otherHeader != h || otherRest != rest || otherDone != done {
				t.Fatalf("%s: %q\n got %+v, %v, %v\nwant %+v, %v, %v", name, in, otherHeader, otherDone, otherErr, h, done, err)
			}
			if name == "byte by byte" {
				first = after
			}
		}
		if first > maxProxy {
			t.Fatalf("%q refused only after %d bytes", in, first)
		}
		if !done {
			return
		}
		if size := len(in) - len(rest); size > maxProxy || h.Local == h.Source.IsValid() || h.Local == h.Destination.IsValid() {
			t.Fatalf("%q: header of %d bytes, %+v", in, size, h)
		}
		for i, written := range [][]byte{AppendProxyV1(nil, h.Source, h.Destination), AppendProxyV2(nil, h.Source, h.Destination)} {
			h.Version = uint8(i + 1)
			if again, rest, done, _, err := readProxy(t, string(written), pieces(1<<20)); again != h || rest != "" || !done || err != nil {
				t.Fatalf("%q, written as %q: %+v, %v", in, written, again, err)
			}
		}
	})
}

func BenchmarkProxy(b *testing.B) {
	for name, in := range map[string]string{
		"v1/TCP4":     "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
		"v1/TCP6":     "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n",
		"v2/TCP4":     proxyBlock(cmdProxy, famTCP4, addrs4),
		"v2/checksum": sealed(proxyBlock(cmdProxy, famTCP6, addrs6, tlv(1, "h2"), tlv(3, zeroSum))),
	} {
		b.Run(name, func(b *testing.B) {
			header := []byte(in)
			var r ProxyReader
			b.ReportAllocs()
			for b.Loop() {
				if _, _, done, err := r.Next(header); !done || err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
