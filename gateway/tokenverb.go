package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"sluice/gateway/auth"
)

type tokenVerb struct {
	Make  tokenMakeVerb  `cmd:"" help:"Make a token, signed with the configured HMAC secret."`
	Check tokenCheckVerb `cmd:"" help:"Say whether a token is valid here, and what it allows."`
}

type tokenMakeVerb struct {
	User      string        `arg:"" help:"User, the sub of the token."`
	TTL       time.Duration `name:"ttl" default:"1h" help:"Time until it expires."`
	Channels  []string      `help:"Channels that the client is subscribed to when it connects."`
	Subscribe []string      `help:"Patterns of channels that it may subscribe to; * stands for any characters."`
	Publish   []string      `help:"Patterns of channels through which it may send."`
}

// Run makes a token.
func (v *tokenMakeVerb) Run(p *program) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	keys, err := staticKeys(c)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if !strings.HasPrefix(k.Alg, "HS") {
			continue
		}
		claims := auth.Claims{User: v.User, TTL: v.TTL, Channels: v.Channels, Audience: c.Auth.Audience}
		for _, s := range v.Subscribe {
			claims.Allow.Subscribe = append(claims.Allow.Subscribe, auth.Pattern(s))
		}
		for _, s := range v.Publish {
			claims.Allow.Publish = append(claims.Allow.Publish, auth.Pattern(s))
		}
		token, err := auth.Sign(k, claims)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, token)
		return err
	}
	return errors.New("no secret is configured to sign with: set auth.hmac_secret or auth.hmac_secret_file; " +
		"tokens of other keys are made by those who have the private key")
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
	verifier, err := newVerifier(c, zap.NewNop())
	if err != nil {
		return err
	}
	if verifier == nil {
		return errors.New("no key is configured, so no token is valid: set auth.hmac_secret, auth.keys or auth.jwks")
	}
	who, err := verifier.Verify(v.Token)
	if err != nil {
		return fmt.Errorf("this token is refused: %w", err)
	}
	expires := "never"
	if !who.Expires.IsZero() {
		expires = who.Expires.Format(time.RFC3339)
	}
	_, err = fmt.Fprintf(p.stdout, "valid until %s\nuser       %s\nchannels   %s\nsubscribe  %v\npublish    %v\n",
		expires, who.User, strings.Join(who.Channels, " "), who.Allow.Subscribe, who.Allow.Publish)
	return err
}
