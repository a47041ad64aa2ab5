package hostile

import (
	"bytes"
	"compress/flate"
	"slices"
	"strings"
)

// CompressionFlags are what a node is to be started with for Compressed, with the
// default limit of 64 KiB for a message.
var CompressionFlags = []string{"--deflate-enabled"}

// deflateTail is what a sender takes off the end of a message (RFC 7692 §7.2.1).
const deflateTail = "\x00\x00\xff\xff"

// deflated is a message's payload as RFC 7692 §7.2.1 wants it.
func deflated(message string) string {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err == nil {
		_, err = w.Write([]byte(message))
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return strings.TrimSuffix(out.String(), deflateTail)
}

// zeros is n MiB of NULs, deflated a thousandfold: each MiB by itself, so that the
// whole need not be made.
func zeros(n int) string {
	one := deflated(strings.Repeat("\x00", 1<<20)) + deflateTail
	return strings.TrimSuffix(strings.Repeat(one, n), deflateTail)
}

// Compressed are offers of permessage-deflate, and what comes over connections to
// /echo that have agreed on it.
//
// RFC 7692 does not say with which code a message ends that cannot be inflated; it
// is 1007 here, as with most servers, and 1009 for what inflates to too much.
func Compressed() []Row {
	rows := slices.Concat(offers(), []Row{
		{Name: "deflated", Send: Frame(0xC1, deflated("hello")), Want: "text hello"},
		{Name: "RFC 7692 §7.2.3.1", Send: Bytes("C1 87 00000000 F248CDC9C90700"), Want: "text Hello"},
		{Name: "RFC 7692 §7.2.3.1, in two fragments", Send: Bytes("41 83 00000000 F248CD 80 84 00000000 C9C90700"), Want: "text Hello"},
		{Name: "RFC 7692 §7.2.3.2: refers to the message before", Send: Bytes("C1 87 00000000 F248CDC9C90700 C1 85 00000000 F200110000"), Want: "text Hello, close 1007"},
		{Name: "RFC 7692 §7.2.3.3: a stored block", Send: Bytes("C1 8B 00000000 00 0500 FAFF 'Hello' 00"), Want: "text Hello"},
		{Name: "RFC 7692 §7.2.3.4: BFINAL", Send: Bytes("C1 88 00000000 F348CDC9C9070000"), Want: "text Hello"},
		{Name: "RFC 7692 §7.2.3.5: two blocks", Send: Bytes("C1 8D 00000000 F24805000000FFFFCAC9C90700"), Want: "text Hello"},
		{Name: "RFC 7692 §7.2.3.6: an empty message", Send: Bytes("C1 81 00000000 00"), Want: "text "},
		{Name: "RSV1 without a payload", Send: Bytes("C1 80 00000000"), Want: "close 1007"}, // with the tail it is half a block's header
		{Name: "not deflated, although it may be", Send: Frame(0x81, "plain"), Want: "text plain"},
		{Name: "deflated and not, in turn", Send: strings.Repeat(Frame(0xC1, deflated("a"))+Frame(0x81, "b"), 2), Want: "text a, text b, text a, text b"},
		{Name: "a long answer is deflated, too", Send: Frame(0xC1, deflated(strings.Repeat("long ", 1000))), Want: "text of 5000"},
		{Name: "a stored block for each byte", Send: Frame(0xC2, strings.Repeat("\x00\x01\x00\xfe\xffx", 1000)+"\x00"), Want: "binary of 1000"},
		{Name: "stored blocks of nothing", Send: Frame(0xC2, strings.Repeat("\x00\x00\x00\xff\xff", 13_000)+"\x00"), Want: "binary "},

		// Bits.
		{Name: "RSV1 on a continuation", Send: Frame(0x41, deflated("hello")[:3]) + Frame(0xC0, deflated("hello")[3:]), Want: "close 1002"},
		{Name: "RSV1 on a continuation only", Send: Frame(0x01, "a") + Frame(0xC0, deflated("b")), Want: "close 1002"},
		{Name: "RSV1 on a ping", Send: Bytes("C9 80 00000000"), Want: "close 1002"},
		{Name: "RSV1 on a close", Send: Bytes("C8 82 00000000 03E8"), Want: "close 1002"},
		{Name: "RSV1 and RSV2", Send: Frame(0xE1, deflated("hello")), Want: "close 1002"},
		{Name: "RSV1 on opcode 3", Send: Frame(0xC3, deflated("hello")), Want: "close 1002"},

		// What is not DEFLATE.
		{Name: "a truncated block", Send: Bytes("C1 84 00000000 F248CDC9"), Want: "close 1007"},
		{Name: "without the block that the tail belongs to", Send: Bytes("C1 86 00000000 F248CDC9C907"), Want: "close 1007"},
		{Name: "a stored block that is not whole", Send: Bytes("C1 87 00000000 00 0500 FAFF 'He'"), Want: "close 1007"},
		{Name: "a stored block whose lengths disagree", Send: Bytes("C1 8B 00000000 00 0500 FBFF 'Hello' 00"), Want: "close 1007"},
		{Name: "a stored block that announces 64 KiB", Send: Bytes("C1 85 00000000 00 FFFF 0000"), Want: "close 1007"},
		{Name: "a reserved block type", Send: Bytes("C1 81 00000000 06"), Want: "close 1007"},
		{Name: "text as it is", Send: Frame(0xC1, "hello, is it me you are looking for?"), Want: "close 1007"},
		{Name: "garbage", Send: Frame(0xC2, strings.Repeat("\xff", 1000)), Want: "close 1007"},
		{Name: "the tail that should have been taken off, and garbage", Send: Frame(0xC1, deflated("hello")+deflateTail+"\xff"), Want: "close 1007"},
		{Name: "final blocks for ever", Send: Frame(0xC2, strings.Repeat("\x01\x00\x00\xff\xff", 10_000)), Want: "close 1007"},
		{Name: "invalid UTF-8, deflated", Send: Frame(0xC1, deflated("a\xC0\xAF")), Want: "close 1007"},
		{Name: "half a code point, deflated", Send: Frame(0xC1, deflated("a\xF0\x9F")), Want: "close 1007"},

		// What is too much.
		{Name: "64 KiB from next to nothing", Send: Frame(0xC2, deflated(strings.Repeat("\x00", 1<<16))), Want: "binary of 65536"},
		{Name: "64 KiB + 1 from next to nothing", Send: Frame(0xC2, deflated(strings.Repeat("\x00", 1<<16+1))), Want: "close 1009"},
		{Name: "64 KiB from next to nothing, 16 times", Send: strings.Repeat(Frame(0xC2, deflated(strings.Repeat("\x00", 1<<16))), 16), Want: many("binary of 65536", 16)},
		{Name: "64 KiB from next to nothing, until 4 MiB are too much", Send: strings.Repeat(Frame(0xC2, deflated(strings.Repeat("\x00", 1<<16))), 100), How: []How{Whole}, Want: "…, close 1008"},
		{Name: "bomb: 1 KiB, inflated 1 MiB", Send: Frame(0xC2, zeros(1)), Want: "close 1009"},
		{Name: "bomb of text", Send: Frame(0xC1, deflated(strings.Repeat("a", 1<<20))), Want: "close 1009"},
		{Name: "bomb: 63 KiB, inflated 60 MiB", Send: Frame(0xC2, zeros(60)), Want: "close 1009"},
		{Name: "bomb in 64 fragments", Send: fragments(0x42, zeros(60), 1024), Want: "close 1009"},
		{Name: "bomb behind messages", Send: strings.Repeat(Frame(0xC1, deflated("ok")), 3) + Frame(0xC2, zeros(60)), Want: "text ok, text ok, text ok, close 1009"},
		{Name: "72 KiB that might inflate to less", Send: Bytes("C2 FF 0000000000012000 00000000"), Want: "close 1009"},
	})
	for i := range rows {
		if rows[i].Send != "" && !strings.HasPrefix(rows[i].Send, "GET ") {
			rows[i].Path, rows[i].Fields = "/echo", []string{"Sec-WebSocket-Extensions: permessage-deflate"}
		}
	}
	return rows
}

// offers are of permessage-deflate (RFC 7692 §7.1): what cannot be honoured to the
// letter is declined, and never refuses the connection.
func offers() (rows []Row) {
	const answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, o := range []struct{ offer, agreed string }{
		{"permessage-deflate", answer},
		{"permessage-deflate; client_max_window_bits", answer},
		{"permessage-deflate; client_max_window_bits=8", answer},
		{"permessage-deflate; server_max_window_bits=15", answer + "; server_max_window_bits=15"},
		{"permessage-deflate; server_max_window_bits=14", "none"},
		{"permessage-deflate; server_max_window_bits=8", "none"},
		{"permessage-deflate; server_max_window_bits", "none"},
		{"permessage-deflate; server_max_window_bits=abc", "none"},
		{"permessage-deflate; server_max_window_bits=015", "none"},
		{"permessage-deflate; server_max_window_bits=-15", "none"},
		{"permessage-deflate; server_max_window_bits=18446744073709551631", "none"}, // 15 in 64 bits
		{"permessage-deflate; client_max_window_bits=999", "none"},
		{"permessage-deflate; client_max_window_bits=abc", "none"},
		{"permessage-deflate; client_max_window_bits=7", "none"},
		{"permessage-deflate; client_max_window_bits; client_max_window_bits", "none"},
		{"permessage-deflate; server_no_context_takeover=1", "none"},
		{"permessage-deflate; EVIL=1", "none"},
		{"permessage-deflate" + strings.Repeat(";", 2000), "none"},
		{"permessage-deflate; EVIL, permessage-deflate; client_max_window_bits=999, permessage-deflate", answer},
		{"x-webkit-deflate-frame", "none"},
		{"constructor, __proto__, ,;constructor", "none"},
	} {
		name := "offer " + o.offer
		if len(name) > 90 {
			name = name[:90] + "…"
		}
		rows = append(rows, Row{Name: name, Send: swap("Sec-WebSocket-Extensions: " + o.offer), How: []How{Whole}, Want: "101", Agreed: o.agreed})
	}
	return rows
}

// fragments is a message cut into frames of at most size bytes; first is the first
// frame's first byte.
func fragments(first byte, payload string, size int) string {
	var b strings.Builder
	for len(payload) > size {
		b.WriteString(Frame(first, payload[:size]))
		first, payload = 0, payload[size:]
	}
	return b.String() + Frame(first|0x80, payload)
}

// many is n times the same in Want.
func many(what string, n int) string {
	return strings.TrimSuffix(strings.Repeat(what+", ", n), ", ")
}
