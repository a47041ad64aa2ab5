package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"sluice/config"
	"sluice/gateway/api"
)

// newAPI makes the HTTP API, which is off where no key is configured.
func (a *App) newAPI() (*api.API, error) {
	key, err := apiKey(a.config)
	if err != nil {
		return nil, err
	}
	return api.New(api.Options{
		Key:       key,
		Broker:    a.broker,
		Namespace: func(channel string) config.Namespace { return a.now.Load().config.Namespace(channel) },
		Nodes:     a.apiNodes,
		Log:       a.log,
		Channels:  a.hub.Occupancy,
	}), nil
}

func apiKey(c *config.Config) (string, error) {
	if c.API.KeyFile == "" {
		return string(c.API.Key), nil
	}
	content, err := os.ReadFile(c.API.KeyFile)
	if err != nil {
		return "", fmt.Errorf("api.key_file: %w", err)
	}
	key := string(bytes.TrimSpace(content))
	if err := config.CheckAPIKey(key); err != nil {
		return "", fmt.Errorf("api.key_file: the key in %s %w", c.API.KeyFile, err)
	}
	return key, nil
}

// apiNodes are the nodes as the API tells of them.
func (a *App) apiNodes() []api.Node {
	var nodes []api.Node
	self := false
	for _, p := range a.lease.Peers() {
		n := api.Node{UID: p.Life, Name: p.ID, Uptime: int64(time.Since(time.UnixMilli(p.Started)).Seconds())}
		if p.Life == a.node.Life {
			self = true
			a.describe(&n)
		}
		nodes = append(nodes, n)
	}
	if !self { // its lease is not there yet, or has run out
		n := api.Node{UID: a.node.Life, Name: a.node.ID, Uptime: int64(time.Since(a.started).Seconds())}
		a.describe(&n)
		nodes = append(nodes, n)
	}
	return nodes
}

// describe adds what only this node knows of itself.
func (a *App) describe(n *api.Node) {
	h := a.hub.Stats()
	n.Version, n.Clients, n.Channels, n.Subs = version, a.engine.Stats().Connections, h.Channels, h.Subscriptions
}
