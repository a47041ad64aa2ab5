package api

import "context"

// Node is one of the nodes. What only the node itself knows is left out of the others.
type Node struct {
	UID      string `json:"uid"`  // one run of it
	Name     string `json:"name"` // node.id
	Version  string `json:"version,omitempty"`
	Clients  int64  `json:"num_clients,omitempty"`
	Channels int64  `json:"num_channels,omitempty"`
	Subs     int64  `json:"num_subs,omitempty"`
	Uptime   int64  `json:"uptime"` // seconds
}

type infoResult struct {
	Nodes []Node `json:"nodes"`
}

func (a *API) info(context.Context, *nothing) (infoResult, error) {
	return infoResult{a.opts.Nodes()}, nil
}

// maxListed is how many channels are listed at most.
const maxListed = 10_000

type channelsResult struct {
	Channels map[string]channelInfo `json:"channels"`
}

type channelInfo struct {
	Clients int `json:"num_clients"`
}

// channels lists those that have subscribers. A node knows only its own.
func (a *API) channels(_ context.Context, p *struct {
	Pattern string `json:"pattern"`
}) (channelsResult, error) {
	if p.Pattern != "" {
		return channelsResult{}, &Error{CodeNotAvailable, "pattern: all channels are listed, or none"}
	}
	if len(a.opts.Nodes()) > 1 {
		return channelsResult{}, &Error{CodeNotAvailable, "there are several nodes, and each knows its own channels only: ask Redis, PUBSUB CHANNELS"}
	}
	list, ok := a.opts.Channels(maxListed)
	if !ok {
		return channelsResult{}, &Error{CodeLimitExceeded, "there are more channels than one answer can hold"}
	}
	r := channelsResult{make(map[string]channelInfo, len(list))}
	for name, clients := range list {
		r.Channels[name] = channelInfo{clients}
	}
	return r, nil
}
