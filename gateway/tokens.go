package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"sluice/config"
	"sluice/gateway/auth"
)

// newVerifier makes what judges tokens, nil where nothing is configured that
// could; revoked are tokens that are not valid any more.
func newVerifier(c *config.Config, revoked *auth.Revoked, log *zap.Logger) (*auth.Verifier, error) {
	if !c.Auth.Configured() {
		return nil, nil
	}
	o, err := tokenOptions(c)
	if err != nil {
		return nil, err
	}
	o.Revoked = revoked
	o.Events = auth.Events{
		Fetched: func(url string, keys int) {
			log.Info("key set fetched", zap.String("url", url), zap.Int("keys", keys))
		},
		Failed: func(url string, err error, retryIn time.Duration) {
			log.Warn("cannot fetch a key set: the last good one stays in use", zap.String("url", url), zap.Error(err), zap.Duration("retry_in", retryIn))
		},
		Ignored: func(url, kid, why string) {
			log.Warn("a key of a key set cannot be used", zap.String("url", url), zap.String("kid", kid), zap.String("why", why))
		},
	}
	return auth.New(o)
}

// tokenOptions are a verifier's, without its events.
func tokenOptions(c *config.Config) (auth.Options, error) {
	keys, err := staticKeys(c)
	if err != nil {
		return auth.Options{}, err
	}
	o := auth.Options{
		Keys:     keys,
		Issuer:   c.Auth.Issuer,
		Audience: c.Auth.Audience,
		Leeway:   cmp.Or(c.Auth.Leeway, -1), // none is said by a negative one there
		NoExpiry: !c.Auth.RequireExp,
		Cookie:   c.Auth.Cookie,
	}
	for _, set := range c.Auth.KeySets() {
		o.JWKS = append(o.JWKS, auth.JWKS{URL: set.URL, Issuer: set.Issuer, Algs: set.Algs, Refresh: set.Refresh})
	}
	return o, nil
}

// staticKeys are the configured keys with the contents of their files.
func staticKeys(c *config.Config) ([]auth.Key, error) {
	var keys []auth.Key
	var faults []error
	for _, k := range c.Auth.StaticKeys() {
		key := auth.Key{ID: k.ID, Alg: k.Alg, Issuer: k.Issuer, Secret: []byte(k.Secret), PEM: []byte(k.PEM)}
		if k.File != "" {
			content, err := os.ReadFile(k.File)
			if err != nil {
				faults = append(faults, fmt.Errorf("auth: a key's file: %w", err))
				continue
			}
			if strings.HasPrefix(k.Alg, "HS") {
				key.Secret = bytes.TrimSpace(content)
			} else {
				key.PEM = content
			}
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(faults...)
}
