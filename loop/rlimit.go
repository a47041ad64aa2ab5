package loop

import "golang.org/x/sys/unix"

// raiseFileLimit raises the soft limit of open files to the hard one, which
// needs no privilege, and returns it.
func raiseFileLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	if limit.Cur < limit.Max {
		raised := unix.Rlimit{Cur: limit.Max, Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err == nil {
			limit = raised // where it is refused, the soft limit has to do
		}
	}
	return int(min(limit.Cur, maxFiles)), nil
}

// maxFiles bounds the arithmetic where the limit is "infinity".
const maxFiles = 1 << 30
