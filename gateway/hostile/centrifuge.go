package hostile

import (
	"fmt"
	"strings"
)

// Centrifuge are what comes over an open connection to /connection/websocket, the client
// protocol of Centrifugo, on a node with the default limits.
func Centrifuge() []Row {
	const (
		connect   = `{"id":1,"connect":{}}`
		malformed = `sluice_closed_total{code="3501"}`
	)
	json := func(lines ...string) string { return Frame(0x81, strings.Join(lines, "\n")) }
	many := func(n int, format string) string {
		lines := []string{connect}
		for i := range n {
			lines = append(lines, fmt.Sprintf(format, i+2, i))
		}
		return json(lines...)
	}
	bye := CloseFrame(1000, "") // of a client that is still well
	protobuf := []string{"Sec-WebSocket-Protocol: centrifuge-protobuf"}
	rows := []Row{
		{Name: "no JSON", Send: json("hello"), Want: "close 3501", Reason: malformed},
		{Name: "no command", Send: json(""), Want: "close 3501", Reason: malformed},
		{Name: "a list", Send: json("[" + connect + "]"), Want: "close 3501", Reason: malformed},
		{Name: "a key twice", Send: json(`{"id":1,"id":2,"connect":{}}`), Want: "close 3501", Reason: malformed},
		{Name: "an endless number", Send: json(`{"id":` + strings.Repeat("1", 60_000) + `,"connect":{}}`), Want: "close 3501", Reason: malformed},
		{Name: "nothing but brackets", Send: json(strings.Repeat("[", 60_000)), Want: "close 3501", Reason: malformed},
		{Name: "brackets in what is not known", Send: json(`{"id":1,"connect":{},"x":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`}`) + bye, Want: "…, close 1000"},
		{Name: "a filter that is nested deeply", Send: json(connect, `{"id":2,"subscribe":{"channel":"a","tf":`+strings.Repeat(`{"nodes":[`, 5000)+strings.Repeat(`]}`, 5000)+`}}`),
			Want: "…, close 3501", Reason: malformed},
		{Name: "first something else", Send: json(`{"id":1,"publish":{"channel":"a","data":1}}`), Want: "close 3501", Reason: malformed},
		{Name: "connect twice", Send: json(connect, `{"id":2,"connect":{}}`), Want: "…, close 3501", Reason: malformed},
		{Name: "connect a thousand times", Send: json(strings.Repeat(connect+"\n", 1000)), Want: "…, close 3501", Reason: malformed},
		{Name: "ten thousand pongs in a frame", Send: json(connect + strings.Repeat("\n{}", 10_000)), Want: "…, close 3013", Reason: `sluice_closed_total{code="3013"}`},
		{Name: "a thousand channels", Send: many(1000, `{"id":%d,"subscribe":{"channel":"c%d"}}`) + bye, Want: "…, close 1000"},
		{Name: "a thousand times the same channel", Send: many(1000, `{"id":%d,"subscribe":{"channel":"same%.0d"}}`) + bye, Want: "…, close 1000"},
		{Name: "a channel taken up and given up in turns", Send: many(400, `{"id":%d,"subscribe":{"channel":"turns%.0d"}}`+"\n"+`{"id":9999,"unsubscribe":{"channel":"turns"}}`) + bye, Want: "…, close 1000"},
		{Name: "a channel of 60 KB", Send: json(connect, `{"id":2,"subscribe":{"channel":"`+strings.Repeat("x", 60_000)+`"}}`) + bye, Want: "…, close 1000"},
		{Name: "a node's own channel", Send: json(connect, `{"id":2,"subscribe":{"channel":"{node:n}"}}`) + bye, Want: "…, close 1000"},
		{Name: "positions that are none", Send: json(connect, `{"id":2,"subscribe":{"channel":"p","recover":true,"offset":18446744073709551615,"epoch":"`+strings.Repeat("e", 10_000)+`"}}`,
			`{"id":3,"history":{"channel":"p","limit":2147483647,"since":{"offset":18446744073709551615,"epoch":"x"}}}`) + bye, Want: "…, close 1000"},
		{Name: "bytes for a client of JSON", Send: Frame(0x82, "\x00"), Want: "close 3501", Reason: malformed},
		{Name: "text for a client of protobuf", Fields: protobuf, Send: json(connect), Want: "close 3501", Reason: malformed},
		{Name: "protobuf: a length beyond the frame", Fields: protobuf, Send: Frame(0x82, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), Want: "close 3501", Reason: malformed},
		{Name: "protobuf: a length without an end", Fields: protobuf, Send: Frame(0x82, strings.Repeat("\xff", 60_000)), Want: "close 3501", Reason: malformed},
		{Name: "protobuf: nothing", Fields: protobuf, Send: Frame(0x82, ""), Want: "close 3501", Reason: malformed},
		{Name: "protobuf: groups", Fields: protobuf, Send: Frame(0x82, "\x7f"+strings.Repeat("\x0b", 127)), Want: "close 3501", Reason: malformed},
	}
	for i := range rows {
		rows[i].Path = "/connection/websocket"
	}
	return rows
}
