package main

import (
	"fmt"
	"strings"
	"testing"

	"sluice/loadtest/internal/history"
)

// What a node says, as the follower books it.
func TestFollowerHears(t *testing.T) {
	payload := string(appendMessage(nil, "d:01", 1, 7, 123, 0))
	message := func(text string) string {
		return fmt.Sprintf(`{"channel":"d:01","position":90,"text":%q}`, text)
	}
	for _, test := range []struct {
		says string
		want history.Heard
	}{
		{`{"channel":"d:01","subscribed":true,"position":60}`, history.Heard{Kind: history.HeardSubscribed, Position: 60}},
		{`{"channel":"d:01","subscribed":true,"recovered":true,"position":60}`, history.Heard{Kind: history.HeardRecovered, Position: 60, Since: 50}},
		{`{"channel":"d:01","subscribed":true,"recovered":false,"position":60}`, history.Heard{Kind: history.HeardReset, Position: 60, Since: 50}},
		{`{"gap":"d:01"}`, history.Heard{Kind: history.HeardGap}},
		{message(payload), history.Heard{Kind: history.HeardMessage, Number: 7, Position: 90}},
		{message(strings.Replace(payload, "123", "124", 1)), history.Heard{Kind: history.HeardAltered}},
		{message(string(appendMessage(nil, "d:02", 1, 7, 123, 0))), history.Heard{Kind: history.HeardAltered}},
		{message(string(appendMessage(nil, "d:01", 2, 7, 123, 0))), history.Heard{Kind: history.HeardAltered}},
		{strings.Replace(message(payload), "d:01", "d:02", 1), history.Heard{Kind: history.HeardAltered}},
		{fmt.Sprintf(`{"channel":"d:01","text":%q}`, payload), history.Heard{Kind: history.HeardAltered}},
		{`{"channel":"d:01","position":90,"data":1}`, history.Heard{Kind: history.HeardAltered}},
		{`nonsense`, history.Heard{Kind: history.HeardAltered}},
	} {
		f := &follower{log: &channelLog{index: 1, channel: "d:01"}, position: 50}
		test.want.Node, test.want.At = "n1#1", 5
		if err := f.hear([]byte(test.says), "n1#1", 5); err != nil || f.heard[0] != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.says, f.heard, err, test.want)
		}
		position := uint64(50)
		if test.want.Position != 0 {
			position = test.want.Position
		}
		if f.position != position {
			t.Errorf("%s: goes on from %d, want %d", test.says, f.position, position)
		}
	}
	f := &follower{log: &channelLog{}}
	if err := f.hear([]byte(`{"channel":"d:01","error":{"code":"unavailable","message":"later"}}`), "n1#1", 5); err == nil || len(f.heard) != 0 {
		t.Errorf("an error is %v, booked %+v", err, f.heard)
	}
}

// What Redis has lost is what it had said yes to before it was asked, and does not
// have then; it stays lost, by the first event after which it was missing.
func TestLost(t *testing.T) {
	l := &channelLog{}
	for i, acked := range []int64{10, 20, 30, 0, 50} {
		l.messages = append(l.messages, history.Published{Acked: acked, Position: uint64(100 + i)})
	}
	l.lost([]uint64{100, 102}, 40, 35)
	l.lost(nil, 60, 55)
	for i, want := range []int64{55, 35, 55, 0, 55} {
		if got := l.messages[i].Lost; got != want {
			t.Errorf("message %d: lost at %d, want %d", i, got, want)
		}
	}
}
