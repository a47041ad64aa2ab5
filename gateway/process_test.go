package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/pubsub/redistest"
)

// The test binary is the program when this is set: the tests below run it as a
// process of its own.
const asProgram = "RUN_AS_SLUICE"

func init() {
	if os.Getenv(asProgram) != "" {
		main()
	}
}

// process is sluice as a process, not started.
func process(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GOCOVERDIR="+t.TempDir())
	return cmd
}

// killAtEnd ends a process that a failed test leaves behind, and one that hangs.
func killAtEnd(t *testing.T, cmd *exec.Cmd) {
	kill := func() { _ = cmd.Process.Kill() } // it may have ended
	killer := time.AfterFunc(6*patience, kill)
	t.Cleanup(func() {
		killer.Stop()
		kill()
	})
}

// verb runs the program with args in this process and returns what it wrote.
func verb(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	status = run(args, &program{ctx: ctx, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs})
	return status, out.String(), errs.String()
}

func TestDevGreetsAndSignalsEndIt(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			var redisPort string // as the greeting has it
			cmd := process(t, "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			killAtEnd(t, cmd)
			var greeting strings.Builder
			for lines := bufio.NewScanner(out); lines.Scan(); {
				greeting.WriteString(lines.Text() + "\n")
				if strings.Contains(lines.Text(), "XREAD") {
					break
				}
			}
			if m := regexp.MustCompile(`redis-cli -p (\d+) PUBLISH`).FindStringSubmatch(greeting.String()); m != nil {
				redisPort = m[1]
			}
			for _, want := range []string{`http://127\.0\.0\.1:\d+/`, `ws://localhost:\d+/ws\?channel=news`, `bin/sluice publish --redis embedded://127\.0\.0\.1:\d+ news`,
				`redis-cli -p ` + redisPort + ` PUBLISH sluice:news`, `XREAD COUNT 10 STREAMS sluice:inbox 0`} {
				if !regexp.MustCompile(want).MatchString(greeting.String()) {
					t.Errorf("the greeting lacks %s:\n%s", want, greeting.String())
				}
			}
			if status, stdout, stderr := verb(t, "", "publish", "news", "hi", "--redis", "embedded://127.0.0.1:"+redisPort); status != 0 {
				t.Errorf("publish: %s%s", stdout, stderr)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v after %s, log:\n%s", err, signal, log.String())
			}
		})
	}
}

func TestStartFailsInWords(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"public port taken", []string{"--listen", port, "--admin", "", "--redis", "redis://127.0.0.1:1"}, "--listen"},
		{"admin port taken", []string{"--listen", "127.0.0.1:0", "--admin", port, "--redis", "redis://127.0.0.1:1"}, "--admin"},
		{"embedded broker's port taken", []string{"--listen", "127.0.0.1:0", "--admin", "", "--redis", "embedded://" + port}, "another sluice"},
		{"unknown flag", []string{"--lisen", ":1"}, "--listen"},
		{"bad value", []string{"--ping-interval", "soon"}, "--ping-interval"},
		{"more connections than files", []string{"--listen", "127.0.0.1:0", "--admin", "", "--redis", "redis://127.0.0.1:1", "--connections-max", "9999999"}, "LimitNOFILE"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, _, stderr := verb(t, "", row.args...)
			if status == 0 || !strings.Contains(stderr, row.want) {
				t.Errorf("status %d, %q; want a failure that mentions %s", status, stderr, row.want)
			}
		})
	}
}

func TestVerbs(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, "--dev", "--redis", server.URL).ready()
	c := n.dial("/ws?channel=news")
	at := []string{"--redis", server.URL}

	status, stdout, stderr := verb(t, "", append([]string{"publish", "news", `{"a":1}`}, at...)...)
	if status != 0 || !strings.Contains(stdout, "1 subscriber") {
		t.Errorf("publish: %d %q %q", status, stdout, stderr)
	}
	c.wantText(`{"a":1}`)
	status, _, stderr = verb(t, "from\nstdin", append([]string{"publish", "news", "-"}, at...)...)
	if status != 0 {
		t.Errorf("publish -: %d %q", status, stderr)
	}
	c.wantText("from\nstdin")
	if status, _, stderr := verb(t, "", append([]string{"publish", "{node:x}", "y"}, at...)...); status == 0 || stderr == "" {
		t.Error("publish to a channel that no client can have was let through")
	}
	if status, stdout, _ := verb(t, "", "version"); status != 0 || !strings.HasPrefix(stdout, "sluice ") {
		t.Errorf("version: %d %q", status, stdout)
	}
	if status, stdout, _ := verb(t, "", "config", "--ping-interval", "20s"); status != 0 || !strings.Contains(stdout, "20s") {
		t.Errorf("config: %d %q", status, stdout)
	}
	if status, _, stderr := verb(t, "", "config", "check", "--ping-interval", "1s", "--message-max", "1GiB"); status == 0 ||
		!strings.Contains(stderr, "ping") || !strings.Contains(stderr, "message") {
		t.Errorf("config check of two faults: %d %q", status, stderr)
	}
	if status, stdout, _ := verb(t, "", "config", "doc"); status != 0 || !strings.Contains(stdout, "SLUICE_PING_INTERVAL") {
		t.Errorf("config doc: %d", status)
	}
	if status, stdout, stderr := verb(t, "", "--help"); status != 0 || !strings.Contains(stdout, "publish") {
		t.Errorf("--help: %d %q", status, stdout+stderr)
	}
}

func TestTail(t *testing.T) {
	server := redistest.Start(t)
	cmd := process(t, "tail", "news", "other", "--redis", server.URL)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killAtEnd(t, cmd)
	eventually(t, "tail is subscribed", func() error {
		if n := server.Do("PUBLISH", "sluice:news", "hello"); n != int64(1) {
			return fmt.Errorf("PUBLISH reached %v", n)
		}
		return nil
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasSuffix(line, " news hello\n") {
		t.Errorf("tail printed %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("tail ended with %v", err)
	}
}
