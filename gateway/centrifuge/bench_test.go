package centrifuge

import (
	"strings"
	"testing"
)

// What a message costs once per node, however many subscribers there are.
func BenchmarkPublication(b *testing.B) {
	payload := []byte(`{"text":"` + strings.Repeat("x", 117) + `"}`)
	for name, e := range map[string]Encoding{"JSON": JSON, "protobuf": Protobuf} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Publication("news", payload, 1<<50)
			}
		})
	}
}

// What a client costs that comes back with its 128 channels in one frame.
func BenchmarkCommands(b *testing.B) {
	frame := []byte(`{"id":1,"connect":{}}` + strings.Repeat("\n"+`{"id":2,"subscribe":{"channel":"chat:42","recover":true,"epoch":"28512345678901","offset":28512345678901}}`, 128))
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		for _, err := range JSON.Commands(frame) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
