package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// published is a log of n messages at 10, 20, 30 and so on, sent every 10 ms from
// 1 s on and acked after 2 ms.
func published(n int, change ...func(m []Published)) Log {
	l := Log{Channel: "d", Final: -1}
	for i, m := range numbered(n) {
		l.Messages = append(l.Messages, Published{Sent: m.Sent, Acked: m.Acked, Position: uint64(10 + 10*i), Epoch: "5", Calls: 1})
	}
	for _, c := range change {
		c(l.Messages)
	}
	return l
}

// heard reads what a follower heard: numbers are messages, at their positions;
// 3@35 is one at another position; sub@P, reset@S@P, rec@S, gap@MS, altered.
func heard(l *Log, words string) (list []Heard) {
	at := 1000 * ms
	for _, w := range strings.Fields(words) {
		var h Heard
		at += ms
		h.At = at
		var a, b uint64
		switch {
		case scans(w, "sub@%d", &a):
			h.Kind, h.Position = HeardSubscribed, a
		case scans(w, "reset@%d@%d", &a, &b):
			h.Kind, h.Since, h.Position = HeardReset, a, b
		case scans(w, "rec@%d", &a):
			h.Kind, h.Since, h.Position = HeardRecovered, a, a
		case scans(w, "gap@%d", &a):
			h.Kind, h.At = HeardGap, int64(a)*ms
		case w == "altered":
			h.Kind = HeardAltered
		case scans(w, "%d@%d", &a, &b):
			h.Kind, h.Number, h.Position = HeardMessage, int32(a), b
		case scans(w, "%d", &a):
			h.Kind, h.Number = HeardMessage, int32(a)
			if int(a) < len(l.Messages) {
				h.Position = l.Messages[a].Position
			}
		default:
			panic(w)
		}
		list = append(list, h)
	}
	return list
}

// scans reports whether a word has a form, to its end.
func scans(word, form string, into ...any) bool {
	var rest string
	n, _ := fmt.Sscanf(word+" .", form+" %s", append(into, &rest)...) // how far it came says all
	return n == len(into)+1 && rest == "."
}

func TestFollow(t *testing.T) {
	unknown := func(n int) func([]Published) {
		return func(m []Published) { m[n].Acked, m[n].Position, m[n].Epoch = 0, 0, "" }
	}
	calls := func(n, calls int) func([]Published) { return func(m []Published) { m[n].Calls = calls } }
	epoch := func(epoch string, numbers ...int) func([]Published) {
		return func(m []Published) {
			for _, n := range numbers {
				m[n].Epoch = epoch
			}
		}
	}
	lost := func(n int, at int64) func([]Published) { return func(m []Published) { m[n].Lost = at * ms } }
	trimmed := func(l Log) Log { l.Trimmed = true; return l }
	final := func(l Log, n int32) Log { l.Final = n; return l }
	for _, test := range []struct {
		name  string
		log   Log
		heard string
		want  Followed
	}{
		{"all is well", published(4), "sub@5 0 1 2 3", Followed{Delivered: 4}},
		{"came later", published(4), "sub@20 2 3", Followed{Delivered: 2}},
		{"came back", published(4), "sub@5 0 1 rec@20 2 3", Followed{Delivered: 4, Recovered: 1}},
		{"came back to nothing new, twice", published(4), "sub@5 0 1 rec@20 rec@20 2 3", Followed{Delivered: 4, Recovered: 2}},
		{"one is missing", published(4), "sub@5 0 2 3", Followed{Delivered: 3, Undetected: 1}},
		{"the first two are missing", published(4), "sub@5 2 3", Followed{Delivered: 2, Undetected: 2}},
		{"one that Redis lost is missing, and nobody says so", published(4, lost(1, 1)), "sub@5 0 2 3", Followed{Delivered: 3, Undetected: 1}},
		{"one is missing after coming back", published(4), "sub@5 0 rec@10 2 3", Followed{Delivered: 3, Recovered: 1, FalseRecovered: 1}},
		{"the same, come back twice before it shows", published(4), "sub@5 0 rec@10 rec@10 2 3", Followed{Delivered: 3, Recovered: 2, FalseRecovered: 1}},
		{"all well after coming back, then one is missing", published(4), "sub@5 0 rec@10 1 3", Followed{Delivered: 3, Recovered: 1, Undetected: 1}},
		{"the last ones are missing", published(4), "sub@5 0 1", Followed{Delivered: 2}},

		{"twice", published(3), "sub@5 0 1 1 2", Followed{Delivered: 4, Duplicate: 1}},
		{"again much later", published(3), "sub@5 0 1 2 0", Followed{Delivered: 4, Duplicate: 1}},
		{"again after coming back", published(3), "sub@5 0 1 rec@20 1 2", Followed{Delivered: 4, Recovered: 1, Duplicate: 1}},
		{"swapped", published(3), "sub@5 0 2 1", Followed{Delivered: 3, Undetected: 1, OutOfOrder: 1}},
		{"from before its beginning", published(3), "sub@20 1 2", Followed{Delivered: 2, OutOfOrder: 1}},
		{"altered", published(2), "sub@5 0 altered 1", Followed{Delivered: 2, Altered: 1}},
		{"what nobody sent", published(2), "sub@5 0 1 2@30", Followed{Delivered: 2, Altered: 1}},
		{"at another position", published(2), "sub@5 0 1@25", Followed{Delivered: 2, Misplaced: 1}},
		{"two at one position", published(2, unknown(1)), "sub@5 0 1@10", Followed{Delivered: 2, Misplaced: 1}},

		{"never acked, missing", published(3, unknown(1)), "sub@5 0 2", Followed{Delivered: 2}},
		{"never acked, came", published(3, unknown(1)), "sub@5 0 1@17 2", Followed{Delivered: 3}},
		{"missing before one that was never acked", published(4, unknown(2)), "sub@5 0 2@25 3", Followed{Delivered: 3, Undetected: 1}},
		{"sent twice, and came at both positions", published(3, calls(1, 2)), "sub@5 0 1@15 1 2", Followed{Delivered: 4, Twice: 1}},
		{"sent twice, and came at the one that the service does not know", published(3, calls(1, 2)), "sub@5 0 1@15 2", Followed{Delivered: 3, Twice: 1, Undetected: 1}},
		{"sent once, and came at both", published(3), "sub@5 0 1@15 1 2", Followed{Delivered: 4, Misplaced: 1}},

		{"told, with nothing lost", published(4), "sub@5 0 reset@10@20 2 3", Followed{Delivered: 3, Resets: 1, Needless: 1}},
		{"told, what it missed was lost", published(4, lost(1, 1001)), "sub@5 0 reset@10@20 2 3", Followed{Delivered: 3, Resets: 1, Needless: 1}},
		{"told when it was not lost yet", published(4, lost(1, 1021)), "sub@5 0 reset@10@20 2 3", Followed{Delivered: 3, Resets: 1, Needless: 1}},
		{"told, what it had was lost", published(4, lost(0, 1001)), "sub@5 0 reset@10@20 2 3", Followed{Delivered: 3, Resets: 1}},
		{"told, what it had before was lost", published(4, lost(0, 1001)), "sub@5 0 1 reset@20@20 2 3", Followed{Delivered: 4, Resets: 1, Needless: 1}},
		{"told on a log that is kept short", trimmed(published(4)), "sub@5 0 reset@10@20 2 3", Followed{Delivered: 3, Resets: 1, Trimmed: 1}},
		{"missing behind where it was told to go on", published(4), "sub@5 0 reset@10@20 3", Followed{Delivered: 2, Resets: 1, Needless: 1, Undetected: 1}},
		{"told of a gap", published(4), "sub@5 0 gap@1020 2 3", Followed{Delivered: 3, Gaps: 1, Needless: 1}},
		{"missing, and sent after the gap was told", published(4), "sub@5 0 gap@1015 3", Followed{Delivered: 2, Gaps: 1, Needless: 1, Undetected: 1}},
		{"told of a gap, come back, missing", published(4), "sub@5 0 gap@1030 rec@10 2 3", Followed{Delivered: 3, Gaps: 1, Needless: 1, Recovered: 1, FalseRecovered: 1}},
		{"told of a gap, come back, all there", published(4), "sub@5 0 gap@1030 rec@10 1 2 3", Followed{Delivered: 4, Gaps: 1, Needless: 1, Recovered: 1}},
		{"after a gap it comes again", published(4), "sub@5 0 1 gap@1020 1 2 3", Followed{Delivered: 5, Gaps: 1, Needless: 1}},
		{"after a gap, then twice", published(4), "sub@5 0 1 gap@1020 1 1 2 3", Followed{Delivered: 6, Gaps: 1, Needless: 1, Duplicate: 1}},

		{"taken by the old master after the new one had begun", published(4, epoch("15", 0, 2, 3)), "sub@5 0 2 3", Followed{Delivered: 3, Vain: 1}},
		{"taken by the old master before", published(4, epoch("25", 2, 3)), "sub@5 0 2 3", Followed{Delivered: 3, Undetected: 1}},
		{"the old master's after its successor began, on its way from one to the other", published(4, epoch("15", 2, 3)), "sub@5 0 2 3", Followed{Delivered: 3, Undetected: 1}},

		{"came to the end", final(published(3), 2), "sub@5 0 1 2", Followed{Delivered: 3}},
		{"is at the end", final(published(3), 2), "sub@5 0 reset@10@30", Followed{Delivered: 1, Resets: 1, Needless: 1}},
		{"did not come to the end", final(published(3), 2), "sub@5 0 1", Followed{Delivered: 2, Stuck: 1}},
		{"heard of nothing", final(published(3), 2), "", Followed{Stuck: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &Logs{Logs: []Log{test.log}, Followers: []Follower{{Heard: heard(&test.log, test.heard)}}}
			v := Follow(h)
			if v.Total != test.want {
				t.Errorf("got  %+v\nwant %+v\n%s", v.Total, test.want, strings.Join(v.Oddness, "\n"))
			}
			if v.Before != v.Total || len(v.Oddness) != int(v.Total.Violations()) {
				t.Errorf("booked %+v, said %q", v.Before, v.Oddness)
			}
		})
	}
}

// What is told is the last fault's that had begun.
func TestFollowedByFault(t *testing.T) {
	l := published(4)
	h := &Logs{Logs: []Log{l}, Followers: []Follower{{Heard: heard(&l, "sub@5 0 gap@1010 1 2 gap@1020 3")}},
		Faults: []Fault{{Begin: 1005 * ms}, {Begin: 1015 * ms}, {Begin: 2000 * ms}}}
	v := Follow(h)
	var gaps []int64
	for _, f := range v.ByFault {
		gaps = append(gaps, f.Gaps)
	}
	if !slices.Equal(gaps, []int64{1, 1, 0}) || v.Total.Gaps != 2 {
		t.Errorf("gaps by fault %d", gaps)
	}
}

// followedWell draws a log and a follower that was told the truth.
func followedWell(t *rapid.T) (Log, []Heard) {
	l := published(rapid.IntRange(4, 40).Draw(t, "messages"))
	for i := range l.Messages {
		switch m := &l.Messages[i]; rapid.IntRange(0, 9).Draw(t, "outcome") {
		case 0:
			m.Acked, m.Position, m.Epoch = 0, 0, ""
		case 1:
			m.Calls = 2
		}
	}
	list := []Heard{{Kind: HeardSubscribed, Position: 5}}
	last, at := uint64(5), 1000*ms
	missed := false // what lies before the next message, and has been told
	say := func(h Heard) { at += ms; h.At = at; list = append(list, h) }
	for i := 0; i < len(l.Messages); i++ {
		m := l.Messages[i]
		switch rapid.IntRange(0, 11).Draw(t, "event") {
		case 0, 1:
			if !missed {
				say(Heard{Kind: HeardRecovered, Since: last, Position: last})
			}
		case 2:
			at = max(at, m.Sent)
			last = uint64(10 + 10*i)
			say(Heard{Kind: HeardReset, Since: last, Position: last})
			missed = false
			continue
		case 3:
			at = max(at, m.Sent)
			say(Heard{Kind: HeardGap})
			missed = true
			continue
		}
		if m.Calls == 2 && rapid.Bool().Draw(t, "twice") {
			say(Heard{Kind: HeardMessage, Number: int32(i), Position: uint64(10+10*i) - 3})
		}
		last = uint64(10 + 10*i)
		if m.Position != 0 || rapid.Bool().Draw(t, "came") {
			say(Heard{Kind: HeardMessage, Number: int32(i), Position: last})
			missed = missed && m.Position == 0
		}
	}
	return l, list
}

// TestPlanted: of a follower that was told the truth nothing is said, and whatever
// is done to what it was told is found.
func TestPlanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, list := followedWell(t)
		judged := func(list []Heard) Followed {
			return Follow(&Logs{Logs: []Log{l}, Followers: []Follower{{Heard: list}}}).Total
		}
		if v := judged(list); v.Violations() != 0 {
			t.Fatalf("a violation where there is none: %+v", v)
		}
		// Where in one chain three messages follow each other whose places are known.
		var whole []int
		known := func(h Heard) bool {
			return h.Kind == HeardMessage && l.Messages[h.Number].Position == h.Position
		}
		for i := 1; i < len(list)-1; i++ {
			if known(list[i-1]) && known(list[i]) && known(list[i+1]) {
				whole = append(whole, i)
			}
		}
		if len(whole) == 0 {
			return
		}
		i := rapid.SampledFrom(whole).Draw(t, "at")
		bad := slices.Clone(list)
		how := rapid.SampledFrom([]string{"drop", "drop after coming back", "repeat", "swap", "misplace"}).Draw(t, "how")
		var found func(v Followed) int64
		switch how {
		case "drop":
			bad, found = slices.Delete(bad, i, i+1), func(v Followed) int64 { return v.Undetected }
		case "drop after coming back":
			bad[i] = Heard{Kind: HeardRecovered, Since: bad[i-1].Position, Position: bad[i-1].Position, At: bad[i].At}
			found = func(v Followed) int64 { return v.FalseRecovered }
		case "repeat":
			bad, found = slices.Insert(bad, i+1, bad[i-1]), func(v Followed) int64 { return v.Duplicate }
		case "swap":
			bad[i], bad[i+1] = bad[i+1], bad[i]
			found = func(v Followed) int64 { return v.OutOfOrder }
		case "misplace":
			if l.Messages[bad[i].Number].Calls > 1 {
				return // Redis may have it there, too
			}
			bad[i].Position++
			found = func(v Followed) int64 { return v.Misplaced }
		}
		if v := judged(bad); found(v) == 0 {
			t.Fatalf("%s at %d is not found: %+v", how, i, v)
		}
	})
}
