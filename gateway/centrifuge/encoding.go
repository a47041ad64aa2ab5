package centrifuge

import (
	"encoding/binary"
	"errors"
	"io"
	"iter"

	"github.com/centrifugal/protocol"

	"sluice/codec"
)

// Encoding is how a connection's messages are written.
type Encoding uint8

// The encodings.
const (
	JSON Encoding = iota
	Protobuf
)

// The subprotocols (Sec-WebSocket-Protocol) by which clients choose. One that offers
// none of them speaks JSON.
const (
	SubprotocolJSON     = "centrifuge-json"
	SubprotocolProtobuf = "centrifuge-protobuf"
)

// Opcode is the type of the frames: a page that asked for protobuf wants bytes.
func (e Encoding) Opcode() codec.Opcode {
	if e == Protobuf {
		return codec.OpBinary
	}
	return codec.OpText
}

// ErrMalformed is what a frame is that cannot be read.
var ErrMalformed = errors.New("centrifuge: a frame is malformed")

// Commands are the commands of a frame, in their order. A malformed one ends them
// with ErrMalformed. A command's strings are parts of the frame: they are dead when the
// frame is; its payloads are copies. How deep values may be nested is bounded by
// package protocol.
func (e Encoding) Commands(frame []byte) iter.Seq2[*protocol.Command, error] {
	return func(yield func(*protocol.Command, error) bool) {
		decoder := e.decoder(frame)
		for {
			command, err := decoder.Decode()
			if command == nil || err != nil && !errors.Is(err, io.EOF) {
				yield(nil, ErrMalformed)
				return
			}
			if !yield(command, nil) || err != nil {
				return
			}
		}
	}
}

func (e Encoding) decoder(frame []byte) protocol.CommandDecoder {
	if e == Protobuf {
		return protocol.NewProtobufCommandDecoder(frame)
	}
	return protocol.NewJSONCommandDecoder(frame)
}

// Append puts a reply behind those that a frame has already. Its payloads are JSON
// values where the encoding is JSON (Value), of which it keeps nothing.
func (e Encoding) Append(frame []byte, r *protocol.Reply) []byte {
	if e == Protobuf {
		size := r.SizeCF()
		frame = binary.AppendUvarint(frame, uint64(size))
		start := len(frame)
		frame = append(frame, make([]byte, size)...)
		if n, err := r.MarshalToSizedBufferCF(frame[start:]); err != nil || n != size {
			panic("centrifuge: a reply has another size than it says") // a bug of package protocol
		}
		return frame
	}
	if len(frame) > 0 {
		frame = append(frame, '\n')
	}
	return r.AppendJSON(frame)
}

// Ping is the frame's content by which the server asks a client whether it is there:
// a reply in which nothing is set. The client answers with such a command.
func (e Encoding) Ping() []byte { return e.Append(nil, &protocol.Reply{}) }
