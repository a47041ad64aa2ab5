package admin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"
)

// Timeouts of the admin listener. A profile or trace that is asked to run longer
// than writeTimeout moves its own deadline (net/http/pprof does).
const (
	storyPatience = 5 * time.Second // for the reactors, which answer in their next turn
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 90 * time.Second // above Prometheus' usual scrape interval: connections are kept
	headerLimit   = 64 << 10         // bytes

	// finishTime is how long requests under way may take to end by themselves at
	// shutdown; then their contexts are cancelled, and they have abortTime left.
	finishTime = 2 * time.Second
	abortTime  = time.Second
)

// Serve answers on ln, and says what is wrong with connections to complaints, until ctx is done, then lets requests under way finish for
// a bounded time (3 s at most) and returns nil. It owns ln and its goroutine: when
// it returns, ln is closed and the goroutine has ended. An error means that the
// listener broke, or that a request did not end in time and was cut off.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, complaints *log.Logger) error {
	// Not ctx itself: a publish under way should not fail because of the shutdown.
	requests, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	requests = context.WithValue(requests, closing{}, ctx) // streams, which never end by themselves, end with it
	srv := &http.Server{
		Handler:           h,
		ErrorLog:          complaints,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerLimit,
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()

	select {
	case err := <-ended:
		abort()
		return errors.Join(fmt.Errorf("admin: the listener on %s ended: %w", ln.Addr(), err), srv.Close())
	case <-ctx.Done():
	}
	err := stop(srv, abort)
	if broke := <-ended; !errors.Is(broke, http.ErrServerClosed) {
		return errors.Join(err, broke)
	}
	return err
}

func stop(srv *http.Server, abort context.CancelFunc) error {
	if within(finishTime, srv.Shutdown) == nil {
		return nil
	}
	abort()
	if within(abortTime, srv.Shutdown) == nil {
		return nil
	}
	return errors.Join(errors.New("admin: a request did not end when told to, and was cut off"), srv.Close())
}

func within(d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return f(ctx)
}
