package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// writeFile puts text into sluice.yaml of an otherwise empty folder and returns its path.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load reads a configuration in which file, if not empty, is named by --config.
func load(t *testing.T, file string, environ []string, args ...string) (*Config, error) {
	t.Helper()
	if file != "" {
		args = append(args, "--config", writeFile(t, file))
	}
	return Load(args, environ)
}

var folder = regexp.MustCompile(`\S*[/\\]sluice\.yaml:`)

// faults are the lines of err with the folder of the file taken out.
func faults(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(folder.ReplaceAllString(err.Error(), "sluice.yaml:"), "\n")
}

func TestNothingGivenIsDefault(t *testing.T) {
	got, err := Load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	if got.from = nil; !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}

func TestPrecedence(t *testing.T) {
	const file = "ping: {interval: 21s}"
	env := []string{"SLUICE_PING_INTERVAL=22s"}
	flag := []string{"--ping-interval", "23s"}
	tests := []struct {
		name   string
		file   string
		env    []string
		args   []string
		want   time.Duration
		source string
	}{
		{"default", "", nil, nil, 25 * time.Second, "default"},
		{"file over default", file, nil, nil, 21 * time.Second, "file "},
		{"environment over default", "", env, nil, 22 * time.Second, "environment SLUICE_PING_INTERVAL"},
		{"environment over file", file, env, nil, 22 * time.Second, "environment SLUICE_PING_INTERVAL"},
		{"flag over default", "", nil, flag, 23 * time.Second, "flag --ping-interval"},
		{"flag over file", file, nil, flag, 23 * time.Second, "flag --ping-interval"},
		{"flag over environment", "", env, flag, 23 * time.Second, "flag --ping-interval"},
		{"flag over all", file, env, flag, 23 * time.Second, "flag --ping-interval"},
		{"last flag over first", "", nil, []string{"--ping-interval=24s", "--ping-interval=23s"}, 23 * time.Second, "flag --ping-interval"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := load(t, test.file, test.env, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			source := got.from["ping.interval"].source()
			if got.Ping.Interval != test.want || !strings.HasPrefix(source, test.source) {
				t.Errorf("got %s from %q, want %s from %q", got.Ping.Interval, source, test.want, test.source)
			}
		})
	}
}

func TestPlatformNamesStandBetweenEnvironmentAndFile(t *testing.T) {
	const file = "listen: :7001\nredis: redis://file:6379"
	platform := []string{"PORT=7002", "REDIS_URL=redis://platform:6379"}
	own := append([]string{"SLUICE_LISTEN=:7003", "SLUICE_REDIS=redis://own:6379"}, platform...)
	tests := []struct {
		name          string
		env           []string
		listen, redis string
	}{
		{"file", nil, ":7001", "redis://file:6379"},
		{"empty ones are unset", []string{"PORT=", "REDIS_URL="}, ":7001", "redis://file:6379"},
		{"platform over file", platform, ":7002", "redis://platform:6379"},
		{"own names over platform", own, ":7003", "redis://own:6379"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := load(t, file, test.env)
			if err != nil {
				t.Fatal(err)
			}
			if got.Listen != test.listen || got.Redis != test.redis {
				t.Errorf("got %s and %s, want %s and %s", got.Listen, got.Redis, test.listen, test.redis)
			}
		})
	}
}

func TestListsAndSwitches(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  []string
		args []string
		want []string
	}{
		{"commas in a flag", "", nil, []string{"--protocols=a, b,,c"}, []string{"a", "b", "c"}},
		{"repeated flag", "", nil, []string{"--protocols=a", "--protocols=b"}, []string{"a", "b"}},
		{"environment", "", []string{"SLUICE_PROTOCOLS=a,b"}, nil, []string{"a", "b"}},
		{"empty environment empties", "", []string{"SLUICE_PROTOCOLS="}, nil, []string{}},
		{"file sequence", "protocols: [a, b]", nil, nil, []string{"a", "b"}},
		{"file scalar", "protocols: a", nil, nil, []string{"a"}},
		{"file empty", "protocols: []", nil, nil, []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := load(t, test.file, test.env, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Protocols, test.want) {
				t.Errorf("got %q, want %q", got.Protocols, test.want)
			}
		})
	}

	got, err := load(t, "dev: true\necho: true", nil, "--dev=false", "--anonymous", "--admin=")
	if err != nil {
		t.Fatal(err)
	}
	if got.Dev || !got.Echo || !got.Anonymous || got.Admin != "" {
		t.Errorf("dev %t, echo %t, anonymous %t, admin %q", got.Dev, got.Echo, got.Anonymous, got.Admin)
	}
}

func TestFileForms(t *testing.T) {
	tests := []struct{ name, file string }{
		{"sections", "ping:\n  interval: 21s\n  timeout: 3s"},
		{"flow", "ping: {interval: 21s, timeout: 3s}"},
		{"dots", "ping.interval: 21s\nping.timeout: 3s"},
		{"dots in a section's name beside it", "ping: {interval: 21s}\nping.timeout: 3s"},
		{"anchors", "ping: &keep {interval: 21s, timeout: &three 3s}\nclose: {timeout: *three}"},
		{"empty section", "ping: {interval: 21s, timeout: 3s}\nlog:\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := load(t, test.file, nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := (Ping{Interval: 21 * time.Second, Timeout: 3 * time.Second}); got.Ping != want {
				t.Errorf("got %+v, want %+v", got.Ping, want)
			}
		})
	}
	for _, nothing := range []string{"", "# only a comment\n", "---\n"} {
		if got, err := load(t, nothing+"\n", nil); err != nil || got.Listen != Default().Listen {
			t.Errorf("file %q: %v", nothing, err)
		}
	}
}

func TestFaultsNameWhatWasTyped(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  []string
		args []string
		want []string
	}{
		{"unknown key in a section", "ping: {intervall: 25s}", nil, nil,
			[]string{"sluice.yaml:1: ping.intervall: unknown setting; the nearest known one is ping.interval"}},
		{"unknown key without its section", "\n\ninterval: 25s", nil, nil,
			[]string{"sluice.yaml:3: interval: unknown setting; the nearest known one is ping.interval"}},
		{"unknown section", "pings: {interval: 25s}", nil, nil,
			[]string{"sluice.yaml:1: pings: unknown setting; the nearest known one is ping"}},
		{"unknown environment name", "", []string{"SLUICE_PING_INTRVAL=25s"}, nil,
			[]string{"SLUICE_PING_INTRVAL: unknown setting; the nearest known one is SLUICE_PING_INTERVAL"}},
		{"environment name in the wrong case", "", []string{"SLUICE_Listen=:1"}, nil,
			[]string{"SLUICE_Listen: unknown setting; the nearest known one is SLUICE_LISTEN"}},
		{"unknown flag", "", nil, []string{"--ping-intervl=25s"},
			[]string{`unknown flag --ping-intervl, did you mean "--ping-interval"?`}},
		{"unit missing", "", []string{"SLUICE_PING_INTERVAL=25"}, nil,
			[]string{`SLUICE_PING_INTERVAL: "25" has no unit; write 25s or 25ms`}},
		{"empty number", "", []string{"SLUICE_REACTORS="}, nil,
			[]string{"SLUICE_REACTORS: is empty; remove it to get the default"}},
		{"decimal suffix", "", nil, []string{"--message-max=64kB"},
			[]string{`--message-max: "64kB" is not a size; write whole bytes or a number with KiB, MiB or GiB, like 64KiB`}},
		{"not a switch", "dev: yes", nil, nil,
			[]string{`sluice.yaml:1: dev: "yes" is neither true nor false`}},
		{"no value", "listen:", nil, nil,
			[]string{`sluice.yaml:1: listen: has no value; write "" for an empty one, or remove the line to get the default`}},
		{"list for a scalar", "listen: [a]", nil, nil, []string{"sluice.yaml:1: listen: takes one plain value"}},
		{"map in a list", "origins: [{a: b}]", nil, nil, []string{"sluice.yaml:1: origins: takes a list of plain values"}},
		{"scalar for a section", "ping: 25s", nil, nil,
			[]string{"sluice.yaml:1: ping: is a section and takes no value of its own; its settings are ping.interval, ping.timeout"}},
		{"set twice", "ping: {interval: 21s}\nping.interval: 22s", nil, nil,
			[]string{"sluice.yaml:2: ping.interval: is already set in line 1; keep one"}},
		{"out of range", "connections: {channels: 0}", nil, nil,
			[]string{"sluice.yaml:1: connections.channels: 0 is outside 1..10000"}},
		{"cross check names both", "message: {max: 2MiB}", []string{"SLUICE_QUEUE_MAX=1MiB"}, nil,
			[]string{"SLUICE_QUEUE_MAX: 1MiB is too little for sluice.yaml:1: message.max 2MiB: a client could not be sent what another may send"}},
		{"no fault follows from an unreadable value", "", nil, []string{"--ping-interval=x", "--ping-timeout=30s"},
			[]string{`--ping-interval: "x" is not a duration; write one like 25s, 500ms or 1m30s`}},
		{"a bad value stays a fault under a good one", "ping: {interval: x}", nil, []string{"--ping-interval=20s"},
			[]string{`sluice.yaml:1: ping.interval: "x" is not a duration; write one like 25s, 500ms or 1m30s`}},
		{"two documents", "dev: true\n---\ndev: false", nil, nil, nil},
		{"platform's port", "", []string{"PORT=http"}, nil,
			[]string{`PORT: ":http" does not end in a port number from 0 to 65535`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, test.file, test.env, test.args...)
			if err == nil {
				t.Fatal("accepted")
			}
			got := faults(err)
			if test.want != nil && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
		})
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	_, err := load(t, "pong: 1\nmessage:\n  max: lots\nlisten: nowhere\n",
		[]string{"SLUICE_NOPE=1", "SLUICE_LOG_LEVEL=loud", "SLUICE_REDIS=redis+cluster://u:secret@h/1"},
		"--queue-max=1KiB", "--node-id=a b", "--origins=https://Example.com,*", "--prefix=")
	if err == nil {
		t.Fatal("accepted")
	}
	got := strings.Join(faults(err), "\n")
	for _, want := range []string{
		"sluice.yaml:1: pong: unknown setting",
		`sluice.yaml:3: message.max: "lots" is not a size`,
		`sluice.yaml:4: listen: "nowhere" is not host:port`,
		"SLUICE_NOPE: unknown setting",
		`SLUICE_LOG_LEVEL: "loud" is not one of debug, info, warn, error`,
		"SLUICE_REDIS: names a database",
		"--queue-max: 1KiB is outside 16KiB..1GiB",
		`--node-id: "a b" is not 1 to 32 of`,
		`--origins: "https://Example.com" must be lower case`,
		`--origins: "*" contains *; origins are compared exactly`,
		"--prefix: is empty",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if len(faults(err)) != 11 {
		t.Errorf("%d faults, want 11:\n%s", len(faults(err)), got)
	}
	if strings.Contains(got, "secret") {
		t.Errorf("a password stands in:\n%s", got)
	}
}

func TestConfigFileIsNamedByFlagThenEnvironment(t *testing.T) {
	byFlag, byEnv := writeFile(t, "listen: :7001"), writeFile(t, "listen: :7002")
	env := []string{"SLUICE_CONFIG=" + byEnv}
	if got, err := Load(nil, env); err != nil || got.Listen != ":7002" {
		t.Errorf("by environment: %v", err)
	}
	if got, err := Load([]string{"--config", byFlag}, env); err != nil || got.Listen != ":7001" {
		t.Errorf("by flag: %v", err)
	}
	absent := filepath.Join(t.TempDir(), "absent.yaml")
	for _, test := range []struct {
		args, env []string
		want      string
	}{
		{[]string{"--config", absent, "--reactors=x"}, nil, "--config " + absent + ": open "},
		{nil, []string{"SLUICE_CONFIG=" + absent, "SLUICE_REACTORS=x"}, "SLUICE_CONFIG=" + absent + ": open "},
		{nil, []string{"SLUICE_CONFIG=", "SLUICE_REACTORS=x"}, "SLUICE_CONFIG=: is empty"},
	} {
		_, err := Load(test.args, test.env)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || len(faults(err)) != 2 {
			t.Errorf("got %v, want %s and one more", err, test.want)
		}
	}
	if _, err := load(t, "ping: [", nil); err == nil || !strings.Contains(err.Error(), "sluice.yaml: yaml: line 1") {
		t.Errorf("broken YAML: %v", err)
	}
}

// Kubernetes puts these into every container of a namespace that has Services named sluice and sluice-redis.
func TestKubernetesServiceLinksAreNotSettings(t *testing.T) {
	links := []string{
		"SLUICE_SERVICE_HOST=10.0.0.1", "SLUICE_SERVICE_PORT=8000", "SLUICE_SERVICE_PORT_WS=8000",
		"SLUICE_PORT=tcp://10.0.0.1:8000", "SLUICE_PORT_8000_TCP=tcp://10.0.0.1:8000",
		"SLUICE_PORT_8000_TCP_PROTO=tcp", "SLUICE_PORT_8000_TCP_PORT=8000", "SLUICE_PORT_8000_TCP_ADDR=10.0.0.1",
		"SLUICE_REDIS_SERVICE_HOST=10.0.0.2", "SLUICE_REDIS_PORT=tcp://10.0.0.2:6379", "SLUICE_REDIS_PORT_6379_TCP=tcp://10.0.0.2:6379",
	}
	if _, err := Load(nil, links); err != nil {
		t.Error(err)
	}
	if _, err := Load(nil, []string{"SLUICE_PORT=8000"}); err == nil {
		t.Error("SLUICE_PORT=8000, which an operator may type, is taken for a service link")
	}
}
