// Package doctor looks at what a node depends on and does not own: the limits of its
// machine, its Redis, the load balancer in front. For what is wrong it says why that
// matters, and the command that mends it.
package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Grade is how bad a finding is.
type Grade uint8

// The grades.
const (
	Good    Grade = iota
	Unknown       // it could not be looked at
	Warning       // it will hurt under load, or some day
	Fault         // it hurts now
)

func (g Grade) String() string {
	return [...]string{"ok", "unknown", "warning", "fault"}[g]
}

// Finding is what was seen.
type Finding struct {
	Topic string // what was looked at: "open files"
	Grade Grade
	Seen  string // "1024"
	Why   string // why that matters; "" where it is good
	Mend  string // the command, or the setting, that mends it
}

// Check looks at one thing, or at several that belong together.
type Check func(ctx context.Context) []Finding

// Report is all findings, in the order of the checks.
type Report []Finding

// Examine makes the checks one after the other and tells each finding at once: some
// take a while.
func Examine(ctx context.Context, w io.Writer, checks []Check) (Report, error) {
	var report Report
	for _, check := range checks {
		for _, f := range check(ctx) {
			report = append(report, f)
			if err := f.write(w); err != nil {
				return report, err
			}
		}
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
	}
	_, err := fmt.Fprintln(w, report.summary())
	return report, err
}

func (f *Finding) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%-8s %s: %s\n", f.Grade, f.Topic, f.Seen)
	for _, line := range []struct{ name, text string }{{"why", f.Why}, {"mend", f.Mend}} {
		if err == nil && line.text != "" {
			_, err = fmt.Fprintf(w, "         %-5s %s\n", line.name+":", strings.ReplaceAll(line.text, "\n", "\n               "))
		}
	}
	return err
}

// Count is how many findings have a grade.
func (r Report) Count(g Grade) (n int) {
	for i := range r {
		if r[i].Grade == g {
			n++
		}
	}
	return n
}

func (r Report) summary() string {
	return fmt.Sprintf("%d ok, %d warnings, %d faults, %d unknown", r.Count(Good), r.Count(Warning), r.Count(Fault), r.Count(Unknown))
}

func good(topic, seen string) Finding { return Finding{Topic: topic, Seen: seen} }

func unknown(topic string, err error) Finding {
	return Finding{Topic: topic, Grade: Unknown, Seen: err.Error()}
}
