package proof

import (
	"errors"
	"testing"
)

func TestPayloadComesBackAsItWentIn(t *testing.T) {
	for _, size := range []int{0, MinSize, MinSize + 1, 79, 127, 128, 1000, 5000, 70_000} {
		in := Stamp{Run: 0xdeadbeef, Kind: Data, Channel: 1<<28 - 1, Seq: 1<<63 + 12345, Time: 987654321}
		p := Append([]byte("before"), in, size)[len("before"):]
		if len(p) != max(size, MinSize) {
			t.Fatalf("size %d: %d bytes", size, len(p))
		}
		for i, c := range p {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
				t.Fatalf("size %d: byte %d is %q, not a letter", size, i, c)
			}
		}
		for _, message := range []string{string(p), `{"push":{"data":"` + string(p) + `"}}`} {
			out, err := Parse([]byte(message), size)
			if err != nil || out != in {
				t.Fatalf("size %d: %+v, %v", size, out, err)
			}
		}
	}
}

func TestEveryAlteredByteShows(t *testing.T) {
	p := Append(nil, Stamp{Run: 1, Kind: Data, Seq: 7, Time: 9}, 131)
	for i := range p {
		for bit := range 8 {
			p[i] ^= 1 << bit
			if _, err := Parse(p, 131); err == nil {
				t.Errorf("byte %d bit %d altered: not noticed", i, bit)
			}
			p[i] ^= 1 << bit
		}
	}
	if _, err := Parse(p[:130], 131); !errors.Is(err, ErrChecksum) {
		t.Errorf("cut short: %v", err)
	}
	if _, err := Parse([]byte("hello"), 131); !errors.Is(err, ErrNoStamp) {
		t.Errorf("something else: %v", err)
	}
	q := Append(nil, Stamp{Run: 1, Kind: Data, Seq: 8, Time: 9}, 131)
	if _, err := Parse(append(p[:100:100], q[100:]...), 131); !errors.Is(err, ErrChecksum) {
		t.Errorf("the tail of another message: %v", err)
	}
}

func TestTrackerVerdicts(t *testing.T) {
	tests := []struct {
		name      string
		arrivals  []uint64
		published uint64
		want      Counts
	}{
		{"all in order", []uint64{0, 1, 2, 3}, 4, Counts{Delivered: 4}},
		{"one lost in the middle", []uint64{0, 2, 3}, 4, Counts{Delivered: 3, Missing: 1}},
		{"the first lost", []uint64{1, 2}, 3, Counts{Delivered: 2, Missing: 1}},
		{"the last two lost", []uint64{0, 1}, 4, Counts{Delivered: 2, Missing: 2}},
		{"everything lost", nil, 3, Counts{Missing: 3}},
		{"one twice", []uint64{0, 1, 1, 2}, 3, Counts{Delivered: 3, Duplicates: 1}},
		{"one again later", []uint64{0, 1, 2, 0}, 3, Counts{Delivered: 3, Duplicates: 1}},
		{"two swapped", []uint64{0, 2, 1, 3}, 4, Counts{Delivered: 4, OutOfOrder: 1}},
		{"late one twice", []uint64{0, 2, 1, 1}, 3, Counts{Delivered: 3, OutOfOrder: 1, Duplicates: 1}},
		{"a long gap", []uint64{0, 100}, 101, Counts{Delivered: 2, Missing: 99}},
		{"a gap of the window, then late", []uint64{0, 64, 1, 0}, 65, Counts{Delivered: 3, Missing: 62, OutOfOrder: 1, Stale: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var tr Tracker
			var got Counts
			for _, seq := range test.arrivals {
				got.Observe(&tr, seq)
			}
			got.Close(&tr, test.published)
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			clean := test.name == "all in order"
			if got.Clean() != clean {
				t.Errorf("Clean() = %v", got.Clean())
			}
		})
	}
}

func TestNothingAllocatesPerMessage(t *testing.T) {
	buf := make([]byte, 0, 256)
	var tr Tracker
	var c Counts
	if n := testing.AllocsPerRun(100, func() {
		p := Append(buf, Stamp{Run: 1, Kind: Data, Seq: tr.Next()}, 128)
		s, err := Parse(p, 128)
		if err != nil {
			t.Fatal(err)
		}
		c.Observe(&tr, s.Seq)
	}); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}

func BenchmarkParse128(b *testing.B) {
	p := Append(nil, Stamp{Run: 1, Kind: Data, Seq: 7, Time: 9}, 128)
	b.SetBytes(128)
	for b.Loop() {
		if _, err := Parse(p, 128); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend128(b *testing.B) {
	buf := make([]byte, 0, 256)
	b.SetBytes(128)
	for b.Loop() {
		buf = Append(buf[:0], Stamp{Run: 1, Kind: Data, Seq: 7, Time: 9}, 128)
	}
}
