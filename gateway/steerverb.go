package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sluice/pubsub"
)

// verbTimeout is how long a verb that asks Redis waits for it.
const verbTimeout = 5 * time.Second

type disconnectVerb struct {
	Kind   string `arg:"" enum:"user,conn,token" help:"What ID is: a user, a connection's name as in the inbox, or a token's jti, which is revoked by it."`
	ID     string `arg:"" name:"id" help:"Whom it is about."`
	Code   int    `default:"0" help:"Close code, 4000 to 4999; 0 means 4500, of a token 4501."`
	Reason string `help:"Reason in the close frame, at most 123 bytes. Needs --code."`
}

// Run has connections closed.
func (v *disconnectVerb) Run(p *program) error {
	args := []string{v.Kind, v.ID}
	if v.Code != 0 {
		args = append(args, strconv.Itoa(v.Code))
	}
	if v.Reason != "" {
		if v.Code == 0 {
			return errors.New("--reason needs --code, 4500 for one that SDKs do not come back after")
		}
		args = append(args, v.Reason)
	}
	return p.steer("disconnect", args...)
}

type revokeVerb struct {
	Kind string        `arg:"" enum:"token,user" help:"What ID is: a token's jti, or a user whose tokens until now are meant."`
	ID   string        `arg:"" name:"id" help:"What is revoked."`
	TTL  time.Duration `name:"ttl" default:"24h" help:"For how long it is remembered: what is left of the longest life of the tokens."`
}

// Run revokes tokens.
func (v *revokeVerb) Run(p *program) error {
	return p.steer("revoke", v.Kind, v.ID, "ttl", strconv.Itoa(int(v.TTL/time.Second)))
}

// steer calls one of the functions that all nodes obey.
func (p *program) steer(name string, args ...string) error {
	return p.ask(func(ctx context.Context, broker *pubsub.Redis) error {
		n, err := broker.Steer(ctx, name, args...)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%d nodes have heard it; any other does within a second\n", n)
		return err
	})
}

// ask does something with the Redis that the configuration names.
func (p *program) ask(do func(context.Context, *pubsub.Redis) error) (err error) {
	broker, err := p.connect(pubsub.Events{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	ctx, cancel := context.WithTimeout(p.ctx, verbTimeout)
	defer cancel()
	if err := do(ctx, broker); err != nil {
		return fmt.Errorf("%w (is a sluice or a Redis running there? see --redis)", err)
	}
	return nil
}

type presenceVerb struct {
	Channel string `arg:"" help:"Channel, without the prefix."`
	Count   bool   `help:"Say only how many there are."`
}

// Run prints who is subscribed.
func (v *presenceVerb) Run(p *program) error {
	if err := pubsub.CheckChannel(v.Channel); err != nil {
		return err
	}
	return p.ask(func(ctx context.Context, broker *pubsub.Redis) error {
		connections, users, err := broker.AttendanceStats(ctx, v.Channel)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%d connections of %d users\n", connections, users)
		if v.Count {
			return nil
		}
		return v.list(ctx, p, broker)
	})
}

func (v *presenceVerb) list(ctx context.Context, p *program, broker *pubsub.Redis) error {
	for cursor := ""; ; {
		page, err := broker.Attendance(ctx, v.Channel, 1000, cursor)
		if err != nil {
			return err
		}
		for _, a := range page.Attendees {
			fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\n", a.Conn, a.User, a.Since.Format(time.RFC3339), a.Info)
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}
