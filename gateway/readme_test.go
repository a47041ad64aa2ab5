package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/pubsub"
)

// readme is the README's text.
func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// example is the README's program in a language.
func example(t *testing.T, language string) string {
	t.Helper()
	m := regexp.MustCompile("(?s)\n```"+language+"\n(.*?)```\n").FindAllStringSubmatch(readme(t), -1)
	if len(m) != 1 {
		t.Fatalf("the README has %d programs in %s, want 1", len(m), language)
	}
	return m[0][1]
}

// safeBuffer is written by a process and read by a test.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestReadmePrograms runs each program of the README against a node: what it
// pushes must reach a client, what the client sends must be printed by it.
func TestReadmePrograms(t *testing.T) {
	for _, p := range []struct {
		language, file string
		says           string // in what it pushes
		command        func(t *testing.T, file string) []string
	}{
		{"go", "example.go", "from Go", buildGo},
		{"js", "example.mjs", "from Node", interpreter("node")},
		{"python", "example.py", "from Python", python},
		{"php", "example.php", "from PHP", interpreter("php")},
		{"sh", "example.sh", "from the shell", interpreter("bash")},
	} {
		t.Run(p.language, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, "--dev").ready()
			_, port, err := net.SplitHostPort(n.embedded.Addr())
			if err != nil {
				t.Fatal(err)
			}
			program := strings.NewReplacer("6380", port, "localhost", "127.0.0.1").Replace(example(t, p.language))
			// Inside the module, where Go and Node find their libraries; a leading dot hides it from go build ./...
			dir, err := os.MkdirTemp(".", ".readme")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) }) // left over at worst
			file := filepath.Join(dir, p.file)
			if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			argv := p.command(t, file)
			c := n.dial("/ws?channel=news")
			ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			var out safeBuffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				cancel()
				_ = cmd.Wait() // it was killed: it would have gone on for ever
			}()
			if err := c.SetReadDeadline(time.Now().Add(3 * patience)); err != nil { // interpreters start slowly on a busy machine
				t.Fatal(err)
			}
			_, got, err := c.Conn.ReadMessage()
			if err != nil || !strings.Contains(string(got), p.says) {
				t.Fatalf("the client got %q, %v; the program said:\n%s", got, err, out.String())
			}
			c.send(websocket.TextMessage, "hello from the browser")
			eventually(t, "the program prints what the client sent", func() error {
				if !strings.Contains(out.String(), "hello from the browser") {
					return errors.New(out.String())
				}
				return nil
			})
		})
	}
}

func interpreter(name string) func(*testing.T, string) []string {
	return func(t *testing.T, file string) []string {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is not installed: run make deps", name)
		}
		return []string{name, file}
	}
}

func buildGo(t *testing.T, file string) []string {
	program := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-o", program, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{program}
}

// python finds an interpreter that has the redis library: Debian's own, where
// another one stands before it in PATH.
func python(t *testing.T, file string) []string {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import redis").Run() == nil {
			return []string{name, file}
		}
	}
	t.Fatal("no python3 with the redis library is installed: run make deps")
	return nil
}

// TestReadmeNamesTheDependencies: every direct dependency stands there with its
// version.
func TestReadmeNamesTheDependencies(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text := readme(t)
	for line := range strings.Lines(string(mod)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) != 2 || !strings.HasPrefix(fields[1], "v") {
			continue // indirect ones have a comment
		}
		if !strings.Contains(text, fields[0]) || !strings.Contains(text, fields[1]) {
			t.Errorf("the README does not name %s %s", fields[0], fields[1])
		}
	}
}

// TestReadmeNamesWhatIsThere: metrics, settings and flags that the README speaks
// of exist.
func TestReadmeNamesWhatIsThere(t *testing.T) {
	metrics, err := os.ReadFile("../docs/METRICS.md") // which package deploy's tests hold against a node
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile("`(sluice_[a-z_]+)`").FindAllStringSubmatch(readme(t), -1) {
		if strings.Contains(pubsub.FunctionLibrary(), "'"+name[1]+"'") { // it is a function
			continue
		}
		if !strings.Contains(string(metrics), name[0]) {
			t.Errorf("the README speaks of the metric %s, which is not there", name[1])
		}
	}
	_, help, _ := verb(t, "", "--help")
	for _, of := range [][]string{{"token", "make"}, {"publish"}, {"doctor"}} {
		_, more, _ := verb(t, "", append(of, "--help")...)
		help += more
	}
	_, doc, _ := verb(t, "", "config", "doc")
	for _, flag := range regexp.MustCompile("(--[a-z][a-z-]+)").FindAllString(readme(t), -1) {
		if generator := []string{"--burst", "--pid"}; strings.Contains(fmt.Sprint(generator), flag) {
			continue
		}
		if !strings.Contains(help, flag) && !strings.Contains(doc, flag) {
			t.Errorf("the README speaks of the flag %s, which is not there", flag)
		}
	}
	for _, setting := range regexp.MustCompile("`([a-z]+\\.[a-z_]+)`").FindAllStringSubmatch(readme(t), -1) {
		if !strings.Contains(doc, setting[1]) && !strings.HasSuffix(setting[1], ".go") && !strings.HasSuffix(setting[1], ".mod") {
			t.Errorf("the README speaks of the setting %s, which is not there", setting[1])
		}
	}
}
