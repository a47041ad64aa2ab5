package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sluice/loadtest/internal/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// command runs the rig and returns the exit status: 1 where a verdict does not
// hold, 2 where there is none.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{Out: stdout}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Program, "program", "", "the sluice to start; default: built from this module")
	flags.StringVar(&o.Topology, "topology", "standalone", strings.Join(topologies, ", ")+"; with -runs several of them, with commas between")
	runs := flags.Int("runs", 1, "so many runs, one after the other, with topologies by turns, each with the next seed")
	names := flags.String("faults", "", "which faults, with commas between; default: all of the topology; list: print them")
	flags.IntVar(&o.Nodes, "nodes", 3, "sluice processes")
	flags.IntVar(&o.Channels, "channels", 24, "channels")
	flags.IntVar(&o.Durable, "durable", 6, "durable channels")
	flags.IntVar(&o.Follow, "followers", 3, "clients that follow each durable channel, and are cut off again and again")
	flags.Float64Var(&o.Rate, "rate", 20, "messages a second on each channel")
	flags.DurationVar(&o.For, "for", time.Minute, "how long faults are made")
	flags.IntVar(&o.Rounds, "rounds", 0, "how often each fault is made at the most; 0: as often as there is time")
	flags.DurationVar(&o.Quiet, "quiet", time.Second, "the least time without a fault between two of them")
	flags.DurationVar(&o.Longest, "longest", 5*time.Second, "the most that a fault lasts, where its length is drawn")
	flags.Uint64Var(&o.Seed, "seed", rand.Uint64(), "what is drawn: order, lengths and victims of faults")
	busy := flags.Bool("busy", false, "the machine has other work, too: what depends on time is shown, and not judged")
	file := flags.String("out", "", "write everything to this file as JSON")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *names == "list" {
		fmt.Fprintln(stdout, strings.ReplaceAll(faultNames(o.Topology), ",", "\n"))
		return 0
	}
	if *names != "" {
		o.Faults = strings.Split(*names, ",")
	}
	done, err := prepare(ctx, &o)
	if err != nil {
		fmt.Fprintf(stderr, "chaos: %v\n", err)
		return 2
	}
	defer done()
	if *runs > 1 {
		s := &series{runs: *runs, topologies: strings.Split(o.Topology, ","), busy: *busy, out: stdout}
		return s.run(ctx, o)
	}
	fmt.Fprintf(o.Out, "seed %d, %s, %d nodes, %v\n", o.Seed, o.Topology, o.Nodes, o.For)
	rep, err := run(ctx, o)
	if err == nil && *file != "" {
		err = rep.save(*file)
	}
	if err != nil {
		fmt.Fprintf(stderr, "chaos: %v\nchaos: no verdict; the seed was %d\n", err, o.Seed)
		return 2
	}
	rep.print(stdout)
	if failed := rep.failed(!*busy); len(failed) > 0 {
		fmt.Fprintf(stdout, "chaos: FAILED, %d verdicts do not hold; once more: -topology %s -seed %d\n", len(failed), o.Topology, o.Seed)
		return 1
	}
	fmt.Fprintln(stdout, "chaos: passed")
	return 0
}

// prepare sees to it that there is a program to start, until done.
func prepare(ctx context.Context, o *options) (done func(), err error) {
	if o.Program != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return nil, err
	}
	done = func() { _ = os.RemoveAll(dir) } // left over at worst
	o.Program = filepath.Join(dir, "sluice")
	if err := program.Build(ctx, o.Program); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

func (rep *report) save(file string) error {
	b, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o666)
}
