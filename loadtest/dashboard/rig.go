package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice/loadtest/grafana"
	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/prometheus"
	"sluice/pubsub/redisproc"
)

// options are a run's.
type options struct {
	Program, Load string // sluice, sluice-load
	Deploy        string // folder
	For           time.Duration
	Clients       int
	Log           io.Writer // progress, a line for each thing that happens
}

// rig is everything that runs. It belongs to the goroutine of run.
type rig struct {
	o       options
	redis   *redisproc.Server
	nodes   [2]*node
	front   *front
	crowd   *crowd
	service *service
	graph   *prometheus.Server
	began   time.Time
	marks   []mark
}

// mark is something that happened, from and until how long after the beginning.
type mark struct {
	name        string
	from, until time.Duration
}

const (
	scrapeEvery = time.Second
	patience    = time.Minute // for what must come, also on a machine that is busy with other things
)

// run plays all scenes and draws the page.
func run(ctx context.Context, o options, page string) (err error) {
	board, err := grafana.Read(filepath.Join(o.Deploy, "grafana/dashboard.json"))
	if err != nil {
		return err
	}
	if err := fleet.NeedFiles(8 * o.Clients); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dashboard")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &rig{o: o}
	defer r.close()
	if err := r.start(ctx, dir); err != nil {
		return err
	}
	if err := r.play(ctx); err != nil {
		return err
	}
	r.say("drawing")
	return r.draw(ctx, board, page)
}

// start starts everything and waits until the crowd is there.
func (r *rig) start(ctx context.Context, dir string) (err error) {
	if r.redis, err = redisproc.Start("--appendonly", "yes"); err != nil {
		return err
	}
	config := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(config, []byte(nodeConfig), 0o600); err != nil {
		return err
	}
	var asked []prometheus.Node
	for i := range r.nodes {
		if r.nodes[i], err = newNode(r.o.Program, fmt.Sprintf("node%d", i+1), config, r.redis.URL, r.span(0.05)); err != nil {
			return err
		}
		if err := r.nodes[i].start(ctx); err != nil {
			return err
		}
		asked = append(asked, prometheus.Node{Admin: r.nodes[i].admin, Name: r.nodes[i].name})
	}
	file, err := prometheus.Config(filepath.Join(r.o.Deploy, "prometheus"), dir, scrapeEvery, asked...)
	if err != nil {
		return err
	}
	if r.graph, err = prometheus.Start(file); err != nil {
		return err
	}
	if r.front, err = newFront(r.nodes[:]); err != nil {
		return err
	}
	r.service = newService(r.redis.Client())
	r.began = time.Now()
	r.crowd, err = newCrowd(r.front.address, r.o.Clients)
	return err
}

// play has each scene at its time.
func (r *rig) play(ctx context.Context) error {
	for _, s := range scenes {
		if err := r.until(ctx, s.at); err != nil {
			return err
		}
		r.say("%s", s.name)
		m := mark{name: s.name, from: time.Since(r.began)}
		if err := s.play(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		m.until = time.Since(r.began)
		r.marks = append(r.marks, m)
	}
	return r.until(ctx, 1)
}

// until waits for a part of the run.
func (r *rig) until(ctx context.Context, part float64) error {
	return hold(ctx, r.span(part)-time.Since(r.began))
}

// span is a part of the run's length.
func (r *rig) span(part float64) time.Duration { return time.Duration(part * float64(r.o.For)) }

func (r *rig) say(format string, args ...any) {
	fmt.Fprintf(r.o.Log, "%6.1fs  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// close ends everything that was started.
func (r *rig) close() {
	if r.crowd != nil {
		r.crowd.close()
	}
	if r.service != nil {
		r.service.close()
	}
	if r.front != nil {
		r.front.close()
	}
	if r.graph != nil {
		r.graph.Close()
	}
	var ending sync.WaitGroup
	for _, n := range r.nodes {
		if n != nil {
			ending.Go(n.kill)
		}
	}
	ending.Wait()
	if r.redis != nil {
		_ = r.redis.Close() // its data is not to be kept
	}
}

// hold waits.
func hold(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
