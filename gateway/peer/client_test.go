package peer

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// In these tests 10.0.0.0/8 and fd00::/8 are the operator's, and the balancer that connects is 10.0.0.1.
func ourTrust(t testing.TB) Trust { return trusting(t, "10.0.0.0/8", "fd00::/8") }

type walk struct {
	name  string
	lines []string
	want  string
}

func runWalks(t *testing.T, header Header, tests []walk) {
	t.Helper()
	trust := ourTrust(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ClientAddr(netip.MustParseAddr("10.0.0.1"), trust, header, tt.lines); got.String() != tt.want {
				t.Errorf("%q: %s, want %s", tt.lines, got, tt.want)
			}
			if got := ClientAddr(netip.MustParseAddr("192.0.2.99"), trust, header, tt.lines); got.String() != "192.0.2.99" {
				t.Errorf("%q: the untrusted 192.0.2.99 passed for %s", tt.lines, got)
			}
		})
	}
}

func TestXForwardedFor(t *testing.T) {
	lines := func(lines ...string) []string { return lines }
	runWalks(t, XForwardedFor, []walk{
		{"no header", nil, "10.0.0.1"},
		{"empty header", lines(""), "10.0.0.1"},
		{"one client", lines("192.0.2.7"), "192.0.2.7"},
		{"what the client wrote is not believed", lines("198.51.100.1, 192.0.2.7"), "192.0.2.7"},
		{"a trusted address that the client wrote is not believed", lines("10.9.9.9, 192.0.2.7"), "192.0.2.7"},
		{"a second trusted hop is passed over", lines("198.51.100.1, 192.0.2.7, 10.0.0.2"), "192.0.2.7"},
		{"trusted hops of both families", lines("192.0.2.7,fd00::2,10.0.0.2"), "192.0.2.7"},
		{"all hops trusted: the furthest", lines("10.0.0.9, 10.0.0.2"), "10.0.0.9"},
		{"lines are one list", lines("198.51.100.1", "192.0.2.7", "10.0.0.2"), "192.0.2.7"},
		{"a balancer that adds a line of its own", lines("10.9.9.9", "192.0.2.7"), "192.0.2.7"},
		{"no spaces, many spaces, tabs", lines("198.51.100.1,  \t192.0.2.7\t ,10.0.0.2"), "192.0.2.7"},
		{"RFC 9110 §5.6.1: empty elements", lines(", 192.0.2.7, ,, ", ""), "192.0.2.7"},
		{"port", lines("192.0.2.7:56324"), "192.0.2.7"},
		{"IPv6", lines("2001:db8::7"), "2001:db8::7"},
		{"IPv6 in brackets", lines("[2001:db8::7]"), "2001:db8::7"},
		{"IPv6 with port", lines("[2001:db8::7]:56324"), "2001:db8::7"},
		{"IPv6 in capitals and in full", lines("2001:0DB8:0:0:0:0:0:7"), "2001:db8::7"},
		{"mapped IPv4", lines("::ffff:192.0.2.7"), "192.0.2.7"},
		{"mapped IPv4 of a trusted hop", lines("192.0.2.7, [::ffff:10.0.0.2]:1"), "192.0.2.7"},
		{"malformed: the last good hop", lines("192.0.2.7, nonsense, 10.0.0.2"), "10.0.0.2"},
		{"malformed at once: the peer", lines("192.0.2.7, nonsense"), "10.0.0.1"},
		{"malformed beyond the client does not matter", lines("non\"sense, 192.0.2.7"), "192.0.2.7"},
		{"unknown", lines("192.0.2.7, unknown"), "10.0.0.1"},
		{"obfuscated", lines("192.0.2.7, _hidden, 10.0.0.3"), "10.0.0.3"},
		{"zone", lines("fe80::1%eth0"), "10.0.0.1"},
		{"zeros in front", lines("192.0.02.7"), "10.0.0.1"},
		{"three numbers", lines("192.0.2"), "10.0.0.1"},
		{"network", lines("192.0.2.0/24"), "10.0.0.1"},
		{"two addresses without a comma", lines("192.0.2.7 192.0.2.8"), "10.0.0.1"},
		{"port that is none", lines("192.0.2.7:http"), "10.0.0.1"},
		{"empty port", lines("192.0.2.7:"), "10.0.0.1"},
		{"port of six digits", lines("192.0.2.7:100000"), "10.0.0.1"},
		{"bracket not closed", lines("[2001:db8::7"), "10.0.0.1"},
		{"something behind the bracket", lines("[2001:db8::7]80"), "10.0.0.1"},
		{"IPv4 in brackets", lines("[192.0.2.7]"), "10.0.0.1"},
		{"empty brackets", lines("[]"), "10.0.0.1"},
		{"quotes have no place here", lines(`"192.0.2.7"`), "10.0.0.1"},
		{"Forwarded in the wrong header", lines("for=192.0.2.7"), "10.0.0.1"},
		{"a hundred hops", lines("192.0.2.7" + strings.Repeat(", 10.0.0.2", 99)), "192.0.2.7"},
		{"the hundred and first is not read", lines("192.0.2.7, 10.0.0.3" + strings.Repeat(", 10.0.0.2", 99)), "10.0.0.3"},
		{"a hundred empty elements", lines("192.0.2.7" + strings.Repeat(",", 100)), "10.0.0.1"},
	})
}

func TestForwarded(t *testing.T) {
	lines := func(lines ...string) []string { return lines }
	runWalks(t, Forwarded, []walk{
		{"no header", nil, "10.0.0.1"},
		{"empty header", lines(" "), "10.0.0.1"},
		{"RFC 7239 §4: IPv4", lines("for=192.0.2.7"), "192.0.2.7"},
		{"RFC 7239 §4: quoted IPv6 with port", lines(`For="[2001:db8::7]:4711"`), "2001:db8::7"},
		{"RFC 7239 §4: other pairs", lines("for=192.0.2.7;proto=https;by=203.0.113.43"), "192.0.2.7"},
		{"RFC 7239 §4: for= in the middle, any case", lines(`by=_x;FOR="192.0.2.7";host="a.example"`), "192.0.2.7"},
		{"RFC 7239 §4: several hops", lines("for=198.51.100.1, for=192.0.2.7;proto=https, for=10.0.0.2"), "192.0.2.7"},
		{"RFC 7239 §4: several lines", lines("for=198.51.100.1", "for=192.0.2.7", `for="[fd00::2]"`), "192.0.2.7"},
		{"RFC 7239 §4: empty pairs, spaces", lines("; for=192.0.2.7 ;; proto=http ;,"), "192.0.2.7"},
		{"quoted comma, semicolon and escapes", lines(`for=198.51.100.1, for=192.0.2.7;host="a,b;\"c\\"`), "192.0.2.7"},
		{"unquoted port", lines("for=192.0.2.7:80"), "192.0.2.7"},
		{"unquoted brackets", lines("for=[2001:db8::7]:80"), "2001:db8::7"},
		{"obfuscated port", lines(`for="192.0.2.7:_p-1"`), "192.0.2.7"},
		{"mapped IPv4", lines(`for="[::ffff:192.0.2.7]"`), "192.0.2.7"},
		{"RFC 7239 §6.2: unknown", lines("for=192.0.2.7, for=unknown, for=10.0.0.2"), "10.0.0.2"},
		{"RFC 7239 §6.3: obfuscated", lines(`for=192.0.2.7, for="_gazonk"`), "10.0.0.1"},
		{"RFC 7239 §6.3: obfuscated with port", lines(`for="_hidden:80"`), "10.0.0.1"},
		{"element without for=", lines("for=192.0.2.7, proto=https"), "10.0.0.1"},
		{"for= twice", lines("for=192.0.2.7;for=192.0.2.8"), "10.0.0.1"},
		{"for without a value", lines("for="), "10.0.0.1"},
		{"for without =", lines("for"), "10.0.0.1"},
		{"= without a name", lines("for=192.0.2.7;=x"), "10.0.0.1"},
		{"empty quotes", lines(`for=""`), "10.0.0.1"},
		{"space before =", lines("for =192.0.2.7"), "10.0.0.1"},
		{"space behind =", lines("for= 192.0.2.7"), "10.0.0.1"},
		{"two values", lines("for=192.0.2.7 192.0.2.8"), "10.0.0.1"},
		{"something behind the quotes", lines(`for="192.0.2.7"x`), "10.0.0.1"},
		{"escapes in an address", lines(`for="192.0.2.\7"`), "10.0.0.1"},
		{"closing quote is escaped", lines(`for=192.0.2.7;by="x\"`), "10.0.0.1"},
		{"obfuscated port of one byte", lines(`for="192.0.2.7:_"`), "10.0.0.1"},
		{"X-Forwarded-For in the wrong header", lines("192.0.2.7"), "10.0.0.1"},
		{"the client opens a quote before the balancer's element", lines(`for=198.51.100.1;by=", for="[2001:db8::7]"`), "2001:db8::7"},
		{"the client opens a quote and the balancer quotes twice", lines(`for=198.51.100.1;by=", for="[2001:db8::7]";host="a"`), "2001:db8::7"},
		{"the client ends in a backslash", lines(`for="198.51.100.1\, for="192.0.2.7"`), "192.0.2.7"},
		{"the client opens a quote before two trusted hops", lines(`for=198.51.100.1;by=", for=192.0.2.7, for="[fd00::2]"`), "192.0.2.7"},
		{"a quote that the trusted hop left open", lines(`for=192.0.2.7, for=10.0.0.2;by="`), "10.0.0.1"},
		{"a hundred hops", lines("for=192.0.2.7" + strings.Repeat(", for=10.0.0.2", 99)), "192.0.2.7"},
		{"the hundred and first is not read", lines("for=192.0.2.7, for=10.0.0.3" + strings.Repeat(", for=10.0.0.2", 99)), "10.0.0.3"},
	})
}

func TestClientAddrOfPeers(t *testing.T) {
	trust := trusting(t, "10.0.0.0/8", "fe80::/10")
	lines := []string{"192.0.2.7"}
	tests := []struct {
		name, peer, want string
		trust            Trust
		header           Header
	}{
		{"mapped peer is trusted as IPv4", "::ffff:10.0.0.1", "192.0.2.7", trust, XForwardedFor},
		{"mapped peer comes out unmapped", "::ffff:192.0.2.1", "192.0.2.1", trust, XForwardedFor},
		{"link-local peer is trusted whatever its zone", "fe80::1%eth0", "192.0.2.7", trust, XForwardedFor},
		{"nobody is trusted", "10.0.0.1", "10.0.0.1", Trust{}, XForwardedFor},
		{"no header is believed", "10.0.0.1", "10.0.0.1", trust, None},
		{"a header nobody reads", "10.0.0.1", "10.0.0.1", trust, "X-Real-IP"},
	}
	for _, tt := range tests {
		if got := ClientAddr(netip.MustParseAddr(tt.peer), tt.trust, tt.header, lines); got.String() != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := ClientAddr(netip.Addr{}, trust, XForwardedFor, lines); got.IsValid() {
		t.Errorf("a peer without an address passed for %s", got)
	}
}

func TestParseHeader(t *testing.T) {
	for name, want := range map[string]Header{"": None, "x-forwarded-for": XForwardedFor, "X-Forwarded-For": XForwardedFor, "FORWARDED": Forwarded} {
		if got, err := ParseHeader(name); got != want || err != nil {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	_, err := ParseHeader("X-Real-IP")
	if want := `"X-Real-IP" is not a header of which the hops are read; write X-Forwarded-For or Forwarded, whichever the load balancer adds to`; err == nil || err.Error() != want {
		t.Errorf("X-Real-IP: %v", err)
	}
}

func TestClientAddrAllocatesNothing(t *testing.T) {
	trust, peer := ourTrust(t), netip.MustParseAddr("10.0.0.1")
	for header, lines := range map[Header][]string{
		XForwardedFor: {"198.51.100.1, 2001:db8::7, 10.0.0.2"},
		Forwarded:     {`for=198.51.100.1`, `for="[2001:db8::7]:80";proto=https;host="a,b", for=10.0.0.2`},
	} {
		if allocs := testing.AllocsPerRun(100, func() { ClientAddr(peer, trust, header, lines) }); allocs != 0 {
			t.Errorf("%s: %v allocations", header, allocs)
		}
	}
}

// FuzzClientAddr: an untrusted peer is the client whatever stands in the header; a result that is not the peer is an address in the
// header; and what stands further left, on the same line or one before, never changes an untrusted result.
func FuzzClientAddr(f *testing.F) {
	for _, lines := range []string{
		"198.51.100.1, 192.0.2.7, 10.0.0.2", "10.0.0.9,,\n[2001:db8::7]:80 ,fd00::2", "::ffff:192.0.2.7:1", "1.2.3.4:_x",
		`for=198.51.100.1;by=", for="[2001:db8::7]";host="a,b\"\\"`, "for=_hidden, for=10.0.0.2\nFOR=\"10.0.0.3:80\"", `for="\`, `=";,`,
	} {
		f.Add(lines, `for=203.0.113.1;by="`, true)
		f.Add(lines, "203.0.113.1", false)
	}
	trust := ourTrust(f)
	f.Fuzz(func(t *testing.T, text, forged string, forwarded bool) {
		header := XForwardedFor
		if forwarded {
			header = Forwarded
		}
		lines := strings.Split(text, "\n")
		stranger, balancer := netip.MustParseAddr("192.0.2.99"), netip.MustParseAddr("10.0.0.1")
		if got := ClientAddr(stranger, trust, header, lines); got != stranger {
			t.Fatalf("%q: the untrusted %s passed for %s", lines, stranger, got)
		}
		got := ClientAddr(balancer, trust, header, lines)
		if got != balancer && !mentions(text, got) {
			t.Fatalf("%q: %s stands nowhere in it", lines, got)
		}
		if trust.Contains(got) {
			return
		}
		if other := ClientAddr(balancer, trust, header, append([]string{forged}, lines...)); other != got {
			t.Fatalf("%q: %s, but behind the line %q %s", lines, got, forged, other)
		}
		lines[0] = forged + ", " + lines[0]
		if other := ClientAddr(balancer, trust, header, lines); other != got {
			t.Fatalf("%q: %s, without what was forged %s", lines, other, got)
		}
	})
}

// mentions reports whether the text contains the address in some spelling, with or without a port.
func mentions(text string, addr netip.Addr) bool {
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF:.", c) }) {
		host := word
		if i := strings.LastIndexByte(word, ':'); i >= 0 {
			host = word[:i]
		}
		for _, spelling := range []string{word, host} {
			if a, err := netip.ParseAddr(spelling); err == nil && a.Unmap() == addr {
				return true
			}
		}
	}
	return false
}

// BenchmarkClientAddr: one hop as a balancer writes it, and headers of 8 KiB that are all work.
func BenchmarkClientAddr(b *testing.B) {
	trust, peer := ourTrust(b), netip.MustParseAddr("10.0.0.1")
	for i, bb := range []struct {
		name   string
		header Header
		line   string
	}{
		{"one hop", XForwardedFor, "192.0.2.7"},
		{"one hop", Forwarded, `for="[2001:db8::7]:80";proto=https`},
		{"commas", XForwardedFor, strings.Repeat(",", 8192)},
		{"trusted hops", XForwardedFor, strings.Repeat("10.0.0.2,", 8192/9)},
		{"backslashes", Forwarded, `for=10.0.0.2;x="` + strings.Repeat(`\\`, 4080) + `"`},
		{"escaped quotes", Forwarded, `for=10.0.0.2;x="` + strings.Repeat(`\"`, 4080) + `"`},
		{"quotes", Forwarded, strings.Repeat(`"`, 8192)},
		{"pairs", Forwarded, strings.Repeat("x=y;", 2048)},
	} {
		b.Run(fmt.Sprintf("%d/%s/%s", i, bb.header, bb.name), func(b *testing.B) {
			lines := []string{bb.line}
			b.ReportAllocs()
			for b.Loop() {
				ClientAddr(peer, trust, bb.header, lines)
			}
		})
	}
}
