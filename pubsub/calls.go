package pubsub

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// call is one call of a function that is about a channel.
type call struct {
	channel string // without prefix
	name    string
	args    []any
}

// answer is what became of a call.
type answer struct {
	value any
	err   error
}

// calls sends calls to the servers that have their channels, one pipeline for each,
// and returns when all have answered or ctx has ended. The order of calls about one
// channel is kept. A call whose answer is an error may have been executed, unless
// Redis says so.
func (r *Redis) calls(ctx context.Context, calls []call) []answer {
	answers := make([]answer, len(calls))
	if err := r.ensureLayout(ctx); err != nil {
		for i := range answers {
			answers[i].err = err
		}
		return answers
	}
	parts := map[*server][]int{} // indices of calls
	for i, c := range calls {
		if s := r.server(c.channel); s != nil {
			parts[s] = append(parts[s], i)
			continue
		}
		answers[i].err = r.unknown(c.channel)
		r.troubled()
	}
	var asking sync.WaitGroup
	for s, indices := range parts {
		asking.Go(func() { s.callAll(ctx, r.opts.Prefix, calls, indices, answers) })
	}
	asking.Wait()
	for i := range answers {
		if notExecuted(answers[i].err) {
			r.troubled()
			break
		}
	}
	return answers
}

// callAll makes the calls with these indices, as functions, or, where there are none,
// as a script.
func (s *server) callAll(ctx context.Context, prefix string, calls []call, indices []int, answers []answer) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, 0, len(indices))
	for _, i := range indices {
		cmds = append(cmds, pipe.FCall(ctx, calls[i].name, []string{prefix + calls[i].channel}, calls[i].args...))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	var scripted []int
	for k, i := range indices {
		answers[i] = answerOf(cmds[k])
		if isUnknownFunction(answers[i].err) {
			scripted = append(scripted, i)
		}
	}
	if len(scripted) > 0 {
		s.scriptAll(ctx, prefix, calls, scripted, answers)
	}
}

// scriptAll makes the calls with these indices as a script.
func (s *server) scriptAll(ctx context.Context, prefix string, calls []call, indices []int, answers []answer) {
	if err := script.Load(ctx, s.client).Err(); err != nil {
		for _, i := range indices {
			answers[i] = answer{err: err}
		}
		return
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, 0, len(indices))
	for _, i := range indices {
		c := calls[i]
		cmds = append(cmds, script.EvalSha(ctx, pipe, []string{prefix + c.channel}, append([]any{c.name}, c.args...)...))
	}
	_, _ = pipe.Exec(ctx) // as above
	for k, i := range indices {
		answers[i] = answerOf(cmds[k])
	}
}

// answerOf is what a command of a pipeline was answered.
func answerOf(cmd *redis.Cmd) answer {
	v, err := cmd.Result()
	return answer{v, err}
}

// list reads an answer that is a list of n items; negative: of any number.
func (a answer) list(n int) ([]any, bool) {
	items, ok := a.value.([]any)
	return items, ok && (n < 0 || len(items) == n)
}

// isAnswer reports whether Redis said it.
func isAnswer(err error) bool {
	var said redis.Error
	return errors.As(err, &said)
}

// texts are the items of a list of strings.
func texts(items []any) []string {
	var list []string
	for _, item := range items {
		if text, ok := item.(string); ok {
			list = append(list, strings.Clone(text))
		}
	}
	return list
}
