package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fault is something that happens to Redis, to a node, or to what lies between.
type fault struct {
	name string
	on   []string // topologies; nil: all
	// make does it, takes it back, and writes down when.
	make func(ctx context.Context, r *rig, random *rand.Rand, e *event) error
}

// event is one fault that was made. Times are Unix nanoseconds.
type event struct {
	Fault    string   `json:"fault"`
	Detail   string   `json:"detail,omitempty"`
	Begin    int64    `json:"begin"`          // just before
	From     int64    `json:"from"`           // what is sent from now on and acked shows that Redis serves again
	Over     int64    `json:"over,omitempty"` // another server has taken over from the one that carried Channels
	Healed   int64    `json:"healed"`         // taken back
	End      int64    `json:"end"`            // all nodes are ready and all channels delivering again
	Channels []string `json:"channels,omitempty"`
	Nodes    []int    `json:"nodes,omitempty"`

	away    bool // Redis is out of reach of Nodes from Begin to Healed
	stopped bool // Nodes are stopped from Begin to Healed
	spoils  bool // bytes are corrupted from Begin to Healed
}

func now() int64 { return time.Now().UnixNano() }

// begin is called just before the fault.
func (e *event) begin(format string, args ...any) {
	e.Detail = fmt.Sprintf(format, args...)
	e.Begin = now()
	e.From = e.Begin
}

// heal is called when it has been taken back.
func (e *event) heal() { e.Healed = now() }

// hits says whether the fault concerns a node.
func (e *event) hits(node int) bool { return e.Nodes == nil || slices.Contains(e.Nodes, node) }

// faults are all there are.
var faults = slices.Concat(serverFaults, groupFaults, networkFaults, nodeFaults, dataFaults)

// choose takes those that are named and possible; no name takes all, but for one
// that has messages altered: what a client then takes for a position is anything.
func choose(names []string, topology string) ([]fault, error) {
	var list []fault
	for _, f := range faults {
		if (f.on == nil || slices.Contains(f.on, topology)) && (len(names) == 0 && f.name != "corrupt" || slices.Contains(names, f.name)) {
			list = append(list, f)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(list, func(f fault) bool { return f.name == n }) {
			return nil, fmt.Errorf("there is no fault %q with %s: choose from %s", n, topology, faultNames(topology))
		}
	}
	return list, nil
}

func faultNames(topology string) string {
	var names []string
	for _, f := range faults {
		if f.on == nil || slices.Contains(f.on, topology) {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ",")
}

// hold lets a fault last. false: the run was interrupted.
func hold(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// between is a time that the seed chooses.
func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)))
}

// length is how long a fault lasts.
func (r *rig) length(random *rand.Rand) time.Duration {
	const shortest = 300 * time.Millisecond
	return between(random, shortest, max(r.o.Longest, shortest+1))
}

// someNodes are one of the nodes, or in one of three cases all of them.
func someNodes(r *rig, random *rand.Rand) ([]int, string) {
	if random.IntN(3) == 0 {
		return nil, "all nodes"
	}
	i := random.IntN(len(r.nodes))
	return []int{i}, r.nodes[i].name
}
