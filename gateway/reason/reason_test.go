package reason

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// spoken are the places where the program says a reason: the text is the last string of each.
var spoken = []struct{ files, text string }{
	{"../../codec/*.go", `&(?:HTTP)?Error\{\w+, ("[^"]*")\}`},
	{"../../loop/*.go", `&codec\.(?:HTTP)?Error\{\w+: [\w.]+, Reason: ("[^"]*")\}`},
	{"../session/*.go", `&codec\.HTTPError\{Status: \d+, Reason: ("[^"]*")\}`},
	{"../session/*.go", `c\.Close\(codec\.\w+, ("[^"]*")\)`},
	{"../session/*.go", `reason :?= ("[^"]+")`},
	{"../session/*.go", `reasonRevoked +=  *("[^"]*")`},
	{"../session/*.go", `cmp\.Or\(reason, ("[^"]*")\)`},
	{"../auth/errors.go", `&Error\{\w+, ("[^"]*")\}`},
	{"../../pubsub/channel.go", "&ChannelError\\{\"\\w+\", (\"[^\"]*\"|`[^`]*`)\\}"},
	{"../centrifuge/codes.go", `Disconnection\{\d+, ("[^"]*")\}`},
	{"../*.go", `code, reason = codec\.\w+, ("[^"]*")`},
}

// Every reason that the program gives has a row, and no row is of reasons that it does not give.
func TestTableIsWhatTheProgramSays(t *testing.T) {
	said := map[string]bool{}
	for _, place := range spoken {
		files, err := filepath.Glob(place.files)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(place.text).FindAllStringSubmatch(string(b), -1) {
				text, err := strconv.Unquote(m[1])
				if err != nil {
					t.Fatal(err)
				}
				found++
				said[text] = true
				if _, ok := byText[text]; !ok {
					t.Errorf("%s gives a reason that has no row: %q", file, text)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s gives no reason as %s", place.files, place.text)
		}
	}
	for text := range byText {
		if !said[text] {
			t.Errorf("nobody says %q", text)
		}
	}
}

func TestTableIsSound(t *testing.T) {
	seen := map[Reason]bool{}
	texts := 0
	for _, row := range Table {
		if seen[row.Reason] || !regexp.MustCompile(`^[a-z_]+$`).MatchString(string(row.Reason)) || row.Meaning == "" || len(row.Texts) == 0 {
			t.Errorf("%+v", row)
		}
		seen[row.Reason] = true
		texts += len(row.Texts)
		for _, text := range row.Texts {
			if Of(text) != row.Reason {
				t.Errorf("%q is %s, want %s", text, Of(text), row.Reason)
			}
		}
	}
	if texts != len(byText) {
		t.Error("a text stands in two rows")
	}
	if got := Of("whatever a service says"); got != Service || !slices.ContainsFunc(Table, func(r Row) bool { return r.Reason == Service }) {
		t.Errorf("another's words are %s", got)
	}
}
