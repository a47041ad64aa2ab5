package redisproc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Migrate moves a slot to another master while clients go on, in the steps that
// redis-cli takes: the target expects the slot, the source forwards what it has
// no more, the keys move, and all are told.
func (c *Cluster) Migrate(slot int, to *Server) error { return c.MigrateSlowly(slot, to, func() {}) }

// MigrateSlowly is Migrate with a pause before each hundred of keys and before the
// end: then some of the slot's keys are here and some there.
func (c *Cluster) MigrateSlowly(slot int, to *Server, pause func()) error {
	from, err := c.Owner(slot)
	if err != nil || from == to {
		return err
	}
	if err := c.migrate(slot, from, to, pause); err != nil {
		return fmt.Errorf("moving slot %d from %s to %s: %w", slot, from.Addr, to.Addr, err)
	}
	return nil
}

func (c *Cluster) migrate(slot int, from, to *Server, pause func()) error {
	source, err := c.id(from)
	if err != nil {
		return err
	}
	target, err := c.id(to)
	if err != nil {
		return err
	}
	if _, err := to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", source); err != nil {
		return err
	}
	if _, err := from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", target); err != nil {
		return err
	}
	if err := moveKeys(slot, from, to, pause); err != nil {
		return err
	}
	masters, err := c.Masters()
	if err != nil {
		return err
	}
	// The target first: whoever is told before it would send clients in circles.
	for _, s := range append([]*Server{to, from}, masters...) {
		if _, err := s.Do("CLUSTER", "SETSLOT", slot, "NODE", target); err != nil {
			return err
		}
	}
	return nil
}

func moveKeys(slot int, from, to *Server, pause func()) error {
	ctx := context.Background()
	source := from.Client()
	defer done(source)
	host, port, _ := net.SplitHostPort(to.Addr) // made by choosePorts
	for {
		pause()
		keys, err := source.ClusterGetKeysInSlot(ctx, slot, 100).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		args := []any{"MIGRATE", host, port, "", 0, answerTime.Milliseconds(), "KEYS"}
		for _, k := range keys {
			args = append(args, k)
		}
		// NOKEY: they expired or were deleted since.
		if err := source.Do(ctx, args...).Err(); err != nil && !strings.HasPrefix(err.Error(), "NOKEY") {
			return errors.Join(fmt.Errorf("MIGRATE of %d keys", len(keys)), err)
		}
	}
}
