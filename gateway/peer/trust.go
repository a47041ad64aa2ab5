package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Trust is the networks whose hosts are believed about whom they speak for. The zero value trusts nobody.
type Trust struct {
	networks []netip.Prefix // sorted, none within another, IPv4 as IPv4
}

// ParseTrust reads addresses and networks in CIDR notation, like 10.0.0.0/8, 192.0.2.7 and fd00::/8. Its error joins the faults of all of them, each
// naming the text it is about and what to write.
func ParseTrust(cidrs []string) (Trust, error) {
	var networks []netip.Prefix
	var faults []error
	for _, text := range cidrs {
		network, err := parseNetwork(text)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		networks = append(networks, network)
	}
	if len(faults) > 0 {
		return Trust{}, errors.Join(faults...)
	}
	// A network comes right before those within it.
	slices.SortFunc(networks, netip.Prefix.Compare)
	var t Trust
	for _, network := range networks {
		if last := len(t.networks) - 1; last < 0 || !t.networks[last].Contains(network.Addr()) {
			t.networks = append(t.networks, network)
		}
	}
	return t, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is neither an IP address nor a network; write it like 192.0.2.7, 10.0.0.0/8 or fd00::/8", text)
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network in CIDR notation; write it like 10.0.0.0/8 or fd00::/8", text)
	}
	if whole := network.Masked(); whole != network {
		return netip.Prefix{}, fmt.Errorf("%q has address bits beyond its /%d; write %s for the network, or %s for the one host", text, network.Bits(), whole, network.Addr())
	}
	if addr := network.Addr(); addr.Is4In6() {
		// Bits below 96 would be cut off with the mapping's own prefix, and Masked has refused those.
		network = netip.PrefixFrom(addr.Unmap(), network.Bits()-96)
	}
	return network, nil
}

// Contains reports whether addr is trusted. An IPv4-mapped address counts as IPv4; a zone does not matter.
func (t Trust) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	// The network that could contain it is the last that does not begin behind it.
	i, exact := slices.BinarySearchFunc(t.networks, addr, func(network netip.Prefix, addr netip.Addr) int {
		return network.Addr().Compare(addr)
	})
	return exact || i > 0 && t.networks[i-1].Contains(addr)
}
