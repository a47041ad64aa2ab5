package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"sluice/codec"
	"sluice/config"
	"sluice/gateway/admin"
	"sluice/gateway/api"
	"sluice/gateway/auth"
	"sluice/gateway/certificate"
	"sluice/gateway/gaps"
	"sluice/gateway/hub"
	"sluice/gateway/session"
	"sluice/loop"
	"sluice/pubsub"
)

// App is one node. New builds it, Run serves until its context ends.
type App struct {
	config  *config.Config // at the start
	log     *zap.Logger
	started time.Time

	tokens   *auth.Verifier   // nil: there is nothing to judge tokens with
	embedded *pubsub.Embedded // nil where a Redis is configured
	broker   *pubsub.Redis
	inbox    *pubsub.Inboxes
	presence *pubsub.Presence
	steering *pubsub.Steering
	revoked  auth.Revoked
	lease    *pubsub.Lease
	hub      *hub.Hub
	gaps     *gaps.Log
	node     *session.Node
	engine   *loop.Engine
	draining sync.Once
	leaving  chan struct{} // closed when the node begins to leave

	questions chan struct{} // holds one for each that is on its way: see tell

	logLost func() int64 // log lines dropped; nil: none ever are

	// Of reloading. What is set before Run is not changed after.
	now    atomic.Pointer[settings]       // what is in force
	mu     sync.Mutex                     // held while it is reloaded
	judges *judges                        // guarded by mu; nil: none
	hups   <-chan struct{}                // asks for it; nil: nobody does
	load   func() (*config.Config, error) // reads the configuration again
	level  func(string) error             // sets log.level; nil: it cannot be

	certificates *certificate.Store // nil where the public port speaks no TLS

	public net.Listener
	admin  net.Listener // nil where it is switched off
	page   http.Handler
	api    *api.API     // nil where that port is switched off
	watch  *admin.Watch // likewise
}

// New builds a node and opens its ports. Nothing is served before Run; if Run is
// not called, Close must be.
func New(ctx context.Context, c *config.Config, log *zap.Logger) (*App, error) {
	id, life := c.Node.ID, rand.Text()[:10]
	if id == "" {
		id = life
	} else {
		life = id + "." + life
	}
	a := &App{config: c, log: log.With(zap.String("node", id)), started: time.Now(), leaving: make(chan struct{}), questions: make(chan struct{}, maxQuestions)}
	if err := a.build(ctx, id, life); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) build(ctx context.Context, id, life string) error {
	tokens, err := newVerifier(a.config, &a.revoked, a.log)
	if err != nil {
		return err
	}
	a.tokens = tokens
	policy, err := a.policy(a.config, tokens)
	if err != nil {
		return err
	}
	reactors, err := loopOptions(a.config, a.log)
	if err != nil {
		return err
	}
	if err := a.encrypt(&reactors); err != nil {
		return err
	}
	url, err := a.startEmbedded()
	if err != nil {
		return err
	}
	reactors.Name = func(id loop.ConnID) string { return hub.ConnName(life, id) }
	a.gaps = new(gaps.Log)
	if a.broker, err = pubsub.Open(a.resyncing(brokerOptions(a.config, url, id, a.gaps, a.log))); err != nil {
		return err
	}
	a.presence = pubsub.NewPresence(a.broker, a.presenceOptions(life))
	inbox := inboxOptions(a.config, life, a.log)
	inbox.Place, inbox.Forgotten, inbox.Recorded = a.broker.Shard, a.restate, a.checkRecorded
	a.inbox = pubsub.NewInboxes(a.broker, inbox)
	a.steering = pubsub.NewSteering(a.broker, a.steeringOptions())
	tallies := talliesOf(a.config, nil)
	a.now.Store(&settings{a.config, tallies})
	a.hub = hub.New(hub.Options{Broker: a.broker, Node: id, Life: life, Rules: rules(a.config, tallies),
		Encoders: session.Encoders, Comings: session.Comings, Finished: session.FormEventOwn, OnGap: noteGap(a.gaps, a.log), Control: a.steering.Ring})
	a.node = &session.Node{
		ID:       id,
		Life:     life,
		Version:  version,
		Hub:      a.hub,
		Inbox:    a.inbox,
		Presence: a.presence,
		Errands:  session.NewErrands(a.broker, life, a.log),
		Policy:   policy,
		Ready:    a.Ready,
		Log:      a.log,
		Reply:    a.config.Prefix + hub.DirectChannel(id),
	}
	a.node.Alive = func() error { return a.engine.Alive() }
	a.engine, err = loop.New(reactors, func(r *loop.Reactor) loop.Handler {
		return session.NewHandler(a.node, r)
	})
	if err != nil {
		return err
	}
	attached := make([]hub.Reactor, 0, len(a.engine.Reactors()))
	for _, r := range a.engine.Reactors() {
		attached = append(attached, r)
	}
	a.hub.Attach(attached)
	if a.public, err = a.engine.Listen(ctx, a.config.Listen); err != nil {
		return fmt.Errorf("the public port: %w; choose another with --listen", err)
	}
	a.lease = pubsub.NewLease(a.broker, a.withDuties(a.keepingPresence(leaseOptions(a.config, pubsub.Peer{
		ID: id, Life: life, Reply: a.node.Reply, Address: a.Public().String(), Started: a.started.UnixMilli(),
		Inbox: inbox.Stream, InboxParts: inbox.Parts,
	}, a.log))))
	if a.config.Admin == "" {
		return nil
	}
	if a.admin, err = new(net.ListenConfig).Listen(ctx, "tcp", a.config.Admin); err != nil {
		return fmt.Errorf("the admin port: cannot listen on %s: %w; choose another with --admin", a.config.Admin, err)
	}
	if a.api, err = a.newAPI(); err != nil {
		return err
	}
	a.page = admin.New(a.adminOptions())
	return nil
}

// startEmbedded starts the embedded broker where that is configured, and
// returns the URL that Redis is reached by.
func (a *App) startEmbedded() (string, error) {
	address, ok := a.config.Embedded()
	if !ok {
		return a.config.Redis, nil
	}
	var err error
	if a.embedded, err = pubsub.StartEmbedded(address); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return "", fmt.Errorf("%w; another sluice, most likely: give this one a Redis (--redis)", err)
		}
		return "", err
	}
	return a.embedded.URL(), nil
}

// Public is the bound address of the public port.
func (a *App) Public() net.Addr { return a.public.Addr() }

// Admin is the bound address of the admin port, nil where it is switched off.
func (a *App) Admin() net.Addr {
	if a.admin == nil {
		return nil
	}
	return a.admin.Addr()
}

// Ready is nil while new clients should be sent to this node.
func (a *App) Ready() error {
	select {
	case <-a.leaving:
		return errors.New("this node is going away")
	default:
		return errors.Join(a.engine.Alive(), a.broker.Ready(), a.steering.Ready())
	}
}

// Run serves until ctx ends, then tells the clients to come back elsewhere and
// ends everything. An error means that the node could not go on.
func (a *App) Run(ctx context.Context) error {
	defer func() {
		if err := a.Close(); err != nil {
			a.log.Warn("closing the node", zap.Error(err))
		}
	}()
	parts, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	var running, writing, leasing sync.WaitGroup
	// Those end in order even where another part has failed: the entries of the
	// clients' departure are written, and then the others hear that this node has left.
	inboxCtx, stopInbox := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInbox()
	leaseCtx, stopLease := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLease()
	writing.Go(func() { a.part(fail, "the inbox", a.inbox.Run(inboxCtx)) })
	writing.Go(func() { a.part(fail, "presence", a.presence.Run(inboxCtx)) })
	leasing.Go(func() { a.part(fail, "the lease", a.lease.Run(leaseCtx)) })

	a.hub.Start()
	running.Go(func() { a.part(fail, "the hub", a.hub.Run(parts)) })
	running.Go(func() { a.part(fail, "the errands", a.node.Errands.Run(parts)) })
	running.Go(func() { a.part(fail, "the broker", a.broker.Run(parts, a.hub)) })
	running.Go(func() { a.part(fail, "watching the inbox", a.inbox.Watch(parts)) })
	running.Go(func() { a.part(fail, "steering", a.steering.Run(parts)) })
	running.Go(func() { a.part(fail, "the public port", a.engine.Serve(a.public)) })
	a.setJudges(beginJudging(parts, a.tokens))
	running.Go(func() { a.part(fail, "reloading", a.reloading(parts)) })
	running.Go(func() { a.part(fail, "reading certificates again", a.rereading(parts)) })
	running.Go(func() { a.part(fail, "the reactors", a.guard(parts)) })
	running.Go(func() { a.part(fail, "giving memory back", a.giveBack(parts)) })
	if a.admin != nil {
		running.Go(func() { a.part(fail, "the console", a.watch.Run(parts)) })
		running.Go(func() { a.part(fail, "the admin port", admin.Serve(parts, a.admin, a.page, a.complaints())) })
	}

	select {
	case <-ctx.Done():
	case <-parts.Done():
	}
	a.leave(context.Cause(parts))
	cause := context.Cause(parts)
	stopInbox() // it writes what the clients' departure has put into it, and so does presence
	writing.Wait()
	if s := a.inbox.Stats(); s.Unknown+s.Abandoned+s.Unavailable > 0 {
		a.log.Warn("entries of the inbox were lost, or may be, since this node started", zap.Int64("unknown", s.Unknown),
			zap.Int64("lost", s.Abandoned+s.Unavailable+s.Refused))
	}
	a.settle()
	stopLease()
	leasing.Wait()
	fail(nil)
	running.Wait()
	return errors.Join(cause, a.setJudges(nil).end())
}

// part ends the node when one of its parts has failed.
func (a *App) part(fail context.CancelCauseFunc, name string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		fail(fmt.Errorf("%s: %w", name, err))
	}
}

// guard fails when a reactor has stood still for so long that its event loop must
// have ended: nothing in this process could bring it back.
func (a *App) guard(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for failures, seconds := 0, 1; ; seconds++ {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if seconds%forgetEvery == 0 {
			a.revoked.Forget(time.Now())
		}
		err := a.engine.Alive()
		if err == nil {
			failures = 0
			continue
		}
		a.log.Error("a reactor stands still", zap.Error(err))
		if failures++; failures == maxFailures {
			return err
		}
	}
}

// maxFailures is for how many seconds a reactor may stand still, after the ten
// that it takes to be noticed.
const maxFailures = 30

// leave takes the node out of service: not ready, no new clients, and those
// that are there are told to come back, which brings them to another node, one after
// the other. cause is what has failed, nil if nothing has: then the other parts have ended
// already, and nothing reaches the clients who wait for their turn.
func (a *App) leave(cause error) {
	a.draining.Do(func() { close(a.leaving) })
	began, c := time.Now(), a.now.Load().config
	delay, window := c.Drain.Delay, c.Drain.Window
	if cause != nil {
		delay, window = 0, min(window, failedWindow)
		a.log.Error("a part of the node has failed: it leaves at once", zap.Error(cause))
	}
	a.log.Info("leaving: clients are told to come back; a second signal ends it at once", zap.Int64("connections", a.engine.Stats().Connections),
		zap.Duration("drain.delay", delay), zap.Duration("drain.window", window))
	time.Sleep(delay)
	const code, reason = codec.StatusServiceRestart, "this node is going away, come back"
	if a.engine.Alive() == nil { // else nobody paces anything
		a.engine.Drain(context.Background(), window, code, reason)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Shutdown.Timeout)
	defer cancel()
	if cut := a.engine.Shutdown(ctx, code, reason); cut > 0 {
		a.log.Warn("connections were cut that did not end in time", zap.Int64("connections", cut),
			zap.Duration("shutdown.timeout", c.Shutdown.Timeout))
	}
	a.log.Info("all clients have left", zap.Duration("took", time.Since(began)))
}

// failedWindow is drain.window at most where a part of the node has failed: it is enough for
// clients not to come back all at once.
const failedWindow = 3 * time.Second

// Close frees what New took. Run calls it.
func (a *App) Close() error {
	var faults []error
	if a.engine != nil {
		faults = append(faults, a.engine.Close())
	}
	for _, ln := range []net.Listener{a.public, a.admin} {
		if ln == nil {
			continue
		}
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			faults = append(faults, err)
		}
	}
	if a.broker != nil {
		faults = append(faults, a.broker.Close())
	}
	if a.embedded != nil {
		a.embedded.Close()
	}
	return errors.Join(faults...)
}
