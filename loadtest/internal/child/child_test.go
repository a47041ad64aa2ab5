package child

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChild(t *testing.T) {
	for _, test := range []struct{ script, says, ends string }{
		{"echo out; echo err >&2; exit 3", "out\nerr\n", "exit status 3"},
		{"exec sleep 1000", "", "signal: terminated"}, {"sleep 5; true", "", "signal: terminated"},
		{"exit 0", "", ""},
	} {
		c, err := Start(exec.Command("sh", "-c", test.script))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(test.script, "sleep") {
			<-c.Gone
		} else if c.Ended() {
			t.Error("it has ended by itself")
		}
		got := ""
		if err := c.End(syscall.SIGTERM); err != nil {
			got = err.Error()
		}
		if got != test.ends || c.Output() != test.says || !c.Ended() {
			t.Errorf("%s: ended with %q, said %q", test.script, got, c.Output())
		}
	}
	if _, err := Start(exec.Command("no-such-program")); err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("what is not there: %v", err)
	}
}

func TestKeepsTheEnd(t *testing.T) {
	c := &Child{}
	for range 10 {
		_, _ = c.Write([]byte(strings.Repeat("x", maxOutput/4)))
	}
	_, _ = c.Write([]byte("end"))
	if out := c.Output(); len(out) != maxOutput || !strings.HasSuffix(out, "xend") {
		t.Errorf("%d bytes are kept", len(out))
	}
}
