package deploy

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/pubsub/redisproc"
	"sluice/pubsub/redistest"
)

// instruction is one line of a Dockerfile.
type instruction struct {
	stage      string // its name, or "" for the last one
	name, args string
}

// dockerfile is the image's instructions in order.
func dockerfile(t *testing.T) (list []instruction) {
	t.Helper()
	b, err := os.ReadFile("docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stage := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		if name == "FROM" {
			_, stage, _ = strings.Cut(args, " AS ")
		}
		list = append(list, instruction{stage, name, args})
	}
	return list
}

// of is the arguments of a stage's instructions of one name.
func of(list []instruction, stage, name string) (args []string) {
	for _, i := range list {
		if i.stage == stage && i.name == name {
			args = append(args, i.args)
		}
	}
	return args
}

// The image is built by the Go that the module asks for.
func TestImageHasTheModulesGo(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	for _, stage := range []string{"build", "certificate"} {
		if from := of(dockerfile(t), stage, "FROM"); len(from) != 1 || !strings.HasPrefix(from[0], fmt.Sprintf("golang:%s-", version[1])) {
			t.Errorf("%s is from %q, and go.mod says %s", stage, from, version[1])
		}
	}
}

// What the Dockerfile makes is a program that needs nothing but itself: built by the file's own line, put into an empty root as the file says,
// under the user that it names, it serves, and the health check sees it.
func TestImage(t *testing.T) {
	t.Parallel()
	list := dockerfile(t)
	root, out := t.TempDir(), t.TempDir()
	for path := root; path != "/"; path = filepath.Dir(path) { // of the test's own, which the image's user has to come through
		if strings.HasPrefix(path, os.TempDir()+"/") {
			if err := os.Chmod(path, 0o755); err != nil { //nolint:gosec // that is the purpose
				t.Fatal(err)
			}
		}
	}
	built := false
	for _, run := range of(list, "build", "RUN") {
		if !strings.Contains(run, "go build") {
			continue // what it downloads is here already
		}
		cmd := exec.Command("sh", "-euc", strings.ReplaceAll(run, "/out/", out+"/"))
		cmd.Dir, cmd.Env = "..", environment("VERSION", "v1-image")
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v\n%s", run, err, said)
		}
		built = true
	}
	if !built {
		t.Fatal("the Dockerfile builds nothing")
	}
	for _, args := range of(list, "", "COPY") {
		fields := strings.Fields(strings.TrimPrefix(args, "--from=build "))
		from := strings.Replace(fields[0], "/out/", out+"/", 1)
		to := filepath.Join(root, fields[1])
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // as in the image
			t.Fatal(err)
		}
		if _, err := os.Stat(from); os.IsNotExist(err) && strings.Contains(from, "certificates") {
			continue // this machine has none
		}
		copyFile(t, from, to)
		if err := os.Chmod(to, 0o755); err != nil { //nolint:gosec // as in the image
			t.Fatal(err)
		}
	}
	binary, err := elf.Open(filepath.Join(root, "sluice"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program is not static: it asks for a loader")
		}
	}
	if err := binary.Close(); err != nil {
		t.Fatal(err)
	}

	in := func(args ...string) *exec.Cmd { return inImage(t, root, of(list, "", "USER"), args) }
	said, err := in("/sluice", "version").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "sluice v1-image ") {
		t.Fatalf("version: %v\n%s", err, said)
	}
	port, err := redisproc.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	admin := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	var serve, check []string
	entry, command := of(list, "", "ENTRYPOINT"), of(list, "", "CMD")
	_, healthcheck, _ := strings.Cut(of(list, "", "HEALTHCHECK")[0], " CMD ")
	for text, into := range map[string]*[]string{entry[0]: &serve, healthcheck: &check} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	var more []string
	if err := json.Unmarshal([]byte(command[0]), &more); err != nil {
		t.Fatal(err)
	}
	server := redistest.Start(t)
	cmd := in(append(serve, more...)...)
	cmd.Env = []string{"SLUICE_REDIS=" + server.URL, "SLUICE_LISTEN=127.0.0.1:0", "SLUICE_ADMIN=" + admin, "SLUICE_DRAIN_WINDOW=0s"}
	healthy := func() error {
		check := in(check...)
		check.Env = cmd.Env
		said, err := check.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	}
	if healthy() == nil {
		t.Error("the health check is content with no node")
	}
	p := start(t, cmd)
	eventually(t, "the health check is content", func() error {
		if p.ended() {
			t.Fatalf("the node ended: %v\n%s", p.err, p.output())
		}
		return healthy()
	})
	p.signal(syscall.SIGTERM)
	<-p.gone
	if p.err != nil {
		t.Errorf("the node ended with %v", p.err)
	}
}

// inImage is a command in a root folder of its own, as the image's user. Where this process is not root it is the only one that there is.
func inImage(t *testing.T, root string, user, args []string) *exec.Cmd {
	t.Helper()
	uid, gid, _ := strings.Cut(user[0], ":")
	u, g := number(t, uid), number(t, gid)
	if u == 0 || g == 0 {
		t.Fatal("the image's user is root")
	}
	cmd := &exec.Cmd{Path: args[0], Args: args, Dir: "/", Env: []string{}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uint32(u), Gid: uint32(g)}}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: u, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: g, HostID: os.Getegid(), Size: 1}}}
	}
	return cmd
}

// The certificate that compose.yaml begins with is made by the file's own line, and is one that HAProxy takes.
func TestImageOfBalancer(t *testing.T) {
	t.Parallel()
	list := dockerfile(t)
	dir := t.TempDir()
	for _, run := range of(list, "certificate", "RUN") {
		cmd := exec.Command("sh", "-euc", run)
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v\n%s", run, err, said)
		}
	}
	cmd := exec.Command("haproxy", "-c", "-f", "haproxy/haproxy.cfg")
	cmd.Env = environment("LB_CERT", dir+"/localhost.pem", "LB_MAXCONN", "500")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	for _, copied := range of(list, "balancer", "COPY") {
		if !strings.Contains(copied, "--from=") {
			if _, err := os.Stat(filepath.Join("..", strings.Fields(copied)[0])); err != nil {
				t.Error(err)
			}
		}
	}
}
