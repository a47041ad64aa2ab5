package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sysctls are the settings of 99-sluice.conf, and whether a kernel may lack them.
func sysctls(t *testing.T) (values map[string]string, optional map[string]bool) {
	t.Helper()
	b, err := os.ReadFile("kernel/99-sluice.conf")
	if err != nil {
		t.Fatal(err)
	}
	values, optional = map[string]string{}, map[string]bool{}
	explained := false // by a comment above it, or above the line before it
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			explained = line != ""
			continue
		}
		key, value, ok := strings.Cut(line, " = ")
		if !ok || value == "" || !explained {
			t.Errorf("%q: want a comment, then name = value", line)
		}
		name := strings.TrimPrefix(key, "-")
		if _, twice := values[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		values[name], optional[name] = value, name != key
	}
	return values, optional
}

// Every setting is one that a kernel has, in the form in which it has it.
func TestSysctlsAreKnown(t *testing.T) {
	values, optional := sysctls(t)
	for name, value := range values {
		now, err := os.ReadFile(filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/")))
		if os.IsNotExist(err) && (optional[name] || !strings.HasPrefix(name, "fs.")) { // a container shows those of its network alone
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		list := regexp.MustCompile(`^\d+(-\d+)?(,\d+(-\d+)?)*$`)
		if fields := strings.Fields(string(now)); len(fields) > 0 && len(fields) != len(strings.Fields(value)) {
			t.Errorf("%s = %s, where the kernel has %q", name, value, now)
		}
		for _, field := range strings.Fields(value) {
			if !list.MatchString(field) {
				t.Errorf("%s = %s is no number, and no list of them", name, value)
			}
		}
	}
}

// What the doctor advises this machine is in the file, or more.
func TestSysctlsAreWhatTheDoctorAdvises(t *testing.T) {
	values, _ := sysctls(t)
	out, err := exec.Command(program, "doctor").Output()
	if len(out) == 0 {
		t.Fatalf("the doctor says nothing: %v", err)
	}
	for _, advice := range regexp.MustCompile(`echo '(\S+) = ([^']+)'`).FindAllStringSubmatch(string(out), -1) {
		ours, wanted := strings.Fields(values[advice[1]]), strings.Fields(advice[2])
		if len(ours) != len(wanted) {
			t.Errorf("%s is %q, and the doctor advises %s", advice[1], ours, advice[2])
			continue
		}
		if last := len(ours) - 1; number(t, ours[last]) < number(t, wanted[last]) {
			t.Errorf("%s is %q, and the doctor advises %s", advice[1], ours, advice[2])
		}
	}
}

// The ports on which something of these files listens are not given away.
func TestListeningPortsAreReserved(t *testing.T) {
	values, _ := sysctls(t)
	for _, port := range []int{6379, 6380, 8000, 8001, 8002, 8003, 8404, 9090, 9901, 26379} {
		reserved := false
		for r := range strings.SplitSeq(values["net.ipv4.ip_local_reserved_ports"], ",") {
			first, last, ok := strings.Cut(r, "-")
			if !ok {
				last = first
			}
			reserved = reserved || number(t, first) <= port && port <= number(t, last)
		}
		if !reserved {
			t.Errorf("port %d may be given to an outgoing connection", port)
		}
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
