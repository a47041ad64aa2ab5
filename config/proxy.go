package config

import (
	"fmt"
	"net/netip"
)

// Proxy is what stands between the clients and the node, and who is believed about a client's address.
type Proxy struct {
	Protocol string   `yaml:"protocol" oneof:"off|v1|v2|any" help:"Version of the PROXY protocol header that connections from proxy.from begin with; one that begins otherwise is closed"`
	From     []string `yaml:"from" help:"Networks, like 10.0.0.0/8, whose connections must begin with a PROXY header; the header of anybody else is refused; needed unless proxy.protocol is off"`
	Trust    []string `live:"yes" yaml:"trust" help:"Networks of the HTTP proxies that are believed about a client's address in proxy.header; empty believes none"`
	Header   string   `live:"yes" yaml:"header" oneof:"x-forwarded-for|forwarded" help:"The request header in which the proxies of proxy.trust name the client"`
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

// parseNetwork reads a network like 10.0.0.0/8, or one address, which is a network of its own.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network; write one like 10.0.0.0/8, fd00::/8 or 192.0.2.7", text)
	}
	if whole := network.Masked(); whole != network {
		return netip.Prefix{}, fmt.Errorf("%q has address bits beyond its /%d; write %s for the network, or %s for the one host",
			text, network.Bits(), whole, network.Addr())
	}
	return network, nil
}

func (v *validator) proxy() {
	proxy := &v.config.Proxy
	v.networks("proxy.from", proxy.From)
	v.networks("proxy.trust", proxy.Trust)
	if proxy.Protocol != ProxyOff && len(proxy.From) == 0 && !v.broken["proxy.from"] {
		v.fault("proxy.protocol", fmt.Errorf("%s without proxy.from would let anybody claim any address; list the networks of the load balancers there",
			proxy.Protocol))
	}
}

func (v *validator) networks(key string, networks []string) {
	for _, text := range networks {
		network, err := parseNetwork(text)
		if err == nil && isEveryone(network) {
			err = fmt.Errorf("%s is everybody: whoever reaches %s directly could claim any address; list only the networks of the load balancers",
				text, v.config.typed("listen"))
		}
		v.fault(key, err)
	}
}

// isEveryone reports whether a network is the whole Internet of its version.
func isEveryone(network netip.Prefix) bool {
	return network.Bits() == 0 || network.Addr().Is4In6() && network.Bits() <= 96
}

// warnProxies speaks of proxy settings that do nothing.
func (c *Config) warnProxies(warn func(format string, args ...any)) {
	if c.Proxy.Protocol == ProxyOff && len(c.Proxy.From) > 0 {
		warn("%s: does nothing while %s is off", c.typed("proxy.from"), c.typed("proxy.protocol"))
	}
}
