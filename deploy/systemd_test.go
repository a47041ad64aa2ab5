package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/config"
	"sluice/gateway/hostile"
	"sluice/pubsub/redistest"
)

// unit is the settings of sluice.service by name; those that come several times have several values.
func unit(t *testing.T) map[string][]string { return unitFile(t, "systemd/sluice.service") }

func unitFile(t *testing.T, file string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("%q is no setting", line)
		}
		settings[name] = append(settings[name], value)
	}
	return settings
}

// only is the one value of a setting.
func only(t *testing.T, settings map[string][]string, name string) string {
	t.Helper()
	if len(settings[name]) != 1 {
		t.Fatalf("%s is %q, want one value", name, settings[name])
	}
	return settings[name][0]
}

// systemd itself reads the unit and finds nothing to say; and it is exposed little.
func TestUnitIsValid(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is not there to read the unit; the other tests do")
		return
	}
	file := filepath.Join(t.TempDir(), "sluice.service")
	text := edited(t, "systemd/sluice.service", []edit{{"=/usr/local/bin/sluice ", "=" + program + " ", 2}})
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	analyze := func(what string) {
		t.Helper()
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
		// It reads the units, too, that this one names, and may have something to say of those that this machine has.
		if err != nil || strings.Contains(string(out), "sluice") {
			t.Errorf("systemd-analyze verify, %s: %v\n%s", what, err, out)
		}
		if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", file).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze security, %s: %v\n%s", what, err, out)
		}
	}
	analyze("as it is")
	drop := file + ".d"
	if err := os.Mkdir(drop, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(drop, "tls.conf"), []byte(edited(t, "systemd/tls.conf", nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	analyze("with TLS")
}

// With the drop-in a node speaks TLS, shows another certificate after a reload, and its clients stay. The commands at the head of the file are
// those that a renewal runs.
func TestUnitWithTLS(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	const folder = "/etc/sluice/tls"
	certs := t.TempDir()
	environ := []string{"SLUICE_REDIS", server.URL, "SLUICE_ADMIN", "127.0.0.1:0"}
	for _, value := range unitFile(t, "systemd/tls.conf")["Environment"] {
		name, value, _ := strings.Cut(value, "=")
		switch {
		case name == "SLUICE_LISTEN":
			value = "127.0.0.1:0"
		case name == "SLUICE_PROXY_PROTOCOL":
		case strings.HasPrefix(value, folder+"/"):
			value = filepath.Join(certs, filepath.Base(value))
		default:
			t.Errorf("%s=%s is not what this test knows", name, value)
		}
		environ = append(environ, name, value)
	}
	file, err := filepath.Abs("systemd/sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shown := renew(t, certs, 1)
	cmd := exec.Command(program, "serve", "--config", file)
	cmd.Env = environment(append(environ, "SLUICE_DRAIN_DELAY", "0s", "SLUICE_DRAIN_WINDOW", "0s")...)
	n, err := hostile.StartCommand(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if got := serial(t, n.Public, shown); got != 1 {
		t.Errorf("the certificate shown has the number %d", got)
	}
	shown = renew(t, certs, 2)
	if err := n.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(hostile.Patience); serial(t, n.Public, shown) != 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after SIGHUP the old certificate is shown\n%s", n.LogText())
		}
	}
}

// renew puts a certificate of that number into the folder, and returns who trusts it.
func renew(t *testing.T, folder string, number int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(number), DNSNames: []string{"push.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"fullchain.pem": {Type: "CERTIFICATE", Bytes: der}, "privkey.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return pool
}

// serial is the number of the certificate that a node shows, 0 where it is not trusted.
func serial(t *testing.T, address string, trusted *x509.CertPool) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: trusted, ServerName: "push.example"})
	if err != nil {
		return 0
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// Whoever stops the node waits for as long as its clients take.
func TestUnitOutwaitsTheDrain(t *testing.T) {
	c, err := config.Load([]string{"--config", "systemd/sluice.yaml"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := time.Duration(number(t, only(t, unit(t), "TimeoutStopSec"))) * time.Second
	if drain := c.Drain.Delay + c.Drain.Window + c.Shutdown.Timeout; stop < drain+15*time.Second {
		t.Errorf("TimeoutStopSec is %v, and the drain takes %v", stop, drain)
	}
	values, _ := sysctls(t)
	if files := number(t, only(t, unit(t), "LimitNOFILE")); files > number(t, values["fs.nr_open"]) {
		t.Errorf("LimitNOFILE is %d, more than fs.nr_open", files)
	}
}

// The unit's commands do what they are for, with the configuration beside it.
func TestUnitCommands(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	settings := unit(t)
	folder, err := filepath.Abs("systemd")
	if err != nil {
		t.Fatal(err)
	}
	command := func(name string) *exec.Cmd {
		line := only(t, settings, name)
		path, rest, _ := strings.Cut(line, " ")
		if path == "/usr/local/bin/sluice" {
			path = program
		}
		cmd := exec.Command(path, strings.Fields(strings.ReplaceAll(rest, "/etc/sluice", folder))...)
		cmd.Env = environment("SLUICE_REDIS", server.URL, "SLUICE_LISTEN", "127.0.0.1:0", "SLUICE_ADMIN", "127.0.0.1:0",
			"SLUICE_DRAIN_DELAY", "0s", "SLUICE_DRAIN_WINDOW", "0s") // as sluice.env would
		return cmd
	}
	if out, err := command("ExecStartPre").CombinedOutput(); err != nil {
		t.Errorf("ExecStartPre: %v\n%s", err, out)
	}
	n, err := hostile.StartCommand(t.Context(), command("ExecStart"))
	if err != nil {
		t.Fatal(err)
	}
	if reload := only(t, settings, "ExecReload"); reload != "/bin/kill -HUP $MAINPID" {
		t.Errorf("ExecReload is %s, which is not what this test sends", reload)
	}
	if err := n.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(hostile.Patience); !strings.Contains(n.LogText(), "have been read again"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after SIGHUP the log does not say that the file has been read\n%s", n.LogText())
		}
	}
	if err := n.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.Wait(t.Context()); err != nil {
		t.Errorf("after SIGTERM the node ended with %v\n%s", err, n.LogText())
	}
}
