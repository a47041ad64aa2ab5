package pubsub

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The README's programs send publishers to the shards where the nodes listen.
func TestReadmeShards(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	channels := []string{"news", "#42", "chat:eu/room-7", "Grüße", "新闻", "x=1;y"}
	for i := range 100 {
		channels = append(channels, fmt.Sprintf("user:%d", i*i))
	}
	var want strings.Builder
	for _, channel := range channels {
		for n := 1; n <= 1<<12; n *= 4 {
			fmt.Fprintln(&want, shardOf(channel, n))
		}
	}
	for _, c := range []struct {
		language string
		program  []string
		rest     string // prints what the function gives
	}{
		{"python", []string{"python3", "-c"}, "import sys\nfor c in sys.argv[1:]:\n    for k in range(7): print(shard(c, 4**k))\n"},
		{"js", []string{"node", "-e"}, "for (const c of process.argv.slice(1)) for (let k = 0; k < 7; k++) console.log(shard(c, 4 ** k));\n"},
	} {
		m := regexp.MustCompile("(?s)\n```"+c.language+" shard\n(.*?)```\n").FindAllSubmatch(text, -1)
		if len(m) != 1 {
			t.Fatalf("the README has %d shard programs in %s, want 1", len(m), c.language)
		}
		argv := append(c.program[1:], string(m[0][1])+c.rest)
		out, err := exec.Command(c.program[0], append(argv, channels...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.language, err, out)
		}
		if string(out) != want.String() {
			t.Errorf("%s disagrees with shardOf:\n%s", c.language, out)
		}
	}
}
