package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"sluice/config"
	"sluice/gateway/auth"
)

type tokenVerb struct {
	Make  tokenMakeVerb  `cmd:"" help:"Make a token, signed with the configured HMAC secret, or with the key in a file."`
	Check tokenCheckVerb `cmd:"" help:"Say whether a token is valid here, what it says, which key signed it, and why it is refused."`
}

type tokenMakeVerb struct {
	User      string        `arg:"" help:"User, the sub of the token."`
	TTL       time.Duration `name:"ttl" default:"1h" help:"Time until it expires."`
	Channels  []string      `help:"Channels that the client is subscribed to when it connects."`
	Subscribe []string      `help:"Patterns of channels that it may subscribe to; * stands for any characters."`
	Publish   []string      `help:"Patterns of channels through which it may send."`
	Presence  []string      `help:"Patterns of channels of which it may see who is subscribed."`
	Key       string        `placeholder:"FILE" help:"File with the key to sign with: a private key in PEM (PKCS #8, PKCS #1 or SEC 1, not encrypted), or with --alg=HS… a secret. Without it the configured HMAC secret signs."`
	Alg       string        `help:"Algorithm of that key. Default: that of the configured public key that belongs to it, or else RS256, ES256, ES384 or EdDSA, as the key is."`
	Kid       string        `help:"ID of the key, the kid of the token. Default: that of the configured key."`
	Issuer    string        `help:"The iss of the token. Default: that of the configured key, or else auth.issuer."`
}

// Run makes a token.
func (v *tokenMakeVerb) Run(p *program) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	key, err := v.key(c)
	if err != nil {
		return err
	}
	claims := auth.Claims{User: v.User, TTL: v.TTL, Channels: v.Channels, Audience: c.Auth.Audience}
	for _, s := range v.Subscribe {
		claims.Allow.Subscribe = append(claims.Allow.Subscribe, auth.Pattern(s))
	}
	for _, s := range v.Publish {
		claims.Allow.Publish = append(claims.Allow.Publish, auth.Pattern(s))
	}
	for _, s := range v.Presence {
		claims.Allow.Presence = append(claims.Allow.Presence, auth.Pattern(s))
	}
	token, err := auth.Sign(key, claims)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

// key is what signs: a configured secret, or the key in the file.
func (v *tokenMakeVerb) key(c *config.Config) (auth.Key, error) {
	keys, err := staticKeys(c)
	if err != nil {
		return auth.Key{}, err
	}
	given := auth.Key{ID: v.Kid, Alg: v.Alg, Issuer: v.Issuer}
	if v.Key != "" {
		content, err := os.ReadFile(v.Key)
		if err != nil {
			return auth.Key{}, fmt.Errorf("the key to sign with: %w", err)
		}
		if strings.HasPrefix(v.Alg, "HS") {
			given.Secret = bytes.TrimSpace(content)
		} else {
			given.PEM = content
		}
	}
	for _, k := range keys {
		if v.signedBy(k, given) {
			k.ID, k.Alg, k.Issuer = cmp.Or(v.Kid, k.ID), cmp.Or(v.Alg, k.Alg), cmp.Or(v.Issuer, k.Issuer)
			if v.Key != "" {
				k.Secret, k.PEM = given.Secret, given.PEM
			}
			return k, nil
		}
	}
	if v.Key == "" {
		return auth.Key{}, errors.New("no such secret is configured to sign with: set auth.hmac_secret or auth.hmac_secret_file, or name the file of a private key with --key")
	}
	given.Issuer = cmp.Or(v.Issuer, c.Auth.Issuer)
	if given.Alg == "" {
		if given.Alg, err = auth.UsualAlg(given.PEM); err != nil {
			return auth.Key{}, err
		}
	}
	return given, nil
}

// signedBy reports whether the configured key k is the one meant: the given key's other half, or without one a secret, which the flags name.
func (v *tokenMakeVerb) signedBy(k, given auth.Key) bool {
	if (v.Kid != "" && k.ID != "" && v.Kid != k.ID) || (v.Alg != "" && v.Alg != k.Alg) {
		return false
	}
	if v.Key == "" {
		return strings.HasPrefix(k.Alg, "HS")
	}
	return len(k.PEM) > 0 && k.Verifies(given.PEM) || len(k.Secret) > 0 && bytes.Equal(k.Secret, given.Secret)
}

type tokenCheckVerb struct {
	Token string `arg:"" help:"The token."`
}

// Run checks a token.
func (v *tokenCheckVerb) Run(p *program) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	if !c.Auth.Configured() {
		return errors.New("no key is configured, so no token is valid: set auth.hmac_secret, auth.keys or auth.jwks")
	}
	o, err := tokenOptions(c)
	if err != nil {
		return err
	}
	e, err := explain(p.ctx, o, v.Token, p.stderr)
	if err != nil {
		return err
	}
	if err := writeExplanation(p.stdout, e, time.Now()); err != nil {
		return err
	}
	if e.Refusal != nil {
		return fmt.Errorf("this token is refused: %w", e.Refusal)
	}
	return nil
}

// explain judges a token once the key sets have been fetched, or not.
func explain(ctx context.Context, o auth.Options, token string, complaints io.Writer) (auth.Explanation, error) {
	answers := make(chan error, 2*len(o.JWKS)+1) // one each is waited for
	o.Events = auth.Events{
		Fetched: func(string, int) { report(answers, nil) },
		Failed:  func(_ string, err error, _ time.Duration) { report(answers, err) },
	}
	verifier, err := auth.New(o)
	if err != nil {
		return auth.Explanation{}, err
	}
	if len(o.JWKS) > 0 {
		running, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = verifier.Run(running) // its error is running's
		}()
		for range o.JWKS {
			select {
			case err := <-answers:
				if err != nil {
					fmt.Fprintln(complaints, "sluice:", err)
				}
			case <-ctx.Done():
			}
		}
		stop()
		<-ended
	}
	return verifier.Explain(token), nil
}

// report never waits: who fetches must not be held up.
func report(answers chan<- error, err error) {
	select {
	case answers <- err:
	default:
	}
}

// writeExplanation writes a line for everything that is known of a token.
func writeExplanation(w io.Writer, e auth.Explanation, now time.Time) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	if id := e.Identity; id != nil {
		if id.Expires.IsZero() {
			line("valid", "without end: it has no exp")
		} else {
			fmt.Fprintf(&b, "valid until %s\n", moment(id.Expires, now)) // with the leeway
		}
		line("user", "%s", id.User)
		line("channels", "%s", strings.Join(id.Channels, " "))
		line("subscribe", "%v", id.Allow.Subscribe)
		line("publish", "%v", id.Allow.Publish)
		line("presence", "%v", id.Allow.Presence)
	} else {
		line("refused", "%v", e.Refusal)
	}
	if e.Key == nil {
		line("signed by", "no key that is configured: nothing in it is proven")
	} else {
		line("signed by", "%s", keyInWords(e.Key))
	}
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"issued", e.Issued}, {"not before", e.NotBefore}, {"expires", e.Expires}} {
		if !t.at.IsZero() {
			line(t.name, "%s", moment(t.at, now))
		}
	}
	for _, part := range []struct {
		name string
		text []byte
	}{{"header", e.Header}, {"claims", e.Claims}} {
		var compact bytes.Buffer
		if part.text != nil && json.Compact(&compact, part.text) == nil {
			line(part.name, "%s", compact.String())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func keyInWords(k *auth.KeyName) string {
	words := "the " + k.Alg + " key without an ID"
	if k.ID != "" {
		words = fmt.Sprintf("the %s key %q", k.Alg, k.ID)
	}
	if k.Issuer != "" {
		words += " of " + k.Issuer
	}
	if k.URL != "" {
		words += ", listed in " + k.URL
	}
	return words
}

// moment is a time in figures and in words.
func moment(at, now time.Time) string {
	words := "now"
	switch d := at.Sub(now).Round(time.Second); {
	case d > 0:
		words = "in " + inWords(d)
	case d < 0:
		words = inWords(-d) + " ago"
	}
	return at.UTC().Format(time.RFC3339) + ", " + words
}

// inWords is a duration in its two largest units.
func inWords(d time.Duration) string {
	units := []struct {
		name string
		size time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}}
	count := func(d time.Duration, name string, size time.Duration) string {
		if n := d / size; n != 1 {
			return fmt.Sprintf("%d %ss", n, name)
		}
		return "1 " + name
	}
	for i, u := range units[:len(units)-1] {
		if d < u.size {
			continue
		}
		words := count(d, u.name, u.size)
		if next, rest := units[i+1], d%u.size; rest >= next.size {
			words += " " + count(rest, next.name, next.size)
		}
		return words
	}
	return count(d, "second", time.Second)
}

// printable keeps what a token says from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
