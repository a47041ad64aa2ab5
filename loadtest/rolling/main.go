package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"sluice/loadtest/internal/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// command runs the rig and returns the exit status: 1 where a verdict does not hold, 2 where there is none.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{Out: stdout, Within: 0.1}
	flags := flag.NewFlagSet("rolling", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Program, "program", "", "the sluice to start; default: built from this module")
	flags.StringVar(&o.Balancer, "haproxy", "deploy/haproxy/haproxy.cfg", "HAProxy's file")
	flags.IntVar(&o.Nodes, "nodes", 3, "sluice processes")
	flags.IntVar(&o.Clients, "clients", 10_000, "clients")
	flags.IntVar(&o.Channels, "channels", 1000, "durable channels, with as many clients on each")
	flags.Float64Var(&o.Rate, "rate", 500, "messages a second, over all channels")
	flags.DurationVar(&o.Delay, "delay", 5*time.Second, "drain.delay")
	flags.DurationVar(&o.Window, "window", 30*time.Second, "drain.window")
	flags.DurationVar(&o.MaxAge, "max-age", 0, "connections.max_age")
	flags.DurationVar(&o.Slowstart, "slowstart", 30*time.Second, "of HAProxy")
	flags.DurationVar(&o.Pause, "pause", 10*time.Second, "before the first node, between two, and after the last")
	flags.DurationVar(&o.Backoff, "backoff", time.Second, "a client's first try to come back is after a part of this, drawn; twice as much with each try in vain …")
	flags.DurationVar(&o.MaxBackoff, "max-backoff", 20*time.Second, "… up to this")
	flags.BoolVar(&o.Join, "join", false, "one of the nodes joins, in place of restarts; needs -max-age")
	busy := flags.Bool("busy", false, "the machine has other work, too: what depends on time is shown, and not judged")
	dir := flags.String("out", "", "write page, figures and the run as JSON into this directory")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	rep, err := measure(ctx, o, *dir)
	if err != nil {
		fmt.Fprintf(stderr, "rolling: %v\nrolling: no verdict\n", err)
		return 2
	}
	rep.print(stdout)
	failed := rep.failed(*busy)
	for _, f := range failed {
		fmt.Fprintln(stdout, "rolling: FAILED:", f)
	}
	if len(failed) > 0 {
		return 1
	}
	fmt.Fprintln(stdout, "rolling: passed")
	return 0
}

func measure(ctx context.Context, o options, dir string) (*report, error) {
	if o.Join && (o.MaxAge == 0 || o.Nodes < 2) {
		return nil, fmt.Errorf("-join: -max-age and two -nodes are needed, or nobody would ever go to the new one")
	}
	if o.Program == "" {
		temporary, err := os.MkdirTemp("", "rolling")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(temporary) }() // left over at worst
		o.Program = filepath.Join(temporary, "sluice")
		if err := program.Build(ctx, o.Program); err != nil {
			return nil, err
		}
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
	}
	rep, err := run(ctx, o)
	if err != nil || dir == "" {
		return rep, err
	}
	return rep, rep.draw(dir)
}
