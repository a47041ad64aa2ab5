package main

import (
	"time"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/meter"
)

// mark is a moment in a run, with what everything has used so far.
type mark struct {
	at      int64 // ns
	server  *meter.Usage
	self    time.Duration
	busy    time.Duration
	stolen  time.Duration
	workers []time.Duration
}

// Cost is what the time between two marks took.
type Cost struct {
	Seconds float64      `json:"seconds"`
	Server  *meter.Usage `json:"server,omitempty"`   // without --pid: none
	Self    float64      `json:"generator_cpu_s"`    // this process, with --processes all of them
	Worker  float64      `json:"busiest_worker"`     // share of one core that the busiest receiving thread used, 0..1
	Others  float64      `json:"others_cpu_s"`       // everything else on the machine, Redis among it
	Idle    float64      `json:"machine_idle_cores"` // cores that nobody used, on average
	Stolen  float64      `json:"stolen_cpu_s"`       // by the hypervisor
}

// mark takes a moment.
func (r *run) mark() (mark, error) {
	m := mark{workers: r.fleet.WorkerCPU(), self: meter.Self()}
	for _, a := range r.crew.ask(order{Do: doSum}) {
		m.workers, m.self = append(m.workers, a.Workers...), m.self+a.Self
	}
	err := r.crew.trouble()
	if err != nil {
		return m, err
	}
	if m.busy, m.stolen, err = meter.MachineCPU(); err != nil {
		return m, err
	}
	if r.server != nil {
		u, err := r.server.Sample()
		if err != nil {
			return m, err
		}
		m.server = &u
	}
	m.at = fleet.Now()
	return m, nil
}

// since is the cost from an earlier mark to m.
func (m mark) since(o mark) Cost {
	c := Cost{Seconds: float64(m.at-o.at) / 1e9, Self: (m.self - o.self).Seconds(), Stolen: (m.stolen - o.stolen).Seconds()}
	busy := (m.busy - o.busy).Seconds()
	others := busy - c.Self
	if m.server != nil && o.server != nil {
		u := m.server.Sub(*o.server)
		c.Server = &u
		others -= u.CPU().Seconds()
	}
	c.Others = max(others, 0)
	c.Idle = max(float64(meter.Cores())-(busy+c.Stolen)/c.Seconds, 0)
	for i := range m.workers {
		c.Worker = max(c.Worker, (m.workers[i]-o.workers[i]).Seconds()/c.Seconds)
	}
	return c
}

// perUnit is the server's CPU time in µs for each of n; 0 without --pid.
func (c Cost) perUnit(n int64) float64 {
	if c.Server == nil || n <= 0 {
		return 0
	}
	return float64(c.Server.CPU().Nanoseconds()) / 1e3 / float64(n)
}
