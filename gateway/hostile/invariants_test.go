//go:build invariants

package hostile

var tagFlags = []string{"-tags", "invariants"}
