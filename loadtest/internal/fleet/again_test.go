package fleet

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestComesBack has a server refuse every third handshake and end all other connections at once: each client is to be
// opened again, until it is told not to be.
func TestComesBack(t *testing.T) {
	var came atomic.Int64
	s := listen(t, func(c net.Conn, in *bufio.Reader, key string) {
		if came.Add(1)%3 == 0 {
			_, _ = c.Write([]byte("HTTP/1.1 503 Service Unavailable\r\n\r\n")) // the client may have gone
			return
		}
		sending("\x88\x02\x03\xf4")(c, in, key) // close 1012
	})
	const clients, lives = 20, 5
	var mu sync.Mutex
	opened, refused := make([]int, clients), 0
	again := func(id int, was bool) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if was {
			opened[id]++
		} else {
			refused++
		}
		if opened[id] == lives {
			return -1
		}
		return time.Duration(id) * time.Millisecond / 10
	}
	f, k := connectTo(t, s.Addr().String(), clients, Options{Again: again, Concurrency: 4})
	eventually(t, "all have lived as often as they should", func() bool {
		_, closed := k.list()
		return len(closed) == clients*lives
	})
	eventually(t, "nobody comes after that", func() bool { return f.Stats().Alive == 0 })
	mu.Lock()
	defer mu.Unlock()
	for id, n := range opened {
		if n != lives {
			t.Errorf("client %d was opened %d times, want %d", id, n, lives)
		}
	}
	if s := f.Stats(); s.Opened != clients*lives || s.Failed != int64(refused) || refused == 0 {
		t.Errorf("%+v; %d were refused", s, refused)
	}
}
