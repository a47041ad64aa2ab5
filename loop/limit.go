package loop

import "sluice/codec"

// Limit is a bound of Options, as something that clients reach.
type Limit uint8

// The limits. Whoever reaches one is refused, closed or dropped, but for
// LimitAcceptRate, which lets clients wait.
const (
	LimitLine          Limit = iota // Request.Line
	LimitHead                       // Request.Head
	LimitHeaders                    // Request.Headers
	LimitHandshakeTime              // HandshakeTimeout
	LimitMessage                    // Decoder.MaxMessage
	LimitFragments                  // Decoder.MaxFragments
	LimitMessageTime                // MessageTimeout
	LimitIncomplete                 // MaxIncomplete
	LimitMessageRate                // MessageRate, MessageBurst
	LimitByteRate                   // ByteRate, ByteBurst
	LimitControlRate                // ControlRate, ControlBurst
	LimitConnections                // MaxConnections
	LimitAcceptRate                 // AcceptRate
	LimitQueue                      // MaxQueue
	LimitBacklog                    // MaxBacklog

	Limits = int(LimitBacklog) + 1 // how many there are
	none   = Limit(Limits)
)

// reached counts a limit.
func (r *Reactor) reached(l Limit) {
	if l < none {
		r.count.limits[l].Add(1)
	}
}

// limitOfRefusal is the limit that a refusal is for.
func limitOfRefusal(err *codec.HTTPError) Limit {
	switch err {
	case codec.ErrLineTooLong:
		return LimitLine
	case codec.ErrHeadTooBig:
		return LimitHead
	case codec.ErrTooManyHeaders:
		return LimitHeaders
	case errTimeout, errNotReady:
		return LimitHandshakeTime
	case errFull:
		return LimitConnections
	}
	return none
}

// limitOfViolation is the limit that a connection is closed for.
func limitOfViolation(err *codec.Error) Limit {
	switch err {
	case codec.ErrMessageTooBig, codec.ErrInflateRatio:
		return LimitMessage
	case codec.ErrTooManyFragments:
		return LimitFragments
	case errDawdling:
		return LimitMessageTime
	case errCrowded:
		return LimitIncomplete
	case errChatty:
		return LimitMessageRate
	case errVoluble:
		return LimitByteRate
	case errNagging:
		return LimitControlRate
	}
	return none
}
