package hostile

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The secrets of two tenants, whose keys have the same name.
const (
	ourSecret    = "0123456789abcdefghijklmnopqrstuv"
	theirSecret  = "vutsrqponmlkjihgfedcba9876543210"
	unknown      = "a secret that no node has heard of"
	ourIssuer    = "https://ours.example"
	theirIssuer  = "https://theirs.example"
	ourPage      = "https://good.example"
	rsaPublicKey = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr/of3VRJ68bFK0qYd7zS
U1TWrykAv32zXPAFR0AsDkf9U5gcwqddBCgLGFeG9iiN9CMYH5FdZrT8oENXtocs
oeM/TH/M3uFpv/oqn2D2Q6m0jipJxmmR7LTUY4xU9RIaymHJKoM9cfWJ9kAe4e/J
35AgDCvZuUj/hxsCo/DIRkdCIILutizmsKav2pOUKhd+qeeNLPnRP13ZqgfQxe/y
pd9Sc5aKnSLyACKa2VvlKcG0AnB/gGtrF00eFFbr++jocImcdwriyPc63oE9PhvB
ymRPA/HErQLYcuOoh7+iIjUepE1A6ejBhP/a38U0MNPaKu9IrytFQ478bEG6p8Ac
SwIDAQAB
-----END PUBLIC KEY-----
`
)

// guarded is the configuration of a node on which Tokens are played. It lets
// anonymous clients in, so that all other rows can be played there, too.
const guarded = `
dev: false
anonymous: true
echo: true
origins: [` + ourPage + `]
close: {timeout: 500ms}
auth:
  cookie: sid
  leeway: 0s
  keys:
    - {id: k, alg: HS256, issuer: "` + ourIssuer + `", secret: ` + ourSecret + `}
    - {id: k, alg: HS256, issuer: "` + theirIssuer + `", secret: ` + theirSecret + `}
    - id: rsa
      alg: RS256
      issuer: "` + ourIssuer + `"
      pem: |
        %s
namespaces:
  - {name: inbox, subscribe: user, publish: nobody}
  - {name: "", subscribe: anyone, publish: anyone}
`

// Guarded writes the configuration of a node for Tokens into dir and returns the
// flags that such a node is to be started with.
func Guarded(dir string) ([]string, error) {
	file := filepath.Join(dir, "guarded.yaml")
	text := fmt.Sprintf(guarded, strings.ReplaceAll(strings.TrimSpace(rsaPublicKey), "\n", "\n        "))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return []string{"--dev=false", "--config", file}, nil
}

// forge makes a token of any header and claims, signed by HS256 with any secret.
func forge(secret, header, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed)) // it never fails
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const ourHeader = `{"alg":"HS256","typ":"JWT","kid":"k"}`

// token is one of ours for a user, that lives for a while. exp is in whole seconds,
// so it may be a second less.
func token(user string, life time.Duration) string {
	return forge(ourSecret, ourHeader, claims(user, fmt.Sprint(time.Now().Add(life).Unix())))
}

func claims(user, exp string) string {
	return fmt.Sprintf(`{"iss":%q,"sub":%q,"exp":%s}`, ourIssuer, user, exp)
}

// Tokens are clients that show what they may not have, or ask for what is not
// theirs, on a node that was started with Guarded's flags.
//
// There is no limiter for those who try many tokens: an address may be a whole
// company, each refusal ends its connection, costs no more than any other
// handshake and leaves nothing behind. connections.accept_rate bounds them all.
func Tokens() []Row {
	const soon = 240 * time.Hour // later than the longest soak
	later := fmt.Sprint(time.Now().Add(soon).Unix())
	ada := token("42", soon)
	parts := strings.Split(ada, ".")
	shows := func(name, token, want string) Row {
		return Row{Name: name, Send: Request("/ws?channel=a", "Authorization: Bearer "+token), How: []How{Whole}, Want: want}
	}
	header := func(h string) string { return forge(ourSecret, h, claims("42", later)) }
	body := func(c string) string { return forge(ourSecret, ourHeader, c) }
	none := func(alg string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + "." + parts[1] + "."
	}
	rows := []Row{
		shows("a good token", ada, "101"),
		shows("another secret", forge(unknown, ourHeader, claims("42", later)), "401"),
		shows("another tenant's key of the same name", forge(theirSecret, ourHeader, claims("42", later)), "401"),
		shows("our key for another tenant's token", forge(ourSecret, ourHeader, `{"iss":"`+theirIssuer+`","sub":"42","exp":`+later+`}`), "401"),
		shows("an issuer that is an address to connect to", body(`{"iss":"http://127.0.0.1:6379/","sub":"42","exp":`+later+`}`), "401"),
		shows("no issuer", body(`{"sub":"42","exp":`+later+`}`), "401"),
		shows("changed claims", parts[0]+"."+base64.RawURLEncoding.EncodeToString([]byte(claims("root", later)))+"."+parts[2], "401"),
		shows("HS256 with the public RSA key as the secret", forge(rsaPublicKey, `{"alg":"HS256","typ":"JWT","kid":"rsa"}`, claims("42", later)), "401"),
		shows("RS256 with the HS256 key", header(`{"alg":"RS256","kid":"k"}`), "401"),
		shows("kid that is a path", header(`{"alg":"HS256","kid":"../../dev/null"}`), "401"),
		shows("crit", header(`{"alg":"HS256","kid":"k","crit":["exp"]}`), "401"),
		shows("8 KiB of dots", strings.Repeat(".", 8<<10), "431"),
		shows("7 KiB of dots", strings.Repeat(".", 7<<10), "401"),
		shows("4 KiB and a byte", ada+strings.Repeat("A", 4097-len(ada)), "401"),
		shows("exp missing", body(`{"iss":"`+ourIssuer+`","sub":"42"}`), "401"),
		shows("exp as text", body(claims("42", `"`+later+`"`)), "401"),
		shows("exp of 1e30", body(claims("42", "1e30")), "401"),
		shows("exp negative", body(claims("42", "-1")), "401"),
		shows("exp in the past", body(claims("42", "1700000000")), "401"),
		shows("nbf in the future", body(`{"iss":"`+ourIssuer+`","sub":"42","exp":`+later+`,"nbf":`+later+`}`), "401"),
		shows("sub twice", body(`{"iss":"`+ourIssuer+`","sub":"42","sub":"43","exp":`+later+`}`), "401"),
		shows("claims nested deeply", body(`{"iss":"`+ourIssuer+`","sub":"42","exp":`+later+`,"info":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`), "401"),
		shows("bytes that are no text", "\xff\xfe.\x80.\x81", "401"),
		{Name: "two tokens", Send: Request("/ws?channel=a&token="+ada, "Authorization: Bearer "+token("43", soon)), How: []How{Whole}, Want: "401"},
		{Name: "a token in the subprotocol is not repeated", Send: Request("/ws?channel=a", "Sec-WebSocket-Protocol: bearer.EVIL"), Want: "401"},

		{Name: "connects with a token of 60 KB", Path: "/connection/websocket", Send: Frame(0x81, `{"id":1,"connect":{"token":"`+strings.Repeat("x", 60_000)+`"}}`),
			Want: "close 3500", Reason: `sluice_closed_total{code="3500"}`},
		{Name: "connects with a token that is not signed", Path: "/connection/websocket", Send: Frame(0x81, `{"id":1,"connect":{"token":"`+none("none")+`"}}`),
			Want: "close 3500", Reason: `sluice_closed_total{code="3500"}`},
		{Name: "subscribes with a token that lets one in", Path: "/connection/websocket", How: []How{Whole}, Want: "…, close 1000",
			Send: Frame(0x81, `{"id":1,"connect":{"token":"`+ada+`"}}`) + Frame(0x81, `{"id":2,"subscribe":{"channel":"inbox:43","token":"`+ada+`"}}`) + CloseFrame(1000, "")},

		{Name: "a token that expires", Play: expire("/ws?channel=a"), Want: "101, close 1008"},
		{Name: "sends where nobody may", Send: Request("/ws?channel=inbox:42&token="+ada) + Frame(0x81, "hello"), How: []How{Whole}, Want: "101, close 1008"},
		{Name: "a flood to the inbox", Path: "/ws?channel=a", Send: strings.Repeat(Frame(0x81, "flood"), 5000), How: []How{Whole}, Want: "close 1008"},
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE"} {
		rows = append(rows, shows("alg "+alg, none(alg), "401"), shows("alg "+alg+" with a signature", none(alg)+parts[2], "401"))
	}
	return append(append(rows, names(ada)...), pages(ada)...)
}

// expire opens a path with a token of five seconds at most.
func expire(path string) Play {
	return func(_ context.Context, _ *Node, p *Peer) error {
		send(p, Request(path, "Authorization: Bearer "+token("42", 5*time.Second)), Whole)
		return nil
	}
}

// names are channels that one may want to be subscribed to. Names are compared
// byte by byte; what looks the same, or is the same in other letters, is another
// channel, on which nothing of the first one's is heard.
func names(ada string) (rows []Row) {
	for _, r := range []struct{ channel, want string }{
		{"%2342", "403"},
		{"inbox:42", "403"},
		{"%69nbox:42", "403"},
		{"inbox:", "403"},
		{"inbox:42:x", "403"},
		{"inbox:%EF%BC%94%EF%BC%92", "403"}, // 42 in full-width digits
		{"inbox:\xef\xbc\x94", "400"},       // bytes that a URL does not have
		{"%2342&token=" + ada, "101"},
		{"inbox:42&token=" + ada, "101"},
		{"inbox:43&token=" + ada, "403"},
		{"inbox:%EF%BC%94%EF%BC%92&token=" + ada, "403"},
		{"a&channel=inbox:43&token=" + ada, "403"},
		{"INBOX:42", "101"},              // ruled as any other
		{"inbo%D1%85:42", "101"},         // with a Cyrillic х
		{"caf%C3%A9", "101"},             // é
		{"cafe%CC%81", "101"},            // e and an accent
		{"__keyspace@0__:x", "101"},      // behind the prefix it is a channel as any other
		{"sluice:inbox", "101"},          // the prefix comes before it once more
		{"__keyspace@0__:*", "400"},      // patterns
		{"*", "400"},                     //
		{"[a-", "400"},                   //
		{"%3f", "400"},                   // ?
		{"%5c", "400"},                   // a backslash
		{"{}", "400"},                    // tags that choose a slot of a cluster
		{"{x}{y}", "400"},                //
		{"a:{tag}", "400"},               //
		{"{node:x}", "400"},              // as are a node's own channels
		{"%7Bnode:x%7D", "400"},          //
		{"a%00b", "400"},                 //
		{"a%0d%0aPUBLISH%20EVIL", "400"}, //
		{"a%20b", "400"},                 //
		{"a+b", "400"},                   // a space, too
		{"%ff", "400"},                   //
		{"a%e2%80%8db", "400"},           // a zero-width joiner
		{"a%e2%80%aeb", "400"},           // a direction override
		{"", "400"},                      //
		{strings.Repeat("n", 255), "101"},
		{strings.Repeat("n", 256), "400"},
		{strings.Repeat("n", 64<<10), "414"},
		{"a" + strings.Repeat("&channel=a", 350), "101"},  // one subscription
		{"a&" + strings.Repeat("channel=b&", 300), "101"}, // two
		{numbers(128), "101"},                             // connections.channels
		{numbers(129), "400"},                             //
		{numbers(300), "400"},                             //
	} {
		name := r.channel
		if i := strings.Index(name, "token="); i >= 0 {
			name = name[:i] + "token of 42"
		}
		if len(name) > 60 {
			name = fmt.Sprintf("%s… of %d bytes", name[:40], len(name))
		}
		rows = append(rows, Row{Name: "channel " + name, Send: Request("/ws?channel=" + r.channel), How: []How{Whole}, Want: r.want})
	}
	return append(rows,
		Row{Name: "an anonymous twin of a private channel", Play: twin("inbox:", "INBOX:"), Want: "101, text yours"},
		Row{Name: "a composed twin", Play: twin("caf\u00e9", "cafe%CC%81"), Want: "101, text yours"},
	)
}

// numbers are n channels.
func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString("&channel=")
		}
		fmt.Fprintf(&b, "%d", i)
	}
	return b.String()
}

// twin subscribes to a channel whose name is like another's, in which something is
// said before anything is in its own. Both names have a part of their own added; the
// twin's is as it stands in a URL.
func twin(other, name string) Play {
	return func(ctx context.Context, n *Node, p *Peer) error {
		part := fmt.Sprintf("%x", rand.Uint64())
		own := "own:" + part
		send(p, Request("/ws?channel="+own+"&channel="+name+part), Whole)
		like, err := url.PathUnescape(name)
		if err != nil {
			return err
		}
		err = Eventually(ctx, func() error { // to both: what comes before the handshake is answered is not for this client
			for _, channel := range []string{own, like + part} {
				if nodes, err := n.Do(ctx, []string{"PUBSUB", "NUMSUB", "sluice:" + channel}); err != nil || nodes != 1 {
					return errors.Join(fmt.Errorf("%d nodes are subscribed to %s", nodes, channel), err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := n.Publish(ctx, other+part, "not yours"); err != nil {
			return err
		}
		return n.Publish(ctx, own, "yours")
	}
}

// pages are web pages that open connections with what their visitor's browser
// adds: a cookie. Only an Origin that is listed, to the letter, will do.
func pages(ada string) (rows []Row) {
	cookie := "Cookie: lang=en; sid=" + ada
	for _, r := range []struct{ name, want string }{
		{"absent", "403"},
		{"null", "403"},
		{ourPage, "101"},
		{"https://evil.example", "403"},
		{ourPage + ".evil.example", "403"},
		{"https://evilgood.example", "403"},
		{"https://sub.good.example", "403"},
		{"http://good.example", "403"},
		{ourPage + ":8443", "403"},
		{ourPage + ":443", "403"}, // no browser writes it
		{"HTTPS://GOOD.EXAMPLE", "403"},
		{ourPage + "/", "403"},
		{ourPage + "%00", "403"},
		{ourPage + " " + ourPage, "403"},
		{ourPage + "\r\nOrigin: " + ourPage, "400"},
		{"http://localhost", "403"},
	} {
		fields := []string{cookie}
		if r.name != "absent" {
			fields = append(fields, "Origin: "+r.name)
		}
		rows = append(rows, Row{Name: "cookie, Origin " + strings.ReplaceAll(r.name, "\r\n", " and "), Send: Request("/ws?channel=a", fields...), How: []How{Whole}, Want: r.want})
	}
	return append(rows,
		Row{Name: "cookie, foreign Origin, /%77s", Send: Request("/%77s?channel=a", cookie, "Origin: https://evil.example"), How: []How{Whole}, Want: "403"},
		Row{Name: "cookie, foreign Origin, //ws", Send: Request("//ws?channel=a", cookie, "Origin: https://evil.example"), How: []How{Whole}, Want: "404"},
		Row{Name: "cookie, foreign Origin, /echo", Send: Request("/echo", cookie, "Origin: https://evil.example"), How: []How{Whole}, Want: "403"},
	)
}
