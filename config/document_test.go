package config

import (
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every setting has a name in every layer, help, and a row in the documentation, and kong knows it by the flag that
// the documentation prints.
func TestNothingIsUndocumented(t *testing.T) {
	var document strings.Builder
	if err := Document(&document); err != nil {
		t.Fatal(err)
	}
	var flags Flags
	parser, err := kong.New(&flags, flags.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	kongFlags := map[string]*kong.Flag{}
	for _, flag := range parser.Model.Flags {
		kongFlags[flag.Name] = flag
	}
	keyForm := regexp.MustCompile(`^([a-z]+\.)?[a-z_]+$`)
	envForm := regexp.MustCompile(`^SLUICE_[A-Z]+(_[A-Z]+)*$`)
	flagForm := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	names := map[string]string{}
	defaults := Default()
	for _, s := range settings() {
		if !keyForm.MatchString(s.key) || !envForm.MatchString(s.env) || !flagForm.MatchString(s.flag) {
			t.Errorf("%s: names %s and %s", s.key, s.flag, s.env)
		}
		for _, name := range []string{s.key, s.flag, s.env} {
			if other, taken := names[name]; taken && other != s.key {
				t.Errorf("%s and %s share the name %s", s.key, other, name)
			}
			names[name] = s.key
		}
		if len(s.help) < 20 || strings.HasSuffix(s.help, ".") {
			t.Errorf("%s: help %q is missing, too short or ends in a full stop", s.key, s.help)
		}
		flag, ok := kongFlags[s.flag]
		if !ok {
			t.Errorf("%s: kong has no flag --%s", s.key, s.flag)
			continue
		}
		if flag.Target.Addr().Interface() != s.field(&flags.Config).Addr().Interface() {
			t.Errorf("%s: --%s is another setting's flag", s.key, s.flag)
		}
		mark := ""
		if s.live {
			mark = " ↻"
		}
		row := "| `" + s.key + "`" + mark + " | `--" + s.flag + "` | `" + s.env + "` | " + code(s.text(&defaults)) + " | "
		if !strings.Contains(document.String(), row) {
			t.Errorf("%s: no row %q in the documentation", s.key, row)
		}
		if s.bounds != "" {
			if low, high := s.limits(); low >= high {
				t.Errorf("%s: range %s is empty", s.key, s.bounds)
			}
		}
	}
	if extra := len(kongFlags) - len(settings()); extra != 2 { // --help and --config
		t.Errorf("%d flags are not settings, want 2", extra)
	}
}

func TestHelpNamesEnvironmentAndDefault(t *testing.T) {
	var grammar struct {
		Settings Flags    `embed:""`
		All      struct{} `cmd:""`
		Few      struct{} `cmd:"" settings:"redis,prefix"`
	}
	help := func(args ...string) string {
		var out strings.Builder
		options := append(grammar.Settings.Options(), kong.Writers(&out, &out), kong.Exit(func(int) { panic(true) }))
		parser, err := kong.New(&grammar, options...)
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }() // kong's exit after help
			_, _ = parser.Parse(args)        // never returns
		}()
		return out.String()
	}
	all := help("all", "--help")
	for _, want := range []string{"--config=FILE", "$SLUICE_CONFIG", "--ping-interval=25s", "$SLUICE_PING_INTERVAL", "--queue-max=1MiB", "--node-id=ID"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in the help:\n%s", want, all)
		}
	}
	few := help("few", "--help")
	if !strings.Contains(few, "--redis=") || !strings.Contains(few, "--prefix=") || strings.Contains(few, "--listen") {
		t.Errorf("the help of a verb with two settings:\n%s", few)
	}
}

func TestYAMLShowsOriginsAndHidesPasswords(t *testing.T) {
	c, err := load(t, "close: {timeout: 3s}", []string{"REDIS_URL=rediss://user:hunter2@h:1/2", "SLUICE_LOG_LEVEL=warn"}, "--dev", "--origins=https://a.example,https://b.example")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.YAML(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\ndev: true # flag --dev\n",
		"\nredis: \"rediss://user:xxxxx@h:1/2\" # environment REDIS_URL\n",
		"\n  level: \"warn\" # environment SLUICE_LOG_LEVEL\n",
		"\nadmin: \"127.0.0.1:8001\" # default\n",
		"\norigins: [\"https://a.example\", \"https://b.example\"] # flag --origins\n",
		"sluice.yaml:1: close.timeout\n",
		"\n  interval: 25s # default\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(out.String(), "hunter2") || t.Failed() {
		t.Errorf("printed:\n%s", out.String())
	}
	unwrapped := strings.NewReplacer("\n  # ", " ", "\n# ", " ").Replace(out.String())
	for _, s := range settings() {
		if !strings.Contains(unwrapped, " "+s.meaning()+"\n") {
			t.Errorf("%s: its meaning is not printed", s.key)
		}
	}
	if _, err := load(t, out.String(), nil); err == nil || !strings.Contains(err.Error(), "has the password xxxxx") {
		t.Errorf("a printed configuration with a hidden password: %v", err)
	}
}

// What YAML prints, Load reads back as the same configuration.
func TestYAMLReadsBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := anyConfig(r)
		if err := want.Validate(); err != nil {
			r.Fatalf("generated an invalid configuration: %v", err)
		}
		var out strings.Builder
		if err := want.YAML(&out); err != nil {
			r.Fatal(err)
		}
		l := newLoader()
		l.document("printed", strings.NewReader(out.String()))
		got, err := l.result()
		if err != nil {
			r.Fatalf("%v\n%s", err, out.String())
		}
		if got.from = nil; !reflect.DeepEqual(*got, want) {
			r.Fatalf("got %+v, want %+v, printed\n%s", *got, want, out.String())
		}
	})
}

// anyConfig draws a valid configuration: every bounded setting from its whole range, then what the rules between two
// settings ask for.
func anyConfig(r *rapid.T) Config {
	c := Default()
	for _, s := range settings() {
		field := s.field(&c)
		switch {
		case s.bounds != "":
			low, high := s.limits()
			field.SetInt(rapid.Int64Range(low, high).Draw(r, s.key))
		case s.choices != nil:
			field.SetString(rapid.SampledFrom(s.choices).Draw(r, s.key))
		case field.Kind() == reflect.Bool:
			field.SetBool(rapid.Bool().Draw(r, s.key))
		}
	}
	c.Queue.Max, c.Queue.MailboxBytes = max(c.Queue.Max, c.Message.Max), max(c.Queue.MailboxBytes, c.Message.Max)
	c.Queue.Total = max(c.Queue.Total, c.Queue.Max)
	c.Inbox.QueueBytes = max(c.Inbox.QueueBytes, c.Message.Max)
	c.Message.BytesBurst, c.Message.Incomplete = max(c.Message.BytesBurst, c.Message.Max), max(c.Message.Incomplete, c.Message.Max)
	c.Handshake.Head = max(c.Handshake.Head, c.Handshake.Line)
	c.Ping.Timeout = min(c.Ping.Timeout, c.Ping.Interval-time.Nanosecond)

	name := rapid.StringMatching("[!-)+->@A-Z_-z|~]{1,64}")
	c.Prefix, c.Inbox.Stream = name.Draw(r, "prefix"), name.Draw(r, "stream")
	c.Node.ID = rapid.StringMatching("[A-Za-z0-9_-]{0,32}").Draw(r, "node")
	c.Listen = rapid.StringMatching(`(0\.0\.0\.0|\[::1\]|[a-z]{1,8})?:[0-9]{1,4}`).Draw(r, "listen")
	c.Admin = rapid.SampledFrom([]string{"", "10.0.0.1:1"}).Draw(r, "admin")
	c.Redis = rapid.StringMatching(`rediss?://([a-z]+@)?[a-z]{1,9}:[1-9][0-9]{0,3}(/[0-9])?`).Draw(r, "redis")
	c.Origins = rapid.SliceOf(rapid.StringMatching(`https?://[a-z]{1,9}(:[1-9]0{3})?`)).Draw(r, "origins")
	c.Protocols = rapid.SliceOf(rapid.StringMatching("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}")).Draw(r, "protocols")

	networks := rapid.Custom(anyNetwork)
	c.Proxy.From = rapid.SliceOfN(networks, 1, 3).Draw(r, "from")
	c.Proxy.Trust = rapid.SliceOfN(networks, 0, 3).Draw(r, "trust")
	c.Auth.Issuer = "i" + anyName(r, "issuer")
	if len(c.Origins) > 0 {
		c.Auth.Cookie = rapid.StringMatching("[a-z_-]{0,9}").Draw(r, "cookie")
	}
	c.Auth.Keys = anyItems(r, anyKey)
	for i := range c.Auth.Keys {
		c.Auth.Keys[i].ID += strconv.Itoa(i)
	}
	c.Auth.JWKS = anyItems(r, anyKeySet)
	for i := range c.Auth.JWKS {
		c.Auth.JWKS[i].Issuer += strconv.Itoa(i)
	}
	c.Namespaces = anyItems(r, anyNamespace)
	for i := range c.Namespaces[min(1, len(c.Namespaces)):] {
		c.Namespaces[i+1].Name += "-" + strconv.Itoa(i)
	}
	return c
}

// anyItems draws a list, which like every list of a loaded configuration is not nil.
func anyItems[T any](r *rapid.T, any func(*rapid.T) T) []T {
	return append([]T{}, rapid.SliceOfN(rapid.Custom(any), 0, 3).Draw(r, "items")...)
}

func anyNetwork(r *rapid.T) string {
	bytes := rapid.SliceOfN(rapid.Byte(), 4, 4)
	if rapid.Bool().Draw(r, "IPv6") {
		bytes = rapid.SliceOfN(rapid.Byte(), 16, 16)
	}
	address, _ := netip.AddrFromSlice(bytes.Draw(r, "address"))
	if rapid.Bool().Draw(r, "host") {
		return address.String()
	}
	return netip.PrefixFrom(address, rapid.IntRange(1, address.BitLen()).Draw(r, "bits")).Masked().String()
}

const publicPEM = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"

// anyName draws an issuer, an audience or a kid: printable, never longer than 255 bytes.
func anyName(r *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom(nil, unicode.L, unicode.P, unicode.S, unicode.N), 0, 60, -1).Draw(r, label)
}

func anyKey(r *rapid.T) Key {
	key := Key{ID: anyName(r, "id"), Alg: rapid.SampledFrom(choicesOf("auth.keys", "alg")).Draw(r, "alg"),
		Issuer: anyName(r, "issuer")}
	if strings.HasPrefix(key.Alg, "HS") || rapid.Bool().Draw(r, "file") {
		key.File = "config.go" // a file that is there; what is in it is not this package's business
	} else {
		key.PEM = publicPEM
	}
	return key
}

func anyKeySet(r *rapid.T) JWKS {
	return JWKS{
		URL:     rapid.StringMatching("https://[a-z]{1,9}(:[1-9]0{3})?/[a-z?=#' ]{0,9}").Draw(r, "url"),
		Issuer:  anyName(r, "issuer"),
		Algs:    rapid.SliceOfN(rapid.SampledFrom(choicesOf("auth.jwks", "algs")), 1, 3).Draw(r, "algs"),
		Refresh: time.Duration(rapid.Int64Range(int64(time.Minute), int64(24*time.Hour)).Draw(r, "refresh")),
	}
}

func anyNamespace(r *rapid.T) Namespace {
	access := rapid.SampledFrom(choicesOf("namespaces", "subscribe"))
	n := Namespace{
		Name:      rapid.StringMatching("[A-Za-z0-9_.]{0,9}").Draw(r, "name"),
		Subscribe: Access(access.Draw(r, "subscribe")),
		Publish:   Access(access.Draw(r, "publish")),
		Policy:    QueuePolicy(rapid.SampledFrom(choicesOf("namespaces", "policy")).Draw(r, "policy")),
	}
	if rapid.Bool().Draw(r, "deflate given") {
		deflate := rapid.Bool().Draw(r, "deflate")
		n.Deflate = &deflate
	}
	return n
}

// choicesOf are the accepted values of a setting in the items of a list.
func choicesOf(list, key string) []string {
	s, _ := lookup(list)
	leaf, _ := find(s.item, key)
	return leaf.choices
}
