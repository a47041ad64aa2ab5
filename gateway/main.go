package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/alecthomas/kong"

	"sluice/config"
)

// version is set by the linker.
var version = "dev"

// verbs is the command line.
type verbs struct {
	Settings config.Flags `embed:""`

	Serve      serveVerb      `cmd:"" default:"1" help:"Serve clients (the default)."`
	Publish    publishVerb    `cmd:"" help:"Publish a message to a channel, as PUBLISH does." settings:"redis,prefix"`
	Functions  functionsVerb  `cmd:"" help:"Print the library of Redis Functions, for FUNCTION LOAD where a node may not load it itself: sluice functions | redis-cli -x FUNCTION LOAD REPLACE."`
	Tail       tailVerb       `cmd:"" help:"Print what is published to channels, as it comes." settings:"redis,prefix"`
	Presence   presenceVerb   `cmd:"" help:"Print who is subscribed to a channel whose namespace keeps that." settings:"redis,prefix"`
	Disconnect disconnectVerb `cmd:"" help:"Close the connections of a user, one connection, or those of a token, on all nodes." settings:"redis,prefix"`
	Revoke     revokeVerb     `cmd:"" help:"Make a token invalid, or all that a user has, on all nodes." settings:"redis,prefix"`
	Token      tokenVerb      `cmd:"" help:"Make and check tokens."`
	Story      storyVerb      `cmd:"" help:"Tell what happened to a connection: who it is, what it has, how it ended. Asks the node on this machine, or at --admin." settings:"listen,admin"`
	Doctor     doctorVerb     `cmd:"" help:"Look at the machine's limits, the Redis and the way through the load balancer, and say what is wrong, why it matters, and what mends it."`
	Config     configVerb     `cmd:"" help:"Print, check or explain the configuration."`
	Health     healthVerb     `cmd:"" help:"Ask the node on this machine whether it is well; the exit status is the answer." settings:"listen,admin"`
	Version    versionVerb    `cmd:"" help:"Print the version."`
}

// program is what a verb may use of its surroundings.
type program struct {
	ctx     context.Context // ends with SIGINT or SIGTERM, and with SIGHUP unless hups was called
	hangups *hangups
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string // as os.Environ returns it
	flags   *config.Flags
}

// config loads the configuration from everywhere.
func (p *program) config() (*config.Config, error) { return p.flags.Load(p.environ) }

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	h := &hangups{signals: make(chan struct{}, 1)}
	go onSignals(cancel, h) // ends with the process
	os.Exit(run(os.Args[1:], &program{ctx: ctx, hangups: h, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}))
}

// hangups are SIGHUPs for a verb that reloads its configuration then. Others end.
type hangups struct {
	wanted  atomic.Bool
	signals chan struct{}
}

// hups takes SIGHUP, which does not end the program from then on.
func (p *program) hups() <-chan struct{} {
	if p.hangups == nil {
		return nil
	}
	p.hangups.wanted.Store(true)
	return p.hangups.signals
}

// pass hands a SIGHUP on, and reports whether somebody wants it.
func (h *hangups) pass() bool {
	if !h.wanted.Load() {
		return false
	}
	select {
	case h.signals <- struct{}{}:
	default: // one is waiting
	}
	return true
}

// onSignals lets the first signal end the program in order, and the second at once,
// however soon it comes.
func onSignals(end context.CancelFunc, h *hangups) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	next := func() os.Signal {
		s := <-signals
		for s == syscall.SIGHUP && h.pass() {
			s = <-signals
		}
		return s
	}
	next()
	end()
	again := next()
	signal.Reset()
	if s, ok := again.(syscall.Signal); ok {
		_ = syscall.Kill(os.Getpid(), s) // nothing handles it any more: it ends the process, and shows as its cause
	}
}

// run is main without the process around it. It returns the exit status: 0, 1
// for a verb that failed, 2 for a command line that is wrong.
func run(args []string, p *program) int {
	var v verbs
	exit := -1 // set by --help
	options := append(v.Settings.Options(),
		kong.Name("sluice"),
		kong.Description("The WebSocket gateway that backends drive with plain Redis commands."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(status int) { exit = status }),
	)
	parser, err := kong.New(&v, options...)
	if err != nil {
		fmt.Fprintln(p.stderr, "sluice:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintln(p.stderr, "sluice:", err)
		return 2
	}
	p.flags = &v.Settings
	if err := command.Run(p); err != nil {
		fmt.Fprintln(p.stderr, "sluice:", err)
		return 1
	}
	return 0
}
