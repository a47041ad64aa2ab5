package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Idle   idleCmd   `cmd:"" help:"Open connections, hold them: handshakes per second, CPU per handshake, memory per connection."`
	Fanout fanoutCmd `cmd:"" help:"Publish to many subscribers: deliveries per second, CPU per delivery, latency, and proof of order and completeness."`
	Echo   echoCmd   `cmd:"" help:"Send and get back, a fixed number in flight per connection: messages per second, CPU per message, round trips."`
	Resume resumeCmd `cmd:"" help:"Leave all at once, miss messages of durable channels and come back: time until everybody has everything, and what that asked of Redis."`
	Stall  stallCmd  `cmd:"" help:"Some subscribers stop reading: what the others get, before and meanwhile, what the server holds, and what it does with those that stall."`
	Storm  stormCmd  `cmd:"" help:"Connect everybody at once, from many addresses: time until all are connected, handshakes, CPU."`
	Churn  churnCmd  `cmd:"" help:"Connect and close at a rate: CPU per connection's life, errors by kind, leaks."`
}

// common are the flags of every verb.
type common struct {
	Connections int           `short:"n" default:"10000" help:"Connections."`
	Workers     int           `default:"1" help:"Receiving threads. One holds more than 2 million small deliveries per second."`
	Processes   int           `default:"1" help:"Share the connections among so many processes of this program (idle, fanout, storm): each may open as many files as the limit says. All together is measured and proved."`
	Part        int           `hidden:"" json:"-" help:"Which of them this one is."`
	Concurrency int           `default:"256" help:"Handshakes under way at once."`
	DialRate    float64       `default:"0" help:"New connections per second; 0: as fast as the concurrency allows."`
	Timeout     time.Duration `default:"10s" help:"For a handshake, a close handshake, the first message of a subscription."`
	Source      string        `help:"First local address to bind to; the next ones follow, one per 25,000 connections. Default on IPv4 loopback: 127.0.0.1 on; else the kernel's choice."`
	Header      []string      `sep:"none" placeholder:"'NAME: VALUE'" help:"Further request header; may be repeated."`
	Insecure    bool          `help:"With wss:// and https:// take any certificate."`
	CA          string        `name:"ca" placeholder:"FILE" help:"With wss:// and https:// trust the certificates in this file, and no others."`
	Tickets     bool          `help:"With wss:// and https:// come with a ticket of an earlier connection, where there is one: short handshakes in place of whole ones."`
	Also        []string      `sep:"none" placeholder:"URL" help:"Another node to connect to, in turn with --url; may be repeated."`
	Greets      bool          `help:"The server says things of its own besides what is published, as in sluice.v1."`
	Answer      []string      `sep:"none" placeholder:"TEXT=REPLY" help:"When the server sends exactly this, alone or as a line of a message, reply that: for servers with pings of their own; may be repeated."`
	Rest        bool          `help:"After connecting wait until the server's process is at rest: what it does for a connection after the handshake is then counted, too. Needs --pid."`
	PID         int           `name:"pid" help:"The server's process, on this machine: CPU time, memory, threads, descriptors are read from /proc."`
	Metrics     string        `placeholder:"URL" help:"The server's Prometheus page: what it says of its heap, goroutines, garbage collections and reactors."`
	JSON        string        `name:"json" placeholder:"FILE" help:"Write the report there too."`
	HTML        string        `name:"html" placeholder:"FILE" help:"Write the report there too, as a page with plots."`
}

// outside is everything a verb needs from its surroundings.
type outside struct {
	ctx      context.Context
	args     []string // the command line, for further processes
	out, log io.Writer
	publish  publisher // in place of Redis; nil outside of tests
}

// errFaulty ends a run whose report names faults of the server.
var errFaulty = errors.New("the run found faults")

func main() {
	// The heap is small and mostly the connections; collecting it less often keeps the collector out of the figures.
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("sluice-load"), kong.UsageOnError(),
		kong.Description("Load generator for Sluice and other WebSocket servers. The server must be running already."))
	err := k.Run(&outside{ctx: ctx, args: os.Args[1:], out: os.Stdout, log: os.Stderr})
	switch {
	case errors.Is(err, errFaulty):
		os.Exit(1)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "sluice-load: interrupted; there is no report of an unfinished run")
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "sluice-load:", err)
		os.Exit(2)
	}
}
