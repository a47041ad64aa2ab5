// Package program builds the sluice that load is put on.
package program

import (
	"context"
	"fmt"
	"os/exec"
)

// Build builds the program of this tree and writes it to path.
func Build(ctx context.Context, path string) error {
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "sluice/gateway").CombinedOutput(); err != nil {
		return fmt.Errorf("building sluice: %w\n%s", err, out)
	}
	return nil
}
