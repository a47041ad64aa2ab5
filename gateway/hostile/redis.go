package hostile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Publish publishes to a channel, as PUBLISH of a backend, each payload in turn.
func (n *Node) Publish(ctx context.Context, channel string, payloads ...string) error {
	commands := make([][]string, len(payloads))
	for i, payload := range payloads {
		commands[i] = []string{"PUBLISH", "sluice:" + channel, payload}
	}
	_, err := n.Do(ctx, commands...)
	return err
}

// Do sends commands to the node's broker, one after the other, and returns the last
// number of the last answer.
func (n *Node) Do(ctx context.Context, commands ...[]string) (number int64, err error) {
	c, err := (&net.Dialer{Timeout: Patience}).DialContext(ctx, "tcp", n.Redis)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
		return 0, err
	}
	answers := bufio.NewReader(c)
	for _, command := range commands {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(command))
		for _, word := range command {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := io.WriteString(c, b.String()); err != nil {
			return 0, err
		}
		if number, err = readReply(answers); err != nil {
			return 0, fmt.Errorf("%s: %w", command[0], err)
		}
	}
	return number, nil
}

// readReply reads a reply, and returns its last number, 0 where it has none.
func readReply(r *bufio.Reader) (number int64, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	kind, text := line[0], strings.TrimSpace(line[1:])
	if kind == '+' || kind == '-' {
		if kind == '-' {
			err = fmt.Errorf("the broker said %q", text)
		}
		return 0, err
	}
	if number, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, err
	}
	switch kind {
	case ':':
		return number, nil
	case '$':
		if number >= 0 {
			_, err = r.Discard(int(number) + 2)
		}
		return 0, err
	case '*':
		var last int64
		for range number {
			if last, err = readReply(r); err != nil {
				return 0, err
			}
		}
		return last, nil
	}
	return 0, fmt.Errorf("a reply that begins %q", kind)
}
