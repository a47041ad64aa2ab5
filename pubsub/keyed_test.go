package pubsub

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub/redistest"
)

// places is a Keys that knows a server only when it has been asked to look so often.
type places struct {
	client *redis.Client
	looks  int // still to be made
	asked  int
	fixed  bool
}

func (p *places) Client(string) *redis.Client {
	if p.looks > 0 {
		return nil
	}
	return p.client
}

func (p *places) Misplaced() bool {
	p.asked++
	p.looks--
	return !p.fixed
}

func TestKeyed(t *testing.T) {
	s := redistest.Start(t)
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	t.Cleanup(func() { client.Close() })
	set := func(p *places) error {
		_, err := keyed{p, "k"}.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
			pipe.Set(context.Background(), "k", "v", 0)
			return nil
		})
		return err
	}

	known := &places{client: client}
	if err := set(known); err != nil || known.asked != 0 {
		t.Errorf("a server that is known: %v, looked %d times", err, known.asked)
	}
	found := &places{client: client, looks: 3}
	if err := set(found); err != nil || found.asked != 3 {
		t.Errorf("a server that is being found: %v, looked %d times", err, found.asked)
	}
	if err := set(&places{looks: 2, fixed: true}); err == nil {
		t.Error("there is no server, and no error")
	}
	s.Do("REPLICAOF", "127.0.0.1", 1)
	deposed := &places{client: client}
	if err := set(deposed); !notExecuted(err) || deposed.asked != 1 {
		t.Errorf("a server that is no master any more: %v, looked %d times", err, deposed.asked)
	}
}
