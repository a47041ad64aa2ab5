package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"sluice/loadtest/internal/plot"
)

// row is one line of the table.
type row struct {
	key    string
	name   string // with %-verbs of the plan already filled in
	more   bool   // more is better
	judged bool   // the best is printed bold
	brief  bool   // in the short table, too
	format func(v float64) string
}

func micros(v float64) string  { return plot.Micros.Format(v) }
func size(v float64) string    { return plot.Bytes.Format(v) }
func count(v float64) string   { return plot.Number.Format(v) }
func percent(v float64) string { return plot.Percent.Format(v) }

// rows are the table's, for a plan.
func rows(p *Plan) []*row {
	all := fmt.Sprintf("%s subscribers", grouped(p.Subscribers))
	crowd := grouped(p.Crowd)
	return []*row{
		{"memory", fmt.Sprintf("memory per idle connection, of %s", grouped(p.Subscribers)), false, true, true, size},
		{"rest", fmt.Sprintf("CPU at rest, %s connections pinged every %d s", grouped(p.Subscribers), pingSeconds), false, true, false, percent},
		{"handshake", "CPU per handshake and subscription", false, true, true, micros},
		{"one", "CPU per delivery, one message at a time to " + all, false, true, true, micros},
		{"burst", "CPU per delivery, bursts of 32", false, true, true, micros},
		{"burst-rate", "deliveries a second, bursts of 32", true, true, true, count},
		{"burst-generator", "… how busy the generator's receiving thread is meanwhile", false, false, false, percent},
		{"echo1", fmt.Sprintf("CPU per echo, %d connections, one in flight", p.Echoes), false, true, true, micros},
		{"echo1-rate", "echoes a second, one in flight", true, true, false, count},
		{"echo16", "CPU per echo, 16 in flight", false, true, true, micros},
		{"echo16-rate", "echoes a second, 16 in flight", true, true, false, count},
		{"most", fmt.Sprintf("most deliveries a second to %s subscribers", crowd), true, true, false, count},
		{"half-p99", "p99 latency at half of its own most", false, false, true, micros},
		{"half-rate", "… which is deliveries a second", true, false, true, count},
		{"common-p50", fmt.Sprintf("p50 latency, %s messages a second to %s", strconv.FormatFloat(p.Rate, 'f', -1, 64), crowd), false, true, false, micros},
		{"common-p99", fmt.Sprintf("p99 latency, %s messages a second to %s", strconv.FormatFloat(p.Rate, 'f', -1, 64), crowd), false, true, true, micros},
		{"stalled-p99", fmt.Sprintf("p99 latency of the others, messages of %d KiB, %d of %s stalled", stalledSize>>10, p.Stalled, crowd), false, true, true, micros},
		{"calm-p99", "… before they stalled", false, false, false, micros},
		{"stalled-share", "… their deliveries a second, against none stalled", true, false, false, percent},
		{"stalled-growth", "… growth of the server's memory meanwhile", false, true, true, size},
		{"stalled-cut", "… stalled connections that it ended", true, false, false, count},
		{"stalled-missed", "… messages that the others of them missed for good", false, false, false, count},
	}
}

// grouped is a number with commas.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// cell is one figure: the median, and how far the rounds are apart where spread is asked for.
func (o *Outcome) cell(r *row, spread bool) string {
	v := o.median(r.key)
	if math.IsNaN(v) {
		return "–"
	}
	text := r.format(v)
	if list := o.values(r.key); spread && len(list) > 1 && r.format(list[0]) != r.format(list[len(list)-1]) {
		text += " (" + r.format(list[0]) + " … " + r.format(list[len(list)-1]) + ")"
	}
	return text
}

// messages says what became of a peer's messages.
func (o *Outcome) messages() string {
	p := o.Proof
	if p.Delivered == 0 {
		return "–"
	}
	if faults(p) == 0 {
		return "none of " + count(float64(p.Delivered))
	}
	var parts []string
	for _, kind := range []struct {
		n    int64
		name string
	}{{p.Missing, "lost"}, {p.Duplicates, "twice"}, {p.OutOfOrder + p.Stale, "out of order"}, {p.Corrupt + p.Misrouted, "wrong"}} {
		if kind.n > 0 {
			parts = append(parts, grouped(int(kind.n))+" "+kind.name)
		}
	}
	return strings.Join(parts, ", ") + " of " + count(float64(p.Delivered+p.Missing))
}

// cells is the whole table, its head first; bold marks the best. A brief one has the most telling rows and no spread.
func (r *Result) cells(brief bool, bold func(string) string) [][]string {
	head := []string{"medians of " + rounds(r.Plan.Rounds)}
	for _, o := range r.Peers {
		head = append(head, strings.TrimSpace(o.Name+" "+o.Version))
	}
	table := [][]string{head}
	for _, row := range rows(&r.Plan) {
		if brief && !row.brief || !r.measured(row) {
			continue
		}
		best := map[string]bool{}
		if row.judged {
			for _, name := range r.winners(row) {
				best[name] = true
			}
		}
		line := []string{row.name}
		for _, o := range r.Peers {
			cell := o.cell(row, !brief)
			if best[o.Name] {
				cell = bold(cell)
			}
			line = append(line, cell)
		}
		table = append(table, line)
	}
	lost, ended := []string{"messages lost, twice, out of order or wrong"}, []string{"connections that failed or ended unasked"}
	for _, o := range r.Peers {
		lost, ended = append(lost, o.messages()), append(ended, count(float64(o.Lost)))
	}
	return append(table, lost, ended)
}

// measured says that some peer has figures of row.
func (r *Result) measured(row *row) bool {
	return slices.ContainsFunc(r.Peers, func(o *Outcome) bool { return !math.IsNaN(o.median(row.key)) })
}

func rounds(n int) string {
	if n == 1 {
		return "one round"
	}
	return strconv.Itoa(n) + " rounds"
}

// markdown is the block that stands in a README.
func (r *Result) markdown(brief bool) string {
	var b strings.Builder
	table := r.cells(brief, func(s string) string { return "**" + s + "**" })
	for i, line := range table {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(line)) + "\n")
		}
	}
	fmt.Fprintf(&b, "\n%s The best of a row is bold, with all within 5 %% of it.\n", r.where())
	for _, f := range r.figures() {
		if !brief {
			fmt.Fprintf(&b, "\n![%s](../../docs/%s.svg)\n", f.plot.Title, f.file)
		} else if f.brief {
			fmt.Fprintf(&b, "\n![%s](docs/%s.svg)\n", f.plot.Title, f.file)
		}
	}
	if brief {
		return b.String()
	}
	for _, o := range r.Peers {
		for _, f := range o.Failed {
			fmt.Fprintf(&b, "\n%s, a run that could not be done: %s\n", o.Name, oneLine(f))
		}
		for why, n := range o.Errors {
			fmt.Fprintf(&b, "\n%s, %d connections: %s\n", o.Name, n, oneLine(why))
		}
	}
	for _, a := range r.Absent {
		fmt.Fprintf(&b, "\n%s could not be installed: %s\n", a.Name, oneLine(a.Why))
	}
	return b.String()
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 300)]
}

// where is when and on what this was measured.
func (r *Result) where() string {
	note := ""
	if r.Note != "" {
		note = " " + r.Note
	}
	return fmt.Sprintf("Measured %s, commit %s, on %d cores of %s, Linux %s; %s.%s",
		r.Started.Format("2006-01-02 15:04 MST"), r.Commit, r.Machine.Cores, r.Machine.CPU, r.Machine.Kernel, r.Pinned, note)
}

// replaceBlock puts text between the marks of a Markdown file.
func replaceBlock(file, text string) error {
	const begin, end = "<!-- compare: begin -->\n", "<!-- compare: end -->"
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no block between %s and %s", file, strings.TrimSpace(begin), end)
	}
	return os.WriteFile(file, []byte(before+begin+text+end+after), 0o644)
}
