package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

const secret32 = "0123456789abcdef0123456789abcdef"

func TestListsOfSections(t *testing.T) {
	const file = `
auth:
  keys:
    - id: a
      alg: HS256
      secret: ` + secret32 + `
    - &rsa {id: b, alg: RS256, issuer: https://id.example, file: config.go}
  jwks:
    - url: https://id.example/keys
      issuer: https://id.example
    - {url: "http://localhost:1/keys", issuer: other, algs: EdDSA, refresh: 5m}
  issuer: own
namespaces:
  - name: inbox
    subscribe: user
    publish: nobody
    policy: latest
    deflate: true
  - {}
`
	got, err := load(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	compressed := true
	want := Default()
	want.Auth.Issuer = "own"
	want.Auth.Keys = []Key{{ID: "a", Alg: "HS256", Secret: secret32}, {ID: "b", Alg: "RS256", Issuer: "https://id.example", File: "config.go"}}
	want.Auth.JWKS = []JWKS{
		{URL: "https://id.example/keys", Issuer: "https://id.example", Algs: []string{"RS256", "ES256", "EdDSA"}, Refresh: time.Hour},
		{URL: "http://localhost:1/keys", Issuer: "other", Algs: []string{"EdDSA"}, Refresh: 5 * time.Minute},
	}
	want.Namespaces = []Namespace{{Name: "inbox", Subscribe: AccessUser, Publish: AccessNobody, Policy: QueueLatest, Deflate: &compressed}, {}}
	if got.from = nil; !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}

func TestListsThatAreEmpty(t *testing.T) {
	for _, file := range []string{"namespaces:", "namespaces: []", "auth: {keys: , jwks: []}", "auth.keys: []", "namespaces:\n  # - name: chat\n"} {
		got, err := load(t, file+"\n", nil)
		if err != nil {
			t.Errorf("%q: %v", file, err)
			continue
		}
		want := Default()
		if got.from = nil; !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: got %+v, want the default", file, *got)
		}
	}
}

func TestListsInAliases(t *testing.T) {
	got, err := load(t, "namespaces: &all\n  - &chat {name: chat}\n", nil)
	if err != nil || len(got.Namespaces) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	const file = "auth: {keys: [&key {alg: HS256, secret: " + secret32 + "}, *key]}"
	if got, err = load(t, file, nil); err != nil || len(got.Auth.Keys) != 2 || got.Auth.Keys[0] != got.Auth.Keys[1] {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFaultsInLists(t *testing.T) {
	const good = "{id: x, alg: HS256, secret: " + secret32 + "}"
	tests := []struct {
		name string
		file string
		want []string // "" for any text after a prefix that ends in …
	}{
		{"unknown key", "auth:\n  keys:\n    - " + good + "\n    - {id: y, algo: HS256}",
			[]string{"sluice.yaml:4: auth.keys[1].algo: unknown setting; the nearest known one is alg"}},
		{"unknown list", "auth: {key: []}", []string{"sluice.yaml:1: auth.key: unknown setting; the nearest known one is auth.keys"}},
		{"unknown list at the root", "namespace: []", []string{"sluice.yaml:1: namespace: unknown setting; the nearest known one is namespaces"}},
		{"missing alg is said at the item's line", "auth:\n  keys:\n    -\n      file: config.go",
			[]string{"sluice.yaml:4: auth.keys[0].alg: is missing; choose one of HS256, …"}},
		{"alg that is not known", "auth:\n  keys:\n    - id: x\n      alg: none\n      secret: short",
			[]string{`sluice.yaml:4: auth.keys[0].alg: "none" is not one of HS256, …`}},
		{"secret algorithm of public keys", "auth.jwks: [{url: https://h/k, issuer: i, algs: [RS256, HS256]}]",
			[]string{`sluice.yaml:1: auth.jwks[0].algs: "HS256" is not one of RS256, …`}},
		{"not a section", "namespaces:\n  - chat\n  - name: chat\n  - name: chat",
			[]string{"sluice.yaml:2: namespaces[0]: is a section; its settings are name, subscribe, publish, policy, inbox, deflate, durable, last_value, history_size, history_ttl, presence, see_presence, join_leave, relay, as in - {name: inbox, …",
				`sluice.yaml:4: namespaces[2].name: "chat" is already the name of sluice.yaml:3: namespaces[1]; keep one`}},
		{"not a list", "namespaces: {name: chat}", []string{"sluice.yaml:1: namespaces: takes a list: begin each item with - on a line of its own, as in - {name: inbox, …"}},
		{"set twice in an item", "namespaces:\n  - name: a\n    name: b", []string{"sluice.yaml:3: namespaces[0].name: is already set in line 2; keep one"}},
		{"list set twice", "namespaces: []\nnamespaces: []", []string{"sluice.yaml:2: namespaces: is already set in line 1; keep one"}},
		{"presence that is not kept", "namespaces: [{join_leave: true}]", []string{"sluice.yaml:1: namespaces[0]: join_leave and see_presence mean nothing without presence: true"}},
		{"no value", "namespaces: [{name: }]", []string{`sluice.yaml:1: namespaces[0].name: has no value; …`}},
		{"a list for a text", "auth.keys: [{alg: [HS256], file: config.go}]", []string{"sluice.yaml:1: auth.keys[0].alg: takes one plain value"}},
		{"not a switch", "namespaces: [{deflate: on}]", []string{`sluice.yaml:1: namespaces[0].deflate: "on" is neither true nor false`}},
		{"not a duration", "auth.jwks: [{url: https://h/k, issuer: i, refresh: 5}]", []string{`sluice.yaml:1: auth.jwks[0].refresh: "5" has no unit; write 5s or 5ms`}},
		{"out of range", "auth.jwks: [{url: https://h/k, issuer: i, refresh: 5s}]", []string{"sluice.yaml:1: auth.jwks[0].refresh: 5s is outside 1m..24h"}},
		{"every item's fault at once", "namespaces:\n  - {name: 'a:b'}\n  - {subscribe: all}\n  - {polcy: drop}",
			[]string{"sluice.yaml:4: namespaces[2].polcy: unknown setting; the nearest known one is policy",
				`sluice.yaml:3: namespaces[1].subscribe: "all" is not one of anyone, authenticated, user, claim, nobody`,
				`sluice.yaml:2: namespaces[0].name: "a:b" is not 0 to 64 of …`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, test.file, nil)
			got := faults(err)
			if len(got) != len(test.want) {
				t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
			for i, want := range test.want {
				if start, cut := strings.CutSuffix(want, "…"); got[i] != want && (!cut || !strings.HasPrefix(got[i], start)) {
					t.Errorf("got\n\t%s\nwant\n\t%s", got[i], want)
				}
			}
		})
	}
}

func TestListsStandInTheFileOnly(t *testing.T) {
	_, err := Load(nil, []string{"SLUICE_AUTH_KEYS=[]", "SLUICE_NAMESPACES=chat"})
	want := []string{
		"SLUICE_AUTH_KEYS: auth.keys stands in the file only; name a file with SLUICE_CONFIG",
		"SLUICE_NAMESPACES: namespaces stands in the file only; name a file with SLUICE_CONFIG",
	}
	if got := faults(err); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Load([]string{"--namespaces=chat"}, nil); err == nil {
		t.Error("a list was taken from a flag")
	}
}

// Every list is documented with its items' settings, and its example is one that works, but for files that are not
// there.
func TestListsAreDocumented(t *testing.T) {
	var document strings.Builder
	if err := Document(&document); err != nil {
		t.Fatal(err)
	}
	for _, s := range entries() {
		if s.item == nil {
			continue
		}
		if !strings.Contains(document.String(), "\n### `"+s.key+"`: ") {
			t.Errorf("%s: no heading in the documentation", s.key)
		}
		if len(s.help) < 20 || strings.HasSuffix(s.help, ".") {
			t.Errorf("%s: help %q is missing, too short or ends in a full stop", s.key, s.help)
		}
		for _, leaf := range s.item {
			row := fmt.Sprintf("| `%s` | %s | %s |", leaf.key, code(leaf.text(s.newItem())), cell(leaf.meaning()))
			if !strings.Contains(document.String(), row) || len(leaf.help) < 20 || strings.HasSuffix(leaf.help, ".") {
				t.Errorf("%s.%s: help %q is missing, too short or ends in a full stop, or not in the documentation", s.key, leaf.key, leaf.help)
			}
			if leaf.bounds != "" {
				if low, high := leaf.limits(); low >= high {
					t.Errorf("%s.%s: range %s is empty", s.key, leaf.key, leaf.bounds)
				}
			}
		}
	}
	examples := strings.Split(document.String(), "```")
	for i := 1; i < len(examples); i += 2 {
		text := strings.TrimPrefix(examples[i], "yaml\n")
		if err := yaml.Unmarshal([]byte(text), &map[string]any{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		_, err := load(t, regexp.MustCompile(`/etc/sluice/[^}, ]+`).ReplaceAllString(text, "config.go"), nil)
		if err != nil {
			t.Errorf("example\n%s: %v", text, err)
		}
	}
	if len(examples) != 9 {
		t.Errorf("%d examples, want 4", len(examples)/2)
	}
}

func TestListsArePrinted(t *testing.T) {
	const file = `auth:
  keys:
    - {alg: HS256, secret: ` + secret32 + `}
    - {id: b, alg: EdDSA, pem: "` + "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\\n" + `"}
  jwks:
    - {url: https://id.example/k, algs: [RS256]}
namespaces:
  - {deflate: false}
`
	c, err := load(t, file, nil, "--auth-hmac-secret="+secret32)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.YAML(&out); err != nil {
		t.Fatal(err)
	}
	printed := folder.ReplaceAllString(out.String(), "sluice.yaml:")
	for _, want := range []string{
		"\n  hmac_secret: \"xxxxx\" # flag --auth-hmac-secret\n",
		"\n  keys: # file sluice.yaml:2: auth.keys\n    - id: \"\"\n      alg: \"HS256\"\n      secret: \"xxxxx\"\n" +
			"    - id: \"b\"\n      alg: \"EdDSA\"\n      pem: \"-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\\n\"\n",
		"\n  jwks: # file sluice.yaml:5: auth.jwks\n    - url: \"https://id.example/k\"\n      algs: [\"RS256\"]\n      refresh: 1h\n",
		"\nnamespaces: # file sluice.yaml:7: namespaces\n  - name: \"\"\n    deflate: false\n",
		"\n  #   alg: The one algorithm that it is good for",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(printed, secret32) || t.Failed() {
		t.Errorf("printed:\n%s", printed)
	}
	_, err = load(t, out.String(), nil)
	got := strings.Join(faults(err), "\n")
	for _, want := range []string{"auth.hmac_secret: is xxxxx, which stands for a hidden one", "auth.keys[0].secret: is xxxxx, which stands for a hidden one"} {
		if !strings.Contains(got, want) || len(faults(err)) != 2 {
			t.Errorf("a printed configuration with hidden secrets: %s", got)
		}
	}
}
