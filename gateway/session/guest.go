package session

import (
	"errors"
	"net/url"
	"sync"

	"sluice/codec"
	"sluice/gateway/auth"
	"sluice/gateway/peer"
	"sluice/loop"
)

// guest is who is connected, whatever they speak. It is counted from admit until
// goodbye.
type guest struct {
	who      *auth.Identity // nil: anonymous
	mate     *mate          // nil: not enlisted
	sent     uint32         // inbox entries with ids of our own so far
	reported bool           // to the inbox, as connected
	gaps     bool           // it has asked to be told when messages may have been missed
}

// self is the guest of a dialect, which has it in itself.
func (g *guest) self() *guest { return g }

// user is the authenticated user's name, "" for anonymous.
func (g *guest) user() string {
	if g.who == nil {
		return ""
	}
	return g.who.User
}

// arrival is a guest at the door, and what was agreed on with it.
type arrival struct {
	guest
	query      url.Values
	upgrade    codec.Upgrade
	protocol   string
	extensions string
}

// expired stands for whoever shows a cookie that has expired, and may show a better token later.
var expired = new(auth.Identity)

// arrive is admit for a dialect whose clients may show their token after the handshake:
// until then they are counted as nobody, and a.who is who they are if they show none.
func (h *Handler) arrive(c *loop.Conn, r *codec.Request) (a arrival, ok bool) {
	refusal := h.check(c, r, &a)
	if refusal == errOldCookie {
		a.who = expired
	}
	if refusal == errToken || refusal == errOldCookie {
		refusal = h.node.InForce().checkOrigin(a.upgrade.Origin, false)
	}
	if refusal == nil {
		refusal = h.node.welcome(c, &guest{})
	}
	if refusal != nil {
		c.Refuse(refusal)
	}
	return a, refusal == nil
}

// admit makes the checks that all dialects have in common, in the order of their
// cost. Who passes is counted; who does not has been refused.
func (h *Handler) admit(c *loop.Conn, r *codec.Request) (a arrival, ok bool) {
	refusal := h.check(c, r, &a)
	if refusal == nil {
		refusal = h.node.welcome(c, &a.guest)
	}
	if refusal != nil {
		c.Refuse(refusal)
	}
	return a, refusal == nil
}

func (h *Handler) check(c *loop.Conn, r *codec.Request, a *arrival) *codec.HTTPError {
	var err error
	if a.upgrade, err = r.Upgrade(); err != nil {
		return asRefusal(err)
	}
	p := h.node.InForce()
	a.protocol, a.extensions = p.protocol(a.upgrade.Protocols), p.extensions(a.upgrade.Extensions, r)
	source, refusal := h.examine(c, r, a)
	if refusal != nil {
		return refusal
	}
	return p.checkOrigin(a.upgrade.Origin, source.Ambient())
}

// examine finds out where a request comes from, what it asks for, and who asks.
func (h *Handler) examine(c *loop.Conn, r *codec.Request, a *arrival) (source auth.Source, refusal *codec.HTTPError) {
	var err error
	if a.query, err = url.ParseQuery(r.RawQuery); err != nil {
		return source, errQuery
	}
	p := h.node.InForce()
	c.SetRemote(peer.ClientAddr(c.Remote().Addr(), p.Trust, p.Header, r.Values(string(p.Header))))
	a.who, source, refusal = p.identify(r, a.upgrade.Protocols, a.query)
	return source, refusal
}

// identify finds out who asks. nil is an anonymous client that may be one.
func (p *Policy) identify(r *codec.Request, protocols []string, query url.Values) (*auth.Identity, auth.Source, *codec.HTTPError) {
	if p.Tokens == nil {
		if p.Anonymous {
			return nil, auth.FromNowhere, nil
		}
		return nil, auth.FromNowhere, errToken
	}
	token, source, err := p.Tokens.Token(auth.Request{
		Authorization: r.Values("Authorization"), Protocols: protocols, Query: query["token"], Cookies: r.Values("Cookie"),
	})
	if err == nil {
		var who *auth.Identity
		if who, err = p.Tokens.Verify(token); err == nil {
			return who, source, nil
		}
	}
	if errors.Is(err, auth.ErrNoToken) {
		if p.Anonymous {
			return nil, auth.FromNowhere, nil
		}
		return nil, auth.FromNowhere, errToken
	}
	if why := (*auth.Error)(nil); source.Ambient() && errors.As(err, &why) && why.Code == auth.CodeExpired {
		return nil, source, errOldCookie
	}
	return nil, source, &codec.HTTPError{Status: 401, Reason: err.Error()} // a constant of package auth
}

func asRefusal(err error) *codec.HTTPError {
	var refusal *codec.HTTPError
	if errors.As(err, &refusal) {
		return refusal
	}
	return &codec.HTTPError{Status: 400, Reason: "bad request"}
}

// crowd counts the connections of addresses and users, over all reactors.
type crowd struct {
	addresses peer.Counter

	mu    sync.Mutex
	users map[string]int // guarded by mu
}

// welcome counts a guest in, unless there are too many of its kind.
func (n *Node) welcome(c *loop.Conn, g *guest) *codec.HTTPError {
	if most := n.InForce().PerAddress; most > 0 {
		if n.crowd.addresses.Add(c.Remote().Addr()) > most {
			n.crowd.addresses.Done(c.Remote().Addr())
			return errAddress
		}
	}
	refusal := n.name(g.who)
	if refusal != nil && n.InForce().PerAddress > 0 {
		n.crowd.addresses.Done(c.Remote().Addr())
	}
	return refusal
}

// name counts one more connection of a user, nil for anonymous, unless there are too many.
func (n *Node) name(who *auth.Identity) *codec.HTTPError {
	if n.InForce().PerUser == 0 || who == nil {
		return nil
	}
	n.crowd.mu.Lock()
	defer n.crowd.mu.Unlock()
	if n.crowd.users[who.User] >= n.InForce().PerUser {
		return errUser
	}
	if n.crowd.users == nil {
		n.crowd.users = map[string]int{}
	}
	n.crowd.users[who.User]++
	return nil
}

// goodbye counts a guest out.
func (n *Node) goodbye(c *loop.Conn, g *guest) {
	if n.InForce().PerAddress > 0 {
		n.crowd.addresses.Done(c.Remote().Addr())
	}
	if n.InForce().PerUser == 0 || g.who == nil {
		return
	}
	n.crowd.mu.Lock()
	defer n.crowd.mu.Unlock()
	if n.crowd.users[g.who.User]--; n.crowd.users[g.who.User] == 0 {
		delete(n.crowd.users, g.who.User)
	}
}
