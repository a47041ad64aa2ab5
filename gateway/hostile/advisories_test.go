package hostile

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tables are the rows by the name of the function that makes them.
func tables() map[string][]Row {
	return map[string][]Row{
		"Handshakes": Handshakes(), "Frames": Frames(), "Slow": Slow(), "Proxied": Proxied(), "Compressed": Compressed(), "Tokens": Tokens(), "Centrifuge": Centrifuge(),
	}
}

// TestAdvisories: every proof that the table names exists.
func TestAdvisories(t *testing.T) {
	t.Parallel()
	rows := map[string]bool{}
	for table, of := range tables() {
		for _, r := range of {
			if name := table + ": " + r.Name; rows[name] {
				t.Errorf("two rows are %q", name)
			} else {
				rows[name] = true
			}
		}
	}
	tests := map[string]map[string]bool{} // by package
	seen := map[string]bool{}
	for _, a := range Advisories() {
		if a.Lesson == "" || seen[a.ID] || len(a.Proofs) == 0 && a.Never == "" {
			t.Errorf("%s: no lesson, no proof, or there twice", a.ID)
		}
		seen[a.ID] = true
		for _, proof := range a.Proofs {
			if strings.Contains(proof, ": ") {
				if !rows[proof] {
					t.Errorf("%s: there is no row %q", a.ID, proof)
				}
				continue
			}
			where, name, _ := strings.Cut(proof, " ")
			if tests[where] == nil {
				tests[where] = testsOf(t, where)
			}
			if !tests[where][name] {
				t.Errorf("%s: package %s has no test %s", a.ID, where, name)
			}
		}
	}
}

// testsOf are the tests and fuzz targets of a package of this module.
func testsOf(t *testing.T, where string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(where), "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("package %s has no tests: %v", where, err)
	}
	found := map[string]bool{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}
