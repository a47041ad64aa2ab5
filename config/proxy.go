package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Proxy is what stands between the clients and the node, and who is believed about a client's address.
type Proxy struct {
	Protocol string         `yaml:"protocol" oneof:"off|v1|v2|any" help:"Version of the PROXY protocol header that connections from proxy.from begin with; one that begins otherwise is closed"`
	From     []netip.Prefix `yaml:"from" help:"Networks, like 10.0.0.0/8, whose connections must begin with a PROXY header; the header of anybody else is refused; needed unless proxy.protocol is off"`
	Trust    []netip.Prefix `yaml:"trust" help:"Networks of the HTTP proxies that are believed about a client's address in proxy.header; empty believes none"`
	Header   string         `yaml:"header" oneof:"x-forwarded-for|forwarded" help:"The request header in which the proxies of proxy.trust name the client"`
}

// The values of Proxy.Protocol and Proxy.Header.
const (
	ProxyOff = "off"
	ProxyV1  = "v1"
	ProxyV2  = "v2"
	ProxyAny = "any" // v1 or v2

	ForwardedFor = "x-forwarded-for"
	Forwarded    = "forwarded" // RFC 7239
)

// parsePrefix reads a network as 10.0.0.0/8, or one address, which is a network of its own.
func parsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if address, addressErr := netip.ParseAddr(text); addressErr == nil && address.Zone() == "" {
		prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network; write one like 10.0.0.0/8, fd00::/8 or 192.0.2.7", text)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is IPv4 in IPv6's clothes and matches nothing; write the IPv4 network", text)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its mask; write %s", text, prefix.Masked())
	}
	return prefix, nil
}

// formatPrefix is what parsePrefix reads; one address is written without its mask.
func formatPrefix(prefix netip.Prefix) string {
	if prefix.IsSingleIP() {
		return prefix.Addr().String()
	}
	return prefix.String()
}

func (v *validator) proxy() {
	proxy := &v.config.Proxy
	v.prefixes("proxy.from", proxy.From)
	v.prefixes("proxy.trust", proxy.Trust)
	if proxy.Protocol != ProxyOff && len(proxy.From) == 0 && !v.broken["proxy.from"] {
		v.fault("proxy.protocol", errors.New("anybody could claim any address; list the networks of the load balancers in proxy.from"))
	}
}

// prefixes judges networks that were not read from text.
func (v *validator) prefixes(key string, prefixes []netip.Prefix) {
	for _, prefix := range prefixes {
		if !prefix.IsValid() {
			v.fault(key, errors.New("holds a network that is none"))
		} else if _, err := parsePrefix(prefix.String()); err != nil {
			v.fault(key, err)
		}
	}
}

// warnProxies speaks of proxy settings that let clients choose their address, or do nothing.
func (c *Config) warnProxies(warn func(format string, args ...any)) {
	for _, list := range []struct {
		key      string
		networks []netip.Prefix
	}{{"proxy.from", c.Proxy.From}, {"proxy.trust", c.Proxy.Trust}} {
		if all := everyone(list.networks); all != "" {
			warn("%s: %s is everybody: whoever reaches %s directly can claim any address; list only the load balancers",
				c.typed(list.key), all, c.typed("listen"))
		}
	}
	if c.Proxy.Protocol == ProxyOff && len(c.Proxy.From) > 0 {
		warn("%s: does nothing while %s is off", c.typed("proxy.from"), c.typed("proxy.protocol"))
	}
}

// everyone returns the networks in the list that are the whole Internet of their version, as text.
func everyone(networks []netip.Prefix) string {
	var all []string
	for _, network := range networks {
		if network.Bits() == 0 {
			all = append(all, network.String())
		}
	}
	return strings.Join(all, " and ")
}
