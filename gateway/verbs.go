package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"runtime"
	"syscall"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"sluice/config"
	"sluice/gateway/gaps"
	"sluice/pubsub"
)

type versionVerb struct{}

// Run prints the version.
func (versionVerb) Run(p *program) error {
	_, err := fmt.Fprintf(p.stdout, "sluice %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

type configVerb struct {
	Print printVerb `cmd:"" default:"1" help:"Print the configuration in force as a YAML file, and where each value comes from (the default)."`
	Check checkVerb `cmd:"" help:"Say whether the configuration is valid, and every fault if not."`
	Doc   docVerb   `cmd:"" help:"Print the documentation of every setting."`
}

type printVerb struct{}

// Run prints the configuration.
func (printVerb) Run(p *program) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	return c.YAML(p.stdout)
}

type checkVerb struct{}

// Run checks the configuration.
func (checkVerb) Run(p *program) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	if err := tryOut(c); err != nil {
		return err
	}
	for _, w := range c.Warnings() {
		fmt.Fprintln(p.stdout, "warning:", w)
	}
	_, err = fmt.Fprintln(p.stdout, "the configuration is valid")
	return err
}

// tryOut makes what a node makes of its configuration before it opens a port: what
// fails here would fail at start.
func tryOut(c *config.Config) error {
	log := zap.NewNop()
	url := c.Redis
	var faults []error
	if address, ok := c.Embedded(); ok {
		faults = append(faults, pubsub.CheckEmbedded(address))
		url = "redis://" + address
	}
	broker, err := pubsub.Open(brokerOptions(c, url, "check", new(gaps.Log), log))
	if err == nil {
		err = broker.Close()
	}
	faults = append(faults, err)
	tokens, err := newVerifier(c, nil, log)
	faults = append(faults, err)
	_, err = new(App).policy(c, tokens)
	faults = append(faults, err)
	_, err = loadPapers(c, log)
	faults = append(faults, err)
	_, err = loopOptions(c, log)
	return errors.Join(append(faults, err)...)
}

type docVerb struct{}

// Run prints the documentation.
func (docVerb) Run(p *program) error { return config.Document(p.stdout) }

type serveVerb struct{}

// Run serves until a signal comes.
func (serveVerb) Run(p *program) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	log, level, queue, err := newLog(c.Log, p.stderr)
	if err != nil {
		return err
	}
	defer queue.Close()
	tuneMemory(p.environ)
	signal.Ignore(syscall.SIGPIPE) // who reads the log may go: clients stay
	a, err := New(p.ctx, c, log)
	if err != nil {
		return err
	}
	tuneProcessors(p.environ, len(a.engine.Reactors()))
	a.logLost, a.level = queue.Dropped, func(name string) error { return level.UnmarshalText([]byte(name)) }
	a.hups, a.load = p.hups(), p.config
	for _, w := range c.Warnings() {
		log.Warn("the configuration: " + w)
	}
	log.Info("serving", zap.String("version", version), zap.Stringer("listen", a.Public()),
		zap.Stringer("admin", stringer{a.Admin()}), zap.String("redis", c.RedactedRedis()),
		zap.String("prefix", c.Prefix), zap.String("node", a.node.ID),
		zap.Int("reactors", len(a.engine.Reactors())), zap.Int("connections_max", a.engine.Limit()), zap.Bool("dev", c.Dev))
	if c.Dev {
		a.greet(p.stdout)
	}
	return a.Run(p.ctx)
}

// stringer is an address that may be nil.
type stringer struct{ net.Addr }

func (s stringer) String() string {
	if s.Addr == nil {
		return "off"
	}
	return s.Addr.String()
}

// connect opens the broker that the configuration names, as a backend sees it.
func (p *program) connect(events pubsub.Events) (*pubsub.Redis, error) {
	c, err := p.config()
	if err != nil {
		return nil, err
	}
	url := c.Redis
	if address, ok := c.Embedded(); ok {
		url = "redis://" + address
	}
	return pubsub.Open(pubsub.Options{URL: url, Prefix: c.Prefix, ClientName: "sluice-cli", Events: events})
}

type functionsVerb struct{}

// Run prints the library of Redis Functions.
func (functionsVerb) Run(p *program) error {
	_, err := io.WriteString(p.stdout, pubsub.FunctionLibrary())
	return err
}

type publishVerb struct {
	Durable bool   `help:"Put the message into the channel's log, too (FCALL sluice_publish)."`
	ID      string `name:"id" help:"Idempotency key, with --durable: a second message with it, within minutes, is not published."`
	Channel string `arg:"" help:"Channel, without the prefix."`
	Payload string `arg:"" help:"Message, as the clients are to get it; - reads it from standard input."`
}

// Run publishes one message.
func (v *publishVerb) Run(p *program) (err error) {
	if err := pubsub.CheckChannel(v.Channel); err != nil {
		return err
	}
	payload := []byte(v.Payload)
	if v.Payload == "-" {
		if payload, err = io.ReadAll(p.stdin); err != nil {
			return fmt.Errorf("reading the message from standard input: %w", err)
		}
	}
	broker, err := p.connect(pubsub.Events{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	if v.ID != "" && !v.Durable {
		return errors.New("--id is for --durable: without a log nobody remembers it")
	}
	if v.Durable {
		at, epoch, err := broker.PublishDurable(ctx, v.Channel, payload, pubsub.DurableOptions{ID: v.ID})
		if err != nil {
			return fmt.Errorf("publishing (is a sluice or a Redis running there? see --redis): %w", err)
		}
		_, err = fmt.Fprintf(p.stdout, "published %d bytes to %s: position %d, epoch %s\n", len(payload), v.Channel, at, epoch)
		return err
	}
	n, err := broker.Publish(ctx, v.Channel, payload)
	if err != nil {
		return fmt.Errorf("publishing (is a sluice or a Redis running there? see --redis): %w", err)
	}
	nodes := "no node has clients on it"
	if n == 1 {
		nodes = "1 subscriber (a node or a service)"
	} else if n > 1 {
		nodes = fmt.Sprintf("%d subscribers (nodes or services)", n)
	}
	_, err = fmt.Fprintf(p.stdout, "published %d bytes to %s: %s\n", len(payload), v.Channel, nodes)
	return err
}

type tailVerb struct {
	Channels []string `arg:"" name:"channel" help:"Channels, without the prefix."`
}

// Run prints messages until a signal comes.
func (v *tailVerb) Run(p *program) (err error) {
	for _, channel := range v.Channels {
		if err := pubsub.CheckChannel(channel); err != nil {
			return fmt.Errorf("%q: %w", channel, err)
		}
	}
	broker, err := p.connect(pubsub.Events{
		Lost: func(_ string, err error, retryIn time.Duration) {
			fmt.Fprintf(p.stderr, "sluice: no connection to Redis, trying again in %s: %v\n", retryIn.Round(time.Millisecond), err)
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	for _, channel := range v.Channels {
		broker.Subscribe(channel)
	}
	if err := broker.Run(p.ctx, tailSink{p}); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// tailSink prints what it is handed. It implements pubsub.Sink and pubsub.Receiver;
// each line is one Write, so that lanes do not mix them.
type tailSink struct{ p *program }

func (s tailSink) Lane(pubsub.Link) pubsub.Receiver { return s }

func (s tailSink) Subscribed(channel string) {
	fmt.Fprintf(s.p.stderr, "subscribed to %s\n", channel)
}

func (tailSink) Delivered() {}

func (s tailSink) Interrupted(err error) {
	fmt.Fprintf(s.p.stderr, "sluice: the connection to Redis broke, messages may be missing: %v\n", err)
}

func (s tailSink) Moved(channel string) {
	fmt.Fprintf(s.p.stderr, "sluice: another Redis carries %s now, messages may be missing\n", channel)
}

func (s tailSink) Skipped(channel string) {
	fmt.Fprintf(s.p.stderr, "sluice: a message on %s is too long, and is not shown\n", channel)
}

func (s tailSink) Deliver(channel, payload []byte) {
	now := time.Now().Format("15:04:05.000")
	if d, ok := pubsub.ParseDurable(payload); ok {
		now, payload = fmt.Sprintf("%s @%d", now, d.Position), d.Payload
	}
	if !utf8.Valid(payload) {
		fmt.Fprintf(s.p.stdout, "%s %s %d bytes: %x\n", now, channel, len(payload), payload)
		return
	}
	fmt.Fprintf(s.p.stdout, "%s %s %s\n", now, channel, payload)
}
