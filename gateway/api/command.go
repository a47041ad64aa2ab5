package api

import (
	"context"
	"encoding/json"
	"strings"

	"sluice/pubsub"
)

// command is one of the API's methods.
type command struct {
	name string
	do   func(a *API, ctx context.Context, params []byte) (result any, err error)
}

// methods is how many there are.
const methods = 11

// commands are all methods. They are set by init, because some call others.
var commands [methods]command

func init() {
	commands = [methods]command{
		{"publish", with((*API).publish)},
		{"broadcast", with((*API).broadcast)},
		{"history", with((*API).history)},
		{"history_remove", with((*API).historyRemove)},
		{"presence", with((*API).presence)},
		{"presence_stats", with((*API).presenceStats)},
		{"disconnect", with((*API).disconnect)},
		{"subscribe", with((*API).subscribe)},
		{"unsubscribe", with((*API).unsubscribe)},
		{"channels", with((*API).channels)},
		{"info", with((*API).info)},
	}
}

// with reads the parameters of a method. Fields that this gateway does not know are
// passed over, as Centrifugo does: libraries send them with their zero values.
func with[P, R any](do func(*API, context.Context, *P) (R, error)) func(*API, context.Context, []byte) (any, error) {
	return func(a *API, ctx context.Context, params []byte) (any, error) {
		p := new(P)
		if err := json.Unmarshal(params, p); err != nil {
			return nil, badRequest("the parameters do not fit: %v", err)
		}
		return do(a, ctx, p)
	}
}

func commandOf(name string) *command {
	for i := range commands {
		if commands[i].name == name {
			return &commands[i]
		}
	}
	return nil
}

func (c *command) index() int {
	for i := range commands {
		if &commands[i] == c {
			return i
		}
	}
	return methods
}

// names are all methods, for people.
func names() string {
	all := make([]string, 0, methods+1)
	for i := range commands {
		all = append(all, commands[i].name)
	}
	return strings.Join(append(all, "batch"), ", ")
}

// checkChannel refuses what cannot be a channel.
func checkChannel(name string) error {
	if err := pubsub.CheckChannel(name); err != nil {
		return badRequest("channel: %v", err)
	}
	return nil
}

// nothing is a result that says no more than that it was done.
type nothing struct{}
