package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/config"
	"sluice/gateway/reason"
	"sluice/loop"
)

var updateDocs = flag.Bool("update", false, "write docs/LOGS.md anew, from the table of events and that of reasons")

// logged is a line that the source logs: the level, and the text as far as it is constant.
type logged struct {
	at, level, text string
}

// loggedIn finds the lines that a package and those below it log.
func loggedIn(t *testing.T, dir string) (lines []logged) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"hostile", "doctor", "testdata", "redisproc", "redistest", "pubsubtest"}, d.Name()) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if level, text, ok := lineOf(call); ok {
				lines = append(lines, logged{files.Position(call.Pos()).String(), level, text})
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// lineOf is what a call logs, if it does: log.Warn("…"), but not zap.Error(err).
func lineOf(call *ast.CallExpr) (level, text string, ok bool) {
	method, isMethod := call.Fun.(*ast.SelectorExpr)
	if !isMethod || len(call.Args) == 0 {
		return "", "", false
	}
	if on, isName := method.X.(*ast.Ident); isName && (on.Name == "zap" || on.Name == "errors" || on.Name == "t") {
		return "", "", false
	}
	switch method.Sel.Name {
	case "Debug", "Info", "Warn", "Error":
		text, ok = beginning(call.Args[0])
		return strings.ToLower(method.Sel.Name), text, ok
	}
	return "", "", false
}

// beginning is the constant text that an expression begins with; behind it stands a space
// where more follows.
func beginning(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		return beginning(e.X)
	}
	return "", false
}

// Every line that the program logs is an event of the table, at its level, and the table has no others.
func TestEveryLogLineIsAnEvent(t *testing.T) {
	byText := map[string]event{}
	codes := map[string]bool{}
	for _, e := range events {
		if codes[e.code] || !regexp.MustCompile(`^[a-z_]+$`).MatchString(e.code) || e.code == otherEvent {
			t.Errorf("the code %q is bad, or there twice", e.code)
		}
		codes[e.code], byText[e.text] = true, e
	}
	lines := loggedIn(t, ".")
	for _, dir := range []string{"../loop", "../pubsub", "../config"} {
		lines = append(lines, loggedIn(t, dir)...)
	}
	// Those whose texts are not where they are logged.
	for s := range loop.Stall(loop.Stalls) {
		lines = append(lines, logged{"loop/watchdog.go", "warn", s.Line()})
	}
	lines = append(lines, logged{"session/node.go", "info", "closed: "}, logged{"session/node.go", "debug", "connection ended"})
	seen := map[string]bool{}
	for _, l := range lines {
		e, ok := byText[l.text]
		switch {
		case !ok:
			t.Errorf("%s: no event for %q", l.at, l.text)
		case e.level.String() != l.level && e.code != "event_loop": // which comes at three levels
			t.Errorf("%s: %s is logged at %s", l.at, e.code, l.level)
		}
		seen[l.text] = true
	}
	for text, e := range byText {
		if !seen[text] {
			t.Errorf("nobody logs %s: %q", e.code, text)
		}
	}
}

func TestLinesHaveTheirEvent(t *testing.T) {
	var b bytes.Buffer
	log, _, queue, err := newLog(config.Log{Level: "info", Format: "json"}, &b)
	if err != nil {
		t.Fatal(err)
	}
	log.With().Info("serving")
	log.Info("refused: this Origin may not connect")
	log.Warn("http: Accept error")
	queue.Close()
	var got []string
	for line := range strings.Lines(b.String()) {
		var fields struct{ Event string }
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		got = append(got, fields.Event)
	}
	if want := []string{"serving", "refused", otherEvent}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// logsHead is what docs/LOGS.md begins with.
const logsHead = "# The log of a node\n\n" +
	"One line for each thing that an operator may want to act on, on standard error: JSON, or for people with `--log-format console`.\n" +
	"This page is made from the program's own tables (`go test ./gateway -run Docs -update`), and a test holds every line that the source logs against them.\n\n" +
	"- `event` is a code from the first table. It stays when the words of a line change: alert on it, and count by it.\n" +
	"- Of lines with the same words one a second is written, so that no client can fill the log; the metrics have the number. At `log.level` debug all are.\n" +
	"- `node` is the node's name; `conn` a connection's, as inbox entries have it; `error` is what the library or Redis said; `remote` the client's address.\n" +
	"- `refused` and `closed` have a `why`, a reason from the second table, which is the label of `sluice_refused_by_reason_total` and `sluice_closed_by_reason_total`, and the sentence that the client was told.\n" +
	"- What has no event of its own (`" + otherEvent + "`) are the words of libraries: of net/http about clients of the admin port, mostly.\n" +
	"- A log that is not read fast enough does not hold clients up: lines are dropped, and counted in `sluice_log_lines_lost_total`.\n\n" +
	"## Events\n\n| event | level | line | what it means, and what to do |\n|---|---|---|---|\n"

// logsPage is docs/LOGS.md.
func logsPage() []byte {
	cell := strings.NewReplacer("|", `\|`)
	var b bytes.Buffer
	b.WriteString(logsHead)
	for _, e := range events {
		text := e.text
		if strings.HasSuffix(text, " ") {
			text += "…"
		}
		level := e.level.String()
		if e.code == "event_loop" {
			level = "any"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.code, level, cell.Replace(text), cell.Replace(cmp.Or(e.meaning, "–")))
	}
	b.WriteString("\n## Reasons\n\nWhy requests are refused and connections closed; several sentences may have one reason, because what to do about them is the same.\n\n" +
		"| reason | what it means, and what to do | sentences |\n|---|---|---|\n")
	for _, r := range reason.Table {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Reason, cell.Replace(r.Meaning), cell.Replace(strings.Join(r.Texts, "; ")))
	}
	return b.Bytes()
}

func TestDocsOfTheLog(t *testing.T) {
	const file = "../docs/LOGS.md"
	want := logsPage()
	if *updateDocs {
		if err := os.WriteFile(file, want, 0o644); err != nil { //nolint:gosec // everybody may read it
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the tables make it; write it anew: go test ./gateway -run Docs -update", file)
	}
}

// Settings that the tables speak of exist.
func TestTablesSpeakOfSettingsThatExist(t *testing.T) {
	var known strings.Builder
	if err := config.Document(&known); err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`\b(?:handshake|connections|message|queue|node|shutdown|drain|proxy|inbox|recovery|rpc|log|ping|close)\.[a-z_]+`)
	for _, m := range setting.FindAllString(string(logsPage()), -1) {
		if !strings.Contains(known.String(), "`"+m+"`") {
			t.Errorf("%s is no setting", m)
		}
	}
}
