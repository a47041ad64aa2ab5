package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"sluice/gateway/doctor"
	"sluice/gateway/gaps"
	"sluice/pubsub"
)

type doctorVerb struct {
	Through string        `placeholder:"URL" help:"A WebSocket URL as clients see it, through the load balancer, ws:// or wss://, of /echo or of a channel: it is opened, and left alone until the node pings."`
	Idle    time.Duration `default:"40s" help:"How long it is left alone at most; more than ping.interval."`
}

// Run looks at what a node with this configuration depends on. It fails if there is a
// fault; warnings are for people.
func (v doctorVerb) Run(p *program) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	checks := doctor.Machine{Connections: c.Connections.Max}.Checks()
	for _, p := range c.TLS.Certificates() {
		checks = append(checks, doctor.Certificate{Cert: p.Cert, Key: p.Key}.Check)
	}
	if _, embedded := c.Embedded(); embedded {
		fmt.Fprintln(p.stdout, "no Redis is configured: only the machine is looked at (--redis)")
	} else {
		broker, err := pubsub.Open(brokerOptions(c, c.Redis, "doctor", new(gaps.Log), zap.NewNop()))
		if err != nil {
			return err
		}
		defer func() { _ = broker.Close() }() // nothing was written
		checks = append(checks, doctor.Redis{Servers: broker.Servers, Prefix: c.Prefix, Timeout: 15 * time.Second}.Check)
	}
	checks = append(checks, func(context.Context) (findings []doctor.Finding) {
		for _, w := range c.Warnings() {
			findings = append(findings, doctor.Finding{Topic: "configuration", Grade: doctor.Warning, Seen: w})
		}
		return findings
	})
	if v.Through != "" {
		fmt.Fprintf(p.stdout, "this takes up to %v: an idle connection through %s\n", v.Idle, v.Through)
		checks = append(checks, doctor.Balancer{URL: v.Through, Ping: c.Ping.Interval, Idle: v.Idle}.Check)
	}
	report, err := doctor.Examine(p.ctx, p.stdout, checks)
	if err != nil {
		return err
	}
	if n := report.Count(doctor.Fault); n > 0 {
		return errors.New("there are faults, see above")
	}
	return nil
}
