package pubsub

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPositionsAreTimes(t *testing.T) {
	if !strings.Contains(durableSource, fmt.Sprintf("local BEGAN = %d ", began)) {
		t.Errorf("the functions do not count from %d", began)
	}
	if got, want := Position(1_500_000).Time(), time.Date(2026, 1, 1, 0, 0, 1, 500e6, time.UTC); !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
