package api

import (
	"context"
	"encoding/json"

	"sluice/pubsub"
)

// maxPresence is how many connections one answer has at most.
const maxPresence = 10_000

type presenceResult struct {
	Presence map[string]attendee `json:"presence"` // by connection
}

type attendee struct {
	User   string          `json:"user"`
	Client string          `json:"client"`
	Info   json.RawMessage `json:"conn_info,omitempty"`
}

func (a *API) needPresence(channel string) error {
	if err := checkChannel(channel); err != nil {
		return err
	}
	if !a.opts.Namespace(channel).Presence {
		return &Error{CodeNotAvailable, "nobody keeps who is subscribed to the channel: its namespace has no presence"}
	}
	return nil
}

func (a *API) presence(ctx context.Context, p *channelParams) (presenceResult, error) {
	if err := a.needPresence(p.Channel); err != nil {
		return presenceResult{}, err
	}
	r := presenceResult{map[string]attendee{}}
	for cursor := ""; ; {
		part, err := a.opts.Broker.Attendance(ctx, p.Channel, maxPresence, cursor)
		if err != nil {
			return presenceResult{}, err
		}
		for _, one := range part.Attendees {
			r.Presence[one.Conn] = attendeeOf(one)
		}
		if len(r.Presence) > maxPresence {
			return presenceResult{}, &Error{CodeLimitExceeded, "more connections are subscribed than one answer can hold: ask for presence_stats"}
		}
		if cursor = part.Next; cursor == "" {
			return r, nil
		}
	}
}

func attendeeOf(a pubsub.Attendee) attendee {
	one := attendee{User: a.User, Client: a.Conn}
	if json.Valid(a.Info) {
		one.Info = a.Info
	}
	return one
}

type presenceStatsResult struct {
	Clients int64 `json:"num_clients"`
	Users   int64 `json:"num_users"`
}

func (a *API) presenceStats(ctx context.Context, p *channelParams) (r presenceStatsResult, err error) {
	if err := a.needPresence(p.Channel); err != nil {
		return r, err
	}
	r.Clients, r.Users, err = a.opts.Broker.AttendanceStats(ctx, p.Channel)
	return r, err
}
