// Package program builds the sluice that load is put on.
package program

import (
	"context"
	"fmt"
	"os/exec"
)

// Build builds the program of this tree and writes it to path. It does not ask git: the tree may be another user's, or none of git's.
func Build(ctx context.Context, path string) error {
	if out, err := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "sluice/gateway").CombinedOutput(); err != nil {
		return fmt.Errorf("building sluice: %w\n%s", err, out)
	}
	return nil
}
