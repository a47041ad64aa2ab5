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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// command runs the rig and returns the exit status.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{Log: stdout}
	flags := flag.NewFlagSet("dashboard", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Program, "program", "bin/sluice", "the sluice to start")
	flags.StringVar(&o.Load, "load", "bin/sluice-load", "the load generator to start")
	flags.StringVar(&o.Deploy, "deploy", "deploy", "the folder that has prometheus/ and grafana/")
	flags.DurationVar(&o.For, "for", 3*time.Minute, "length of the run; the scenes keep their places in it")
	flags.IntVar(&o.Clients, "clients", 400, "clients that stay, a quarter of each dialect")
	out := flags.String("out", "out/dashboard", "directory of the page")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	err := os.MkdirAll(*out, 0o777)
	if err == nil {
		err = run(ctx, o, filepath.Join(*out, "dashboard.html"))
	}
	if err != nil {
		fmt.Fprintf(stderr, "dashboard: %v\n", err)
		return 1
	}
	return 0
}
