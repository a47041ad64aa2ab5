package fleet

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// spareFiles are descriptors for everything but connections: epoll, eventfd, /proc, Redis, the report.
const spareFiles = 64

// NeedFiles raises the limit on open files to the hard limit and fails if n connections do not fit below it.
func NeedFiles(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("reading the limit on open files: %w", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("raising the limit on open files to its hard limit %d: %w", limit.Max, err)
		}
	}
	if uint64(n)+spareFiles > limit.Max {
		return fmt.Errorf("%d connections need %d open files, the hard limit is %d: ask for at most %d connections, "+
			"share them among several processes, or raise the limit (ulimit -Hn, LimitNOFILE=, fs.nr_open)",
			n, n+spareFiles, limit.Max, max(0, int(limit.Max)-spareFiles))
	}
	return nil
}
