package hub

import (
	"strconv"
	"strings"

	"sluice/loop"
)

// ConnName is a connection's name in Redis: the life of its node, a dot, and its
// identity there. A life is the node from start to end: the name of a connection
// is not used again by the same node after a restart, or an answer that comes late
// would reach somebody else.
func ConnName(life string, id loop.ConnID) string {
	b := make([]byte, 0, len(life)+14)
	b = append(b, life...)
	b = append(b, '.')
	return string(strconv.AppendUint(b, uint64(id), 36))
}

// ParseConn is the reverse of ConnName for connections of the given life.
func ParseConn(life, name string) (loop.ConnID, bool) {
	digits, ok := strings.CutPrefix(name, life+".")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 36, 64)
	if err != nil || ConnName(life, loop.ConnID(id)) != name { // one name per connection
		return 0, false
	}
	return loop.ConnID(id), true
}
