package config

import "testing"

func TestValidateProxies(t *testing.T) {
	from := func(networks ...string) func(*Config) {
		return func(c *Config) { c.Proxy.Protocol, c.Proxy.From = ProxyAny, networks }
	}
	testValidate(t, []validation{
		{"networks", from("10.0.0.0/8", "fd00::/8", "192.0.2.7", "::1", "0.0.0.0/1", "::ffff:10.0.0.0/104"), ""},
		{"protocol without networks", from(), "proxy.protocol: any without proxy.from would let anybody claim any address"},
		{"protocol that is not known", func(c *Config) { c.Proxy.Protocol, c.Proxy.From = "v3", []string{"::1"} }, `proxy.protocol: "v3" is not one of off, v1, v2, any`},
		{"a name", from("lb.example"), `proxy.from: "lb.example" is not a network`},
		{"a host and port", from("10.0.0.1:80"), `proxy.from: "10.0.0.1:80" is not a network`},
		{"an interface", from("fe80::1%eth0"), `proxy.from: "fe80::1%eth0" is not a network`},
		{"bits beyond the mask", from("10.1.2.3/8"), `proxy.from: "10.1.2.3/8" has address bits beyond its /8; write 10.0.0.0/8 for the network, or 10.1.2.3 for the one host`},
		{"headers of everybody", from("10.0.0.0/8", "0.0.0.0/0"), "proxy.from: 0.0.0.0/0 is everybody: whoever reaches listen directly could claim any address"},
		{"headers of everybody by version 6", from("::/0"), "proxy.from: ::/0 is everybody"},
		{"headers of everybody, mapped", from("::ffff:0.0.0.0/96"), "proxy.from: ::ffff:0.0.0.0/96 is everybody"},
		{"everybody while the protocol is off", func(c *Config) { c.Proxy.From = []string{"0.0.0.0/0"} }, "proxy.from: 0.0.0.0/0 is everybody"},
		{"trusting everybody", func(c *Config) { c.Proxy.Trust = []string{"0.0.0.0/0"} }, "proxy.trust: 0.0.0.0/0 is everybody"},
		{"trust", func(c *Config) { c.Proxy.Trust = []string{"10.0.0.0/8"} }, ""},
		{"trust in a name", func(c *Config) { c.Proxy.Trust = []string{"10.0.0.0/33"} }, `proxy.trust: "10.0.0.0/33" is not a network`},
		{"header", func(c *Config) { c.Proxy.Header = "x-real-ip" }, `proxy.header: "x-real-ip" is not one of x-forwarded-for, forwarded`},
	})
}

func TestWarningsOfProxies(t *testing.T) {
	testWarnings(t, []warning{
		{"trusting a network", func(c *Config) { c.Proxy.Trust = []string{"10.0.0.0/8", "::1"} }, nil},
		{"networks without protocol", func(c *Config) { c.Proxy.From = []string{"10.0.0.0/8"} }, []string{"proxy.from: does nothing while proxy.protocol is off"}},
	})
}
