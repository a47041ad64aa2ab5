package hostile

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// program is the sluice that the tests run, built by TestMain.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "hostile")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }() // left over at worst
		program = filepath.Join(dir, "sluice")
		if built := os.Getenv(builtProgram); built != "" { // by the tests that run this one
			program = built
		} else if out, err := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", program, "..")...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building sluice: %v\n%s", err, out)
			return 1
		}
		status := m.Run()
		if err := goleak.Find(); err != nil && status == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return status
	}())
}

const reactors = 2

// start starts a node that is stopped when the test ends, and must then have
// ended well, having said nothing that it should not.
func start(t *testing.T, flags ...string) *Node {
	t.Helper()
	n, err := Start(t.Context(), program, append([]string{"--reactors", fmt.Sprint(reactors)}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Errorf("the node ended with %v\n%s", err, n.LogText())
		}
		if err := Chatter(n.Log()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// judge plays rows against a node, one after the other, and then looks for what
// they have left behind.
func judge(t *testing.T, n *Node, rows []Row) {
	o, err := Watch(t.Context(), n, reactors)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	const enoughFailures = 5 // each takes Patience
	failures := 0
	for i := range rows {
		for _, how := range rows[i].Hows() {
			t.Run(rows[i].Name+"/"+how.String(), func(t *testing.T) {
				if err := o.Judge(t.Context(), &rows[i], how); err != nil {
					failures++
					t.Error(err)
				}
			})
			if failures == enoughFailures {
				t.Fatal("the remaining rows are not run")
			}
		}
		if n.Alive() != nil {
			t.Fatal(n.Alive())
		}
	}
	if err := o.Leftovers(t.Context()); err != nil {
		t.Errorf("left behind: %v", err)
	}
	const enough = 64 << 20
	if grown, err := o.Grown(); err != nil || grown > enough {
		t.Errorf("the node's memory has grown by %d bytes, %v", grown, err)
	}
}

// steady are settings for a node that no busy machine makes impatient.
var steady = []string{"--handshake-timeout", "20s", "--ping-interval", "10m", "--message-rate", "1000", "--message-burst", "2000"}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	judge(t, start(t, steady...), Handshakes())
}

func TestCentrifuge(t *testing.T) {
	t.Parallel()
	judge(t, start(t, steady...), Centrifuge())
}

func TestFrames(t *testing.T) {
	t.Parallel()
	judge(t, start(t, steady...), Frames())
}

func TestSlow(t *testing.T) {
	t.Parallel()
	judge(t, start(t, Impatient...), Slow())
}

func TestProxied(t *testing.T) {
	t.Parallel()
	n := start(t, append([]string{"--proxy-protocol", "any", "--proxy-from", "127.0.0.0/8"}, steady...)...)
	n.Preamble = "PROXY TCP4 192.0.2.1 192.0.2.2 1111 80\r\n"
	judge(t, n, Proxied())
}

func TestSoak(t *testing.T) {
	t.Parallel()
	n := start(t, soaked(t)...)
	if err := Soak(t.Context(), n, reactors, SoakOptions{For: 2 * time.Second, Clients: 50, Rate: 20, Seed: 1, Out: t.Output()}); err != nil {
		t.Error(err)
	}
}

func TestCompressed(t *testing.T) {
	t.Parallel()
	judge(t, start(t, slices.Concat(steady, CompressionFlags)...), Compressed())
}

func TestTokens(t *testing.T) {
	t.Parallel()
	judge(t, start(t, guard(t)...), Tokens())
}

// guard are the flags for Tokens.
func guard(t *testing.T) []string {
	flags, err := Guarded(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return append(flags, steady...)
}

// soaked are the flags for Soak.
func soaked(t *testing.T) []string {
	flags, err := SoakFlags(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return flags
}

// TestMemoryIsSteady: what an attack leaves behind shows when it comes again and
// again.
func TestMemoryIsSteady(t *testing.T) {
	t.Parallel()
	n := start(t, soaked(t)...)
	o := watch(t, n)
	s := &soak{n: n, oracle: o, all: attacks()}
	s.round(t.Context(), 32)
	o.undisturbed(t)
	warm, err := n.Collect()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.round(t.Context(), 32)
	}
	o.undisturbed(t)
	if err := o.Steady(t.Context(), warm); err != nil {
		t.Error(err)
	}
	for _, err := range s.faults {
		t.Error(err)
	}
}
