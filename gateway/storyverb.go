package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"sluice/gateway/story"
)

type storyVerb struct {
	Conn string `arg:"" optional:"" help:"A connection's name, the conn of the inbox and of the log."`
	User string `help:"In place of that: all connections that a user has on this node, and had lately."`
	JSON bool   `name:"json" help:"As JSON, as /api/connections has it."`
}

// Run prints what the node at the admin port knows.
func (v *storyVerb) Run(p *program) error {
	if (v.Conn == "") == (v.User == "") {
		return fmt.Errorf("say of which connection, or of which --user")
	}
	c, err := p.config()
	if err != nil {
		return err
	}
	if c.Admin == "" {
		return fmt.Errorf("the admin port is switched off, and only there a node tells this")
	}
	address, err := localAddress(c)
	if err != nil {
		return err
	}
	target := "http://" + address + "/api/connections"
	if v.Conn != "" {
		target += "/" + url.PathEscape(v.Conn)
	} else {
		target += "?user=" + url.QueryEscape(v.User)
	}
	body, err := p.fetch(target)
	if err != nil {
		return err
	}
	if v.JSON {
		_, err := p.stdout.Write(body)
		return err
	}
	var answer struct {
		story.Story
		Connections []story.Story `json:"connections"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	stories := answer.Connections
	if v.Conn != "" {
		stories = []story.Story{answer.Story}
	}
	if len(stories) == 0 {
		_, err := fmt.Fprintf(p.stdout, "user %s has no connection here, and had none lately; other nodes may know more\n", v.User)
		return err
	}
	for i := range stories {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		stories[i].Print(p.stdout, time.Now())
	}
	return nil
}

// fetch is the body of a page of the admin port. What is not 200 is an error, in the words of the page.
func (p *program) fetch(target string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(p.ctx, healthPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	// No proxy of the environment, and no connection that outlives this.
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("no node answers: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	if response.StatusCode == http.StatusOK {
		return body, nil
	}
	var refusal struct{ Error struct{ Message string } }
	if json.Unmarshal(body, &refusal) == nil && refusal.Error.Message != "" {
		return nil, fmt.Errorf("%s", refusal.Error.Message)
	}
	return nil, fmt.Errorf("%s answers %s: %s", target, response.Status, bytes.TrimSpace(body))
}
