package hostile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Oracle knows what a node was like before anything hostile came.
type Oracle struct {
	node     *Node
	canaries []*Canary

	figures     Figures
	descriptors int
	rss         int64
}

// Watch puts a canary on each of the node's reactors and takes the node's
// measures. Close must be called.
func Watch(ctx context.Context, n *Node, reactors int) (*Oracle, error) {
	o := &Oracle{node: n}
	for range reactors { // a node gives a connection to the reactor that has the fewest
		c, err := NewCanary(ctx, n)
		if err != nil {
			o.Close()
			return nil, err
		}
		o.canaries = append(o.canaries, c)
	}
	err := Eventually(ctx, func() (err error) {
		if o.figures, err = n.Figures(); err != nil {
			return err
		}
		if got := o.figures["sluice_connections"]; int(got) != reactors {
			return fmt.Errorf("the node has %v connections, want %d", got, reactors)
		}
		if o.descriptors, err = n.Descriptors(); err != nil {
			return err
		}
		o.rss, err = n.RSS()
		return err
	})
	if err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// Close ends the canaries.
func (o *Oracle) Close() {
	for _, c := range o.canaries {
		c.Close()
	}
}

// Beat is how long the slowest canary waited for its answer.
func (o *Oracle) Beat(ctx context.Context) (slowest time.Duration, err error) {
	for _, c := range o.canaries {
		took, err := c.Beat(ctx)
		if err != nil {
			return 0, err
		}
		slowest = max(slowest, took)
	}
	return slowest, nil
}

// Judge plays a row and holds everything against what it was before.
func (o *Oracle) Judge(ctx context.Context, r *Row, how How) error {
	before, err := o.node.Figures()
	if err != nil {
		return errors.Join(err, o.node.Alive())
	}
	if err := r.Run(ctx, o.node, how); err != nil {
		return errors.Join(err, o.node.Alive())
	}
	if err := o.counted(ctx, before, r.reason()); err != nil {
		return errors.Join(err, o.node.Alive())
	}
	_, err = o.Beat(ctx)
	return errors.Join(err, o.node.Alive())
}

// counted waits until the row's connection has gone, and its reason and no other
// one has been counted.
func (o *Oracle) counted(ctx context.Context, before Figures, reason string) error {
	want := map[string]float64{}
	for one := range strings.SplitSeq(reason, " and ") {
		if one != nothing {
			want[one] = 1
		}
	}
	return Eventually(ctx, func() error {
		now, err := o.node.Figures()
		if err != nil {
			return errors.Join(err, o.node.Alive())
		}
		if got := now["sluice_connections"]; int(got) != len(o.canaries) {
			return fmt.Errorf("%v connections are left, want the %d canaries", got, len(o.canaries))
		}
		if got := reasons(before, now); !maps.Equal(got, want) {
			return fmt.Errorf("counted: %v, want %v", got, want)
		}
		return nil
	})
}

// reasons are the metrics that say why clients were refused or closed, as far as
// they have grown.
func reasons(before, now Figures) map[string]float64 {
	grown := map[string]float64{}
	for name, value := range now {
		switch family, _, _ := strings.Cut(name, "{"); family {
		case "sluice_refused_total", "sluice_closed_total", "sluice_misproxied_total", "sluice_panics_total", "sluice_tls_failures_total":
		default:
			continue
		}
		if d := value - before[name]; d != 0 {
			for _, by := range []string{`by="client",`, `by="node",`} {
				name = strings.Replace(name, by, "", 1)
			}
			grown[name] += d
		}
	}
	return grown
}

// Leftovers waits until nothing is left of all that came.
func (o *Oracle) Leftovers(ctx context.Context) error {
	return Eventually(ctx, func() error {
		now, err := o.node.Figures()
		if err != nil {
			return errors.Join(err, o.node.Alive())
		}
		var faults []error
		for name, slack := range map[string]float64{
			"sluice_connections": 0, "sluice_incomplete_bytes": 0, "sluice_backlog_bytes": 0, "sluice_channels": 0, "sluice_subscriptions": 0,
			"sluice_mailbox_events": 0, "sluice_panics_total": 0, "sluice_tls_handshakes": 0, "sluice_tls_handshakes_waiting": 0,
			// The broker's own connections come and go.
			"go_goroutines": 6,
		} {
			if d := now[name] - o.figures[name]; d > slack {
				faults = append(faults, fmt.Errorf("%s is %v, was %v", name, now[name], o.figures[name]))
			}
		}
		descriptors, err := o.node.Descriptors()
		if err != nil {
			return err
		}
		if descriptors > o.descriptors+4 {
			faults = append(faults, fmt.Errorf("%d files are open, were %d", descriptors, o.descriptors))
		}
		slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return errors.Join(faults...)
	})
}

// Steady waits until the node's resident memory, garbage collected, is no more than
// a twentieth and 8 MiB above what it was. A process gives memory back some time
// after it has no more use for it.
func (o *Oracle) Steady(ctx context.Context, was int64) error {
	return Eventually(ctx, func() error {
		rss, err := o.node.Collect()
		if err != nil {
			return errors.Join(err, o.node.Alive())
		}
		if most := was + was/20 + 8<<20; rss > most {
			return fmt.Errorf("the node's memory is %d KiB, was %d KiB", rss>>10, was>>10)
		}
		return nil
	})
}

// Grown is by how many bytes the node's resident memory is larger than it was.
func (o *Oracle) Grown() (int64, error) {
	rss, err := o.node.RSS()
	return rss - o.rss, err
}

// Chatter finds what a log should not have: what no logger wrote, which is the
// runtime's last words, and a message that comes more than once a second.
func Chatter(lines []LogLine) error {
	var faults []error
	last := map[string]time.Time{}
	for _, line := range lines {
		if line.Level == "raw" {
			faults = append(faults, errors.New("not a line of the log's: "+line.Text))
			continue
		}
		// Lines of goroutines that race may be written in the other order, so a little less than a second will do.
		if since := line.Time.Sub(last[line.Message]); since < 900*time.Millisecond {
			faults = append(faults, fmt.Errorf("again after %s: %s", since, line.Text))
		}
		last[line.Message] = line.Time
	}
	return errors.Join(faults...)
}
