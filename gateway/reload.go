package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"sluice/config"
	"sluice/gateway/auth"
	"sluice/gateway/hub"
)

// reloading reloads whenever that is asked for, until ctx ends.
func (a *App) reloading(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.hups:
		}
		next, err := a.load()
		if err == nil {
			err = a.Reload(ctx, next)
		}
		if err != nil {
			a.log.Error("the configuration cannot be reloaded: the old one stays in force", zap.Error(err))
		}
	}
}

// settings are what a node goes by at the moment. Its fields are replaced, never
// changed: any goroutine may read them.
type settings struct {
	config  *config.Config
	tallies map[string]*tally // by namespace
}

// Reload puts the live settings of next into effect; clients stay. What differs is
// logged, with what needs a restart to hold. On an error nothing has changed; what goes
// wrong once they are in effect is logged alone.
func (a *App) Reload(ctx context.Context, next *config.Config) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now.Load()
	merged := now.config.Reloaded(next)
	if err := merged.Validate(); err != nil {
		return err
	}
	for _, stream := range merged.InboxStreams() {
		if !slices.Contains(a.config.InboxStreams(), stream) {
			return fmt.Errorf("namespaces: the inbox %q is new: that needs a restart", stream)
		}
	}
	if err := a.enforce(ctx, merged, now.tallies); err != nil {
		return err
	}
	changes := now.config.Changes(merged)
	for _, c := range changes {
		a.log.Info("reloaded: "+c.Key, zap.String("from", c.From), zap.String("to", c.To))
	}
	for _, c := range merged.Changes(next) {
		a.log.Warn("reloading does not change "+c.Key+": restart the node for that", zap.String("from", c.From), zap.String("to", c.To))
	}
	a.log.Info("the configuration and the files of keys and certificates have been read again", zap.Int("changes", len(changes)))
	return nil
}

// setJudges returns those that there were.
func (a *App) setJudges(now *judges) (before *judges) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.judges, before = now, a.judges
	return before
}

// enforce has all parts go by c, or none. a.mu is held.
func (a *App) enforce(ctx context.Context, c *config.Config, tallies map[string]*tally) error {
	tokens, err := newVerifier(c, &a.revoked, a.log)
	if err != nil {
		return err
	}
	policy, err := a.policy(c, tokens)
	if err != nil {
		return err
	}
	reactors, err := loopOptions(c, a.log)
	if err != nil {
		return err
	}
	fresh, err := a.renewed(c)
	if err != nil {
		return err
	}
	judges, err := judge(ctx, tokens)
	if err != nil {
		return err
	}
	if err := a.engine.Reload(reactors); err != nil {
		return errors.Join(err, judges.end())
	}
	a.present(fresh)
	tallies = talliesOf(c, tallies)
	a.hub.SetRules(rules(c, tallies))
	a.node.Enforce(&policy)
	a.judges, judges = judges, a.judges
	a.now.Store(&settings{c, tallies})
	a.presence.Keep(func(channel string) bool { return c.Namespace(channel).Presence })
	a.tidy(c, judges)
	return nil
}

// tidy is what is left to do when c is in force, old verifier's judges among it. That it fails
// takes nothing back.
func (a *App) tidy(c *config.Config, old *judges) {
	if a.level != nil {
		if err := a.level(c.Log.Level); err != nil {
			a.log.Error("reloading could not set log.level: it stays as it was", zap.String("to", c.Log.Level), zap.Error(err))
		}
	}
	if err := old.end(); err != nil {
		a.log.Warn("the key sets of before the reload were not given up in order: the new ones are in force", zap.Error(err))
	}
}

// judges are the key sets that are being fetched for one verifier.
type judges struct {
	stop  context.CancelFunc
	ended chan error
}

// beginJudging has a verifier's key sets fetched until ctx ends.
func beginJudging(ctx context.Context, tokens *auth.Verifier) *judges {
	if tokens == nil {
		return nil
	}
	running, stop := context.WithCancel(ctx)
	j := &judges{stop, make(chan error, 1)}
	go func() { j.ended <- tokens.Run(running) }() // end waits for it
	return j
}

// judge is beginJudging, and returns when the key sets are there: before, the verifier
// would let nobody in.
func judge(ctx context.Context, tokens *auth.Verifier) (*judges, error) {
	j := beginJudging(ctx, tokens)
	patience, cancel := context.WithTimeout(ctx, keySetPatience)
	defer cancel()
	for j != nil && !tokens.Fetched() {
		select {
		case <-patience.Done():
			return nil, errors.Join(errors.New("auth.jwks: a key set cannot be fetched"), j.end())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return j, nil
}

// keySetPatience is how long a reload waits for key sets.
const keySetPatience = 15 * time.Second

// end stops the fetching, and waits for it.
func (j *judges) end() error {
	if j == nil {
		return nil
	}
	j.stop()
	if err := <-j.ended; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// tally is what is counted of a namespace's channels.
type tally struct {
	gaps  hub.Gaps
	usage hub.Usage
}

// talliesOf are the tallies of c's namespaces, those that there are already kept.
func talliesOf(c *config.Config, old map[string]*tally) map[string]*tally {
	tallies := map[string]*tally{}
	for name, t := range old { // also of namespaces that are gone: counters do not go back
		tallies[name] = t
	}
	names := []string{""}
	for _, n := range c.Namespaces {
		names = append(names, n.Name)
	}
	for _, name := range names {
		if tallies[name] == nil {
			tallies[name] = new(tally)
		}
	}
	return tallies
}
