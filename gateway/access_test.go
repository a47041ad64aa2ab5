package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/gateway/auth"
)

const testSecret = "0123456789abcdefghijklmnopqrstuv"

var testKey = auth.Key{Alg: "HS256", Secret: []byte(testSecret)}

// sign makes a token that is valid for an hour where the claims do not say otherwise.
func sign(t *testing.T, k auth.Key, c auth.Claims) string {
	t.Helper()
	if c.User == "" {
		c.User = "42"
	}
	if c.TTL == 0 && !c.NoExpiry {
		c.TTL = time.Hour
	}
	token, err := auth.Sign(k, c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// configFile writes a configuration file and returns the flag that names it.
func configFile(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--config=" + path
}

// attempt is what a client tries, and what should come of it.
type attempt struct {
	name      string
	path      string
	header    http.Header
	protocols []string
	status    int
	reason    string // part of the refusal's text
}

// try dials and compares. The client is nil where it was refused, as it should be.
func (n *testNode) try(t *testing.T, a attempt) *client {
	t.Helper()
	c, response, err := n.tryDial(a.path, a.header, a.protocols...)
	if response == nil {
		t.Fatal(err)
	}
	var body string
	if c == nil {
		b, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	if response.StatusCode != a.status || !strings.Contains(body, a.reason) {
		t.Errorf("answered %s %q, want %d %q", response.Status, body, a.status, a.reason)
	}
	return c
}

// with is a header of names and values in turn.
func with(fields ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return h
}

func refusals(n *testNode, status int) string {
	return n.metric(fmt.Sprintf(`sluice_refused_total{status="%d"}`, status))
}

func TestTokenSources(t *testing.T) {
	const app = "https://app.example"
	n := startNode(t, "--auth-hmac-secret", testSecret, "--auth-cookie", "sid", "--origins", app).ready()
	token, other := sign(t, testKey, auth.Claims{}), sign(t, testKey, auth.Claims{User: "43"})
	bearer, cookie, news := "Bearer "+token, "lang=de; sid="+token, "/ws?channel=news"
	inQuery := news + "&token=" + token
	unauthorized, forbidden := 0, 0
	for _, row := range []struct {
		attempt
		answered string // the subprotocol
	}{
		{attempt{"header", news, with("Authorization", bearer), nil, 101, ""}, ""},
		{attempt{"header, scheme in other letters", news, with("Authorization", "bEARER "+token), nil, 101, ""}, ""},
		{attempt{"header, from a listed page", news, with("Authorization", bearer, "Origin", app), nil, 101, ""}, ""},
		{attempt{"query", inQuery, nil, nil, 101, ""}, ""},
		{attempt{"query, escaped", news + "&token=" + strings.ReplaceAll(token, ".", "%2e"), nil, nil, 101, ""}, ""},
		{attempt{"subprotocol beside the real one, as browsers do", news, with("Origin", app), []string{"chat", "bearer." + token}, 101, ""}, "chat"},
		{attempt{"subprotocol first", news, nil, []string{"bearer." + token, "chat"}, 101, ""}, "chat"},
		{attempt{"subprotocol alone", news, nil, []string{"bearer." + token}, 101, ""}, ""},
		{attempt{"cookie, from a listed page", news, with("Cookie", cookie, "Origin", app), nil, 101, ""}, ""},
		{attempt{"cookie in quotes", news, with("Cookie", `sid="`+token+`"`, "Origin", app), nil, 101, ""}, ""},
		{attempt{"the same token in all places", inQuery, with("Authorization", bearer, "Cookie", cookie), []string{"bearer." + token}, 101, ""}, ""},

		{attempt{"no token", news, nil, nil, 401, "a token is needed"}, ""},
		{attempt{"an empty one", news + "&token=", nil, nil, 401, "a token is needed"}, ""},
		{attempt{"another scheme", news, with("Authorization", "Basic "+token), nil, 401, "a token is needed"}, ""},
		{attempt{"another cookie", news, with("Cookie", "SID="+token, "Origin", app), nil, 401, "a token is needed"}, ""},
		{attempt{"two in one header", news, with("Authorization", bearer+", "+bearer), nil, 401, "not Bearer and one token"}, ""},
		{attempt{"different ones in header and query", inQuery, with("Authorization", "Bearer "+other), nil, 401, "different tokens"}, ""},
		{attempt{"different ones in the query", inQuery + "&token=" + other, nil, nil, 401, "different tokens"}, ""},
		{attempt{"different ones in two headers", news, with("Authorization", bearer, "Authorization", "Bearer "+other), nil, 401, "different tokens"}, ""},
		{attempt{"a cookie that a sibling domain planted", inQuery, with("Cookie", "sid="+other, "Origin", app), nil, 401, "different tokens"}, ""},
		{attempt{"no token at all in the subprotocol", news, nil, []string{"bearer.x", "chat"}, 401, "not three parts"}, ""},

		{attempt{"cookie without Origin", news, with("Cookie", cookie), nil, 403, "Origin"}, ""},
		{attempt{"cookie from a foreign page", news, with("Cookie", cookie, "Origin", "https://evil.example"), nil, 403, "Origin"}, ""},
		{attempt{"cookie from a sibling", news, with("Cookie", cookie, "Origin", "https://x.app.example"), nil, 403, "Origin"}, ""},
		{attempt{"cookie from a sandbox", news, with("Cookie", cookie, "Origin", "null"), nil, 403, "Origin"}, ""},
		{attempt{"a good token on a foreign page", inQuery, with("Origin", "https://evil.example"), nil, 403, "Origin"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := n.try(t, row.attempt)
			switch row.status {
			case 401:
				unauthorized++
			case 403:
				forbidden++
			}
			if c == nil {
				return
			}
			if got := c.response.Header.Values("Sec-WebSocket-Protocol"); strings.Join(got, ",") != row.answered {
				t.Errorf("answered subprotocols are %q, want %q", got, row.answered)
			}
			_ = c.Close()
		})
	}
	if got := [2]string{refusals(n, 401), refusals(n, 403)}; got != [2]string{fmt.Sprint(unauthorized), fmt.Sprint(forbidden)} {
		t.Errorf("401 and 403 were counted %v times, want %d and %d", got, unauthorized, forbidden)
	}
}

// halves are a private key's two sides in PEM.
func halves(t *testing.T, private crypto.Signer, err error) (public, own string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// hmacOf signs with any text as the secret, which auth.Sign refuses.
func hmacOf(secret, signed string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by)
}

func TestTokensOfEveryKind(t *testing.T) {
	const issuer = "https://id.example"
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	rsaPublic, rsaOwn := halves(t, rsaKey, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ecPublic, ecOwn := halves(t, ecKey, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	edPublic, edOwn := halves(t, edKey, err)
	n := startNode(t, configFile(t, `
auth:
  issuer: `+issuer+`
  audience: sluice
  leeway: 1s
  keys:
    - {id: hs, alg: HS256, secret: `+testSecret+`}
    - id: rs
      alg: RS256
      pem: |
`+indent(rsaPublic, "        ")+`
    - id: es
      alg: ES256
      pem: |
`+indent(ecPublic, "        ")+`
    - id: ed
      alg: EdDSA
      pem: |
`+indent(edPublic, "        ")+`
    - {id: hs, alg: HS256, issuer: "https://tenant.example", secret: abcdefghijklmnopqrstuvwxyz012345}
`)).ready()
	hs := auth.Key{ID: "hs", Alg: "HS256", Issuer: issuer, Secret: []byte(testSecret)}
	rs := auth.Key{ID: "rs", Alg: "RS256", Issuer: issuer, PEM: []byte(rsaOwn)}
	es := auth.Key{ID: "es", Alg: "ES256", Issuer: issuer, PEM: []byte(ecOwn)}
	ed := auth.Key{ID: "ed", Alg: "EdDSA", Issuer: issuer, PEM: []byte(edOwn)}
	but := func(k auth.Key, change func(*auth.Key)) auth.Key { change(&k); return k }
	good := auth.Claims{Audience: "sluice"}
	claims := func(change func(*auth.Claims)) auth.Claims { c := good; change(&c); return c }
	hour := time.Now().Add(-time.Hour)
	valid := sign(t, hs, good)
	parts := strings.Split(valid, ".")

	refused := 0
	for _, row := range []struct {
		name, token, reason string // reason "": it is valid
	}{
		{"HS256", valid, ""},
		{"RS256", sign(t, rs, good), ""},
		{"ES256", sign(t, es, good), ""},
		{"EdDSA", sign(t, ed, good), ""},
		{"without exp", sign(t, hs, claims(func(c *auth.Claims) { c.NoExpiry = true })), "exp is missing"},
		{"expired", sign(t, rs, claims(func(c *auth.Claims) { c.Issued, c.TTL = hour, time.Minute })), "the token has expired"},
		{"another's audience", sign(t, es, claims(func(c *auth.Claims) { c.Audience = "shop" })), "aud does not name this service"},
		{"no audience", sign(t, ed, claims(func(c *auth.Claims) { c.Audience = "" })), "aud does not name this service"},
		{"an issuer that is not known", sign(t, hs, claims(func(c *auth.Claims) { c.Issuer = "https://evil.example" })), "no key is configured for the token's issuer"},
		{"another issuer's key of the same name", sign(t, hs, claims(func(c *auth.Claims) { c.Issuer = "https://tenant.example" })), "the signature does not verify"},
		{"a key that is not known", sign(t, but(rs, func(k *auth.Key) { k.ID = "rs2" }), good), "the issuer has no key with this kid and alg"},
		{"a key by another algorithm", sign(t, but(hs, func(k *auth.Key) { k.ID = "rs" }), good), "the issuer has no key with this kid and alg"},
		{"an algorithm that no key is for", sign(t, but(rs, func(k *auth.Key) { k.Alg = "RS512" }), good), "alg is none"},
		{"a secret that is a public key", hmacOf(rsaPublic, b64(`{"alg":"HS256","typ":"JWT","kid":"rs"}`)+"."+parts[1]), "no key with this kid and alg"},
		{"another secret", sign(t, but(hs, func(k *auth.Key) { k.Secret = []byte("vutsrqponmlkjihgfedcba9876543210") }), good), "the signature does not verify"},
		{"changed claims", parts[0] + "." + b64(`{"sub":"root","aud":"sluice","iss":"`+issuer+`","exp":9999999999}`) + "." + parts[2], "the signature does not verify"},
		{"no signature", parts[0] + "." + parts[1] + ".", "not three parts"},
		{"alg none, no signature", b64(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".", "not three parts"},
		{"alg none", b64(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".AA", "alg is none"},
		{"alg nOnE", b64(`{"alg":"nOnE","kid":"hs"}`) + "." + parts[1] + "." + parts[2], "alg is none"},
		{"two parts", parts[0] + "." + parts[1], "not three parts"},
		{"not base64", parts[0] + "." + parts[1] + ".!!!", "not base64url"},
		{"too long", valid + strings.Repeat("A", 4000), "too long"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := attempt{path: "/ws?channel=a", header: with("Authorization", "Bearer "+row.token), status: 101, reason: row.reason}
			if row.reason != "" {
				a.status = 401
				refused++
			}
			n.try(t, a)
		})
	}
	if got := refusals(n, 401); got != fmt.Sprint(refused) {
		t.Errorf("401 was counted %s times, want %d", got, refused)
	}
}

func TestAnonymousIsASwitch(t *testing.T) {
	strict := startNode(t, "--auth-hmac-secret", testSecret).ready()
	open := startNode(t, "--auth-hmac-secret", testSecret, "--anonymous").ready()
	token := sign(t, testKey, auth.Claims{})
	strict.try(t, attempt{path: "/ws?channel=a", status: 401, reason: "a token is needed"})
	strict.try(t, attempt{path: "/ws?channel=a&token=" + token, status: 101})
	open.try(t, attempt{path: "/ws?channel=a", status: 101})
	open.try(t, attempt{path: "/ws?channel=a&token=" + token, status: 101})
	open.try(t, attempt{path: "/ws?channel=a&token=" + token + "x", status: 401})
	eventually(t, "both clients are reported", func() error {
		var users []string
		for _, e := range open.entries("connect") {
			user, _ := e["user"].(string) // anonymous clients have none
			users = append(users, user)
		}
		if slices.Sort(users); !slices.Equal(users, []string{"", "42"}) {
			return fmt.Errorf("users are %q", users)
		}
		return nil
	})
}

func TestTokenSubscribes(t *testing.T) {
	n := startNode(t, "--auth-hmac-secret", testSecret).ready()
	token := sign(t, testKey, auth.Claims{Channels: []string{"orders:7", "#42"}})
	c := n.dial("/ws?token=" + token)
	more := n.dial("/ws?channel=news&token=" + token)
	n.publish("orders:7", "an order")
	n.publish("news", "news")
	n.publish("#42", "to the user")
	c.wantText("an order")
	c.wantText("to the user")
	for _, want := range []string{"an order", "news", "to the user"} {
		more.wantText(want)
	}
	c.send(websocket.TextMessage, "hi")
	if e := n.entry("message"); e["user"] != "42" || e["channel"] != "orders:7 #42" {
		t.Errorf("the message is %v", e)
	}
	n.try(t, attempt{path: "/ws?token=" + sign(t, testKey, auth.Claims{}), status: 400, reason: "name the channels"})
}

func TestNamespaces(t *testing.T) {
	n := startNode(t, "--auth-hmac-secret", testSecret, configFile(t, `
anonymous: true
namespaces:
  - {name: inbox, subscribe: user, publish: nobody}
  - {name: room, subscribe: claim, publish: claim}
  - {name: chat, subscribe: authenticated}
  - {name: system, subscribe: nobody}
  - {name: "", subscribe: anyone, publish: nobody}
`)).ready()
	user := func(name string, c auth.Claims) string { c.User = name; return "&token=" + sign(t, testKey, c) }
	ada, bob := user("42", auth.Claims{}), user("43", auth.Claims{})
	rooms := auth.Allow{Subscribe: []auth.Pattern{"room:a*", "system:*", "#43"}, Publish: []auth.Pattern{"room:*", "inbox:*"}}
	eve := user("44", auth.Claims{Allow: rooms})
	member := user("45", auth.Claims{Channels: []string{"room:z", "system:log"}})
	for _, row := range []struct {
		channels, token string
		status          int
	}{
		{"inbox:42", ada, 101},
		{"inbox:42", bob, 403},
		{"inbox:42", "", 403},
		{"inbox:x:42", ada, 403},
		{"inbox:", ada, 403},
		{"room:a1", eve, 101},
		{"room:b1", eve, 403},
		{"room:a1", ada, 403},
		{"room:z", member, 101},
		{"chat:1", ada, 101},
		{"chat:1", "", 403},
		{"system:log", ada, 403},
		{"system:log", eve, 403}, // nobody is nobody, whatever the token allows
		{"news", "", 101},
		{"x:42", "", 101}, // ruled by the empty name
		{"inbox", "", 101},
		{"#42", ada, 101},
		{"#43", eve, 403},
		{"news&channel=inbox:42", bob, 403}, // one that is not allowed is one too many
	} {
		if row.token == member {
			row.channels = "news" // what the token gives comes by itself
		}
		n.try(t, attempt{path: "/ws?channel=" + strings.ReplaceAll(row.channels, "#", "%23") + row.token, status: row.status})
	}
	if got := refusals(n, 403); got != "11" {
		t.Errorf("403 was counted %s times, want 11", got)
	}
}

func TestNamespacesOfSenders(t *testing.T) {
	n := startNode(t, "--auth-hmac-secret", testSecret, configFile(t, `
namespaces:
  - {name: inbox, subscribe: user, publish: nobody}
  - {name: room, subscribe: authenticated, publish: claim}
`)).ready()
	token := "&token=" + sign(t, testKey, auth.Claims{Allow: auth.Allow{Publish: []auth.Pattern{"room:1", "inbox:*"}}})

	silent := n.dial("/ws?channel=inbox:42&channel=room:2" + token)
	silent.send(websocket.TextMessage, "nobody may say this")
	if reason := silent.wantClose(websocket.ClosePolicyViolation); !strings.Contains(reason, "may not send") {
		t.Errorf("the reason is %q", reason)
	}
	c := n.dial("/ws?channel=inbox:42&channel=chat&channel=room:1&channel=room:2" + token)
	c.send(websocket.TextMessage, "hello")
	if e := n.entry("message"); e["channel"] != "chat room:1" || e["data"] != "hello" || e["user"] != "42" {
		t.Errorf("the message is %v, want it to name the channels that its client may send through", e)
	}
	if e := n.entry("disconnect"); e["channel"] != "inbox:42 room:2" || e["user"] != "42" || !strings.HasPrefix(e["data"].(string), "1008 ") {
		t.Errorf("the disconnect is %v", e)
	}
}

// shortLife is the life of tokens that a test sees expire: long enough for a busy machine to
// use them before, though exp is in whole seconds, and it may be one less.
const shortLife = 5 * time.Second

// TestTokensExpire: a connection lives no longer than its token, and tokens of a
// very long life are not taken for expired.
func TestTokensExpire(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--auth-hmac-secret", testSecret, "--auth-leeway", "0s", "--echo").ready()
	centuries := "&token=" + sign(t, testKey, auth.Claims{TTL: 250 * 365 * 24 * time.Hour})
	short := "&token=" + sign(t, testKey, auth.Claims{TTL: shortLife})
	plain, echo, stays := n.dial("/ws?channel=a"+short), n.dial("/echo?"+short[1:]), n.dial("/ws?channel=a"+centuries)
	echo.send(websocket.TextMessage, "valid")
	echo.wantText("valid")
	for _, c := range []*client{plain, echo} {
		if reason := c.wantClose(websocket.ClosePolicyViolation); reason != "the token has expired" {
			t.Errorf("the reason is %q", reason)
		}
	}
	n.try(t, attempt{path: "/ws?channel=a" + short, status: 401, reason: "expired"})
	n.publish("a", "still there")
	stays.wantText("still there")
}

func TestTokenVerbs(t *testing.T) {
	secret := []string{"--auth-hmac-secret", testSecret, "--auth-audience", "sluice", "--auth-issuer", "https://id.example"}
	n := startNode(t, secret...).ready()
	status, out, stderr := verb(t, "", append([]string{"token", "make", "42", "--ttl", "5m", "--channels", "a,b", "--subscribe", "room:*", "--publish", "room:1"}, secret...)...)
	token := strings.TrimSpace(out)
	if status != 0 || strings.Count(token, ".") != 2 {
		t.Fatalf("token make: %d %q %q", status, out, stderr)
	}
	c := n.dial("/ws?token=" + token)
	n.publish("b", "hi")
	c.wantText("hi")
	if e := n.entry("connect"); e["user"] != "42" || e["channel"] != "a b" {
		t.Errorf("the connect entry is %v", e)
	}

	status, out, stderr = verb(t, "", append([]string{"token", "check", token}, secret...)...)
	for _, want := range []string{"valid until 20", "42", "a b", "room:*", "room:1"} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("token check: %d, %q lacks %s; %q", status, out, want, stderr)
		}
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		args []string
		ok   bool
		want string
	}{
		{"make with a secret from a file", []string{"make", "42", "--auth-hmac-secret-file", file}, true, "ey"},
		{"make without a secret", []string{"make", "42"}, false, "auth.hmac_secret"},
		{"make for nobody", append([]string{"make", ""}, secret...), false, "sub"},
		{"make for no time", append([]string{"make", "42", "--ttl", "0s"}, secret...), false, "1s"},
		{"check without keys", []string{"check", token}, false, "auth.hmac_secret"},
		{"check another's", append([]string{"check", sign(t, testKey, auth.Claims{Issuer: "https://evil.example"})}, secret...), false, "issuer"},
		{"check nonsense", append([]string{"check", "nonsense"}, secret...), false, "three parts"},
		{"check where the secret is another", []string{"check", token, "--auth-audience", "sluice", "--auth-hmac-secret", "vutsrqponmlkjihgfedcba9876543210"}, false, "signature"},
	} {
		status, out, stderr := verb(t, "", append([]string{"token"}, row.args...)...)
		if (status == 0) != row.ok || !strings.Contains(out+stderr, row.want) {
			t.Errorf("%s: %d %q %q, want it to say %s", row.name, status, out, stderr, row.want)
		}
		if strings.Contains(stderr, testSecret) {
			t.Errorf("%s: the secret is in what it says", row.name)
		}
	}
}

// TestTokensMadeWithPrivateKeys: whatever kind of key a file has, and in whatever
// form, the node takes the token, and the check says which key it was.
func TestTokensMadeWithPrivateKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	rsaPublic, rsaOwn := halves(t, rsaKey, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ecPublic, ecOwn := halves(t, ecKey, err)
	ec384Key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ec384Public, ec384Own := halves(t, ec384Key, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	edPublic, edOwn := halves(t, edKey, err)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	keys := "auth:\n  audience: sluice\n  keys:\n"
	for _, k := range []struct{ id, alg, public string }{
		{"rs", "RS256", rsaPublic}, {"ps", "PS384", rsaPublic}, {"es", "ES256", ecPublic}, {"es384", "ES384", ec384Public}, {"ed", "EdDSA", edPublic},
	} {
		keys += "    - {id: " + k.id + ", alg: " + k.alg + ", issuer: https://id.example, pem: " + strconv.Quote(k.public) + "}\n"
	}
	settings := configFile(t, keys)
	n := startNode(t, settings).ready()
	for _, row := range []struct {
		name, key string
		flags     []string
		signedBy  string
	}{
		{"RSA in PKCS #8", rsaOwn, nil, `the RS256 key "rs" of https://id.example`},
		{"RSA in PKCS #1", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), nil, `the RS256 key "rs"`},
		{"RSA for PS384", rsaOwn, []string{"--alg", "PS384"}, `the PS384 key "ps"`},
		{"RSA by its ID", rsaOwn, []string{"--kid", "ps"}, `the PS384 key "ps"`},
		{"P-256 in PKCS #8", ecOwn, nil, `the ES256 key "es"`},
		{"P-256 in SEC 1", block("EC PRIVATE KEY", sec1), nil, `the ES256 key "es"`},
		{"P-384", ec384Own, nil, `the ES384 key "es384"`},
		{"Ed25519", edOwn, nil, `the EdDSA key "ed"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "own.pem")
			if err := os.WriteFile(file, []byte(row.key), 0o600); err != nil {
				t.Fatal(err)
			}
			status, out, stderr := verb(t, "", append([]string{"token", "make", "42", "--channels", "a", "--key", file, settings}, row.flags...)...)
			if status != 0 {
				t.Fatal(stderr)
			}
			token := strings.TrimSpace(out)
			_ = n.dial("/ws?token=" + token).Close()
			status, out, stderr = verb(t, "", "token", "check", token, settings)
			if status != 0 || !strings.Contains(out, row.signedBy) {
				t.Errorf("%d %q %q, want it to say %s", status, out, stderr, row.signedBy)
			}
		})
	}
	t.Run("of a key that nobody configured", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "own.pem")
		if err := os.WriteFile(file, []byte(edOwn), 0o600); err != nil {
			t.Fatal(err)
		}
		status, out, stderr := verb(t, "", "token", "make", "42", "--key", file, "--kid", "k", "--issuer", "https://other.example")
		head, _, _ := strings.Cut(out, ".")
		if text, err := base64.RawURLEncoding.DecodeString(head); status != 0 || err != nil || string(text) != `{"alg":"EdDSA","typ":"JWT","kid":"k"}` {
			t.Errorf("%d %s, %v %s", status, text, err, stderr)
		}
		for _, bad := range []struct {
			flags []string
			want  string
		}{
			{[]string{"--key", file, "--alg", "RS256"}, "RS256 needs an RSA key"},
			{[]string{"--key", file + "2"}, "no such file"},
			{[]string{"--key", file, "--alg", "none"}, `alg "none" is none of`},
		} {
			if status, _, stderr := verb(t, "", append([]string{"token", "make", "42"}, bad.flags...)...); status == 0 || !strings.Contains(stderr, bad.want) || strings.Contains(stderr, "PRIVATE KEY") {
				t.Errorf("%v: %d %q, want it to say %s", bad.flags, status, stderr, bad.want)
			}
		}
	})
}

func TestTokenCheckExplains(t *testing.T) {
	p := newPublisher(t)
	listed := p.publish(t, "1")
	set := p.config(t)
	secret := []string{"--auth-hmac-secret", testSecret, "--auth-audience", "sluice"}
	ago := time.Now().Add(-25*time.Hour - 10*time.Second)
	for _, row := range []struct {
		name   string
		token  string
		args   []string
		status int
		want   []string
	}{
		{"valid", sign(t, testKey, auth.Claims{Audience: "sluice", TTL: 49 * time.Hour}), secret, 0,
			[]string{"valid until 20", "in 2 days", "signed by  the HS256 key without an ID\n", `header     {"alg":"HS256","typ":"JWT"}`, `claims     {"sub":"42","aud":"sluice"`}},
		{"expired", sign(t, testKey, auth.Claims{Audience: "sluice", Issued: ago, TTL: time.Hour}), secret, 1,
			[]string{"refused    the token has expired", "expires    20", ", 1 day ago\n", "issued     20", ", 1 day 1 hour ago\n", "signed by  the HS256 key"}},
		{"another's", sign(t, testKey, auth.Claims{Audience: "shop"}), secret, 1, []string{"refused    aud does not name this service", `"aud":"shop"`, "signed by  the HS256 key"}},
		{"forged", hmacOf("x", b64(`{"alg":"HS256"}`)+"."+b64(`{"sub":"root","x":"\u202e\u009b"}`)), secret, 1,
			[]string{"refused    the signature does not verify", "signed by  no key that is configured: nothing in it is proven", `"sub":"root"`}},
		{"nonsense", "x.y.z", secret, 1, []string{"refused    a part of the token is not base64url"}},
		{"by a key set", sign(t, listed, auth.Claims{}), []string{set}, 0, []string{`signed by  the EdDSA key "1" of https://id.example, listed in ` + p.URL + "/jwks.json"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, out, stderr := verb(t, "", append([]string{"token", "check", row.token}, row.args...)...)
			if status != row.status || (status != 0) != strings.Contains(stderr, "this token is refused: ") {
				t.Errorf("status %d, want %d; %s", status, row.status, stderr)
			}
			for _, want := range row.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			if strings.ContainsAny(out, "\u202e\u009b") {
				t.Error("what the token says steers the terminal")
			}
		})
	}
	p.document.Store(nil)
	if status, out, stderr := verb(t, "", "token", "check", sign(t, listed, auth.Claims{}), set); status != 1 ||
		!strings.Contains(out, "have not been fetched") || !strings.Contains(stderr, "the answer is 503") {
		t.Errorf("without the key set: %d %q %q", status, out, stderr)
	}
}

func TestInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 59 * time.Second: "59 seconds", time.Minute: "1 minute", 61 * time.Second: "1 minute 1 second",
		time.Hour + time.Second: "1 hour", 25 * time.Hour: "1 day 1 hour", 49*time.Hour + time.Minute: "2 days 1 hour",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// TestInsecureCombinationsAreRefused: the check of a configuration says no, and why.
func TestInsecureCombinationsAreRefused(t *testing.T) {
	origins := []string{"--origins", "https://app.example"}
	for _, row := range []struct {
		name string
		args []string
		want string // part of the reason, "": it is valid
	}{
		{"a cookie without a list of pages", []string{"--auth-hmac-secret", testSecret, "--auth-cookie", "sid"}, "list the pages that may connect in origins"},
		{"a cookie with --dev and no list", []string{"--dev", "--auth-hmac-secret", testSecret, "--auth-cookie", "sid"}, "list the pages that may connect in origins"},
		{"a cookie with a list", append(origins, "--auth-hmac-secret", testSecret, "--auth-cookie", "sid"), ""},
		{"a cookie for all pages", []string{"--auth-hmac-secret", testSecret, "--auth-cookie", "sid", "--origins", "*"}, "origins are compared exactly"},
		{"a cookie for all pages of a domain", []string{"--auth-hmac-secret", testSecret, "--auth-cookie", "sid", "--origins", "https://*.app.example"}, "origins are compared exactly"},
		{"anonymous clients, explicitly", []string{"--anonymous"}, ""},
		{"a secret that can be guessed", []string{"--auth-hmac-secret", "secret"}, "HS256 needs at least 32"},
		{"a key set that anybody on the way can change", []string{configFile(t, "auth: {jwks: [{url: http://id.example/jwks.json, issuer: https://id.example}]}")}, "use https://"},
		{"a key set on this machine", []string{configFile(t, "auth: {jwks: [{url: http://127.0.0.1/jwks.json, issuer: https://id.example}]}")}, ""},
		{"a switch that skips verification", []string{configFile(t, "auth: {skip_verification: true}")}, "skip_verification"},
		{"the same as a flag", []string{"--auth-skip-verification"}, "unknown flag"},
		{"the algorithm none", []string{configFile(t, "auth: {keys: [{alg: none, secret: "+testSecret+"}]}")}, `"none" is not one of`},
		{"a public key as a secret", []string{configFile(t, "auth: {keys: [{alg: HS256, pem: x}]}")}, "everybody who knows this one could make tokens"},
		{"keys for any issuer beside those of one", []string{"--auth-hmac-secret", testSecret, configFile(t, "auth: {jwks: [{url: https://id.example/jwks.json, issuer: https://id.example}]}")}, "could sign tokens in the name of"},
		{"PROXY headers of everybody", []string{"--proxy-protocol", "any", "--proxy-from", "0.0.0.0/0"}, "is everybody"},
		{"PROXY headers of everybody by IPv6", []string{"--proxy-protocol", "v2", "--proxy-from", "::/0"}, "is everybody"},
		{"PROXY headers of nobody in particular", []string{"--proxy-protocol", "v1"}, "without proxy.from would let anybody claim any address"},
		{"X-Forwarded-For of everybody", []string{"--proxy-trust", "0.0.0.0/0"}, "is everybody"},
		{"a load balancer", []string{"--proxy-protocol", "any", "--proxy-from", "10.0.0.0/8", "--proxy-trust", "10.1.0.0/16"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, out, stderr := verb(t, "", append([]string{"config", "check"}, row.args...)...)
			if (status == 0) != (row.want == "") || !strings.Contains(stderr, row.want) {
				t.Errorf("%d %q %q, want it to say %q", status, out, stderr, row.want)
			}
			if strings.Contains(stderr, testSecret) {
				t.Error("the secret is in what it says")
			}
		})
	}
	if status, out, _ := verb(t, "", "config", "print"); status != 0 || !strings.Contains(out, "anonymous: false") {
		t.Errorf("anonymous clients are let in by default: %d %s", status, out)
	}
}

// publisher is an identity provider that publishes Ed25519 keys.
type publisher struct {
	*httptest.Server
	document atomic.Pointer[string] // nil: 503
}

func newPublisher(t *testing.T) *publisher {
	p := &publisher{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		document := p.document.Load()
		if document == nil {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, *document) // a client that is gone has nobody to tell
	}))
	t.Cleanup(p.Close)
	return p
}

// publish makes a new key the only one that is published, and returns what signs with it.
func (p *publisher) publish(t *testing.T, kid string) auth.Key {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	_, own := halves(t, key, err)
	x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	document, err := json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x}}})
	if err != nil {
		t.Fatal(err)
	}
	text := string(document)
	p.document.Store(&text)
	return auth.Key{ID: kid, Alg: "EdDSA", Issuer: "https://id.example", PEM: []byte(own)}
}

func (p *publisher) config(t *testing.T) string {
	return configFile(t, "auth: {jwks: [{url: "+p.URL+"/jwks.json, issuer: https://id.example}]}\n")
}

// accepts waits until a token is accepted; at the beginning, and where its key is
// new, the key set has to be fetched first.
func (n *testNode) accepts(token string) {
	n.t.Helper()
	eventually(n.t, "the token is accepted", func() error {
		c, response, err := n.tryDial("/ws?channel=a&token="+url.QueryEscape(token), nil)
		if err != nil {
			return fmt.Errorf("%w: %v", err, response)
		}
		return c.Close()
	})
}

func TestKeySetsRotate(t *testing.T) {
	p := newPublisher(t)
	first := sign(t, p.publish(t, "1"), auth.Claims{})
	n := startNode(t, p.config(t)).ready()
	n.accepts(first)
	second := sign(t, p.publish(t, "2"), auth.Claims{})
	n.accepts(first) // nobody has asked for the new one
	n.accepts(second)
	n.try(t, attempt{path: "/ws?channel=a&token=" + first, status: 401, reason: "no key with this kid"})
}

func TestKeySetIsNotThereAtStart(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	token := sign(t, p.publish(t, "1"), auth.Claims{})
	document := p.document.Swap(nil)
	n := startNode(t, p.config(t), "--auth-hmac-secret", testSecret, "--auth-issuer", "https://own.example").ready()
	n.try(t, attempt{path: "/ws?channel=a&token=" + token, status: 401, reason: "the issuer's keys have not been fetched yet"})
	own := sign(t, testKey, auth.Claims{Issuer: "https://own.example"})
	n.try(t, attempt{path: "/ws?channel=a&token=" + own, status: 101}) // others are served meanwhile
	p.document.Store(document)
	n.accepts(token)
}
