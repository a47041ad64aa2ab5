package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/config"
	"sluice/pubsub"
)

const (
	// MaxBody is the largest request body, bytes.
	MaxBody = 8 << 20

	patience = 5 * time.Second // for Redis, for one request
)

// Broker is what the API asks of Redis.
type Broker interface {
	Publish(ctx context.Context, channel string, payload []byte) (receivers int64, err error)
	PublishDurable(ctx context.Context, channel string, payload []byte, o pubsub.DurableOptions) (pubsub.Position, string, error)
	History(ctx context.Context, channel string, since pubsub.Position, limit, bytes int) (pubsub.History, error)
	HistoryBefore(ctx context.Context, channel string, before pubsub.Position, limit int) (pubsub.History, error)
	RemoveHistory(ctx context.Context, channel string) error
	Attendance(ctx context.Context, channel string, limit int, cursor string) (pubsub.Attendance, error)
	AttendanceStats(ctx context.Context, channel string) (connections, users int64, err error)
	Steer(ctx context.Context, name string, args ...string) (nodes int64, err error)
}

// Options are what an API is made of.
type Options struct {
	Key       string // that services show; "": the API is off
	Broker    Broker
	Namespace func(channel string) config.Namespace
	Nodes     func() []Node                         // that are alive, this one among them
	Log       *zap.Logger                           // must not block, and writes of one message one line a second
	Channels  func(most int) (map[string]int, bool) // connections of each channel, where that is known; false: there are more than most
}

// API serves requests. Any goroutine may call its methods.
type API struct {
	opts Options
	key  [sha256.Size]byte

	counts [methods + 1]counts // the last: what is no command
	wrong  atomic.Int64        // keys that were
	tried  guesses
}

type counts struct{ done, failed atomic.Int64 }

// New makes one.
func New(o Options) *API { return &API{opts: o, key: sha256.Sum256([]byte(o.Key))} }

// Wanted reports whether a request is for the API: it shows a key, which no page of
// another origin can make a browser do.
func Wanted(r *http.Request) bool {
	_, shown := keyOf(r)
	return shown && (r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/"))
}

// keyOf is the key that a request shows.
func keyOf(r *http.Request) (key string, shown bool) {
	if values, ok := r.Header["X-Api-Key"]; ok {
		return strings.Join(values, ","), true
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(key), strings.EqualFold(scheme, "apikey")
}

// HasKey reports whether there is a key to show: without one the API is off.
func (a *API) HasKey() bool { return a.opts.Key != "" }

// WrongKeys is how many requests have shown no key, or another one.
func (a *API) WrongKeys() int64 { return a.wrong.Load() }

// Each calls f for every method, and "" for what is no command, with how many
// commands were done and how many got an error.
func (a *API) Each(f func(method string, done, failed int64)) {
	for i := range a.counts {
		name := ""
		if i < methods {
			name = commands[i].name
		}
		f(name, a.counts[i].done.Load(), a.counts[i].failed.Load())
	}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.respond(w, r, a.admit) }

// Open serves who shows no key, to those that the caller lets in.
func (a *API) Open() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.respond(w, r, func(*http.Request) (int, []byte) { return http.StatusOK, nil })
	})
}

func (a *API) respond(w http.ResponseWriter, r *http.Request, admit func(*http.Request) (int, []byte)) {
	status, answer := admit(r)
	if status == http.StatusOK {
		status, answer = a.serve(w, r)
	}
	if status != http.StatusOK {
		a.counts[methods].failed.Add(1)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(answer) // fails only when the caller has gone: nobody is left to tell
}

// admit judges the key of a request.
func (a *API) admit(r *http.Request) (status int, answer []byte) {
	if a.opts.Key == "" {
		return http.StatusForbidden, refusal(CodePermissionDenied, "the HTTP API is off: configure api.key or api.key_file, and send that in X-API-Key")
	}
	key, shown := keyOf(r)
	sum, from := sha256.Sum256([]byte(key)), hostOf(r.RemoteAddr)
	if shown && a.tried.tooMany(from, time.Now()) {
		return http.StatusTooManyRequests, refusal(CodeLimitExceeded, "too many different keys came from this address: none is looked at for some seconds")
	}
	if shown && subtle.ConstantTimeCompare(sum[:], a.key[:]) == 1 {
		return http.StatusOK, nil
	}
	a.wrong.Add(1)
	if shown {
		a.tried.note(from, sum, time.Now())
	}
	a.opts.Log.Warn("a request to the HTTP API has not got the right key: a service is configured wrongly, or somebody tries keys", zap.String("remote", r.RemoteAddr))
	return http.StatusUnauthorized, refusal(CodeUnauthorized, "the key is wrong: send api.key in X-API-Key, or as Authorization: apikey KEY")
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) (status int, answer []byte) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed, refusal(CodeBadRequest, "the API takes POST")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return http.StatusRequestEntityTooLarge, refusal(CodeLimitExceeded, fmt.Sprintf("the body is larger than %d bytes", MaxBody))
	}
	if err != nil {
		return http.StatusBadRequest, refusal(CodeBadRequest, "the body did not arrive whole: "+err.Error())
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	switch name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/api"), "/"); name {
	case "":
		return a.lines(ctx, body)
	case "batch":
		return a.batch(ctx, body)
	default:
		c := commandOf(name)
		if c == nil {
			return http.StatusNotFound, refusal(CodeMethodNotFound, "there is no such method; there are "+names())
		}
		if len(bytes.TrimSpace(body)) == 0 {
			body = []byte("{}")
		}
		if !json.Valid(body) {
			return http.StatusBadRequest, refusal(CodeBadRequest, "the body is not JSON")
		}
		return http.StatusOK, a.do(ctx, c, body).line()
	}
}

// do carries out one command.
func (a *API) do(ctx context.Context, c *command, params []byte) reply {
	count := &a.counts[c.index()]
	result, err := c.do(a, ctx, params)
	if err != nil {
		count.failed.Add(1)
		return reply{Error: asError(err)}
	}
	count.done.Add(1)
	return reply{Result: result}
}

// lines carries out commands that stand one after the other, as older libraries send
// them, and answers each.
func (a *API) lines(ctx context.Context, body []byte) (int, []byte) {
	var answers []byte
	for d, n := json.NewDecoder(bytes.NewReader(body)), 0; ; n++ {
		var line struct {
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		err := d.Decode(&line)
		if errors.Is(err, io.EOF) && n > 0 {
			return http.StatusOK, answers
		}
		if err != nil || n == maxCommands {
			return http.StatusBadRequest, refusal(CodeBadRequest, fmt.Sprintf(`the body is not one to %d times {"method":"…","params":{…}}`, maxCommands))
		}
		c := commandOf(line.Method)
		if c == nil {
			answers = append(answers, reply{Error: &Error{CodeMethodNotFound, "there is no such method; there are " + names()}}.line()...)
			continue
		}
		answers = append(answers, a.do(ctx, c, orEmpty(line.Params)).line()...)
	}
}

// maxCommands is how many commands one request may have.
const maxCommands = 1000

// batch carries out commands, all in order, and answers each under its own name.
func (a *API) batch(ctx context.Context, body []byte) (int, []byte) {
	var request struct {
		Commands []map[string]json.RawMessage `json:"commands"`
	}
	if err := json.Unmarshal(body, &request); err != nil || len(request.Commands) > maxCommands {
		return http.StatusBadRequest, refusal(CodeBadRequest, fmt.Sprintf(`the body is not {"commands":[{"publish":{…}},…]} with up to %d commands`, maxCommands))
	}
	replies := make([]any, 0, len(request.Commands))
	for _, one := range request.Commands {
		replies = append(replies, a.batched(ctx, one))
	}
	return http.StatusOK, marshal(struct {
		Replies []any `json:"replies"`
	}{replies})
}

func (a *API) batched(ctx context.Context, one map[string]json.RawMessage) any {
	for name, params := range one {
		c := commandOf(name)
		if len(one) > 1 || c == nil {
			break
		}
		r := a.do(ctx, c, orEmpty(params))
		if r.Error != nil {
			return r
		}
		return map[string]any{name: r.Result}
	}
	return reply{Error: &Error{CodeMethodNotFound, `a command is {"<method>":{…}}, the method one of ` + names()}}
}

func orEmpty(params json.RawMessage) []byte {
	if len(params) == 0 || string(params) == "null" {
		return []byte("{}")
	}
	return params
}
