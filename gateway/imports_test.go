package main

import (
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport are the arrows between the folders: each may import what is named and
// nothing else of this module. Data flows down the same stairs in one direction;
// a package that needs one more arrow is in the wrong place.
var mayImport = map[string][]string{
	"codec":    {},
	"config":   {"pubsub/redisurl"}, // the Redis setting is read in one place
	"pubsub":   {},
	"loop":     {"codec"},
	"gateway":  {"codec", "config", "loop", "pubsub"},
	"loadtest": {"codec", "pubsub/redisproc"},
	"deploy":   {}, // its tests start the program; they may use what other tests do
}

// A folder inside another one stands for itself: the fault rig of loadtest runs
// the Redis that pubsub's tests run, but must not judge a node with the node's
// own code.
func allows(allowed []string, own string) bool {
	top, _, _ := strings.Cut(own, "/")
	return slices.ContainsFunc(allowed, func(a string) bool { return a == top || a == own || strings.HasPrefix(own, a+"/") })
}

// foreign are the libraries that are one folder's business.
var foreign = map[string]string{
	"github.com/panjf2000/gnet":     "loop",
	"github.com/redis/go-redis":     "pubsub loadtest",
	"github.com/alicebob/miniredis": "pubsub",
	"github.com/prometheus":         "gateway",
	"github.com/alecthomas/kong":    "config gateway loadtest",
	"gopkg.in/yaml.v3":              "config",
	"github.com/HdrHistogram":       "loadtest",
	"github.com/segmentio/asm":      "codec",
	"net/http":                      "gateway loadtest",
}

func TestImportsPointDownwards(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(dir string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if base := entry.Name(); dir != ".." && (strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata" || base == "bin" || base == "out") {
			return filepath.SkipDir
		}
		p, err := build.ImportDir(dir, 0)
		if err != nil {
			return nil // no Go files for this system
		}
		seen++
		top, _, _ := strings.Cut(filepath.ToSlash(strings.TrimPrefix(dir, "../")), "/")
		allowed, known := mayImport[top]
		if !known {
			t.Errorf("%s: a top-level folder that has no arrows", top)
		}
		test := strings.HasSuffix(dir, "test") // pubsubtest, redistest: used by tests alone
		for _, path := range p.Imports {
			if own, ok := strings.CutPrefix(path, "sluice/"); ok {
				other, _, _ := strings.Cut(own, "/")
				if other != top && !allows(allowed, own) {
					t.Errorf("%s imports %s: %s may import only %q of this module", dir, path, top, allowed)
				}
			}
			for prefix, owners := range foreign {
				if strings.HasPrefix(path, prefix) && !strings.Contains(owners, top) && !test {
					t.Errorf("%s imports %s, which is the business of %s", dir, path, owners)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 8 {
		t.Errorf("only %d packages were looked at", seen)
	}
}
