package config

import (
	"fmt"
	"regexp"
	"strings"
)

// Namespace is what holds for the channels whose name begins with Name and a colon.
type Namespace struct {
	Name      string      `yaml:"name" help:"What stands before the first colon of the channels: chat rules chat:1 and chat:1:typing; empty rules what no other item does"`
	Subscribe Access      `yaml:"subscribe" oneof:"|anyone|authenticated|user|claim|nobody" help:"Who may subscribe: anyone; authenticated, who has a token; user, whose id is the channel's last part, as 42 is of inbox:42; claim, whose token allows it by name; nobody; left out it is anyone with anonymous or dev, else authenticated"`
	Publish   Access      `yaml:"publish" oneof:"|anyone|authenticated|user|claim|nobody" help:"Who may send to the inbox through these channels, in the words of subscribe"`
	Policy    QueuePolicy `yaml:"policy" oneof:"|disconnect|drop|latest" help:"What becomes of a message when a client's queue is full; left out it is queue.policy"`
	Deflate   *bool       `yaml:"deflate" help:"Whether messages are compressed for clients that offer it; left out it is deflate.enabled"`
}

// Access says who may do something with a channel.
type Access string

// The kinds of access.
const (
	AccessAnyone        Access = "anyone"
	AccessAuthenticated Access = "authenticated" // who has shown a valid token
	AccessUser          Access = "user"          // whose user id is the channel's last part
	AccessClaim         Access = "claim"         // whose token allows it by name
	AccessNobody        Access = "nobody"
)

// Namespace returns what holds for a channel (its name without the prefix): the namespace before its first colon, or
// the one with the empty name. Nothing is left out in it: its Access and Policy are set, its Deflate is not nil and
// may point into c, read only. It allocates nothing, and takes a time that grows with the number of namespaces.
func (c *Config) Namespace(channel string) Namespace {
	name, _, ok := strings.Cut(channel, ":")
	if !ok {
		name = ""
	}
	var rules Namespace
	for i := range c.Namespaces {
		if n := &c.Namespaces[i]; n.Name == name {
			rules = *n
			break
		} else if n.Name == "" {
			rules = *n
		}
	}
	access := AccessAuthenticated
	if c.Anonymous || c.Dev {
		access = AccessAnyone
	}
	if rules.Subscribe == "" {
		rules.Subscribe = access
	}
	if rules.Publish == "" {
		rules.Publish = access
	}
	if rules.Policy == "" {
		rules.Policy = c.Queue.Policy
	}
	if rules.Deflate == nil {
		rules.Deflate = &c.Deflate.Enabled
	}
	return rules
}

var namespaceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,64}$`)

func (v *validator) namespaces() {
	first := map[string]string{} // by name, the path of the item that has it
	for i, n := range v.config.Namespaces {
		path := itemPath("namespaces", i)
		if v.broken[path] {
			continue
		}
		if !namespaceName.MatchString(n.Name) {
			v.fault(path+".name", fmt.Errorf("%q is not 0 to 64 of A-Z a-z 0-9 _ . -; it is written without the colon", n.Name))
		}
		if other, taken := first[n.Name]; taken {
			v.fault(path+".name", fmt.Errorf("%q is already the name of %s; keep one", n.Name, v.config.typed(other)))
		} else {
			first[n.Name] = path
		}
	}
}
