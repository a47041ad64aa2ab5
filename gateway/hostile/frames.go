package hostile

import (
	"fmt"
	"strings"
)

// Frames are what comes over an open connection to /echo on a node with the
// default limits: messages of 64 KiB, 1024 fragments, 40 pings at once.
func Frames() []Row {
	rows := []Row{
		// Headers.
		{Name: "RSV1 without an extension", Send: Bytes("C1 85 00000000 'hello'"), Want: "close 1002"},
		{Name: "RSV2", Send: Bytes("A1 85 00000000 'hello'"), Want: "close 1002"},
		{Name: "RSV3", Send: Bytes("91 85 00000000 'hello'"), Want: "close 1002"},
		{Name: "all RSV bits of a close", Send: Bytes("F8 80 00000000"), Want: "close 1002"},
		{Name: "RSV1 on a continuation", Send: Bytes("01 81 00000000 'a' C0 81 00000000 'b'"), Want: "close 1002"},
		{Name: "RSV1 on a ping", Send: Bytes("C9 80 00000000"), Want: "close 1002"},
		{Name: "RSV is judged by the first byte", Send: Bytes("C2"), How: []How{Whole}, Want: "close 1002"},
		{Name: "RSV3 by the first byte", Send: Bytes("92"), Want: "close 1002"},
		{Name: "not masked", Send: Bytes("81 05 'hello'"), Want: "close 1002"},
		{Name: "not masked, empty", Send: Bytes("81 00"), Want: "close 1002"},
		{Name: "masking key 0", Send: Bytes("81 85 00000000 'hello'"), Want: "text hello"},
		{Name: "masked", Send: Bytes("81 85 37FA213D 7F9F4D5158"), Want: "text Hello"},
		{Name: "empty", Send: Bytes("81 80 00000000 82 80 00000000"), Want: "text , binary "},
		{Name: "16-bit length of 125", Send: Bytes("81 FE 007D 00000000") + strings.Repeat("x", 125), Want: "close 1002"},
		{Name: "64-bit length of 65535", Send: Bytes("81 FF 000000000000FFFF 00000000") + strings.Repeat("x", 65535), Want: "close 1002"},
		{Name: "64-bit length of 0", Send: Bytes("81 FF 0000000000000000 00000000"), Want: "close 1002"},
		{Name: "length 2^63", Send: Bytes("82 FF 8000000000000000 00000000"), Want: "close 1002"},
		{Name: "length 2^63 + 1", Send: Bytes("82 FF 8000000000000001 00000000"), Want: "close 1002"},
		{Name: "length 2^64 - 1", Send: Bytes("82 FF FFFFFFFFFFFFFFFF 00000000"), Want: "close 1002"},
		{Name: "length 2^64 - 2^32", Send: Bytes("82 FF FFFFFFFF00000000 00000000"), Want: "close 1002"},
		{Name: "length 2^63 - 1", Send: Bytes("82 FF 7FFFFFFFFFFFFFFF 00000000"), Want: "close 1009"},
		{Name: "length 2^63 - 1 after a first fragment", Send: Bytes("02 81 00000000 'a' 80 FF 7FFFFFFFFFFFFFFF 00000000"), Want: "close 1009"},
		{Name: "length 2^63 - 1 after a first fragment of limit - 1", Send: Frame(0x02, strings.Repeat("x", 1<<16-1)) + Bytes("80 FF 7FFFFFFFFFFFFFFF 00000000"), Want: "close 1009"},
		{Name: "64 KiB", Send: Frame(0x82, strings.Repeat("x", 1<<16)), Want: "binary of 65536"},
		{Name: "64 KiB + 1", Send: Bytes("82 FF 0000000000010001 00000000"), Want: "close 1009"},
		{Name: "64 KiB + 1 in two fragments", Send: Frame(0x02, strings.Repeat("x", 1<<16)) + Frame(0x80, "y"), Want: "close 1009"},
		{Name: "64 KiB as 65546 segments", Send: Frame(0x81, strings.Repeat("x", 1<<16)), How: []How{ByteByByte}, Want: "text of 65536"},

		// Control frames.
		{Name: "ping of 125", Send: Frame(0x89, strings.Repeat("p", 125)), Want: "pong of 125"},
		{Name: "ping of 126", Send: Bytes("89 FE 007E 00000000"), Want: "close 1002"},
		{Name: "ping with a 64-bit length", Send: Bytes("89 FF 0000000000000001 00000000"), Want: "close 1002"},
		{Name: "fragmented ping", Send: Bytes("09 80 00000000"), Want: "close 1002"},
		{Name: "fragmented close", Send: Bytes("08 80 00000000"), Want: "close 1002"},
		{Name: "pongs that nobody asked for", Send: strings.Repeat(Frame(0x8A, "?"), 20) + Frame(0x81, "ok"), Want: "text ok"},
		{Name: "flood of pings", Send: strings.Repeat(Frame(0x89, ""), 2000), How: []How{Whole}, Want: "…, close 1008"},
		{Name: "flood of pongs", Send: strings.Repeat(Frame(0x8A, "?"), 2000), How: []How{Whole}, Want: "close 1008"},

		// Fragments.
		{Name: "three fragments", Send: Frame(0x01, "a") + Frame(0x00, "b") + Frame(0x80, "c"), Want: "text abc"},
		{Name: "pings and pongs between fragments", Send: Frame(0x01, "a") + Frame(0x89, "p") + Frame(0x8A, "q") + Frame(0x80, "b"), Want: "pong p, text ab"},
		{Name: "close between fragments", Send: Frame(0x01, "a") + CloseFrame(1000, ""), Want: "close 1000"},
		{Name: "continuation of nothing", Send: Frame(0x80, "a"), Want: "close 1002"},
		{Name: "continuation of a message that is complete", Send: Frame(0x81, "a") + Frame(0x80, "b"), Want: "text a, close 1002"},
		{Name: "text inside a fragmented message", Send: Frame(0x01, "a") + Frame(0x81, "b"), Want: "close 1002"},
		{Name: "binary inside a fragmented message", Send: Frame(0x02, "a") + Frame(0x02, "b"), Want: "close 1002"},
		{Name: "1024 fragments of a byte", Send: Frame(0x01, "x") + strings.Repeat(Frame(0x00, "x"), 1022) + Frame(0x80, "x"), Want: "text of 1024"},
		{Name: "1025 fragments of a byte", Send: Frame(0x01, "x") + strings.Repeat(Frame(0x00, "x"), 1024), Want: "close 1008"},
		{Name: "fragments of a byte for ever", Send: Frame(0x01, "x") + strings.Repeat(Frame(0x00, "x"), 50_000), How: []How{Whole}, Want: "close 1008"},
		{Name: "empty fragments for ever", Send: Frame(0x01, "") + strings.Repeat(Frame(0x00, ""), 50_000), How: []How{Whole}, Want: "close 1008"},

		// Text.
		{Name: "a code point over two fragments", Send: Frame(0x01, "\xF0\x9F") + Frame(0x80, "\x98\x80"), Want: "text 😀"},
		{Name: "a code point over four fragments, a ping between", Send: Frame(0x01, "\xF4") + Frame(0x00, "\x8F") + Frame(0x89, "\xff") + Frame(0x00, "\xBF") + Frame(0x80, "\xBF"),
			Want: "pong \xff, text \U0010FFFF"},
		{Name: "half a code point", Send: Frame(0x81, "a\xF0\x9F"), Want: "close 1007"},
		{Name: "half a code point at the last fragment's end", Send: Frame(0x01, "a") + Frame(0x80, "\xC3"), Want: "close 1007"},
		{Name: "overlong", Send: Frame(0x81, "\xC0\xAF"), Want: "close 1007"},
		{Name: "overlong of three bytes", Send: Frame(0x81, "\xE0\x80\xAF"), Want: "close 1007"},
		{Name: "a surrogate", Send: Frame(0x81, "\xED\xA0\x80"), Want: "close 1007"},
		{Name: "beyond U+10FFFF", Send: Frame(0x81, "\xF4\x90\x80\x80"), Want: "close 1007"},
		{Name: "invalid at the first byte of a long message", Send: Bytes("01 FE FFFF 00000000 FF 'a'"), Want: "close 1007"},
		{Name: "the same bytes as binary", Send: Frame(0x82, "\xC0\xAF\xED\xA0\x80"), Want: "binary \xC0\xAF\xED\xA0\x80"},

		// Close.
		{Name: "close without a code", Send: Bytes("88 80 00000000"), Want: "close"},
		{Name: "close of one byte", Send: Bytes("88 81 00000000 03"), Want: "close 1002"},
		{Name: "close with a reason of 123 bytes", Send: CloseFrame(1000, strings.Repeat("r", 123)), Want: "close 1000"},
		{Name: "close with a reason of 124 bytes", Send: CloseFrame(1000, strings.Repeat("r", 124)), Want: "close 1002"},
		{Name: "close with a reason that is not UTF-8", Send: CloseFrame(1000, "\xff"), Want: "close 1007"},
		{Name: "two closes", Send: CloseFrame(1000, "") + CloseFrame(1001, ""), Want: "close 1000"},
		{Name: "messages and garbage after the close", Send: CloseFrame(1001, "") + Frame(0x81, "late") + Frame(0x89, "late") + "\xff\xff\xff", Want: "close 1001"},

		// What anybody may do.
		{Name: "nested JSON", Send: Frame(0x81, strings.Repeat("[", 30_000)), Want: "text of 30000"},
	}
	for _, first := range []int{0x83, 0x84, 0x85, 0x86, 0x87, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F} {
		rows = append(rows, Row{Name: fmt.Sprintf("opcode %X", first&15), Send: Frame(byte(first), ""), Want: "close 1002"})
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535} {
		rows = append(rows, Row{Name: fmt.Sprintf("close with code %d", code), Send: CloseFrame(code, "x"), Want: "close 1002"})
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		rows = append(rows, Row{Name: fmt.Sprintf("close with code %d", code), Send: CloseFrame(code, "x"), Want: fmt.Sprintf("close %d", code)})
	}
	for i := range rows {
		rows[i].Path = "/echo"
	}
	return rows
}
