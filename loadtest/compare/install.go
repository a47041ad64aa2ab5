package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// installer gets the peers, each at its exact version, into one folder. Nothing is installed on the system.
type installer struct {
	ctx context.Context
	out string // the folder, absolute
	log io.Writer
}

func (in *installer) bin(name string) string { return filepath.Join(in.out, "bin", name) }

// run runs a command in a folder below the repository's root; what it says goes to install.log and, if it fails, into the error.
func (in *installer) run(dir, name string, args ...string) error {
	cmd := exec.CommandContext(in.ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOBIN="+filepath.Join(in.out, "bin"))
	said, err := cmd.CombinedOutput()
	if err != nil {
		text := strings.TrimSpace(string(said))
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text[max(0, len(text)-2000):])
	}
	return nil
}

// all installs the load generator and the peers, and returns those that are there. Without the generator or the first peer there
// is nothing to compare.
func (in *installer) all(list []*Peer, failed map[string]string) ([]*Peer, error) {
	if err := os.MkdirAll(filepath.Join(in.out, "bin"), 0o755); err != nil {
		return nil, err
	}
	fmt.Fprintln(in.log, "building sluice-load")
	if err := in.run("", "go", "build", "-o", in.bin("sluice-load"), "./loadtest/sluice-load"); err != nil {
		return nil, err
	}
	var there []*Peer
	for _, p := range list {
		fmt.Fprintf(in.log, "installing %s %s\n", p.Name, p.Version)
		if err := p.install(in); err != nil {
			if in.ctx.Err() != nil {
				return nil, in.ctx.Err()
			}
			failed[p.Name] = err.Error()
			fmt.Fprintf(in.log, "%s is left out: %v\n", p.Name, err)
			continue
		}
		there = append(there, p)
	}
	if len(there) == 0 {
		return nil, errors.New("none of the peers could be installed")
	}
	return there, nil
}

// installNchan unpacks Debian's module for the nginx that is installed; the package itself is not installed, so that no other
// nginx of this machine loads it.
func installNchan(in *installer) error {
	if _, err := exec.LookPath("nginx"); err != nil {
		return errors.New("there is no nginx: apt-get install nginx")
	}
	dir := filepath.Join(in.out, "nchan")
	if _, err := os.Stat(nchanModule(in.out)); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := in.run(dir, "apt-get", "download", "libnginx-mod-nchan="+nchanPackage); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "libnginx-mod-nchan_*.deb"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("apt-get download left %d packages in %s", len(files), dir)
	}
	return in.run(dir, "dpkg", "-x", files[0], dir)
}

func nchanModule(out string) string {
	return filepath.Join(out, "nchan", "usr", "lib", "nginx", "modules", "ngx_nchan_module.so")
}

// installSocketIO runs npm ci in a copy: packages come with what is compiled for this machine, and no script of theirs runs.
func installSocketIO(in *installer) error {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("there is no %s: apt-get install nodejs npm", tool)
		}
	}
	dir := filepath.Join(in.out, "socketio")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, _ := os.ReadFile(filepath.Join(dir, "package-lock.json")) // none at first
	for _, name := range []string{"package.json", "package-lock.json", "server.mjs"} {
		text, err := os.ReadFile(filepath.Join("loadtest", "compare", "socketio", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	now, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "socket.io")); err == nil && string(lock) == string(now) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return in.run(dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
}

// installCentrifugo builds it as its own authors' module says, with its own dependencies: some minutes, the first time.
func installCentrifugo(in *installer) error {
	said, err := exec.CommandContext(in.ctx, "go", "version", "-m", in.bin("centrifugo")).Output()
	if err == nil && strings.Contains(string(said), "centrifugo/v6\tv"+centrifugoVersion) {
		return nil
	}
	fmt.Fprintln(in.log, "  Centrifugo is built from its module: some minutes, the first time")
	return in.run("", "go", "install", "-ldflags", "-X github.com/centrifugal/centrifugo/v6/internal/build.Version="+centrifugoVersion,
		"github.com/centrifugal/centrifugo/v6@v"+centrifugoVersion)
}
