package loop

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
)

// TLSFault is why a TLS handshake came to nothing, or a connection ended after it.
type TLSFault uint8

// The faults.
const (
	faultTimeout   TLSFault = iota // the handshake did not end in time
	faultPlain                     // HTTP came instead
	faultGarbage                   // something came that is no TLS
	faultLeft                      // the client went
	faultRefused                   // the client sent an alert: it does not trust the certificate, say
	faultVersion                   // the client knows only versions that are too old
	faultParameter                 // nothing in common: cipher suites, curves, signatures
	faultProtocol                  // the client offers application protocols, and http/1.1 is not among them
	faultName                      // there is no certificate for what the client asks for
	faultMalformed                 // messages of the handshake that are wrong
	faultCrowded                   // too many handshakes for this client's address
	faultLeaving                   // this node is going away
	faultRecord                    // after the handshake: a record that is wrong, or an alert
	faultInternal                  // ours

	TLSFaults = int(faultInternal) + 1 // how many there are
)

var tlsFaults = [TLSFaults]string{"timeout", "plain_http", "not_tls", "client_left", "client_refused", "version", "no_common_parameters",
	"no_common_protocol", "no_certificate", "malformed", "per_address", "leaving", "record", "internal"}

// String is the fault's name, of [a-z_].
func (f TLSFault) String() string { return tlsFaults[f] }

// tlsCounters are a reactor's figures about TLS. The reactor adds, any goroutine reads.
type tlsCounters struct {
	full, resumed [2]atomic.Int64 // handshakes, of TLS 1.2 and 1.3
	faults        [TLSFaults]atomic.Int64
}

func (k *tlsCounters) failed(f TLSFault) { k.faults[f].Add(1) }

// TLSStats are the figures about TLS of all reactors. All but Handshaking and Waiting only ever grow.
type TLSStats struct {
	Full, Resumed [2]int64 // handshakes, of TLS 1.2 and 1.3
	Faults        [TLSFaults]int64
	Handshaking   int64 // now
	Waiting       int64 // handshakes that wait for others to end, now
}

// TLSStats sums the figures about TLS.
func (e *Engine) TLSStats() TLSStats {
	var s TLSStats
	for _, r := range e.reactors {
		for i := range s.Full {
			s.Full[i] += r.secured.full[i].Load()
			s.Resumed[i] += r.secured.resumed[i].Load()
		}
		for i := range s.Faults {
			s.Faults[i] += r.secured.faults[i].Load()
		}
	}
	if e.shaker != nil {
		s.Handshaking, s.Waiting = e.shaker.busy()
	}
	return s
}

// Codes of alerts, RFC 8446 §6.2.
const (
	recordAlert       = 21
	alertSize         = recordHeader + 2 // bytes: level, code
	alertHandshake    = 40               // handshake_failure
	alertVersion      = 70               // protocol_version
	alertInternal     = 80               // internal_error
	alertUnrecognized = 112
	alertProtocol     = 120 // no_application_protocol
)

// faultOf is why a handshake failed with err, behind the alert: crypto/tls says it in
// that, and otherwise in words alone.
func faultOf(err error, alert byte) TLSFault {
	var op *net.OpError
	switch {
	case errors.Is(err, errGone):
		return faultLeft
	case errors.Is(err, errShakePanic):
		return faultInternal
	case errors.As(err, &op) && op.Op == "remote error":
		return faultRefused
	}
	switch alert {
	case alertHandshake:
		return faultParameter
	case alertVersion:
		return faultVersion
	case alertInternal:
		if strings.Contains(err.Error(), "exceeds maximum") { // a message that is announced too long is nothing of ours
			return faultMalformed
		}
		return faultInternal
	case alertUnrecognized:
		return faultName
	case alertProtocol:
		return faultProtocol
	}
	return faultMalformed
}
