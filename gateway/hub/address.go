package hub

import (
	"strconv"
	"strings"

	"sluice/loop"
)

// ConnName is a connection's name in Redis: its node, a dot, and its identity
// there. It is unique over all nodes and their restarts as far as node names
// are, which by default are random.
func ConnName(node string, id loop.ConnID) string {
	b := make([]byte, 0, len(node)+14)
	b = append(b, node...)
	b = append(b, '.')
	return string(strconv.AppendUint(b, uint64(id), 36))
}

// ParseConn is the reverse of ConnName for connections of the given node.
func ParseConn(node, name string) (loop.ConnID, bool) {
	digits, ok := strings.CutPrefix(name, node+".")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 36, 64)
	if err != nil || ConnName(node, loop.ConnID(id)) != name { // one name per connection
		return 0, false
	}
	return loop.ConnID(id), true
}
