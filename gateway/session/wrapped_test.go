package session

import (
	"testing"

	"sluice/config"
)

// Who may send through no channel may call no service either, and not by naming no channel.
func TestWrappedCallNeedsTheRight(t *testing.T) {
	h := newReporter(&stream{})
	h.node.Policy = *ruled(config.AccessAnyone, config.AccessNobody)
	for _, channel := range []string{"", "a"} {
		if got := new(wrapped).call(h, nil, &command{ID: "1", Call: "m", Channel: channel}); got != faultDenied {
			t.Errorf("a call through %q: %v, want %v", channel, got, faultDenied)
		}
	}
}
