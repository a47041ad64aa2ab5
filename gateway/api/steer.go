package api

import (
	"context"
	"strconv"
	"strings"
	"unicode"
)

// target is whom a command is about: one connection, by its name in the inbox, or all
// of a user's.
type target struct {
	User   string `json:"user"`
	Client string `json:"client"`
}

// words are it as sluice_disconnect and its kin take it.
func (t *target) words() ([]string, error) {
	for _, name := range []string{t.User, t.Client} {
		if len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
			return nil, badRequest("user and client have at most %d bytes, without control characters", maxName)
		}
	}
	switch {
	case t.Client != "":
		return []string{"conn", t.Client}, nil
	case t.User != "":
		return []string{"user", t.User}, nil
	}
	return nil, badRequest("user or client is missing")
}

// maxName is the longest name of a user or a connection, and maxReason the longest
// reason of a close frame, bytes.
const (
	maxName   = 255
	maxReason = 123
)

type disconnectParams struct {
	target
	Disconnect *struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	} `json:"disconnect"`
	Whitelist       []string `json:"whitelist"`
	ClientWhitelist []string `json:"clientwhitelist"` // older libraries'
}

func (a *API) disconnect(ctx context.Context, p *disconnectParams) (nothing, error) {
	words, err := p.words()
	if err != nil {
		return nothing{}, err
	}
	if len(p.Whitelist)+len(p.ClientWhitelist) > 0 {
		return nothing{}, &Error{CodeNotAvailable, "whitelist: all connections of the user are closed, or one"}
	}
	if d := p.Disconnect; d != nil && d.Code != 0 {
		if d.Code < 4000 || d.Code > 4999 {
			return nothing{}, badRequest("disconnect: the code is from 4000 to 4999; clients come back after one below 4500, and not from there on")
		}
		if len(d.Reason) > maxReason || strings.ContainsFunc(d.Reason, unicode.IsControl) {
			return nothing{}, badRequest("disconnect: the reason has at most %d bytes, in one line", maxReason)
		}
		words = append(words, strconv.Itoa(d.Code))
		if d.Reason != "" {
			words = append(words, d.Reason)
		}
	}
	_, err = a.opts.Broker.Steer(ctx, "disconnect", words...)
	return nothing{}, err
}

type membershipParams struct {
	target
	Channel string `json:"channel"`
}

// subscribe adds a channel to connections that are there now. What else Centrifugo can
// be told about such a subscription the namespace says here.
func (a *API) subscribe(ctx context.Context, p *membershipParams) (nothing, error) {
	return nothing{}, a.change(ctx, "subscribe", p)
}

func (a *API) unsubscribe(ctx context.Context, p *membershipParams) (nothing, error) {
	return nothing{}, a.change(ctx, "unsubscribe", p)
}

func (a *API) change(ctx context.Context, name string, p *membershipParams) error {
	words, err := p.words()
	if err != nil {
		return err
	}
	if err := checkChannel(p.Channel); err != nil {
		return err
	}
	_, err = a.opts.Broker.Steer(ctx, name, append(words, p.Channel)...)
	return err
}
