package session

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sluice/gateway/auth"
	"sluice/loop"
)

// In whatever order they come, go and change their tokens, all of a user's connections
// are found, and all of a token's, and nobody else.
func TestCrewAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &Handler{node: &Node{}, crew: crew{users: roll{}, tokens: roll{}}}
		var guests [8]guest
		var conns [8]*loop.Conn
		for i := range conns {
			conns[i] = new(loop.Conn)
		}
		sorted := func(list []*loop.Conn) (numbers []int) {
			for _, c := range list {
				numbers = append(numbers, slices.Index(conns[:], c))
			}
			slices.Sort(numbers)
			return numbers
		}
		t.Repeat(map[string]func(*rapid.T){
			"enlist": func(t *rapid.T) {
				i := rapid.IntRange(0, 7).Draw(t, "conn")
				guests[i].who = &auth.Identity{User: fmt.Sprint("u", i%3), ID: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "jti")}
				h.enlist(conns[i], &guests[i])
			},
			"discharge": func(t *rapid.T) {
				i := rapid.IntRange(0, 7).Draw(t, "conn")
				guests[i].who = nil
				h.discharge(&guests[i])
			},
			"": func(t *rapid.T) {
				users, tokens := map[string][]int{}, map[string][]int{}
				for i, g := range guests {
					if g.who == nil {
						continue
					}
					users[g.who.User] = append(users[g.who.User], i)
					if g.who.ID != "" {
						tokens[g.who.ID] = append(tokens[g.who.ID], i)
					}
				}
				for name, r := range map[string]struct {
					got  roll
					want map[string][]int
				}{"users": {h.crew.users, users}, "tokens": {h.crew.tokens, tokens}} {
					if len(r.got) != len(r.want) {
						t.Fatalf("%d %s, want %d", len(r.got), name, len(r.want))
					}
					for key, want := range r.want {
						if got := sorted(r.got.all(key)); !slices.Equal(got, want) {
							t.Fatalf("%s %s: %d, want %d", name, key, got, want)
						}
					}
				}
			},
		})
	})
}
