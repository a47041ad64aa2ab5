package loop

import (
	"testing"

	"pgregory.net/rapid"
)

func TestBacklogModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pool backlogs
		b := pool.take()
		var model []byte
		next, most := byte(0), 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				b.push([]byte{next})
				model = append(model, next)
				next++
				most = max(most, len(model))
			},
			"pop": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				if got := b.pop(); got[0] != model[0] {
					t.Fatalf("popped %d, want %d", got[0], model[0])
				}
				model = model[1:]
				if len(model) == 0 {
					pool.give(b)
					b = pool.take()
				}
			},
			"": func(t *rapid.T) {
				if b.len() != len(model) || len(model) > 0 && b.next()[0] != model[0] {
					t.Fatalf("%d chunks, want %d", b.len(), len(model))
				}
				for i, chunk := range b.waiting() {
					if chunk[0] != model[i] {
						t.Fatalf("chunk %d is %d, want %d", i, chunk[0], model[i])
					}
				}
				if cap(b.chunks) > max(minBacklog, 8*most) {
					t.Fatalf("room for %d chunks, of which there were %d at most", cap(b.chunks), most)
				}
			},
		})
	})
}

func TestBacklogsLetGo(t *testing.T) {
	var pool backlogs
	var lent []*backlog
	for range maxBacklogs + 10 {
		lent = append(lent, pool.take())
	}
	big := pool.take()
	for range maxBacklog + 1 {
		big.push(nil)
	}
	for range maxBacklog + 1 {
		big.pop()
	}
	pool.give(big)
	if len(pool.idle) != 0 {
		t.Error("a big backlog was kept")
	}
	for _, b := range lent {
		pool.give(b)
	}
	if len(pool.idle) != maxBacklogs {
		t.Errorf("%d are kept", len(pool.idle))
	}
	pool.trim() // in the time before this one all were needed
	if len(pool.idle) != maxBacklogs {
		t.Errorf("%d are kept that were needed just now", len(pool.idle))
	}
	for range 20 {
		pool.trim()
	}
	if len(pool.idle) != 0 {
		t.Errorf("%d are kept for nothing", len(pool.idle))
	}
}
