package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/history"
	"sluice/pubsub/redisproc"
)

// options are a run's.
type options struct {
	Program    string
	Balancer   string // deploy's file for HAProxy
	Nodes      int
	Clients    int
	Channels   int           // durable ones, with as many clients on each
	Rate       float64       // messages a second, over all channels
	Delay      time.Duration // drain.delay
	Window     time.Duration // drain.window
	MaxAge     time.Duration // connections.max_age
	Slowstart  time.Duration // of HAProxy
	Pause      time.Duration // before the first node, and between two
	Backoff    time.Duration // the longest wait before a client's first try to come back
	MaxBackoff time.Duration // and the longest of all
	Join       bool          // a node joins, in place of restarts
	Within     float64       // of their mean, that nodes count as even
	Limit      time.Duration // how long the one that joins may take to get its share; 0: four lives of a connection, and HAProxy's slowstart
	Out        io.Writer
}

// rig is one run.
type rig struct {
	o       options
	nodes   []*node
	fronts  []*front
	watches []*watch
	crowd   *crowd
	fleet   *fleet.Fleet
	leaving sync.Once // disperse
	service *publisher
	began   time.Time
	over    int64 // Unix nanoseconds: what comes after is not drawn
	drains  []drain
	joined  join
	lost    int // clients that did not come back
}

// drain is the end of one life of a node, and the beginning of the next. Unix nanoseconds.
type drain struct {
	Node   string `json:"node"`
	Signal int64  `json:"signal"` // SIGTERM
	Ended  int64  `json:"ended"`  // the process has
	Again  int64  `json:"again"`  // the next one says that it serves
	Held   int64  `json:"held"`   // connections at the signal
}

// join is how a node that came later got its share. Unix nanoseconds.
type join struct {
	Node string `json:"node,omitempty"`
	At   int64  `json:"at,omitempty"`   // it served
	Even int64  `json:"even,omitempty"` // all nodes were within options.Within of their mean
}

// run restarts every node and judges.
func run(ctx context.Context, o options) (rep *report, err error) {
	r := &rig{o: o, began: time.Now()}
	if err := fleet.NeedFiles(o.Clients); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rolling")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := redisproc.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	defer r.close()
	if err := r.startNodes(ctx, server.URL, dir); err != nil {
		return nil, err
	}
	if err := r.startFronts(dir); err != nil {
		return nil, err
	}
	r.service = &publisher{client: server.Client(), rate: o.Rate}
	defer func() { err = errors.Join(err, r.service.client.Close()) }()
	if err := r.populate(ctx); err != nil {
		return nil, err
	}
	defer r.disperse()
	quit, published := make(chan struct{}), make(chan error, 1)
	go func() { published <- r.service.run(ctx, quit) }() // waited for below
	if o.Join {
		err = r.oneMore(ctx)
	} else {
		err = r.restartAll(ctx)
	}
	r.over = time.Now().UnixNano()
	close(quit)
	if err = errors.Join(err, <-published); err != nil {
		return nil, err
	}
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	r.disperse()
	return r.report(), nil
}

// startNodes starts all nodes, or all but the one that joins later.
func (r *rig) startNodes(ctx context.Context, redis, dir string) error {
	config := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(config, []byte("namespaces: [{name: d, durable: true}]\n"), 0o600); err != nil {
		return err
	}
	for i := range r.o.Nodes {
		n, err := newNode(&r.o, redis, config, i+1)
		if err != nil {
			return err
		}
		r.nodes = append(r.nodes, n)
		if r.o.Join && i == r.o.Nodes-1 {
			continue
		}
		if err := n.begin(ctx); err != nil {
			return err
		}
	}
	for _, n := range r.nodes {
		r.watches = append(r.watches, newWatch(n))
	}
	return r.await(ctx, "the nodes are ready", func() error {
		for i, n := range r.nodes {
			if s := r.watches[i].last(); n.current() != nil && s.State != stateReady {
				return fmt.Errorf("%s is %s", n.name, s.State)
			}
		}
		return nil
	})
}

func (r *rig) startFronts(dir string) error {
	config, err := frontConfig(r.o.Balancer, dir, r.o.Nodes)
	if err != nil {
		return err
	}
	count := (r.o.Clients + perFront - 1) / perFront
	for range count {
		f, err := startFront(config, r.nodes, (r.o.Clients+count-1)/count, r.o.Slowstart)
		if err != nil {
			return err
		}
		r.fronts = append(r.fronts, f)
	}
	r.say("%d nodes and %d HAProxy run", r.o.Nodes, count)
	return nil
}

// populate connects the clients.
func (r *rig) populate(ctx context.Context) error {
	c := &crowd{o: &r.o, clients: make([]client, r.o.Clients), whys: map[string]int{}}
	for i := range r.o.Channels {
		c.logs = append(c.logs, &channelLog{name: fmt.Sprintf("d:%04d", i)})
	}
	r.crowd, r.service.logs = c, c.logs
	options := fleet.Options{Workers: 1, Concurrency: 64, Timeout: 15 * time.Second, Since: c.since, Again: c.again,
		Channel: func(id int) string { return c.channel(id).name }}
	if r.o.Join { // as if they had come over the day: their ages are spread, and so are their ends
		options.Rate = float64(r.o.Clients) / r.o.MaxAge.Seconds()
	}
	for _, f := range r.fronts {
		t, err := fleet.NewTarget("ws://"+f.address+"/ws?channel={channel}&since={since}", []string{"Sec-WebSocket-Protocol: sluice.v1"})
		if err != nil {
			return err
		}
		if options.Target == nil {
			options.Target = t
		} else {
			options.Also = append(options.Also, t)
		}
	}
	now := time.Now().UnixNano()
	c.began = now - fleet.Now()
	var err error
	if r.fleet, err = fleet.Start(options, func(int) fleet.Script { return c }); err != nil {
		return err
	}
	r.fleet.Open(r.o.Clients)
	err = r.await(ctx, "all clients are subscribed", func() error { return r.whole((*crowd).present) })
	if err != nil {
		r.disperse()
		return err
	}
	r.say("%d clients follow %d durable channels, %.0f messages a second", r.o.Clients, r.o.Channels, r.o.Rate)
	return nil
}

// whole is nil if all clients are among those that count counts.
func (r *rig) whole(count func(*crowd) int) error {
	n := 0
	r.fleet.Each(func(*fleet.Worker) { n = count(r.crowd) })
	if n < r.o.Clients {
		return fmt.Errorf("%d of %d are", n, r.o.Clients)
	}
	return nil
}

// restartAll replaces the nodes, one after the other.
func (r *rig) restartAll(ctx context.Context) error {
	for i, n := range r.nodes {
		if err := hold(ctx, r.o.Pause); err != nil {
			return err
		}
		d := drain{Node: n.name, Signal: time.Now().UnixNano(), Held: r.watches[i].last().Connections}
		r.say("%s gets SIGTERM; it has %d clients", n.name, d.Held)
		if err := n.terminate(ctx); err != nil {
			return err
		}
		d.Ended = time.Now().UnixNano()
		if err := n.begin(ctx); err != nil {
			return err
		}
		d.Again = time.Now().UnixNano()
		r.drains = append(r.drains, d)
		r.say("%s has ended after %.1f s, and runs again after another %.2f s", n.name, seconds(d.Ended-d.Signal), seconds(d.Again-d.Ended))
		if err := r.await(ctx, n.name+" is ready", func() error {
			if s := r.watches[i].last(); s.At < d.Again || s.State != stateReady {
				return fmt.Errorf("it is %s", s.State)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return hold(ctx, r.o.Pause)
}

// oneMore starts the last node and waits until it has its share.
func (r *rig) oneMore(ctx context.Context) error {
	if err := hold(ctx, r.o.Pause); err != nil {
		return err
	}
	n := r.nodes[len(r.nodes)-1]
	if err := n.begin(ctx); err != nil {
		return err
	}
	r.joined = join{Node: n.name, At: time.Now().UnixNano()}
	r.say("%s joins", n.name)
	limit, cancel := context.WithTimeout(ctx, cmp.Or(r.o.Limit, 4*r.o.MaxAge+r.o.Slowstart))
	defer cancel()
	for limit.Err() == nil {
		if err := hold(limit, sampleEvery); err != nil {
			break
		}
		if r.even() {
			r.joined.Even = time.Now().UnixNano()
			r.say("all nodes are within %.0f %% of their mean after %.1f s", 100*r.o.Within, seconds(r.joined.Even-r.joined.At))
			break
		}
	}
	return hold(ctx, r.o.Pause)
}

// even says whether all nodes have their share.
func (r *rig) even() bool {
	mean := float64(r.o.Clients) / float64(len(r.nodes))
	for _, w := range r.watches {
		if off := float64(w.last().Connections) - mean; off > r.o.Within*mean || off < -r.o.Within*mean {
			return false
		}
	}
	return true
}

// settle waits until every client has everything, and then for those that are away: who is not back after that is lost.
func (r *rig) settle(ctx context.Context) error {
	if err := r.await(ctx, "all clients have come to the end", func() error { return r.whole((*crowd).complete) }); err != nil {
		return err
	}
	usual := time.Duration(0)
	if r.o.MaxAge > 0 { // some are always on their way
		usual = r.o.MaxBackoff
	}
	for end := time.Now().Add(patience); ; {
		r.fleet.Each(func(*fleet.Worker) { r.lost = r.crowd.lost(time.Now().UnixNano(), usual) })
		if r.lost == 0 || time.Now().After(end) {
			return nil
		}
		if err := hold(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// disperse ends the clients. It may be called more than once.
func (r *rig) disperse() { r.leaving.Do(r.fleet.Stop) }

// patience is for what must come, also on a machine that is busy with other things.
const patience = 3 * time.Minute

func (r *rig) await(ctx context.Context, what string, check func() error) error {
	for end := time.Now().Add(patience); ; {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %v: %w", what, patience, err)
		}
		if err := hold(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// close ends everything that was started.
func (r *rig) close() {
	for _, w := range r.watches {
		w.close()
	}
	for _, f := range r.fronts {
		f.end()
	}
	var ending sync.WaitGroup
	for _, n := range r.nodes {
		ending.Go(n.end)
	}
	ending.Wait()
}

func (r *rig) say(format string, args ...any) {
	fmt.Fprintf(r.o.Out, "%6.1fs  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// logs is what was written down, for history.Follow. The fleet has ended.
func (r *rig) logs() *history.Logs {
	h := &history.Logs{}
	for _, l := range r.crowd.logs {
		h.Logs = append(h.Logs, history.Log{Channel: l.name, Messages: l.messages, Final: int32(len(l.messages) - 1)})
	}
	for i := range r.crowd.clients {
		h.Followers = append(h.Followers, history.Follower{Number: i, Log: i % len(r.crowd.logs), Heard: r.crowd.clients[i].heard})
	}
	return h
}

// hold waits.
func hold(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }
