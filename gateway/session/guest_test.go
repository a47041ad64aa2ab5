package session

import (
	"errors"
	"net/netip"
	"net/url"
	"runtime"
	"sync"
	"testing"

	"sluice/codec"
	"sluice/gateway/auth"
	"sluice/loop"
)

// conn is a connection from an address, of no reactor.
func conn(address string) *loop.Conn {
	c := new(loop.Conn)
	c.SetRemote(netip.MustParseAddr(address))
	return c
}

func as(user string) *guest {
	if user == "" {
		return &guest{}
	}
	return &guest{who: &auth.Identity{User: user}}
}

// wantNobody fails if somebody is still counted.
func wantNobody(t *testing.T, n *Node) {
	t.Helper()
	if clients := n.crowd.addresses.Clients(); clients != 0 {
		t.Errorf("%d addresses are counted after all have left", clients)
	}
	if len(n.crowd.users) != 0 {
		t.Errorf("users are counted after all have left: %v", n.crowd.users)
	}
}

func TestCrowd(t *testing.T) {
	type step struct {
		address, user string
		refusal       *codec.HTTPError
	}
	for _, row := range []struct {
		name       string
		perAddress int
		perUser    int
		steps      []step
	}{
		{"no limits", 0, 0, []step{{"192.0.2.1", "ada", nil}, {"192.0.2.1", "ada", nil}, {"192.0.2.1", "", nil}}},
		{"per address", 2, 0, []step{
			{"192.0.2.1", "", nil}, {"192.0.2.1", "ada", nil}, {"192.0.2.1", "", errAddress}, {"192.0.2.1", "bob", errAddress},
			{"192.0.2.2", "ada", nil}, {"::ffff:192.0.2.1", "", errAddress},
		}},
		{"one IPv6 network is one client", 1, 0, []step{
			{"2001:db8::1", "", nil}, {"2001:db8::2", "", errAddress}, {"2001:db8:0:1::1", "", nil},
		}},
		{"per user", 0, 2, []step{
			{"192.0.2.1", "ada", nil}, {"192.0.2.2", "ada", nil}, {"192.0.2.3", "ada", errUser}, {"192.0.2.3", "bob", nil},
			{"192.0.2.3", "", nil}, {"192.0.2.3", "", nil}, {"192.0.2.3", "", nil}, // nobody is no user
		}},
		{"both", 2, 1, []step{
			{"192.0.2.1", "ada", nil}, {"192.0.2.1", "ada", errUser}, {"192.0.2.1", "ada", errUser},
			{"192.0.2.1", "bob", nil},                                   // who was refused does not count
			{"192.0.2.1", "eve", errAddress}, {"192.0.2.2", "eve", nil}, // nor does it count as a user
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := &Node{Policy: Policy{PerAddress: row.perAddress, PerUser: row.perUser}}
			for range 3 { // after all have left, it is as at the beginning
				var leave []func()
				for i, s := range row.steps {
					c, g := conn(s.address), as(s.user)
					if got := n.welcome(c, g); got != s.refusal {
						t.Fatalf("step %d: %s from %s was answered %v, want %v", i, s.user, s.address, got, s.refusal)
					}
					if s.refusal == nil {
						leave = append(leave, func() { n.goodbye(c, g) })
					}
				}
				for _, f := range leave {
					f()
				}
				wantNobody(t, n)
			}
		})
	}
}

// Reactors welcome guests at the same time: no limit is exceeded, and nothing stays.
func TestCrowdOfManyReactors(t *testing.T) {
	n := &Node{Policy: Policy{PerAddress: 5, PerUser: 3}}
	var mu sync.Mutex
	inside, refused := map[string]int{}, 0
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			address, user := []string{"192.0.2.1", "2001:db8::1"}[i%2], []string{"ada", "bob", "eve"}[i%3]
			for range 500 {
				c, g := conn(address), as(user)
				if n.welcome(c, g) != nil {
					mu.Lock()
					refused++
					mu.Unlock()
					continue
				}
				mu.Lock()
				if inside[address]++; inside[address] > 5 {
					t.Errorf("%d from %s at once", inside[address], address)
				}
				if inside[user]++; inside[user] > 3 {
					t.Errorf("%d of %s at once", inside[user], user)
				}
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				inside[address]--
				inside[user]--
				mu.Unlock()
				n.goodbye(c, g)
			}
		})
	}
	wg.Wait()
	wantNobody(t, n)
	t.Logf("%d of 8000 were refused", refused)
}

// tokens is what judges tokens, as a test wants it.
type tokens struct {
	source auth.Source
	find   error
	verify error
}

func (f tokens) Token(auth.Request) (string, auth.Source, error) { return "token", f.source, f.find }

func (f tokens) Verify(string) (*auth.Identity, error) {
	if f.verify != nil {
		return nil, f.verify
	}
	return owner, nil
}

func (f tokens) VerifySubscription(token string) (*auth.Identity, error) { return f.Verify(token) }

func TestIdentify(t *testing.T) {
	broken := &auth.Error{Code: auth.CodeExpired, Reason: "constant"}
	for _, row := range []struct {
		name      string
		tokens    Tokens
		anonymous bool
		who       *auth.Identity
		source    auth.Source
		refusal   string
	}{
		{"nothing to judge tokens with", nil, false, nil, auth.FromNowhere, errToken.Reason},
		{"nothing to judge tokens with, anonymous", nil, true, nil, auth.FromNowhere, ""},
		{"none shown", tokens{find: auth.ErrNoToken}, false, nil, auth.FromNowhere, errToken.Reason},
		{"none shown, anonymous", tokens{find: auth.ErrNoToken}, true, nil, auth.FromNowhere, ""},
		{"a good one", tokens{source: auth.FromQuery}, false, owner, auth.FromQuery, ""},
		{"a good one, anonymous", tokens{source: auth.FromCookie}, true, owner, auth.FromCookie, ""},
		{"a bad one", tokens{source: auth.FromQuery, verify: broken}, false, nil, auth.FromQuery, "constant"},
		{"a bad one is no anonymous client", tokens{source: auth.FromQuery, verify: broken}, true, nil, auth.FromQuery, "constant"},
		{"an old cookie", tokens{source: auth.FromCookie, verify: broken}, true, nil, auth.FromCookie, errOldCookie.Reason},
		{"several", tokens{find: broken}, true, nil, auth.FromNowhere, "constant"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &Policy{Tokens: row.tokens, Anonymous: row.anonymous}
			who, source, refusal := p.identify(request(t, "x"), nil, url.Values{})
			if who != row.who || source != row.source {
				t.Errorf("got %v from %v, want %v from %v", who, source, row.who, row.source)
			}
			if reason := ""; refusal != nil {
				if reason = refusal.Reason; refusal.Status != 401 || reason != row.refusal {
					t.Errorf("refused with %v, want 401 %q", refusal, row.refusal)
				}
			} else if row.refusal != "" {
				t.Errorf("not refused, want 401 %q", row.refusal)
			}
		})
	}
	if got := asRefusal(errors.New("the client's words")); got.Status != 400 || got.Reason != "bad request" {
		t.Errorf("an unknown error became %v", got)
	}
}
