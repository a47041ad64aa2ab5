package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
)

// A message on the wire is "crc channel stream number sent", each of them what a
// person can read, and then perhaps filler. The checksum is over all behind it.

// appendMessage adds a message of at least size bytes to dst.
func appendMessage(dst []byte, channel string, stream, number int, sent int64, size int) []byte {
	at := len(dst)
	dst = append(dst, "00000000 "...)
	dst = fmt.Appendf(dst, "%s %d %d %d ", channel, stream, number, sent)
	for len(dst)-at < size {
		dst = append(dst, "................................................................"[:min(64, size-(len(dst)-at))]...)
	}
	copy(dst[at:], fmt.Sprintf("%08x", crc32.ChecksumIEEE(dst[at+9:])))
	return dst
}

// received is what a message says of itself.
type received struct {
	channel        []byte // part of the message
	stream, number int
	sent           int64
}

// parseMessage is false for what nobody sent in this form.
func parseMessage(b []byte) (r received, ok bool) {
	if len(b) < 9 || b[8] != ' ' || fmt.Sprintf("%08x", crc32.ChecksumIEEE(b[9:])) != string(b[:8]) {
		return r, false
	}
	fields := bytes.SplitN(b[9:], []byte(" "), 5)
	if len(fields) != 5 {
		return r, false
	}
	r.channel = fields[0]
	var errs [3]error
	r.stream, errs[0] = strconv.Atoi(string(fields[1]))
	r.number, errs[1] = strconv.Atoi(string(fields[2]))
	r.sent, errs[2] = strconv.ParseInt(string(fields[3]), 10, 64)
	return r, errs == [3]error{}
}
