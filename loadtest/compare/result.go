package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"sluice/loadtest/internal/meter"
	"sluice/loadtest/internal/proof"
)

// Result is everything that a comparison found out, as it is written to result.json.
type Result struct {
	Started time.Time     `json:"started"`
	Ended   time.Time     `json:"ended"`
	Commit  string        `json:"commit"`
	Machine meter.Machine `json:"machine"`
	Pinned  string        `json:"pinned"`         // where the server and the generator ran
	Note    string        `json:"note,omitempty"` // what the reader should know, too
	Plan    Plan          `json:"plan"`
	Peers   []*Outcome    `json:"peers"`
	Absent  []Absence     `json:"absent"` // peers that could not be installed
}

// Outcome is what one peer's rounds came to.
type Outcome struct {
	Name    string               `json:"name"`
	Version string               `json:"version"`
	Style   string               `json:"style"`
	Floor   bool                 `json:"floor"`
	Figures []map[string]float64 `json:"figures"` // by round, by the key of a row
	Proof   proof.Counts         `json:"proof"`   // of all runs, but for those who stalled
	Lost    int64                `json:"lost"`    // connections that failed or ended unasked
	Errors  map[string]int64     `json:"errors"`  // of connections, by kind; those that stalled are not among them
	Failed  []string             `json:"failed"`  // runs that could not be done
}

// Absence is a peer that is not there.
type Absence struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// median of a figure over the rounds that have it; not a number: none has.
func (o *Outcome) median(key string) float64 {
	list := o.values(key)
	switch n := len(list); {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return list[n/2]
	default:
		return (list[n/2-1] + list[n/2]) / 2
	}
}

// values are a figure's, smallest first.
func (o *Outcome) values(key string) (list []float64) {
	for _, round := range o.Figures {
		if v, ok := round[key]; ok {
			list = append(list, v)
		}
	}
	slices.Sort(list)
	return list
}

// faults is how many messages did not come as they should.
func faults(c proof.Counts) int64 {
	return c.Missing + c.Duplicates + c.OutOfOrder + c.Stale + c.Corrupt + c.Misrouted
}

// add takes one run's report into the outcome.
func (o *Outcome) add(name string, r *report) {
	o.Proof.Add(r.Traffic.Proof)
	o.Lost += r.Lost + r.Connections.Failed
	if name == "stalled" {
		return // what servers say to those that stall is their right
	}
	for kind, n := range r.Errors {
		o.Errors[kind] += n
	}
}

// winners are the peers that are best at row, those within a twentieth of the best among them; a floor wins nothing.
func (r *Result) winners(row *row) (names []string) {
	best := math.NaN()
	for _, o := range r.Peers {
		v := o.median(row.key)
		if o.Floor || math.IsNaN(v) {
			continue
		}
		if math.IsNaN(best) || row.more == (v > best) {
			best = v
		}
	}
	for _, o := range r.Peers {
		v := o.median(row.key)
		if o.Floor || math.IsNaN(v) {
			continue
		}
		if v == best || row.more && v >= best*0.95 || !row.more && v <= best*1.05 {
			names = append(names, o.Name)
		}
	}
	return names
}

// write keeps the result.
func (r *Result) write(name string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

// readResult reads what write has written.
func readResult(name string) (*Result, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &r, nil
}
