package history

import (
	"strings"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// numbered makes messages that are sent every 10 ms from 1 s on and acked after
// 2 ms, but for the numbers in unacked.
func numbered(n int, unacked ...int) []Message {
	var list []Message
	for i := range n {
		sent := 1000*ms + int64(i)*10*ms
		m := Message{Sent: sent, Acked: sent + 2*ms}
		for _, u := range unacked {
			if u == i {
				m.Acked = 0
			}
		}
		list = append(list, m)
	}
	return list
}

func got(numbers ...int32) []Arrival {
	var list []Arrival
	for i, n := range numbers {
		list = append(list, Arrival{Stream: 0, Number: n, At: 1000*ms + int64(i)})
	}
	return list
}

// stayer is a subscription of the whole run.
func stayer(a []Arrival) Subscription {
	return Subscription{Node: "n1", Channel: "c", Opened: 1, Stayed: true, Arrivals: a}
}

// Message 2 of numbered is sent at 1020 ms and acked at 1022 ms.
var during = []Fault{{Begin: 1015 * ms, Healed: 1020 * ms, End: 1025 * ms}}

func TestClasses(t *testing.T) {
	left := func(s Subscription) Subscription { s.Stayed = false; return s }
	late := func(s Subscription, opened int64) Subscription { s.Opened = opened; return s }
	window := func(from, to int64) []Window { return []Window{{Node: "n1", From: from, To: to}} }
	tests := []struct {
		name     string
		messages []Message
		sub      Subscription
		windows  []Window
		faults   []Fault
		want     Counts
	}{
		{"all is well", numbered(4), stayer(got(0, 1, 2, 3)), nil, nil, Counts{OK: 4}},
		{"lost in a fault, told", numbered(4), stayer(got(0, 1, 3)), window(1019*ms, 1030*ms), during, Counts{OK: 3, LostTold: 1}},
		{"lost in a fault, silently", numbered(4), stayer(got(0, 1, 3)), nil, during, Counts{OK: 3, LostSilently: 1}},
		{"lost without a fault, silently", numbered(4), stayer(got(0, 1, 3)), nil, nil, Counts{OK: 3, LostSilently: 1, LostQuietly: 1}},
		{"lost without a fault, told", numbered(4), stayer(got(0, 1, 3)), window(1, 0), nil, Counts{OK: 3, LostTold: 1, LostQuietly: 1}},
		{"lost just before a fault", numbered(4), stayer(got(0, 1, 3)), window(1, 0), []Fault{{Begin: 1022*ms + OnTheWay, End: 2000 * ms}}, Counts{OK: 3, LostTold: 1}},
		{"lost too long before a fault", numbered(4), stayer(got(0, 1, 3)), window(1, 0), []Fault{{Begin: 1022*ms + OnTheWay + 1, End: 2000 * ms}}, Counts{OK: 3, LostTold: 1, LostQuietly: 1}},
		{"lost when the fault is over", numbered(4), stayer(got(0, 1, 3)), window(1, 0), []Fault{{Begin: 1000 * ms, End: 1020*ms - 1}}, Counts{OK: 3, LostTold: 1, LostQuietly: 1}},

		{"the window ends as it is sent", numbered(4), stayer(got(0, 1, 3)), window(1, 1020*ms), during, Counts{OK: 3, LostTold: 1}},
		{"the window ends before it is sent", numbered(4), stayer(got(0, 1, 3)), window(1, 1020*ms-1), during, Counts{OK: 3, LostSilently: 1}},
		{"the window begins as it is acked", numbered(4), stayer(got(0, 1, 3)), window(1022*ms, 0), during, Counts{OK: 3, LostTold: 1}},
		{"the window begins after it is acked", numbered(4), stayer(got(0, 1, 3)), window(1022*ms+1, 0), during, Counts{OK: 3, LostSilently: 1}},
		{"the window lies within", numbered(4), stayer(got(0, 1, 3)), window(1021*ms, 1021*ms), during, Counts{OK: 3, LostTold: 1}},
		{"two windows with the message between", numbered(4), stayer(got(0, 1, 3)),
			[]Window{{Node: "n1", From: 1, To: 1019 * ms}, {Node: "n1", From: 1023 * ms}}, during, Counts{OK: 3, LostSilently: 1}},
		{"the window of its channel", numbered(4), stayer(got(0, 1, 3)), []Window{{Node: "n1", Channel: "c", From: 1}}, during, Counts{OK: 3, LostTold: 1}},
		{"the window of another channel", numbered(4), stayer(got(0, 1, 3)), []Window{{Node: "n1", Channel: "d", From: 1}}, during, Counts{OK: 3, LostSilently: 1}},
		{"the window of another node", numbered(4), stayer(got(0, 1, 3)), []Window{{Node: "n2", From: 1}}, during, Counts{OK: 3, LostSilently: 1}},

		{"twice", numbered(3), stayer(got(0, 1, 1, 2)), nil, nil, Counts{OK: 3, Duplicate: 1}},
		{"again much later", numbered(3), stayer(got(0, 1, 2, 0)), nil, nil, Counts{OK: 3, Duplicate: 1}},
		{"swapped", numbered(3), stayer(got(0, 2, 1)), nil, nil, Counts{OK: 3, OutOfOrder: 1}},
		{"late, and twice", numbered(3), stayer(got(0, 2, 1, 1)), nil, nil, Counts{OK: 3, OutOfOrder: 1, Duplicate: 1}},

		{"never acked, missing", numbered(4, 2), stayer(got(0, 1, 3)), nil, during, Counts{OK: 3, Unknown: 1}},
		{"never acked, arrived", numbered(4, 2), stayer(got(0, 1, 2, 3)), nil, during, Counts{OK: 4}},
		{"never acked, late", numbered(4, 1), stayer(got(0, 2, 3, 1)), nil, during, Counts{OK: 4}},
		{"acked, behind one that never was", numbered(4, 2), stayer(got(0, 2, 1, 3)), nil, during, Counts{OK: 4, OutOfOrder: 1}},
		{"never acked, twice", numbered(4, 2), stayer(got(0, 1, 2, 2, 3)), nil, during, Counts{OK: 4, Duplicate: 1}},
		{"the last ones lost", numbered(4), stayer(got(0, 1)), nil, nil, Counts{OK: 2, LostSilently: 2, LostQuietly: 2}},
		{"nothing arrived", numbered(4), stayer(nil), window(1, 0), []Fault{{Begin: 1, End: 9000 * ms}}, Counts{LostTold: 4}},

		{"left with some under way", numbered(4), left(stayer(got(0, 1))), nil, nil, Counts{OK: 2}},
		{"left with a hole", numbered(4), left(stayer(got(0, 2))), nil, during, Counts{OK: 2, LostSilently: 1}},
		{"left before anything came", numbered(4), left(stayer(nil)), nil, nil, Counts{}},
		{"came later", numbered(4), late(stayer(got(2, 3)), 1015*ms), nil, nil, Counts{OK: 2}},
		{"came as it was sent", numbered(4), late(stayer(got(3)), 1020*ms), nil, during, Counts{OK: 1, LostSilently: 1}},
		{"came just after it was sent", numbered(4), late(stayer(got(3)), 1020*ms+1), nil, during, Counts{OK: 1}},
		{"came later and got an earlier one", numbered(4), late(stayer(got(1, 2, 3)), 1015*ms), nil, nil, Counts{OK: 2}},
		{"came after the end", numbered(4), late(stayer(nil), 9000*ms), nil, nil, Counts{}},

		{"spoiled", numbered(4), stayer(got(0, 1, 3)), nil, []Fault{{Begin: 1015 * ms, Healed: 1020 * ms, End: 1025 * ms, Spoils: true}}, Counts{OK: 3, Spoiled: 1}},
		{"lost in the recovery from spoiling", numbered(4), stayer(got(0, 1, 3)), nil, []Fault{{Begin: 1010 * ms, Healed: 1019 * ms, End: 1025 * ms, Spoils: true}}, Counts{OK: 3, LostSilently: 1}},
		{"spoiled, but told", numbered(4), stayer(got(0, 1, 3)), window(1, 0), []Fault{{Begin: 1015 * ms, Healed: 1020 * ms, End: 1025 * ms, Spoils: true}}, Counts{OK: 3, LostTold: 1}},
		{"altered", numbered(2), func() Subscription { s := stayer(got(0, 1)); s.Altered = 2; return s }(), nil, nil, Counts{OK: 2, Altered: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &History{Streams: []Stream{{Channel: "c", Messages: test.messages}}, Subscriptions: []Subscription{test.sub}, Windows: test.windows, Faults: test.faults}
			v := Judge(h)
			if v.Total != test.want {
				t.Errorf("got  %+v\nwant %+v\n%s", v.Total, test.want, strings.Join(v.Oddness, "\n"))
			}
			booked := v.Quiet
			for _, c := range v.ByFault {
				booked.Add(c)
			}
			booked.Altered = v.Total.Altered
			if booked != v.Total {
				t.Errorf("booked by time %+v, in all %+v", booked, v.Total)
			}
		})
	}
}

// Message 2 is lost; its channel goes from link a to link b between 1010 and 1030 ms.
func TestWindowsCountForTheirOwnLink(t *testing.T) {
	carriers := []Carrier{{"c", "a", 0, 1030 * ms}, {"c", "b", 1010 * ms, 0}, {"d", "x", 0, 0}}
	for _, test := range []struct {
		name     string
		link     string
		carriers []Carrier
		told     bool
	}{
		{"a window of every link", "", carriers, true},
		{"the link that carried it before", "a", carriers, true},
		{"the link that carried it after", "b", carriers, true},
		{"another channel's link", "x", carriers, false},
		{"the link is not the carrier yet", "b", []Carrier{{"c", "a", 0, 1030 * ms}, {"c", "b", 1023 * ms, 0}}, false},
		{"the link is the carrier no more", "a", []Carrier{{"c", "a", 0, 1019 * ms}, {"c", "b", 1010 * ms, 0}}, false},
		{"nobody knows the carrier", "x", []Carrier{{"d", "a", 0, 0}}, true},
	} {
		h := &History{Streams: []Stream{{Channel: "c", Messages: numbered(4)}}, Subscriptions: []Subscription{stayer(got(0, 1, 3))},
			Windows: []Window{{Node: "n1", Link: test.link, From: 1}}, Faults: during, Carriers: test.carriers}
		want := Counts{OK: 3, LostSilently: 1}
		if test.told {
			want = Counts{OK: 3, LostTold: 1}
		}
		if got := Judge(h).Total; got != want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, want)
		}
	}
}

func TestEchoes(t *testing.T) {
	carriers := []Carrier{{"c", "a", 0, 1015 * ms}, {"c", "b", 1010 * ms, 0}}
	for _, test := range []struct {
		name   string
		twice  int32
		echoes bool
		want   Counts
	}{
		{"while the channel moves", 1, true, Counts{OK: 3, Echoed: 1}},
		{"while it moves between servers that do not know each other", 1, false, Counts{OK: 3, Duplicate: 1}},
		{"after it has moved", 2, true, Counts{OK: 3, Duplicate: 1}},
	} {
		h := &History{Streams: []Stream{{Channel: "c", Messages: numbered(3)}}, Subscriptions: []Subscription{stayer(got(0, 1, 2, test.twice))},
			Carriers: carriers, Echoes: test.echoes}
		if got := Judge(h).Total; got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

// A client that comes back is another subscription: what it missed between is
// nobody's loss, what it missed within one of the two is.
func TestReconnects(t *testing.T) {
	before := Subscription{Node: "n1", Conn: 1, Channel: "c", Opened: 1, Arrivals: got(0, 1)}
	after := Subscription{Node: "n1", Conn: 2, Channel: "c", Opened: 1045 * ms, Stayed: true, Arrivals: got(5, 7)}
	h := &History{Streams: []Stream{{Channel: "c", Messages: numbered(8)}}, Subscriptions: []Subscription{before, after}}
	if got, want := Judge(h).Total, (Counts{OK: 4, LostSilently: 1, LostQuietly: 1}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Order is per publisher: those of others come between as they like.
func TestPublishersAreIndependent(t *testing.T) {
	s := stayer([]Arrival{{Stream: 1, Number: 1}, {Stream: 0, Number: 0}, {Stream: 0, Number: 1}, {Stream: 1, Number: 0}})
	h := &History{Streams: []Stream{{"c", numbered(2)}, {"c", numbered(2)}}, Subscriptions: []Subscription{s}}
	if got, want := Judge(h).Total, (Counts{OK: 4, OutOfOrder: 1}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestMessagesOfOtherChannels(t *testing.T) {
	s := stayer([]Arrival{{Stream: 1, Number: 0}})
	h := &History{Streams: []Stream{{"c", nil}, {"d", numbered(1)}}, Subscriptions: []Subscription{s}}
	v := Judge(h)
	if v.Total != (Counts{Altered: 1}) || len(v.Oddness) != 1 {
		t.Errorf("%+v, %q", v.Total, v.Oddness)
	}
}
