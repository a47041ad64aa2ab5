package codec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	plainAnswer  = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	windowAnswer = plainAnswer + "; server_max_window_bits=15"
)

// offers are single offers with the answer they get, "": declined.
var offers = []struct{ name, offer, answer string }{
	{"RFC 7692 §7: bare (Firefox, Safari)", "permessage-deflate", plainAnswer},
	{"RFC 7692 §7.1.2.2: Chrome's", "permessage-deflate; client_max_window_bits", plainAnswer},
	{"RFC 7692 §7.1.1: gorilla's", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", plainAnswer},
	{"RFC 7692 §7.1.1.1: server_no_context_takeover", "permessage-deflate; server_no_context_takeover", plainAnswer},
	{"RFC 7692 §7.1.1.2: client_no_context_takeover", "permessage-deflate; client_no_context_takeover", plainAnswer},
	{"RFC 7692 §7.1.2.1: the largest server window", "permessage-deflate; server_max_window_bits=15", windowAnswer},
	{"RFC 7692 §7.1.2.2: client window 8", "permessage-deflate; client_max_window_bits=8", plainAnswer},
	{"RFC 7692 §7.1.2.2: client window 9", "permessage-deflate; client_max_window_bits=9", plainAnswer},
	{"RFC 7692 §7.1.2.2: client window 10", "permessage-deflate; client_max_window_bits=10", plainAnswer},
	{"RFC 7692 §7.1.2.2: client window 15", "permessage-deflate; client_max_window_bits=15", plainAnswer},
	{"RFC 7692 §7.1: all four", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15; client_max_window_bits=12", windowAnswer},
	{"RFC 7692 §7.1: all four, other order", "permessage-deflate; client_max_window_bits; server_max_window_bits=15; client_no_context_takeover; server_no_context_takeover", windowAnswer},
	{"RFC 6455 §9.1: no white space", "permessage-deflate;client_max_window_bits=11;server_max_window_bits=15", windowAnswer},
	{"RFC 6455 §9.1: much white space", " permessage-deflate\t ;\t\tclient_max_window_bits=11  ;  server_max_window_bits=15\t", windowAnswer},

	{"RFC 7692 §7.1.2.1: server window 14, for which no shared frame is made", "permessage-deflate; server_max_window_bits=14", ""},
	{"RFC 7692 §7.1.2.1: server window 10", "permessage-deflate; server_max_window_bits=10; client_max_window_bits", ""},
	{"RFC 7692 §7.1.2.1: server window 8", "permessage-deflate; server_max_window_bits=8", ""},
	{"RFC 7692 §7.1.2.1: server window without a value", "permessage-deflate; server_max_window_bits", ""},
	{"RFC 7692 §7.1.2.1: server window 7", "permessage-deflate; server_max_window_bits=7", ""},
	{"RFC 7692 §7.1.2.1: server window 16", "permessage-deflate; server_max_window_bits=16", ""},
	{"RFC 7692 §7.1.2.1: server window 015", "permessage-deflate; server_max_window_bits=015", ""},
	{"RFC 7692 §7.1.2.1: server window with a sign", "permessage-deflate; server_max_window_bits=+15", ""},
	{"RFC 7692 §7.1.2.2: client window 7", "permessage-deflate; client_max_window_bits=7", ""},
	{"RFC 7692 §7.1.2.2: client window 16", "permessage-deflate; client_max_window_bits=16", ""},
	{"RFC 7692 §7.1.2.2: client window 0", "permessage-deflate; client_max_window_bits=0", ""},
	{"RFC 7692 §7.1.2.2: client window 1", "permessage-deflate; client_max_window_bits=1", ""},
	{"RFC 7692 §7.1.2.2: client window 999 (CVE-2026-1526's neighbour)", "permessage-deflate; client_max_window_bits=999", ""},
	{"RFC 7692 §7.1.2.2: client window abc", "permessage-deflate; client_max_window_bits=abc", ""},
	{"RFC 7692 §7.1.2.2: client window 08", "permessage-deflate; client_max_window_bits=08", ""},
	{"RFC 7692 §7.1.2.2: client window 0010", "permessage-deflate; client_max_window_bits=0010", ""},
	{"RFC 7692 §7.1.2.2: client window -8", "permessage-deflate; client_max_window_bits=-8", ""},
	{"RFC 7692 §7.1.2.2: client window 0x8", "permessage-deflate; client_max_window_bits=0x8", ""},
	{"RFC 7692 §7.1.2.2: client window 1٥", "permessage-deflate; client_max_window_bits=1٥", ""},
	{"RFC 7692 §7.1.2.2: client window 10.0", "permessage-deflate; client_max_window_bits=10.0", ""},
	{"RFC 7692 §7.1.2.2: client window 2^64+10", "permessage-deflate; client_max_window_bits=18446744073709551626", ""},
	{"RFC 6455 §9.1: '=' without a value", "permessage-deflate; client_max_window_bits=", ""},
	{"RFC 6455 §9.1: quoted value", `permessage-deflate; client_max_window_bits="10"`, ""},
	{"RFC 6455 §9.1: quote left open", `permessage-deflate; client_max_window_bits="10`, ""},
	{"RFC 6455 §9.1: white space before '='", "permessage-deflate; client_max_window_bits =10", ""},
	{"RFC 6455 §9.1: white space after '='", "permessage-deflate; client_max_window_bits= 10", ""},
	{"RFC 6455 §9.1: two '='", "permessage-deflate; client_max_window_bits=10=10", ""},
	{"RFC 7692 §7.1.1.1: server_no_context_takeover with a value", "permessage-deflate; server_no_context_takeover=true", ""},
	{"RFC 7692 §7.1.1.2: client_no_context_takeover with a value", "permessage-deflate; client_no_context_takeover=1", ""},
	{"RFC 7692 §7.1.1.2: client_no_context_takeover with an empty value", "permessage-deflate; client_no_context_takeover=", ""},
	{"RFC 7692 §7.1: repeated flag", "permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""},
	{"RFC 7692 §7.1: repeated window", "permessage-deflate; client_max_window_bits; client_max_window_bits=10", ""},
	{"RFC 7692 §7.1: repeated server window", "permessage-deflate; server_max_window_bits=15; server_max_window_bits=15", ""},
	{"RFC 7692 §7.1: unknown parameter", "permessage-deflate; level=9", ""},
	{"RFC 7692 §7.1: unknown parameter among known ones", "permessage-deflate; client_max_window_bits; x; server_no_context_takeover", ""},
	{"RFC 7692 §7.1: parameter in upper case", "permessage-deflate; Client_Max_Window_Bits", ""},
	{"RFC 6455 §9.1: nothing after ';'", "permessage-deflate;", ""},
	{"RFC 6455 §9.1: nothing between ';'", "permessage-deflate;;client_max_window_bits", ""},
	{"RFC 6455 §9.1: 2 KB of ';'", "permessage-deflate" + strings.Repeat(";", 2048), ""},
	{"RFC 6455 §9.1: parameter without a name", "permessage-deflate; =15", ""},
	{"RFC 6455 §9.1: other extension", "permessage-bzip2", ""},
	{"RFC 6455 §9.1: Safari's old one", "x-webkit-deflate-frame", ""},
	{"RFC 6455 §9.1: longer name", "permessage-deflate2", ""},
	{"RFC 6455 §9.1: upper case", "Permessage-Deflate", ""},
	{"RFC 6455 §9.1: parameter of nothing", "; client_max_window_bits", ""},
	{"RFC 6455 §9.1: white space instead of ';'", "permessage-deflate client_max_window_bits", ""},
	{"RFC 6455 §9.1: name with a value", "permessage-deflate=1", ""},
	{"RFC 6455 §9.1: names that are not tokens (NSP-550)", "constructor", ""},
	{"RFC 6455 §9.1: __proto__", "permessage-deflate; __proto__", ""},
	{"RFC 6455 §9.1: bytes beyond ASCII", "permessage-deflate; \xff\xfe", ""},
	{"RFC 6455 §9.1: NUL", "permessage-deflate; client_max_window_bits\x00", ""},
	{"RFC 6455 §9.1: line break", "permessage-deflate; client_max_window_bits\r\nX: y", ""},
	{"RFC 6455 §9.1: no-break space", "permessage-deflate;\u00a0client_max_window_bits", ""},
	{"nothing", "", ""},
	{"white space", " \t ", ""},
}

func TestNegotiateDeflate(t *testing.T) {
	for _, tt := range offers {
		t.Run(tt.name, func(t *testing.T) {
			if got := negotiate(t, []string{tt.offer}); got != tt.answer {
				t.Errorf("%q is answered %q, want %q", tt.offer, got, tt.answer)
			}
		})
	}
}

func TestNegotiateDeflateTakesTheFirstItCan(t *testing.T) {
	for _, tt := range []struct {
		name   string
		offers []string
		answer string
	}{
		{"no header", nil, ""},
		{"RFC 7692 §5: fallback after a small window", []string{"permessage-deflate; server_max_window_bits=10", "permessage-deflate"}, plainAnswer},
		{"RFC 7692 §5: fallback after an unknown parameter", []string{"permessage-deflate; dictionary=x", "permessage-deflate; server_max_window_bits=15"}, windowAnswer},
		{"RFC 7692 §5: the client's order", []string{"permessage-deflate", "permessage-deflate; server_max_window_bits=15"}, plainAnswer},
		{"RFC 6455 §9.1: among others", []string{"x-webkit-deflate-frame", "foo; bar=\"a,b\"", "permessage-deflate; client_max_window_bits", "bar"}, plainAnswer},
		{"RFC 7692 §5: none of them", []string{"permessage-deflate; client_max_window_bits=999", "permessage-deflate; client_max_window_bits=abc"}, ""},
		{"RFC 7692 §5: a thousand bad ones", append(slices.Repeat([]string{"permessage-deflate; x"}, 1000), "permessage-deflate"), plainAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := negotiate(t, tt.offers); got != tt.answer {
				t.Errorf("answer %q, want %q", got, tt.answer)
			}
		})
	}
}

func TestNegotiateDeflateDoesNotAllocate(t *testing.T) {
	list := make([]string, 0, len(offers))
	for _, o := range offers {
		if o.answer == "" {
			list = append(list, o.offer)
		}
	}
	list = append(list, offers[12].offer)
	if allocs := testing.AllocsPerRun(10, func() { NegotiateDeflate(list) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// negotiate holds the answer against the offers, with a checker that shares nothing with the code.
func negotiate(t fataler, offered []string) string {
	t.Helper()
	answer, ok := NegotiateDeflate(offered)
	if ok != (answer != "") {
		t.Fatalf("ok is %v with the answer %q", ok, answer)
	}
	first := slices.IndexFunc(offered, acceptable)
	if ok != (first >= 0) {
		t.Fatalf("%q: answer %q, but the first acceptable offer is number %d", offered, answer, first)
	}
	if ok {
		if err := checkAnswer(offered[first], answer); err != nil {
			t.Fatalf("%q is answered %q: %v", offered[first], answer, err)
		}
		head := string(AppendSwitch(nil, "k", "", answer))
		if !strings.Contains(head, "\r\nSec-WebSocket-Extensions: "+answer+"\r\n") {
			t.Fatalf("the answer %q is left out of the response", answer)
		}
	}
	return answer
}

var wellFormedOffer = regexp.MustCompile(`^[ \t]*permessage-deflate(?:[ \t]*;[ \t]*(?:server_no_context_takeover|client_no_context_takeover|` +
	`server_max_window_bits=15|client_max_window_bits(?:=(?:[89]|1[0-5]))?))*[ \t]*$`)

func acceptable(offer string) bool {
	if !wellFormedOffer.MatchString(offer) {
		return false
	}
	for _, name := range []string{"server_no", "client_no", "server_max", "client_max"} {
		if strings.Count(offer, name) > 1 {
			return false
		}
	}
	return true
}

// checkAnswer holds an answer against the offer that it accepts, as a client would (RFC 7692 §7.1), and against what the answer
// always is to have.
func checkAnswer(offer, answer string) error {
	wanted, given := parametersOf(offer), parametersOf(answer)
	for name, value := range given {
		bits, err := strconv.Atoi(value)
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if value != "none" {
				return fmt.Errorf("%s has a value", name)
			}
		case "client_max_window_bits":
			if _, offered := wanted[name]; !offered {
				return fmt.Errorf("%s was not offered", name)
			}
			fallthrough
		case "server_max_window_bits":
			if err != nil || bits < 8 || bits > 15 || strconv.Itoa(bits) != value {
				return fmt.Errorf("%s=%s", name, value)
			}
			if limit, err := strconv.Atoi(wanted[name]); err == nil && bits > limit {
				return fmt.Errorf("%s=%s, but at most %d was offered", name, value, limit)
			}
		default:
			return fmt.Errorf("there is no parameter %q", name)
		}
	}
	for _, name := range []string{"server_no_context_takeover", "server_max_window_bits"} {
		if _, asked := wanted[name]; asked && given[name] == "" {
			return fmt.Errorf("%s was asked for and is not promised", name)
		}
	}
	if given["server_no_context_takeover"] == "" || given["client_no_context_takeover"] == "" {
		return fmt.Errorf("a context is kept")
	}
	return nil
}

// parametersOf maps the parameters of a well-formed element to their values, "none" where they have none.
func parametersOf(element string) map[string]string {
	out := map[string]string{}
	for _, p := range strings.Split(element, ";")[1:] {
		nameValue := strings.SplitN(strings.TrimSpace(p), "=", 2)
		if _, twice := out[nameValue[0]]; twice {
			return map[string]string{"twice " + nameValue[0]: ""}
		}
		out[nameValue[0]] = append(nameValue, "none")[1]
	}
	return out
}

func TestBrokenDeflate(t *testing.T) {
	const webkit = " AppleWebKit/605.1.15 (KHTML, like Gecko)"
	for _, tt := range []struct {
		agent string
		want  bool
	}{
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" + webkit + " Version/15.0 Safari/605.1.15", true},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" + webkit + " Version/15.3 Safari/605.1.15", true},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" + webkit + " Version/15.2.1 Safari/605.1.15", true},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" + webkit + " Version/15.4 Safari/605.1.15", false},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" + webkit + " Version/15.30 Safari/605.1.15", false},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" + webkit + " Version/14.1 Safari/605.1.15", false},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" + webkit + " Version/17.0 Safari/605.1.15", false},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 15_1 like Mac OS X)" + webkit + " Version/15.1 Mobile/15E148 Safari/604.1", true},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 15_0_2 like Mac OS X)" + webkit + " Mobile/15E148", true},
		{"Mozilla/5.0 (iPad; CPU OS 15_3 like Mac OS X)" + webkit + " CriOS/97.0.4692.84 Mobile/15E148 Safari/604.1", true},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 15_4 like Mac OS X)" + webkit + " Version/15.4 Mobile/15E148 Safari/604.1", false},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", false},
		{"Mozilla/5.0 (X11; Linux x86_64; rv:15.0) Gecko/20100101 Firefox/15.0", false},
		{"x Version/15.1 without the name", false},
		{" Version/15.", false},
		{" OS 15_", false},
		{"", false},
	} {
		if got := BrokenDeflate(tt.agent); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.agent, got, tt.want)
		}
	}
}
