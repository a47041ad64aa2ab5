package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// posting is how to publish over HTTP, to servers that take nothing from Redis themselves.
type posting struct {
	Post      string `placeholder:"URL" help:"Publish with POST to this http:// URL in place of Redis; {channel} is replaced."`
	PostItem  string `default:"{payload}" help:"Body for one message, with {payload} and {channel}."`
	PostBatch string `help:"Body for all messages that are published at once, with {items}, separated by commas. Without it each message is a request, pipelined on one connection."`
}

// poster publishes over one HTTP/1.1 connection, several requests at a time.
type poster struct {
	o    *posting
	host string
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

// newPoster connects.
func newPoster(ctx context.Context, o *posting) (*poster, error) {
	u, err := url.Parse(o.Post)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("--post %q: want http://host:port/path", o.Post)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, fmt.Errorf("--post: %w", err)
	}
	return &poster{o: o, host: u.Host, conn: conn, in: bufio.NewReader(conn)}, nil
}

func (p *poster) publish(_ context.Context, batch []publication) error {
	requests := len(batch)
	p.out = p.out[:0]
	if p.o.PostBatch == "" {
		for _, m := range batch {
			p.request(m.channel, p.item(m))
		}
	} else {
		requests = 1
		items := make([]string, len(batch))
		for i, m := range batch {
			items[i] = p.item(m)
		}
		p.request("", strings.ReplaceAll(p.o.PostBatch, "{items}", strings.Join(items, ",")))
	}
	// The server answers while it reads, and answers are small: neither side waits for the other for good.
	if _, err := p.conn.Write(p.out); err != nil {
		return fmt.Errorf("publishing %d messages with POST: %w", len(batch), err)
	}
	for range requests {
		if err := p.answer(); err != nil {
			return fmt.Errorf("publishing %d messages with POST: %w", len(batch), err)
		}
	}
	return nil
}

func (p *poster) item(m publication) string {
	return strings.NewReplacer("{payload}", string(m.payload), "{channel}", m.channel).Replace(p.o.PostItem)
}

func (p *poster) request(channel, body string) {
	target := p.o.Post[strings.Index(p.o.Post, p.host)+len(p.host):]
	if target == "" {
		target = "/"
	}
	p.out = fmt.Appendf(p.out, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		strings.ReplaceAll(target, "{channel}", url.QueryEscape(channel)), p.host, len(body), body)
}

// answer reads one answer. Some servers report a failure with 200, in the body.
func (p *poster) answer() error {
	r, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode/100 != 2 || bytes.Contains(body, []byte(`"error"`)) {
		return fmt.Errorf("%s: %.200s", r.Status, body)
	}
	return nil
}

func (p *poster) close() error { return p.conn.Close() }
