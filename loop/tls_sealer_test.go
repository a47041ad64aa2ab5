package loop

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"sluice/codec"
)

// sealer is a client of TLS 1.3 that says what crypto/tls's would not. It makes records of
// its own (RFC 8446 §5.2) behind a handshake of crypto/tls.
type sealer struct {
	c        *raw
	t        *testing.T
	secret   []byte
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
}

const (
	recordData = 23
	keyUpdate  = "\x18\x00\x00\x01\x01" // with update_requested, §4.6.3
)

// newSealer does the handshake over c.
func newSealer(t *testing.T, c *raw) *sealer {
	t.Helper()
	var log strings.Builder
	config := trusting(tls.VersionTLS13)
	config.KeyLogWriter = &log
	conn := tls.Client(c.TCPConn, config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if suite := conn.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("agreed on %s, which this test does not know", tls.CipherSuiteName(suite))
	}
	s := &sealer{c: c, t: t}
	for line := range strings.Lines(log.String()) {
		if fields := strings.Fields(line); fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				t.Fatal(err)
			}
			s.key(secret)
		}
	}
	return s
}

// expand is HKDF-Expand-Label of §7.1.
func (s *sealer) expand(label string, size int) []byte {
	s.t.Helper()
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(info, byte(len(label))), label...)
	out, err := hkdf.Expand(sha256.New, s.secret, string(append(info, 0)), size)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *sealer) key(secret []byte) {
	s.t.Helper()
	s.secret, s.sequence = secret, 0
	block, err := aes.NewCipher(s.expand("key", 16))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		s.t.Fatal(err)
	}
	s.iv = s.expand("iv", 12)
}

// renew is what a KeyUpdate announces.
func (s *sealer) renew() { s.key(s.expand("traffic upd", 32)) }

// record is one record, header included.
func (s *sealer) record(kind byte, data string) string {
	plain := append([]byte(data), kind)
	nonce := append([]byte(nil), s.iv...)
	for i := range 8 {
		nonce[4+i] ^= byte(s.sequence >> (56 - 8*i))
	}
	s.sequence++
	header := binary.BigEndian.AppendUint16([]byte{recordData, 3, 3}, uint16(len(plain)+s.aead.Overhead()))
	return string(s.aead.Seal(header, nonce, plain, header))
}

// A client that has us renew keys all the time, and says next to nothing else, is closed
// by the limit of control frames.
func TestTLSKeyUpdates(t *testing.T) {
	var e ends
	n := start(t, overTLS(Options{ControlRate: 1, ControlBurst: 50}), &script{closed: e.add})
	c := dialRaw(t, n.addr, 0)
	s := newSealer(t, c)
	c.send(s.record(recordData, request))
	until(t, "an open connection", func() bool { return n.Stats().Upgraded == 1 })
	for i := 0; len(e.all()) == 0 && i < 10_000; i++ {
		update := s.record(recordHandshake, keyUpdate)
		s.renew()
		c.send(update + s.record(recordData, text("x")))
	}
	e.want(t, "1008 by us: too many pings or pongs")
}

// Who has us answer and does not read is closed before the answers take memory to speak of.
func TestTLSKeyUpdatesUnread(t *testing.T) {
	var e ends
	n := start(t, overTLS(Options{CloseTimeout: patience}), &script{closed: e.add, message: func(*Conn, codec.Opcode, []byte) {}})
	c := dialRaw(t, n.addr, 4096)
	s := newSealer(t, c)
	c.send(s.record(recordData, request))
	server := n.only()
	until(t, "an open connection", func() bool { return n.Stats().Upgraded == 1 })
	n.on(func(*Reactor) { // its socket is full
		for server.Send(codec.AppendFrame(nil, codec.OpBinary, make([]byte, 100_000))) && !server.marks.has(markBlocked) {
			server.flush()
		}
	})
	most := 0
	for i := 0; len(e.all()) == 0 && i < 100_000; i++ {
		update := s.record(recordHandshake, keyUpdate)
		s.renew()
		c.send(update + s.record(recordData, text("x")))
		if i%100 == 0 {
			n.on(func(*Reactor) {
				if server.marks.has(markSecure) {
					most = max(most, len(server.secure().rest))
				}
			})
		}
	}
	until(t, "the end of the connection", func() bool { return len(e.all()) == 1 })
	if most < maxRecord || most > maxRest {
		t.Errorf("%d bytes of records have waited", most)
	}
	until(t, "an empty backlog", func() bool { return n.Stats().Backlog == 0 })
}
