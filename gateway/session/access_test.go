package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/config"
	"sluice/gateway/auth"
)

// The identities of the tables below. Only the owner's user name stands in the
// channels; the claimant's token allows them by a pattern.
var (
	owner    = &auth.Identity{User: "42"}
	stranger = &auth.Identity{User: "43"}
	claimant = &auth.Identity{User: "44", Allow: auth.Allow{Subscribe: []auth.Pattern{"room:*"}, Publish: []auth.Pattern{"room:*"}, Presence: []auth.Pattern{"room:*"}}}
)

// ruled is a policy in which access holds for all channels.
func ruled(subscribe, publish config.Access) *Policy {
	return &Policy{MaxChannels: 4, Namespace: func(string) config.Namespace {
		return config.Namespace{Subscribe: subscribe, Publish: publish}
	}}
}

func TestAccess(t *testing.T) {
	people := map[string]*auth.Identity{"anonymous": nil, "stranger": stranger, "owner": owner, "claimant": claimant}
	for _, row := range []struct {
		access config.Access
		who    string // who may
	}{
		{config.AccessAnyone, "anonymous stranger owner claimant"},
		{config.AccessAuthenticated, "stranger owner claimant"},
		{config.AccessUser, "owner claimant"},
		{config.AccessClaim, "claimant"},
		{config.AccessNobody, ""},
		{"", "claimant"},         // nobody but who has a claim: an unknown rule allows nothing
		{"everyone", "claimant"}, // the same
	} {
		for name, who := range people {
			want := slices.Contains(strings.Fields(row.who), name)
			const channel = "room:42"
			if got := ruled(row.access, config.AccessNobody).maySubscribe(who, channel); got != want {
				t.Errorf("subscribe %s: %s may: %v, want %v", row.access, name, got, want)
			}
			if got := ruled(config.AccessNobody, row.access).mayPublish(who, channel); got != want {
				t.Errorf("publish %s: %s may: %v, want %v", row.access, name, got, want)
			}
			kept := &Policy{Namespace: func(string) config.Namespace { return config.Namespace{Presence: true, SeePresence: row.access} }}
			if got := kept.maySeePresence(who, channel); got != want {
				t.Errorf("see presence %s: %s may: %v, want %v", row.access, name, got, want)
			}
			if ruled(row.access, row.access).maySeePresence(who, channel) {
				t.Errorf("%s may see presence that is not kept", name)
			}
		}
	}
}

func TestGiven(t *testing.T) {
	for _, row := range []struct {
		personal bool
		who      *auth.Identity
		want     string
	}{
		{true, nil, ""},
		{false, &auth.Identity{User: "42", Channels: []string{"news"}}, "news"},
		{true, &auth.Identity{User: "42", Channels: []string{"news"}}, "news #42"},
		{true, &auth.Identity{User: "42"}, "#42"},
		{true, &auth.Identity{User: "42", Channels: []string{"#42", "news"}}, "#42 news"},
		{true, &auth.Identity{User: "ada lovelace", Channels: []string{"news"}}, "news"}, // no channel can have such a name
		{true, &auth.Identity{User: "x*"}, ""},
	} {
		p := &Policy{Personal: row.personal}
		for range 2 { // it changes nothing
			if got := strings.Join(p.given(row.who), " "); got != row.want {
				t.Errorf("personal %v, %+v: given are %q, want %q", row.personal, row.who, got, row.want)
			}
		}
	}
}

func TestAccessOfOneUser(t *testing.T) {
	for _, row := range []struct {
		channel, user string
		may           bool
	}{
		{"inbox:42", "42", true},
		{"inbox:042", "42", false},
		{"inbox:42 ", "42", false},
		{"inbox:4", "42", false},
		{"inbox:422", "42", false},
		{"inbox:x:42", "42", false},
		{"inbox:42:x", "42", false},
		{"inbox:x:42", "x:42", true}, // that is this user's name
		{"inbox:", "42", false},
		{"42", "42", false},
		{":42", "42", true}, // the namespace with the empty name, where the rule is the operator's
		{"inbox:Ada", "ada", false},
	} {
		who := &auth.Identity{User: row.user}
		if got := ruled(config.AccessUser, config.AccessUser).maySubscribe(who, row.channel); got != row.may {
			t.Errorf("user %s may subscribe to %s: %v, want %v", row.user, row.channel, got, row.may)
		}
		if got := ruled(config.AccessUser, config.AccessUser).mayPublish(who, row.channel); got != row.may {
			t.Errorf("user %s may publish to %s: %v, want %v", row.user, row.channel, got, row.may)
		}
	}
}

// A user's own channel is this user's and nobody else's, whatever the rules and the
// claims say.
func TestUserChannel(t *testing.T) {
	all := &auth.Identity{User: "44", Allow: auth.Allow{Subscribe: []auth.Pattern{"*"}}}
	for _, access := range []config.Access{config.AccessAnyone, config.AccessClaim, config.AccessNobody} {
		p := ruled(access, access)
		for who, want := range map[*auth.Identity]bool{nil: false, owner: true, stranger: false, all: false} {
			if got := p.maySubscribe(who, "#42"); got != want {
				t.Errorf("%s: %v may subscribe to #42: %v, want %v", access, who, got, want)
			}
		}
	}
}

// Through a user's channel others send, and see who is there, only by a token that names such channels; the user
// sends through it to the inbox, and to nobody else.
func TestUsersChannelIsNobodyElses(t *testing.T) {
	claims := func(pattern auth.Pattern) *auth.Identity {
		return &auth.Identity{User: "44", Allow: auth.Allow{Publish: []auth.Pattern{pattern}, Presence: []auth.Pattern{pattern}}}
	}
	people := map[string]*auth.Identity{"anonymous": nil, "owner": owner, "stranger": stranger, "all": claims("*"), "any": claims("*2"), "named": claims("#4*")}
	for _, row := range []struct {
		access                  config.Access
		publish, relay, witness string // who may
	}{
		{config.AccessAnyone, "owner named", "named", "owner named"},
		{config.AccessAuthenticated, "owner named", "named", "owner named"},
		{config.AccessUser, "named", "named", "owner named"},
		{config.AccessClaim, "named", "named", "owner named"},
		{config.AccessNobody, "", "", ""},
	} {
		for name, who := range people {
			p := func(relay bool) *Policy {
				return &Policy{Namespace: func(string) config.Namespace {
					return config.Namespace{Publish: row.access, Relay: relay, Presence: true, SeePresence: row.access}
				}}
			}
			for what, x := range map[string]struct {
				got  bool
				want string
			}{"publish": {p(false).mayPublish(who, "#42"), row.publish}, "relay": {p(true).mayPublish(who, "#42"), row.relay}, "see": {p(false).maySeePresence(who, "#42"), row.witness}} {
				if want := slices.Contains(strings.Fields(x.want), name); x.got != want {
					t.Errorf("%s %s: %s may: %v, want %v", what, row.access, name, x.got, want)
				}
			}
		}
	}
}

// Who has left a channel that its token gives may take it up again, whatever the rule.
func TestMayTakeUp(t *testing.T) {
	who := &auth.Identity{User: "42", Channels: []string{"a", "#7"}}
	p := ruled(config.AccessNobody, config.AccessNobody)
	for channel, want := range map[string]bool{"a": true, "#7": true, "#42": true, "b": false, "#8": false} {
		if got := p.mayTakeUp(who, channel); got != want {
			t.Errorf("%s: %v, want %v", channel, got, want)
		}
		if p.mayTakeUp(nil, channel) {
			t.Errorf("anonymous may take up %s", channel)
		}
	}
}

func TestChannels(t *testing.T) {
	given := func(names ...string) *auth.Identity { return &auth.Identity{User: "42", Channels: names} }
	anyone := ruled(config.AccessAnyone, config.AccessAnyone)
	nobody := ruled(config.AccessNobody, config.AccessNobody)
	byClaim := ruled(config.AccessClaim, config.AccessClaim)
	for _, row := range []struct {
		name    string
		policy  *Policy
		who     *auth.Identity
		asked   string // with spaces
		want    string // with spaces
		refusal *codec.HTTPError
	}{
		{"asked", anyone, nil, "a b", "a b", nil},
		{"the order is kept, repetitions are not", anyone, nil, "b a b a", "b a", nil},
		{"none", anyone, nil, "", "", errNoChannel},
		{"none, with a token", anyone, given(), "", "", errNoChannel},
		{"given by the token alone", anyone, given("a", "b"), "", "a b", nil},
		{"given behind what is asked", anyone, given("a", "b"), "c", "c a b", nil},
		{"asked and given", anyone, given("a", "b"), "b", "b a", nil},
		{"given needs no other permission", nobody, given("a", "#7"), "", "a #7", nil},
		{"asked does", nobody, given("a"), "b", "", errNotAllowed},
		{"the user's own", anyone, given(), "#42", "#42", nil},
		{"another user's", anyone, given(), "#43", "", errUserPrefix},
		{"a user's, anonymously", anyone, nil, "#42", "", errUserPrefix},
		{"one of several is not allowed", byClaim, claimant, "room:1 hall:1", "", errNotAllowed},
		{"all of several are", byClaim, claimant, "room:1 room:2", "room:1 room:2", nil},
		{"as many as one may", anyone, nil, "a b c d", "a b c d", nil},
		{"repetitions do not count", anyone, nil, "a b c d d c b a", "a b c d", nil},
		{"one too many", anyone, nil, "a b c d e", "", errManyChan},
		{"one too many with the given", anyone, given("d", "e"), "a b c", "", errManyChan},
		{"as many with the given", anyone, given("c", "d"), "a b", "a b c d", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, refusal := row.policy.channels(row.who, strings.Fields(row.asked))
			if strings.Join(got, " ") != row.want || refusal != row.refusal {
				t.Errorf("got %q, %v; want %q, %v", got, refusal, row.want, row.refusal)
			}
		})
	}
	for _, name := range []string{"", "a b", "a\n", "{a}", "a*", "\xff", strings.Repeat("x", 256)} {
		for _, who := range []*auth.Identity{nil, given(name)} {
			var asked []string
			if who == nil {
				asked = []string{name}
			}
			if got, refusal := anyone.channels(who, asked); got != nil || refusal == nil || refusal.Status != 400 || refusal.Reason == "" {
				t.Errorf("%.20q, given by a token: %v: got %q, %v; want a refusal", name, who != nil, got, refusal)
			}
		}
	}
}

// Who asks for very many is refused before much memory is taken.
func TestChannelsWithoutEnd(t *testing.T) {
	asked := make([]string, 1000)
	for i := range asked {
		asked[i] = fmt.Sprint(i)
	}
	if _, refusal := ruled(config.AccessAnyone, "").channels(nil, asked); refusal != errManyChan {
		t.Errorf("got %v, want %v", refusal, errManyChan)
	}
}
