package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Namespace is what holds for the channels whose name begins with Name and a colon.
type Namespace struct {
	Name      string      `yaml:"name" help:"What stands before the first colon of the channels: chat rules chat:1 and chat:1:typing; empty rules what no other item does"`
	Subscribe Access      `yaml:"subscribe" oneof:"|anyone|authenticated|user|claim|nobody" help:"Who may subscribe: anyone; authenticated, who has a token; user, whose id is the channel's last part, as 42 is of inbox:42; claim, whose token allows it by name; nobody; left out it is anyone with anonymous or dev, else authenticated"`
	Publish   Access      `yaml:"publish" oneof:"|anyone|authenticated|user|claim|nobody" help:"Who may send to the inbox through these channels, in the words of subscribe"`
	Policy    QueuePolicy `yaml:"policy" oneof:"|disconnect|drop|latest" help:"What becomes of a message when a client's queue is full; left out it is queue.policy"`
	Inbox     string      `yaml:"inbox" help:"Name of the Redis Stream that gets what clients send through these channels; left out it is inbox.stream, where connections are reported in any case"`
	Deflate   *bool       `yaml:"deflate" help:"Whether messages are compressed for clients that offer it; left out it is deflate.enabled"`

	Durable     *bool         `yaml:"durable" help:"Whether clients may resume the channels from a position, because services publish on them with sluice_publish; it has Redis keep some bytes for each channel that a client resumes; left out it is true with dev, else false"`
	LastValue   bool          `yaml:"last_value" help:"Of a durable channel only the newest message counts: who subscribes is sent it at once, and who comes back is sent it in place of all that were missed"`
	HistorySize int           `yaml:"history_size" range:"0..100000" help:"Messages that the log of a durable channel keeps of what this node publishes for others; 0 means 1000; what services publish says for itself"`
	HistoryTTL  time.Duration `yaml:"history_ttl" range:"0s..8784h" help:"How long the log of a durable channel is kept after the newest message that this node publishes for others; 0 means 24h"`

	Presence    bool   `yaml:"presence" help:"Keeps in Redis who is subscribed to each channel, for sluice_presence and for the clients that see_presence lets see it"`
	SeePresence Access `yaml:"see_presence" oneof:"|anyone|authenticated|user|claim|nobody" help:"Which clients may see who is subscribed, in the words of subscribe; left out it is claim: whose token allows it by name, under presence"`
	JoinLeave   bool   `yaml:"join_leave" help:"Tells the subscribers, in dialects that can say so, who comes and goes, by user, connection and what its token says in info; all subscribers are told, whatever see_presence says; needs presence"`

	Relay bool `yaml:"relay" help:"Has what clients send through these channels go to their subscribers at once, as a service would publish it, and not to the inbox"`
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
// the one with the empty name. Nothing is left out in it: its Access fields, Policy and Inbox are set, its Deflate and Durable
// are not nil and may point into c, read only. It allocates nothing, and takes a time that grows with the number of namespaces.
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
	if rules.SeePresence == "" {
		rules.SeePresence = AccessClaim
	}
	if rules.Policy == "" {
		rules.Policy = c.Queue.Policy
	}
	if rules.Inbox == "" {
		rules.Inbox = c.Inbox.Stream
	}
	if rules.Deflate == nil {
		rules.Deflate = &c.Deflate.Enabled
	}
	if rules.Durable == nil {
		rules.Durable = &c.Dev
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
		if !n.Presence && (n.JoinLeave || n.SeePresence != "") {
			v.fault(path, errors.New("join_leave and see_presence mean nothing without presence: true"))
		}
		if durable := n.Durable != nil && *n.Durable || n.Durable == nil && v.config.Dev; n.LastValue && !durable {
			v.fault(path+".last_value", errors.New("means nothing without durable: true"))
		}
		if n.JoinLeave && (n.Policy == QueueLatest || n.Policy == "" && v.config.Queue.Policy == QueueLatest) {
			v.fault(path+".join_leave", errors.New("needs another policy than latest: who comes and goes would take the place of the newest message"))
		}
		if other, taken := first[n.Name]; taken {
			v.fault(path+".name", fmt.Errorf("%q is already the name of %s; keep one", n.Name, v.config.typed(other)))
		} else {
			first[n.Name] = path
		}
	}
}
