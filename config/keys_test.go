package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestValidateTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("anything"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := func(keys ...Key) func(*Config) { return func(c *Config) { c.Auth.Keys = keys } }
	sets := func(sets ...JWKS) func(*Config) { return func(c *Config) { c.Auth.JWKS = sets } }
	set := func(url, issuer string) JWKS {
		return JWKS{URL: url, Issuer: issuer, Algs: []string{"RS256"}, Refresh: time.Hour}
	}
	hmac := Key{Alg: "HS256", Secret: secret32}
	named := func(id, issuer string) Key { return Key{ID: id, Alg: "HS256", Issuer: issuer, Secret: secret32} }
	private := strings.ReplaceAll(publicPEM, "PUBLIC", "RSA PRIVATE")

	testValidate(t, []validation{
		{"secret", func(c *Config) { c.Auth.HMACSecret = secret32 }, ""},
		{"secret too short", func(c *Config) { c.Auth.HMACSecret = Secret(secret32[1:]) }, "auth.hmac_secret: is 31 bytes; HS256 needs at least 32"},
		{"secret printed", func(c *Config) { c.Auth.HMACSecret = "xxxxx" }, "auth.hmac_secret: is xxxxx, which stands for a hidden one"},
		{"secret file", func(c *Config) { c.Auth.HMACSecretFile = file }, ""},
		{"secret file that is not there", func(c *Config) { c.Auth.HMACSecretFile = file + "2" }, "auth.hmac_secret_file: cannot be found: "},
		{"secret file that is a folder", func(c *Config) { c.Auth.HMACSecretFile = filepath.Dir(file) }, " is a folder; name the file in it"},
		{"secret twice", func(c *Config) { c.Auth.HMACSecret, c.Auth.HMACSecretFile = secret32, file }, "auth.hmac_secret_file: auth.hmac_secret has the secret already"},
		{"cookie", func(c *Config) { c.Auth.Cookie, c.Origins = "session", []string{"https://a.example"} }, ""},
		{"cookie for any page", func(c *Config) { c.Auth.Cookie = "session" }, "auth.cookie: browsers send the cookie along for whatever page opens the connection"},
		{"cookie for any page in dev", func(c *Config) { c.Auth.Cookie, c.Dev = "session", true }, "auth.cookie: browsers send"},
		{"cookie that is none", func(c *Config) { c.Auth.Cookie, c.Origins = "a=b", []string{"https://a.example"} }, `auth.cookie: "a=b" is not a cookie's name`},
		{"issuer", func(c *Config) { c.Auth.Issuer = "https://id.example/ä" }, ""},
		{"issuer with a line break", func(c *Config) { c.Auth.Issuer = "a\n" }, `auth.issuer: "a\n" is not at most 255 printable bytes`},
		{"audience too long", func(c *Config) { c.Auth.Audience = strings.Repeat("a", 256) }, "is not at most 255 printable bytes"},
		{"leeway", func(c *Config) { c.Auth.Leeway = 0 }, ""},
		{"anonymous beside tokens", func(c *Config) { c.Auth.HMACSecret, c.Anonymous = secret32, true }, ""},

		{"key", keys(hmac), ""},
		{"key in PEM", keys(Key{Alg: "EdDSA", PEM: publicPEM}), ""},
		{"key in a file", keys(Key{Alg: "ES384", File: file}, Key{Alg: "HS512", File: file}), ""},
		{"key without alg", keys(Key{Secret: secret32}), "auth.keys[0].alg: is missing; choose one of HS256"},
		{"key none", keys(Key{Alg: "none", Secret: secret32}), `auth.keys[0].alg: "none" is not one of HS256`},
		{"key without secret", keys(hmac, Key{Alg: "HS256"}), "auth.keys[1]: has no secret; HS256 needs secret or file"},
		{"key without public key", keys(Key{Alg: "PS256"}), "auth.keys[0]: has no key; PS256 needs a public key in pem or file"},
		{"key twice", keys(Key{Alg: "RS256", PEM: publicPEM, File: file}), "auth.keys[0]: has more than one of file, secret and pem"},
		{"key with a secret for RS", keys(Key{Alg: "RS256", Secret: secret32}), "auth.keys[0].secret: RS256 is verified with a public key"},
		{"key with a public key for HS", keys(Key{Alg: "HS256", PEM: publicPEM}), "auth.keys[0].pem: HS256 has no public key: everybody who knows this one could make tokens"},
		{"key with a secret below its hash", keys(Key{Alg: "HS384", Secret: secret32}), "auth.keys[0].secret: is 32 bytes; HS384 needs at least 48"},
		{"key with a secret of its hash", keys(Key{Alg: "HS512", Secret: secret32 + secret32}), ""},
		{"key printed", keys(Key{Alg: "HS256", Secret: "xxxxx"}), "auth.keys[0].secret: is xxxxx, which"},
		{"key that is private", keys(Key{Alg: "RS256", PEM: private}), "auth.keys[0].pem: is a private key"},
		{"key that is not PEM", keys(Key{Alg: "RS256", PEM: "MCow"}), "auth.keys[0].pem: is not PEM"},
		{"key that is two", keys(Key{Alg: "RS256", PEM: publicPEM + publicPEM}), "auth.keys[0].pem: holds more than one key"},
		{"key file that is not there", keys(Key{Alg: "RS256", File: file + "2"}), "auth.keys[0].file: cannot be found: "},
		{"key with a long id", keys(named(strings.Repeat("a", 256), "")), "auth.keys[0].id: "},

		{"ids", keys(named("a", "i"), named("b", "i"), named("a", "j")), ""},
		{"ids of two algorithms", keys(named("a", ""), Key{ID: "a", Alg: "EdDSA", PEM: publicPEM}), ""},
		{"id twice", keys(named("a", "i"), hmacOf("i"), named("a", "i")), `auth.keys[2].id: "a" is already the id of auth.keys[0]`},
		{"id twice by the issuer of all", func(c *Config) { keys(named("a", ""), named("a", "i"))(c); c.Auth.Issuer = "i" }, `auth.keys[1].id: "a" is already`},
		{"keys without id", keys(hmac, hmac), ""},
		{"an issuer beside none", keys(named("a", "i"), hmac), `auth.keys[1]: has no issuer and could sign tokens in the name of "i", whose keys are auth.keys[0]`},
		{"a secret for any issuer beside a set of one", func(c *Config) { sets(set("https://h/k", "i"))(c); c.Auth.HMACSecret = secret32 },
			`auth.hmac_secret: has no issuer and could sign tokens in the name of "i", whose keys are auth.jwks[0]`},
		{"the same with an issuer of all", func(c *Config) {
			sets(set("https://h/k", "i"))(c)
			c.Auth.HMACSecret, c.Auth.Issuer = secret32, "j"
		}, ""},
		{"many keys", func(c *Config) { c.Auth.Keys = manyKeys(64) }, ""},
		{"too many keys", func(c *Config) { c.Auth.Keys = manyKeys(65) }, "auth.keys: there are 65; at most 64 are possible"},

		{"set", sets(set("https://id.example/keys?v=1", "i")), ""},
		{"set on this machine", sets(set("http://127.0.0.1:8080/keys", "i"), set("http://localhost/keys", "j"), set("http://[::1]/keys", "k")), ""},
		{"set over http", sets(set("http://id.example/keys", "i")), "auth.jwks[0].url: http:// lets everybody on the way put in keys of their own; use https://"},
		{"set without URL", sets(set("", "i")), "auth.jwks[0].url: is not a URL"},
		{"set in a file", sets(set("file:///keys", "i")), "auth.jwks[0].url: is not a URL"},
		{"set over ftp", sets(set("ftp://h/keys", "i")), `auth.jwks[0].url: scheme "ftp" is not known`},
		{"set with a password", sets(set("https://u:p@h/keys", "i")), "auth.jwks[0].url: has a user name or a password in it"},
		{"set without algorithm", sets(JWKS{URL: "https://h/k", Issuer: "i", Refresh: time.Hour}), "auth.jwks[0].algs: is empty"},
		{"set with HS256", sets(JWKS{URL: "https://h/k", Algs: []string{"HS256"}, Refresh: time.Hour}), `auth.jwks[0].algs: "HS256" is not one of RS256`},
		{"sets of one issuer", sets(set("https://h/k", "i"), set("https://h/l", "i")), `auth.jwks[1]: auth.jwks[0] is already the key set of issuer "i"`},
	})
}

func hmacOf(issuer string) Key { return Key{Alg: "HS256", Issuer: issuer, Secret: secret32} }

func manyKeys(n int) []Key {
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = Key{ID: fmt.Sprint(i), Alg: "HS256", Secret: secret32}
	}
	return keys
}

func TestKeysWithNothingLeftOut(t *testing.T) {
	auth := Auth{Issuer: "own", HMACSecret: secret32, Keys: []Key{hmacOf("other"), hmacOf("")}, JWKS: []JWKS{{URL: "a"}, {URL: "b", Issuer: "c"}}}
	want := []Key{hmacOf("other"), hmacOf("own"), hmacOf("own")}
	if got := auth.StaticKeys(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := auth.KeySets(); got[0].Issuer != "own" || got[1].Issuer != "c" {
		t.Errorf("got %v", got)
	}
	if auth.Keys[1].Issuer != "" || auth.JWKS[0].Issuer != "" {
		t.Error("the configuration was changed")
	}
	if got := (&Auth{HMACSecretFile: "f"}).StaticKeys(); len(got) != 1 || got[0] != (Key{Alg: "HS256", File: "f"}) {
		t.Errorf("got %v", got)
	}
	for _, auth := range []Auth{{HMACSecret: "s"}, {HMACSecretFile: "f"}, {Keys: []Key{{}}}, {JWKS: []JWKS{{}}}} {
		if !auth.Configured() {
			t.Errorf("%v verifies nothing", auth)
		}
	}
	if auth := Default().Auth; auth.Configured() {
		t.Error("the default verifies something")
	}
}

func TestWarningsOfTokens(t *testing.T) {
	strict := func(c *Config) { c.Anonymous = false }
	const nobody = "nobody can connect: there is no key to verify tokens with; set auth.hmac_secret, auth.hmac_secret_file, auth.keys or auth.jwks, or let everybody in with anonymous"
	testWarnings(t, []warning{
		{"nobody", strict, []string{nobody}},
		{"nobody, and a cookie", func(c *Config) { strict(c); c.Auth.Cookie = "c" }, []string{nobody}},
		{"dev", func(c *Config) { strict(c); c.Dev, c.Listen = true, "localhost:1" }, nil},
		{"tokens", func(c *Config) { strict(c); c.Auth.HMACSecret = secret32 }, nil},
		{"tokens, anonymous", func(c *Config) { c.Auth.HMACSecret = secret32 }, nil},
		{"settings of tokens without a key", func(c *Config) { c.Auth.Audience, c.Auth.Cookie = "a", "c" },
			[]string{"auth.audience: does nothing", "auth.cookie: does nothing"}},
		{"set for any issuer", func(c *Config) { c.Auth.JWKS = []JWKS{{URL: "https://h/k"}} }, []string{"auth.jwks[0]: tokens that its keys signed are accepted whatever their issuer"}},
		{"set for one issuer", func(c *Config) { c.Auth.JWKS = []JWKS{{URL: "https://h/k"}}; c.Auth.Issuer = "i" }, nil},
	})
}
