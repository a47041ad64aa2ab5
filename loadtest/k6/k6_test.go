package k6

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// The scripts parse, load, and agree with the README; what of them needs no k6 does what it says.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v: there are no *.test.mjs here", err)
	}
	out, err := exec.CommandContext(t.Context(), "node", append([]string{"--test"}, files...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v (without node: run make deps)\n%s", err, out)
	}
}

// load.sh is a script that bash understands, and says what it wants.
func TestLoad(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "bash", "-n", "load.sh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"load.sh"}, {"load.sh", "nosuch"}} {
		if out, err := exec.CommandContext(t.Context(), "bash", args...).CombinedOutput(); err == nil {
			t.Errorf("%q ended with 0:\n%s", args, out)
		}
	}
}
