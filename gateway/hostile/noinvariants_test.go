//go:build !invariants

package hostile

var buildFlags []string
