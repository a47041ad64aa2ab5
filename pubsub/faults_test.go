package pubsub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

// running is a broker under test with what it says.
type running struct {
	*pubsub.Redis
	sink *pubsubtest.Recorder
}

// run opens and runs a broker until the test ends.
func run(t *testing.T, o pubsub.Options) running {
	t.Helper()
	r := running{open(t, o), pubsubtest.NewRecorder()}
	pubsubtest.Background(t, r.Redis, r.sink)
	return r
}

func (r running) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	pubsubtest.Eventually(t, what, ok)
}

func (r running) awaitReady(t *testing.T) {
	t.Helper()
	r.await(t, "the broker is ready", func() bool { return r.Ready() == nil })
}

// says waits until readiness fails for a reason, and returns it. On a busy machine an
// attempt to connect may have failed for another one before.
func (r running) says(t *testing.T, reason string) (why string) {
	t.Helper()
	r.await(t, "readiness says "+reason, func() bool {
		if err := r.Ready(); err != nil {
			why = err.Error()
		}
		return strings.Contains(why, reason)
	})
	return why
}

// delivers checks that a message gets through, publishing on a connection of
// its own.
func (r running) delivers(t *testing.T, s *redistest.Server, channel string) {
	t.Helper()
	payload := fmt.Sprint("probe ", time.Now().UnixNano())
	if n := s.Do("PUBLISH", "sluice:"+channel, payload); n != int64(1) {
		t.Fatalf("PUBLISH reached %v receivers, want 1", n)
	}
	r.await(t, "a message on "+channel, func() bool { return slices.Contains(r.sink.Messages(channel), payload) })
}

// subscribed subscribes and waits for the announcement.
func (r running) subscribed(t *testing.T, channel string) {
	t.Helper()
	r.Subscribe(channel)
	r.await(t, channel+" is announced", func() bool { return r.sink.Announced(channel) > 0 })
}

func TestRedisIsKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := run(t, pubsub.Options{URL: s.URL})
	b.subscribed(t, "a")
	b.delivers(t, s, "a")
	for round := range 2 {
		s.Kill()
		b.await(t, "the interruption", func() bool { return len(b.sink.Interruptions()) == round+1 })
		b.await(t, "not ready", func() bool { return b.Ready() != nil })
		s.Restart()
		b.await(t, "announced again", func() bool { return b.sink.Announced("a") == round+2 })
		b.awaitReady(t)
		b.delivers(t, s, "a")
	}
	b.await(t, "the command client works again", func() bool {
		n, err := b.Publish(context.Background(), "a", []byte("x"))
		return err == nil && n == 1
	})
}

func TestRedisIsNotThereAtStart(t *testing.T) {
	s := redistest.Reserve(t)
	b := run(t, pubsub.Options{URL: s.URL})
	b.Subscribe("a")
	b.await(t, "an attempt has failed", func() bool { return b.Stats().FailedDial > 0 })
	b.says(t, "connection refused")
	if _, err := b.Publish(context.Background(), "a", nil); err == nil {
		t.Error("published to nobody")
	}
	s.Restart()
	b.await(t, "announced", func() bool { return b.sink.Announced("a") == 1 })
	b.awaitReady(t)
	b.delivers(t, s, "a")
	if n := len(b.sink.Interruptions()); n != 0 {
		t.Errorf("%d interruptions of nothing", n)
	}
}

func TestClientKill(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := run(t, pubsub.Options{URL: s.URL})
	for i := range 3000 {
		b.Subscribe(fmt.Sprint(i))
	}
	b.await(t, "all are announced", func() bool { return b.sink.Channels() == 3000 })
	s.Do("CLIENT", "KILL", "TYPE", "pubsub")
	b.await(t, "all are announced again", func() bool {
		for i := range 3000 {
			if b.sink.Announced(fmt.Sprint(i)) != 2 {
				return false
			}
		}
		return true
	})
	if n := len(b.sink.Interruptions()); n != 1 {
		t.Errorf("%d interruptions, want 1", n)
	}
	b.delivers(t, s, "2999")
}

// A Redis that stands still is noticed, and not left: when it goes on, what was
// published first is delivered, and nothing was missed.
func TestRedisIsStopped(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := run(t, pubsub.Options{URL: s.URL})
	b.awaitReady(t)
	b.subscribed(t, "a")
	publisher := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, ReadTimeout: 30 * time.Second})
	defer publisher.Close()
	if err := publisher.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	published := make(chan error, 1)
	go func() { published <- publisher.Publish(context.Background(), "sluice:a", "into the silence").Err() }()
	b.await(t, "not ready", func() bool { return b.Ready() != nil })
	b.await(t, "other connections are tried", func() bool { return b.Stats().Silent })
	s.Resume()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	b.await(t, "what was published first", func() bool { return slices.Contains(b.sink.Messages("a"), "into the silence") })
	b.awaitReady(t)
	b.delivers(t, s, "a")
	if n := len(b.sink.Interruptions()); n != 0 {
		t.Errorf("%d interruptions: %v", n, b.sink.Interruptions())
	}
}

// A probe that may not be subscribed proves nothing, and readiness says why.
func TestProbesAreForbidden(t *testing.T) {
	s := redistest.Start(t)
	s.Do("ACL", "SETUSER", "gate", "on", ">pw", "resetchannels", "&sluice:open*", "-@all", "+subscribe", "+unsubscribe", "+ping", "+publish")
	b := run(t, pubsub.Options{URL: strings.Replace(s.URL, "://", "://gate:pw@", 1)})
	b.subscribed(t, "open")
	b.await(t, "the reason", func() bool {
		err := b.Ready()
		return err != nil && strings.Contains(err.Error(), "NOPERM") && strings.Contains(err.Error(), "sluice:{probe:")
	})
}

func TestUsers(t *testing.T) {
	s := redistest.Start(t)
	s.Do("ACL", "SETUSER", "gate", "on", ">p/w#1", "resetchannels", "&sluice:open*", "&sluice:{probe:*", "~sluice:inbox",
		"-@all", "+subscribe", "+unsubscribe", "+ping", "+publish", "+xadd") // as doc.go says
	s.Do("ACL", "SETUSER", "default", "off")
	url := func(user string) string { return strings.Replace(s.URL, "://", "://"+user+"@", 1) }

	wrong := run(t, pubsub.Options{URL: url("gate:secret")})
	wrong.await(t, "the login fails", func() bool { return wrong.Stats().FailedDial > 0 })
	if why := wrong.says(t, "WRONGPASS"); strings.Contains(why, "secret") {
		t.Errorf("wrong password: %s", why)
	}
	nobody := run(t, pubsub.Options{URL: s.URL})
	nobody.await(t, "the PING fails", func() bool { return nobody.Stats().FailedDial > 0 })
	nobody.says(t, "NOAUTH")

	refused := make(chan error, 1)
	b := run(t, pubsub.Options{URL: url("gate:p%2Fw%231"), Events: pubsub.Events{Refused: func(channel string, err error) { refused <- err }}})
	for i := range 100 {
		b.Subscribe(fmt.Sprint("open", i))
	}
	b.Subscribe("closed")
	b.await(t, "the permitted ones are announced", func() bool { return b.sink.Channels() == 100 })
	b.await(t, "the other one is refused", func() bool { return b.Stats().Refused == 1 })
	if err := <-refused; !strings.Contains(err.Error(), "NOPERM") || !strings.Contains(err.Error(), "sluice:closed") {
		t.Errorf("a forbidden channel: %v", err)
	}
	if n, err := b.Publish(context.Background(), "open1", []byte("x")); n != 1 || err != nil {
		t.Errorf("Publish: %d, %v", n, err)
	}
	inbox, _ := runInbox(t, b.Redis, pubsub.InboxOptions{})
	var out outcomes
	if err := inbox.Add(pubsub.Entry{Type: "message", Done: out.done("1")}); err != nil {
		t.Fatal(err)
	}
	if err := out.await(t, 1)[0]; err != nil {
		t.Errorf("the inbox: %v", err)
	}
	b.Unsubscribe("closed")
	b.awaitReady(t)
}

// Redis cuts off a subscriber that does not take its messages fast enough.
func TestOutputBufferLimit(t *testing.T) {
	s := redistest.Start(t, "--client-output-buffer-limit", "pubsub 1mb 512kb 1")
	sink := &slowSink{Recorder: pubsubtest.NewRecorder(), gate: make(chan struct{})}
	b := running{open(t, pubsub.Options{URL: s.URL}), sink.Recorder}
	pubsubtest.Background(t, b.Redis, sink)
	b.subscribed(t, "a")
	payload := make([]byte, 1<<20)
	for n := int64(1); n == 1; { // until Redis has had enough of us
		var err error
		if n, err = b.Publish(context.Background(), "a", payload); err != nil {
			t.Fatal(err)
		}
	}
	close(sink.gate)
	b.await(t, "the interruption", func() bool { return len(b.sink.Interruptions()) == 1 })
	b.await(t, "announced again", func() bool { return b.sink.Announced("a") == 2 })
	b.delivers(t, s, "a")
}

// slowSink blocks in Deliver, which no real sink may.
type slowSink struct {
	*pubsubtest.Recorder
	gate chan struct{}
}

func (s *slowSink) Lane(link pubsub.Link) pubsub.Receiver {
	s.Recorder.Lane(link)
	return s
}

func (s *slowSink) Deliver(channel, payload []byte) {
	<-s.gate
	s.Recorder.Deliver(channel, payload)
}

func TestNumSubEqualsWishes(t *testing.T) {
	s := redistest.Start(t)
	b := run(t, pubsub.Options{URL: s.URL})
	b.awaitReady(t)
	for round := range 2000 {
		for c := range 5 {
			b.Subscribe(fmt.Sprint(c))
			if (round+c)%3 != 0 || round == 1999 && c > 2 {
				b.Unsubscribe(fmt.Sprint(c))
			}
		}
		if round == 1000 {
			s.Do("CLIENT", "KILL", "TYPE", "pubsub")
		}
	}
	// What the old connection had may be just what is wished for.
	b.await(t, "the interruption", func() bool { return len(b.sink.Interruptions()) == 1 })
	wished := 0
	b.await(t, "Redis has what is wished for", func() bool {
		st := b.Stats()
		wished = st.Wished
		return st.Connected && st.Pending == 0 && st.Confirmed == st.Wished
	})
	if got := s.Do("PUBSUB", "CHANNELS", "sluice:[^{]*").([]any); len(got) != wished {
		t.Errorf("Redis has the channels %v, %d are wished for", got, wished)
	}
}

func TestTLS(t *testing.T) {
	cert, key := selfSigned(t)
	s := redistest.Start(t)
	_, port, err := net.SplitHostPort(redistest.Reserve(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	tls := redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	tls.Do("ACL", "SETUSER", "gate", "on", ">p/w#1", "resetchannels", "&sluice:*", "-@all", "+subscribe", "+unsubscribe", "+ping", "+publish")
	b := run(t, pubsub.Options{URL: "rediss://gate:p%2Fw%231@127.0.0.1:" + port + "?skip_verify=true", PingEvery: 20 * time.Millisecond})
	b.subscribed(t, "a")
	b.delivers(t, tls, "a")
	b.await(t, "PINGs are answered", func() bool { return b.Stats().RoundTrip > 0 })
	b.awaitReady(t)

	strict := run(t, pubsub.Options{URL: "rediss://127.0.0.1:" + port})
	strict.await(t, "the certificate is refused", func() bool { return strict.Stats().FailedDial > 0 })
	strict.says(t, "certificate")
	plain := run(t, pubsub.Options{URL: strings.Replace(s.URL, "redis:", "rediss:", 1), DialTimeout: 500 * time.Millisecond})
	plain.await(t, "a Redis without TLS fails", func() bool { return plain.Stats().FailedDial > 0 })
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", der)
}
