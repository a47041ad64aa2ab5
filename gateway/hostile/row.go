package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
)

// How is the way in which a row's bytes are cut into writes. A node must not
// care.
type How int

// The ways.
const (
	Whole      How = iota // one write
	ByteByByte            // one write for each byte
	Pieces                // writes of pieceLength bytes
)

const pieceLength = 1400

func (h How) String() string { return [...]string{"whole", "byte by byte", "in pieces"}[h] }

// Row is one hostile input and what must come of it.
type Row struct {
	Name   string
	Path   string   // opened by a proper handshake before Send goes out; "": Send begins with the request
	Fields []string // header lines of that handshake, as of Request
	Send   string   // the bytes; see Bytes and Frame
	Play   Play     // instead of Send, where bytes alone will not do
	How    []How    // nil: all that make sense for so many bytes

	// Want is what comes back, separated by ", ":
	//
	//	400, 101     an HTTP answer
	//	text hello   a message, as are binary and pong; "text of 1000" for a long one
	//	close 1002   a close frame; after it nothing
	//	gone         the node ends the connection without a further byte
	//	alert …      an alert of TLS, in crypto/tls's words, which ends the connection
	//
	// "…" at the beginning stands for anything. Where Want does not end in an HTTP
	// refusal, close or gone, the connection must still be well: it is closed with
	// 1000, which must be answered.
	Want string

	// Agreed is the Sec-WebSocket-Extensions of the answer: "none", or "" for any.
	Agreed string

	// Reason is what must be counted, once: a metric with its labels, or several with
	// " and " between. "" is what follows from Want.
	Reason string
}

// Play acts as a peer that is connected to node. It need not read what Want says.
type Play func(ctx context.Context, node *Node, p *Peer) error

// Hows are the ways in which the row's bytes are to be sent.
func (r *Row) Hows() []How {
	switch {
	case r.How != nil:
		return r.How
	case r.Play != nil || len(r.Send) < 2:
		return []How{Whole}
	case len(r.Send) > 4*pieceLength:
		return []How{Whole, Pieces}
	}
	return []How{Whole, ByteByByte}
}

// nothing is the Reason of rows after which nothing is to be counted.
const nothing = "nothing"

// codeNames are the labels of sluice_closed_total.
var codeNames = map[string]string{
	"close": "no_status", "close 1000": "normal", "close 1001": "going_away", "close 1002": "protocol_error", "close 1003": "unsupported_data",
	"close 1007": "invalid_payload", "close 1008": "policy_violation", "close 1009": "message_too_big", "close 1010": "mandatory_extension",
	"close 1011": "internal_error", "close 1012": "service_restart", "close 1013": "try_again_later", "close 1014": "bad_gateway", "gone": "abnormal",
}

// reason is the metric that must count the row.
func (r *Row) reason() string {
	want := strings.Split(r.Want, ", ")
	last := want[len(want)-1]
	switch {
	case r.Reason != "":
		return r.Reason
	case isRefusal(last):
		return fmt.Sprintf("sluice_refused_total{status=%q}", last)
	case codeNames[last] != "":
		return fmt.Sprintf("sluice_closed_total{code=%q}", codeNames[last])
	case strings.HasPrefix(last, "close 3"):
		return `sluice_closed_total{code="library"}`
	case strings.HasPrefix(last, "close 4"):
		return `sluice_closed_total{code="application"}`
	}
	return `sluice_closed_total{code="normal"}`
}

// isRefusal reports whether a part of Want is an HTTP status that ends the connection.
func isRefusal(want string) bool {
	return len(want) == 3 && want[0] >= '2' && want[0] <= '5'
}

// ends reports whether a part of Want is the last thing that can come.
func ends(want string) bool {
	return isRefusal(want) || strings.HasPrefix(want, "close") || strings.HasPrefix(want, "alert ") || want == "gone"
}

// Run plays the row against a node and holds what comes back against Want.
func (r *Row) Run(ctx context.Context, n *Node, how How) error {
	p, err := r.connect(ctx, n)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }() // a peer has nothing to lose
	sent := make(chan error, 1)
	go func() {
		if r.Play != nil {
			sent <- r.Play(ctx, n, p)
			return
		}
		send(p, r.Send, how)
		sent <- nil
	}()
	got, err := r.read(p)
	if err != nil {
		_ = p.Close() // whoever writes gives up, too
		return errors.Join(err, <-sent)
	}
	if err := <-sent; err != nil {
		return err
	}
	want := strings.TrimPrefix(r.Want, "…, ")
	if got != r.Want && (want == r.Want || !strings.HasSuffix(got, want)) {
		return fmt.Errorf("got %q, want %q", got, r.Want)
	}
	return nil
}

func (r *Row) connect(ctx context.Context, n *Node) (*Peer, error) {
	if r.Path != "" {
		return Open(ctx, n, r.Path, r.Fields...)
	}
	return Dial(ctx, n.Public)
}

// send writes as is wished. A node may well close before all is written: what
// went wrong shows in what comes back.
func send(p *Peer, bytes string, how How) {
	size := map[How]int{Whole: len(bytes), ByteByByte: 1, Pieces: pieceLength}[how]
	for bytes != "" {
		k := min(size, len(bytes))
		if _, err := io.WriteString(p, bytes[:k]); err != nil {
			return
		}
		bytes = bytes[k:]
	}
}

// read reads what Want speaks of and whatever else comes.
func (r *Row) read(p *Peer) (string, error) {
	var got []string
	want := strings.Split(r.Want, ", ")
	last := want[len(want)-1]
	if r.Path == "" {
		status, rest, err := p.ReadResponse()
		if status == 0 {
			if alert := plainAlert(rest); alert != "" {
				return alert, nil
			}
			if isGone(err) && last == "gone" {
				return "gone", nil
			}
			return "", fmt.Errorf("no HTTP answer: %w", err)
		}
		got = append(got, fmt.Sprint(status))
		if statusLine.MatchString(rest) || strings.Contains(rest, "EVIL") {
			return "", fmt.Errorf("answered %d with what is not its own: %q", status, rest)
		}
		if agreed := extensions(rest); r.Agreed != "" && agreed != strings.TrimPrefix(r.Agreed, "none") {
			return "", fmt.Errorf("agreed on extensions %q, want %q", agreed, r.Agreed)
		}
		if status != 101 {
			return got[0], err
		}
	}
	for ends(last) || len(got) < len(want) {
		op, payload, err := p.ReadFrame()
		if isGone(err) && last == "gone" {
			return strings.Join(append(got, "gone"), ", "), nil
		}
		if alert := alertOf(err); alert != "" {
			return strings.Join(append(got, alert), ", "), nil
		}
		if err != nil {
			return "", fmt.Errorf("after %q: %w", tail(got), err)
		}
		got = append(got, describe(op, payload))
		if op == opClose {
			return strings.Join(got, ", "), r.readEnd(p)
		}
	}
	if _, err := io.WriteString(p, CloseFrame(1000, "")); err != nil {
		return "", err
	}
	for {
		op, payload, err := p.ReadFrame()
		if err != nil {
			return "", fmt.Errorf("no answer to the close frame after %q: %w", tail(got), err)
		}
		if what := describe(op, payload); what != "close 1000" {
			got = append(got, what)
			continue
		}
		return strings.Join(got, ", "), r.readEnd(p)
	}
}

// readEnd checks that nothing comes behind a close frame. A row that plays may
// have more to say before it ends.
func (r *Row) readEnd(p *Peer) error {
	if r.Play == nil {
		if err := p.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
			return err
		}
	}
	rest, err := io.ReadAll(p.r)
	if len(rest) > 0 {
		return fmt.Errorf("after the close frame came % x", rest)
	}
	if err != nil && !isGone(err) {
		return fmt.Errorf("the node did not end the connection: %w", err)
	}
	return nil
}

// statusLine is the beginning of a response.
var statusLine = regexp.MustCompile(`HTTP/1\.1 \d\d\d `)

// tail is the end of a long transcript.
func tail(got []string) []string { return got[max(0, len(got)-5):] }

// isGone reports whether the other end of a connection has ended it.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed) // by a row that plays
}
