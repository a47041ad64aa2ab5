package peer

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func trusting(t testing.TB, cidrs ...string) Trust {
	t.Helper()
	trust, err := ParseTrust(cidrs)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestTrustContains(t *testing.T) {
	tests := []struct {
		cidrs string // comma-separated
		in    []string
		out   []string
	}{
		{"", nil, []string{"127.0.0.1", "::1", "0.0.0.0", "::"}},
		{"192.0.2.7", []string{"192.0.2.7", "::ffff:192.0.2.7"}, []string{"192.0.2.6", "192.0.2.8", "::c000:207"}},
		{"10.0.0.0/8", []string{"10.0.0.0", "10.1.2.3", "10.255.255.255", "::ffff:10.1.2.3"}, []string{"9.255.255.255", "11.0.0.0", "::10.1.2.3", "a00::"}},
		{"fd00::/8", []string{"fd00::", "fdff::1", "fd00::1%eth0"}, []string{"fc00::", "fe00::", "253.0.0.1"}},
		{"fe80::1", []string{"fe80::1", "fe80::1%eth0"}, []string{"fe80::2"}},
		{"::ffff:10.0.0.0/104", []string{"10.1.2.3"}, []string{"11.0.0.0"}},
		{"::ffff:10.0.0.1", []string{"10.0.0.1", "::ffff:10.0.0.1"}, []string{"10.0.0.2"}},
		{"0.0.0.0/0", []string{"0.0.0.0", "255.255.255.255"}, []string{"::", "::1"}},
		{"::/0", []string{"::", "ffff::"}, []string{"0.0.0.0", "::ffff:1.2.3.4"}},
		{"10.1.0.0/16,10.0.0.0/8,10.2.0.0/16,192.168.0.0/16,10.0.0.0/8", []string{"10.1.2.3", "10.2.0.0", "10.99.0.1", "192.168.1.1"}, []string{"11.0.0.1", "192.169.0.0", "172.16.0.1"}},
	}
	for _, tt := range tests {
		var cidrs []string
		if tt.cidrs != "" {
			cidrs = strings.Split(tt.cidrs, ",")
		}
		trust := trusting(t, cidrs...)
		for _, addr := range tt.in {
			if !trust.Contains(netip.MustParseAddr(addr)) {
				t.Errorf("%q does not contain %s", tt.cidrs, addr)
			}
		}
		for _, addr := range tt.out {
			if trust.Contains(netip.MustParseAddr(addr)) {
				t.Errorf("%q contains %s", tt.cidrs, addr)
			}
		}
		if trust.Contains(netip.Addr{}) {
			t.Errorf("%q contains no address at all", tt.cidrs)
		}
	}
}

// The sorted networks answer as asking each one does.
func TestTrustContainsWhatItsNetworksContain(t *testing.T) {
	// Few distinct bits, so that networks nest and touch, and addresses hit.
	addr := rapid.Custom(func(r *rapid.T) netip.Addr {
		b := [16]byte{0xfd}
		b[1] = byte(rapid.IntRange(0, 3).Draw(r, "high")) << 6
		b[15] = byte(rapid.IntRange(0, 3).Draw(r, "low"))
		if rapid.Bool().Draw(r, "v4") {
			return netip.AddrFrom4([4]byte{b[0], b[1], 0, b[15]})
		}
		return netip.AddrFrom16(b)
	})
	rapid.Check(t, func(r *rapid.T) {
		var cidrs []string
		var networks []netip.Prefix
		for range rapid.IntRange(0, 6).Draw(r, "networks") {
			a := addr.Draw(r, "network")
			p := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(r, "bits")).Masked()
			networks = append(networks, p)
			cidrs = append(cidrs, p.String())
		}
		trust, err := ParseTrust(cidrs)
		if err != nil {
			r.Fatal(err)
		}
		for range 8 {
			a := addr.Draw(r, "address")
			want := false
			for _, p := range networks {
				want = want || p.Contains(a)
			}
			if trust.Contains(a) != want {
				r.Fatalf("%q contains %s: %v", cidrs, a, !want)
			}
		}
	})
}

func TestParseTrustNamesAllFaults(t *testing.T) {
	trust, err := ParseTrust([]string{"10.0.0.0/8", "10.0.0.1/8", "lb.example", "300.0.0.1", "10.0.0.0/33", "fe80::1%eth0", "fe80::%eth0/10", "10.0.0.0/08", "", "::ffff:10.0.0.0/80"})
	if err == nil || len(trust.networks) != 0 {
		t.Fatalf("%+v, %v", trust, err)
	}
	want := `"10.0.0.1/8" has address bits beyond its /8; write 10.0.0.0/8 for the network, or 10.0.0.1 for the one host
"lb.example" is neither an IP address nor a network; write it like 192.0.2.7, 10.0.0.0/8 or fd00::/8
"300.0.0.1" is neither an IP address nor a network; write it like 192.0.2.7, 10.0.0.0/8 or fd00::/8
"10.0.0.0/33" is not a network in CIDR notation; write it like 10.0.0.0/8 or fd00::/8
"fe80::1%eth0" is neither an IP address nor a network; write it like 192.0.2.7, 10.0.0.0/8 or fd00::/8
"fe80::%eth0/10" is not a network in CIDR notation; write it like 10.0.0.0/8 or fd00::/8
"10.0.0.0/08" is not a network in CIDR notation; write it like 10.0.0.0/8 or fd00::/8
"" is neither an IP address nor a network; write it like 192.0.2.7, 10.0.0.0/8 or fd00::/8
"::ffff:10.0.0.0/80" has address bits beyond its /80; write ::/80 for the network, or ::ffff:10.0.0.0 for the one host`
	if err.Error() != want {
		t.Errorf("faults:\n%v\nwant:\n%s", err, want)
	}
}
