// Command soak holds a sluice under hostile clients for a while, with ordinary
// ones beside them, and says whether those noticed.
//
//	soak -program bin/sluice -for 60s -seed 1
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sluice/gateway/hostile"
)

func main() {
	program := flag.String("program", "bin/sluice", "the sluice to start")
	length := flag.Duration("for", time.Minute, "how long")
	clients := flag.Int("clients", 200, "ordinary clients; a tenth as many hostile ones")
	rate := flag.Int("rate", 50, "messages a second, each to all ordinary clients")
	p99 := flag.Duration("p99", 50*time.Millisecond, "that canaries may wait for an answer; 0: any")
	seed := flag.Uint64("seed", rand.Uint64(), "order of the attacks; printed, so that a run can be repeated")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, hostile.SoakOptions{For: *length, Clients: *clients, Rate: *rate, Seed: *seed, P99: *p99, Warm: true, Out: os.Stdout}); err != nil {
		fmt.Fprintf(os.Stderr, "soak: FAILED with seed %d:\n%v\n", *seed, err)
		os.Exit(1)
	}
	fmt.Println("soak: passed: no losses, no leaks, no crash")
}

func run(ctx context.Context, program string, o hostile.SoakOptions) error {
	fmt.Fprintf(o.Out, "seed %d, %s, %d clients\n", o.Seed, o.For, o.Clients)
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // left over at worst
	flags, err := hostile.SoakFlags(dir)
	if err != nil {
		return err
	}
	n, err := hostile.Start(ctx, program, append([]string{"--reactors", "2"}, flags...)...)
	if err != nil {
		return err
	}
	err = hostile.Soak(ctx, n, 2, o)
	if stopped := n.Stop(context.WithoutCancel(ctx)); err == nil && stopped != nil {
		err = fmt.Errorf("the node ended with %w\n%s", stopped, n.LogText())
	}
	return err
}
