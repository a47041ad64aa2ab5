package session

import (
	"bytes"
	"errors"
	"strings"

	"github.com/centrifugal/protocol"

	"sluice/gateway/centrifuge"
	"sluice/loop"
	"sluice/pubsub"
)

// publish puts a message for a channel into the inbox: who publishes it, if anybody, is a service.
// Where the namespace says so it is published at once. It is answered when Redis has it.
func (s *centrifugal) publish(h *Handler, c *loop.Conn, command uint32, r *protocol.PublishRequest) {
	switch {
	case r.Channel == "" || len(r.Data) == 0:
		s.refuse(h, c, command, centrifuge.ErrBadRequest)
		return
	case pubsub.CheckChannel(r.Channel) != nil:
		s.refuse(h, c, command, centrifuge.ErrUnknownChannel)
		return
	case r.Type != 0 || r.Key != "" || r.Removed: // maps
		s.refuse(h, c, command, centrifuge.ErrNotAvailable)
		return
	case !h.node.InForce().mayPublish(s.who, r.Channel):
		s.refuse(h, c, command, centrifuge.ErrPermissionDenied)
		return
	}
	done := func(err error) {
		switch {
		case errors.Is(err, errReserved):
			s.refuse(h, c, command, centrifuge.ErrBadRequest)
		case err != nil:
			s.refuse(h, c, command, unanswered(err)) // the client may send it again, and should
		default:
			s.reply(h, c, &protocol.Reply{Id: command, Publish: &protocol.PublishResult{}})
		}
	}
	h.say(c, &s.guest, pubsub.Entry{Type: "message", Channel: strings.Clone(r.Channel), Data: r.Data}, done)
}

// rpc calls the services that read the inbox.
func (s *centrifugal) rpc(h *Handler, c *loop.Conn, command uint32, r *protocol.RPCRequest) {
	if !h.node.InForce().mayPublish(s.who, "") {
		s.refuse(h, c, command, centrifuge.ErrPermissionDenied)
		return
	}
	h.call(c, &s.guest, pubsub.Entry{Method: strings.Clone(r.Method), Data: bytesOf(r.Data)}, func(answer []byte, err error) {
		switch {
		case errors.Is(err, errMethodName):
			s.refuse(h, c, command, centrifuge.ErrMethodNotFound)
		case errors.Is(err, errManyCalls):
			s.refuse(h, c, command, centrifuge.ErrTooManyRequests)
		case err != nil:
			s.refuse(h, c, command, centrifuge.ErrInternal)
		default:
			s.reply(h, c, &protocol.Reply{Id: command, Rpc: &protocol.RPCResult{Data: s.encoding.Value(answer)}})
		}
	})
}

// send puts a message into the inbox that no answer is expected to. The one way to say that it is
// not there is to end the connection: its SDK comes back.
func (s *centrifugal) send(h *Handler, c *loop.Conn, r *protocol.SendRequest) {
	if !h.node.InForce().mayPublish(s.who, "") {
		s.disconnect(h, c, centrifuge.PermissionDenied)
		return
	}
	h.tell(c, &s.guest, pubsub.Entry{Type: "message", Data: bytesOf(r.Data)}, func(err error) {
		if err != nil {
			s.disconnect(h, c, centrifuge.ServerError)
		}
	})
}

// bytesOf is a payload as the inbox has it: an empty field where it is empty.
func bytesOf(payload protocol.Raw) []byte {
	if payload == nil {
		return []byte{}
	}
	return bytes.Clone(payload)
}
