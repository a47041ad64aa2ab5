//go:build !invariants

package hostile

var tagFlags []string
