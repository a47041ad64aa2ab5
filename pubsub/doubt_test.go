package pubsub

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// What has come and nobody has read is seen, also while somebody reads.
func TestUnread(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	for _, conn := range []net.Conn{near, tls.Client(near, &tls.Config{ServerName: "x"})} {
		if unread(conn) {
			t.Error("nothing has come")
		}
		if _, err := io.WriteString(far, "x"); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return unread(conn) })
		if _, err := io.ReadFull(near, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if unread(conn) {
			t.Error("it has been read")
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := near.Read(make([]byte, 1))
		done <- err
	}()
	for range 100 {
		if unread(near) {
			t.Error("nothing has come since")
		}
	}
	far.Close()
	if err := <-done; err != io.EOF {
		t.Errorf("reading ends with %v", err)
	}
	if unread(near) {
		t.Error("an end is nothing to read")
	}
	near.Close()
	if pipe, other := net.Pipe(); unread(near) || unread(pipe) {
		t.Error("nobody can know")
	} else {
		pipe.Close()
		other.Close()
	}
}
