package config

import (
	"fmt"
	"testing"
)

func TestNamespace(t *testing.T) {
	yes := true
	listed := func(c *Config) {
		c.Namespaces = []Namespace{
			{Name: "inbox", Subscribe: AccessUser, Publish: AccessNobody, Policy: QueueLatest, Deflate: &yes},
			{Name: "", Subscribe: AccessClaim, Policy: QueueDrop},
			{Name: "chat"},
		}
	}
	tests := []struct {
		name    string
		change  func(*Config)
		channel string
		want    string // name, subscribe, publish, policy, deflate
	}{
		{"default", func(*Config) {}, "news", " authenticated authenticated disconnect false"},
		{"default with anonymous", func(c *Config) { c.Anonymous = true }, "news", " anyone anyone disconnect false"},
		{"default with dev", func(c *Config) { c.Dev = true }, "chat:1", " anyone anyone disconnect false"},
		{"listed", listed, "inbox:42", "inbox user nobody latest true"},
		{"listed and more colons", listed, "inbox:eu:42", "inbox user nobody latest true"},
		{"listed, nothing after the colon", listed, "inbox:", "inbox user nobody latest true"},
		{"a listed name without colon is in no namespace", listed, "inbox", " claim authenticated drop false"},
		{"names are compared whole", listed, "inbox2:42", " claim authenticated drop false"},
		{"names are compared exactly", listed, "Inbox:42", " claim authenticated drop false"},
		{"unlisted", listed, "news:1", " claim authenticated drop false"},
		{"empty before the colon", listed, ":inbox", " claim authenticated drop false"},
		{"nothing", listed, "", " claim authenticated drop false"},
		{"listed, everything left out", listed, "chat:1", "chat authenticated authenticated disconnect false"},
		{"left out is inherited", func(c *Config) { listed(c); c.Queue.Policy, c.Deflate.Enabled = QueueLatest, true }, "chat:1",
			"chat authenticated authenticated latest true"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Default()
			test.change(&c)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			n := c.Namespace(test.channel)
			if got := fmt.Sprintf("%s %s %s %s %t", n.Name, n.Subscribe, n.Publish, n.Policy, *n.Deflate); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func manyNamespaces(n int) *Config {
	c := Default()
	for i := range n {
		c.Namespaces = append(c.Namespaces, Namespace{Name: fmt.Sprintf("namespace-%d", i)})
	}
	return &c
}

func TestNamespaceAllocatesNothing(t *testing.T) {
	c := manyNamespaces(10)
	var n Namespace
	if allocs := testing.AllocsPerRun(100, func() { n = c.Namespace("namespace-9:42") }); allocs != 0 || n.Name != "namespace-9" {
		t.Errorf("%g allocations for %q", allocs, n.Name)
	}
}

func BenchmarkNamespace(b *testing.B) {
	for _, n := range []int{0, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := manyNamespaces(n)
			b.ReportAllocs()
			for b.Loop() {
				c.Namespace("namespace-99:42")
			}
		})
	}
}
