package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/gateway/auth"
	"sluice/pubsub/redistest"
)

// eventSource is a real EventSource in another process.
type eventSource struct {
	t     *testing.T
	stdin io.Closer
	lines *bufio.Scanner
	fault *safeBuffer
}

// startEventSource starts one that follows a URL, with more environment variables.
func startEventSource(t *testing.T, stream string, env ...string) *eventSource {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	cmd := exec.CommandContext(ctx, "node", "testdata/interop/eventsource.mjs")
	cmd.Env = append(append(os.Environ(), "URL_OF_STREAM="+stream), env...)
	e := &eventSource{t: t, fault: new(safeBuffer)}
	cmd.Stderr = e.fault
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (without node, Chromium or the npm packages: run make deps)", err)
	}
	t.Cleanup(func() {
		defer cancel()
		_ = stdin.Close() // it ends by that
		_ = cmd.Wait()
	})
	e.stdin, e.lines = stdin, bufio.NewScanner(stdout)
	return e
}

// heard is an event as the script says it.
type heard struct{ Type, ID, Data string }

// next is the next event.
func (e *eventSource) next() heard {
	e.t.Helper()
	if !e.lines.Scan() {
		e.t.Fatalf("the script has ended (without node, Chromium or the npm packages: run make deps)\n%s", e.fault.String())
	}
	var h heard
	if err := json.Unmarshal(e.lines.Bytes(), &h); err != nil {
		e.t.Fatalf("%q: %v", e.lines.Text(), err)
	}
	return h
}

func (e *eventSource) want(events ...heard) {
	e.t.Helper()
	for _, want := range events {
		if got := e.next(); got != want {
			e.t.Fatalf("%+v, want %+v\n%s", got, want, e.fault.String())
		}
	}
}

// frontDoor is a reverse proxy that can be turned to another node, as a load balancer
// does with a client that comes back.
type frontDoor struct {
	url    string
	target atomic.Pointer[url.URL]
	gate   chan struct{} // full while nobody is let in: they wait
}

func newFrontDoor(t *testing.T, n *testNode) *frontDoor {
	d := &frontDoor{gate: make(chan struct{}, 1)}
	d.turn(n)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(d.target.Load()) },
		Transport: &http.Transport{DisableKeepAlives: true}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case d.gate <- struct{}{}:
			<-d.gate
			proxy.ServeHTTP(w, r)
		case <-r.Context().Done(): // it has gone
		}
	}))
	t.Cleanup(s.Close)
	d.url = s.URL
	return d
}

func (d *frontDoor) shut() { d.gate <- struct{}{} }
func (d *frontDoor) open() { <-d.gate }

func (d *frontDoor) turn(n *testNode) {
	d.target.Store(&url.URL{Scheme: "http", Host: n.Public().String()})
}

// TestEventSource: clients that others wrote follow a channel, lose their node, come
// back to another one through a proxy, and have missed nothing.
func TestEventSource(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>a page of another origin</title>") // a browser that has gone is missed elsewhere
	}))
	t.Cleanup(page.Close)
	for _, client := range []string{"node", "chromium"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			a, b := startNode(t, "--dev", "--redis", server.URL).ready(), startNode(t, "--dev", "--redis", server.URL).ready()
			door := newFrontDoor(t, a)
			e := startEventSource(t, door.url+"/sse?channel=orders", "CLIENT="+client, "PAGE="+page.URL)
			id := func(last string) string { // of an event that brings none
				if client == "node" {
					return "" // by the standard it is the last one that was brought
				}
				return last
			}
			e.want(heard{Type: "open"})
			p0 := e.next()
			if p0.Type != "ready" || p0.Data != "orders" || p0.ID == "" {
				t.Fatalf("%+v", p0)
			}
			p1 := a.publishDurable("orders", "one\nof two lines ☕")
			e.want(heard{"message", p1, "one\nof two lines ☕"})
			p2 := a.publishDurable("orders", "\x00\xFF")
			e.want(heard{"binary", p2, "AP8="})
			a.publish("orders", "beside the log")
			e.want(heard{"message", id(p2), "beside the log"})

			door.turn(b)
			door.shut() // or it might be back before there is anything that it has missed
			if err := a.stop(); err != nil {
				t.Error(err)
			}
			e.want(heard{"close", id(p2), "1012 this node is going away, come back"}, heard{Type: "error", Data: "0"})
			p3 := b.publishDurable("orders", "while it was away")
			door.open()
			e.want(heard{Type: "open"}, heard{"resumed", id(p2), "orders"}, heard{"message", p3, "while it was away"}, heard{"ready", p3, "orders"})
			p4 := b.publishDurable("orders", "four")
			e.want(heard{"message", p4, "four"})
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		n := startNode(t, "--auth-hmac-secret", testSecret).ready()
		e := startEventSource(t, "http://"+n.Public().String()+"/sse?channel=orders", "CLIENT=node")
		e.want(heard{Type: "error", Data: "2"}) // for good
	})
	t.Run("chromium, with a cookie", func(t *testing.T) {
		t.Parallel()
		good := sign(t, testKey, auth.Claims{})
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: good, Path: "/"})
			_, _ = io.WriteString(w, "<!doctype html>") // likewise
		}))
		t.Cleanup(page.Close)
		n := startNode(t, "--auth-hmac-secret", testSecret, "--auth-cookie", "session", "--origins", page.URL).ready()
		e := startEventSource(t, "http://"+n.Public().String()+"/sse?channel=orders", "CLIENT=chromium", "PAGE="+page.URL, "CREDENTIALS=1")
		e.want(heard{Type: "open"})
		if user := n.entry("connect")["user"]; user != "42" {
			t.Errorf("the user is %v", user)
		}
		n.publish("orders", "hello")
		e.want(heard{Type: "message", Data: "hello"})
		if !strings.HasPrefix(n.entry("connect")["channel"].(string), "orders") {
			t.Error("another channel")
		}
	})
}
