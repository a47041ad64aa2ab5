package main

import (
	"testing"

	"sluice/loadtest/internal/fleet"
)

// TestComer: only who is told to be recovered and gets every number once, in order, is
// complete.
func TestComer(t *testing.T) {
	const yes, no = `{"channel":"c0","subscribed":true,"recovered":true,"position":7}`, `{"channel":"c0","subscribed":true,"recovered":false,"position":9}`
	for _, row := range []struct {
		name                   string
		hears                  []string
		complete, reset, wrong int64
	}{
		{"everything", []string{yes, `{"data":0,"position":8}`, `{"data":1,"position":9}`}, 1, 0, 0},
		{"too little", []string{yes, `{"data":0,"position":8}`}, 0, 0, 0},
		{"a hole", []string{yes, `{"data":1,"position":9}`}, 0, 0, 1},
		{"twice", []string{yes, `{"data":0,"position":8}`, `{"data":0,"position":8}`}, 1, 0, 1},
		{"before a word", []string{`{"data":0,"position":8}`}, 0, 0, 1},
		{"afresh", []string{no}, 0, 1, 0},
		{"nonsense", []string{`x`}, 0, 0, 1},
		{"more later", []string{yes, `{"data":0,"position":8}`, `{"data":1,"position":9}`, `{"data":2,"position":10}`}, 1, 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			begun := int64(0)
			s := &comer{missed: 2, begun: &begun, next: make([]int32, 1), told: make([]bool, 1), comeback: fleet.NewHistogram()}
			for _, text := range row.hears {
				s.Message(&fleet.Conn{}, fleet.Message{Payload: []byte(text), At: 1000})
			}
			if s.complete != row.complete || s.reset != row.reset || s.wrong != row.wrong {
				t.Errorf("complete %d, reset %d, wrong %d", s.complete, s.reset, s.wrong)
			}
		})
	}
}
