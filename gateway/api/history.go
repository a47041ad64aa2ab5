package api

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	"sluice/pubsub"
)

// maxHistory is how many messages one answer has at most; the rest is asked for from
// the last one on.
const maxHistory = 10_000

type historyParams struct {
	Channel string `json:"channel"`
	Limit   int    `json:"limit"` // 0: only where the log ends; -1: as many as one answer may have
	Since   *struct {
		Offset uint64 `json:"offset"`
		Epoch  string `json:"epoch"`
	} `json:"since"`
	Reverse bool `json:"reverse"`
}

type historyResult struct {
	Publications []publication `json:"publications"`
	Offset       uint64        `json:"offset"`
	Epoch        string        `json:"epoch"`
}

// publication is a message of a log. What is no JSON stands in it as a string, what is
// no text in base64.
type publication struct {
	Offset  uint64          `json:"offset"`
	Data    json.RawMessage `json:"data,omitempty"`
	B64Data []byte          `json:"b64data,omitempty"`
}

// needDurable refuses channels that keep no log.
func (a *API) needDurable(channel string) error {
	if err := checkChannel(channel); err != nil {
		return err
	}
	if !isDurable(a.opts.Namespace(channel)) {
		return &Error{CodeNotAvailable, "the channel keeps no log: its namespace is not durable"}
	}
	return nil
}

func (a *API) history(ctx context.Context, p *historyParams) (historyResult, error) {
	if err := a.needDurable(p.Channel); err != nil {
		return historyResult{}, err
	}
	limit := min(p.Limit, maxHistory)
	if limit < 0 {
		limit = maxHistory
	}
	var since pubsub.Position
	if p.Since != nil {
		if p.Since.Offset >= 1<<53 {
			return historyResult{}, badRequest("since: there is no such offset")
		}
		since = pubsub.Position(p.Since.Offset)
	}
	h, err := a.read(ctx, p, since, limit)
	if err != nil {
		return historyResult{}, err
	}
	if p.Since != nil && (p.Since.Epoch != "" && p.Since.Epoch != h.Epoch || !p.Reverse && since != 0 && limit > 0 && !reaches(&h, since)) {
		return historyResult{}, &Error{CodeUnrecoverable, "the log does not reach back to that position"}
	}
	r := historyResult{make([]publication, 0, len(h.Entries)), uint64(h.Last), h.Epoch}
	for i := range h.Entries {
		r.Publications = append(r.Publications, publicationOf(&h.Entries[i]))
	}
	return r, nil
}

func (a *API) read(ctx context.Context, p *historyParams, since pubsub.Position, limit int) (pubsub.History, error) {
	if p.Reverse {
		return a.opts.Broker.HistoryBefore(ctx, p.Channel, since, limit)
	}
	return a.opts.Broker.History(ctx, p.Channel, since, limit, maxHistorySize)
}

// maxHistorySize is how many bytes of payloads one answer has, but for the first
// message.
const maxHistorySize = 8 << 20

// reaches reports whether a log has all that came after a position, as far as it was
// read.
func reaches(h *pubsub.History, since pubsub.Position) bool {
	return h.Proven || h.More && len(h.Entries) > 0 && h.Entries[0].Before == since
}

func publicationOf(e *pubsub.Durable) publication {
	p := publication{Offset: uint64(e.Position)}
	switch {
	case !utf8.Valid(e.Payload): // also where it is JSON but for that
		p.B64Data = e.Payload
	case json.Valid(e.Payload):
		p.Data = e.Payload
	default:
		p.Data = marshal(string(e.Payload))
	}
	return p
}

type channelParams struct {
	Channel string `json:"channel"`
}

// historyRemove empties a channel's log. Clients that come back are told that they may
// have missed something, which is so.
func (a *API) historyRemove(ctx context.Context, p *channelParams) (nothing, error) {
	if err := a.needDurable(p.Channel); err != nil {
		return nothing{}, err
	}
	return nothing{}, a.opts.Broker.RemoveHistory(ctx, p.Channel)
}
