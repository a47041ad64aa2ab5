//go:build invariants

package hostile

// buildFlags are what the node is built with: it checks what these tests check.
var buildFlags = []string{"-tags", "invariants"}
