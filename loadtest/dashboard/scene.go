package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"sluice/loadtest/internal/child"
)

// scene is something that happens at a part of the run.
type scene struct {
	at   float64 // 0 to 1
	name string
	play func(context.Context, *rig) error
}

// scenes in their order. A part of 0.01 is 1.8 s of a run of three minutes.
var scenes = []scene{
	{0.10, "bursts", func(ctx context.Context, r *rig) error {
		return r.load(ctx, "fanout", "-n", "300", "--burst", "8", "--for", r.span(0.08).String(), "--warmup", "0s", "--url", "ws://"+r.nodes[0].public+"/ws?channel={channel}")
	}},
	{0.22, "strangers", strangers},
	{0.28, "too much is sent", func(ctx context.Context, r *rig) error {
		return r.load(ctx, "echo", "-n", "10", "--depth", "16", "--for", r.span(0.03).String(), "--warmup", "0s", "--quiet", "1s", "--url", "ws://"+r.nodes[1].public+"/echo")
	}},
	{0.34, "some do not read", func(ctx context.Context, r *rig) error {
		return r.load(ctx, "stall", "-n", "60", "--stalled", "20", "--size", "16384", "--burst", "16", "--for", r.span(0.04).String(), "--warmup", "0s", "--quiet", "2s", "--url", "ws://"+r.nodes[0].public+"/ws?channel={channel}")
	}},
	{0.46, "Redis is down", func(ctx context.Context, r *rig) error {
		r.redis.Kill()
		if err := hold(ctx, r.span(0.05)); err != nil {
			return err
		}
		return r.redis.Restart()
	}},
	{0.60, "node2 drains", func(ctx context.Context, r *rig) error {
		if err := r.nodes[1].drain(); err != nil {
			return err
		}
		return r.nodes[1].start(ctx)
	}},
	{0.76, "storm", func(ctx context.Context, r *rig) error {
		return r.load(ctx, "storm", "-n", "1000", "--for", r.span(0.03).String(), "--url", "ws://"+r.nodes[1].public+"/ws?channel={channel}")
	}},
	{0.86, "node2 is killed", func(ctx context.Context, r *rig) error {
		r.nodes[1].kill()
		if err := hold(ctx, r.span(0.05)); err != nil {
			return err
		}
		return r.nodes[1].start(ctx)
	}},
}

// load runs the load generator. What it finds at fault is what the scene is about.
func (r *rig) load(ctx context.Context, args ...string) error {
	if args[0] != "echo" && args[0] != "storm" {
		args = append(args, "--redis", r.redis.URL)
	}
	p, err := child.Start(exec.Command(r.o.Load, args...))
	if err != nil {
		return err
	}
	select {
	case <-p.Gone:
	case <-ctx.Done():
		_ = p.End(syscall.SIGKILL) // that is how
		return ctx.Err()
	}
	if strings.Contains(p.Output(), "sluice-load: error:") { // it did not understand
		return fmt.Errorf("%s %q: %s", r.o.Load, args, p.Output())
	}
	return nil
}

// strangers knock at what is not there, and at the API with a wrong key.
func strangers(ctx context.Context, r *rig) error {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(r.span(0.03)); time.Now().Before(end); {
		for _, n := range r.nodes {
			for _, to := range []struct{ method, url, key, body string }{
				{http.MethodGet, "http://" + n.public + "/nowhere", "", ""},
				{http.MethodPost, "http://" + n.admin + "/api/info", apiKey, "{}"},
				{http.MethodPost, "http://" + n.admin + "/api/info", "another", "{}"},
			} {
				request, err := http.NewRequestWithContext(ctx, to.method, to.url, strings.NewReader(to.body))
				if err != nil {
					return err
				}
				request.Header.Set("X-API-Key", to.key)
				response, err := client.Do(request)
				if err != nil {
					return err
				}
				response.Body.Close()
			}
		}
		if err := hold(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
