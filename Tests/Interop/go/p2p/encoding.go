package p2p

import "io"

// Decoder reads one RPC.
type Decoder interface {
	Decode(io.Reader, *RPC) error
}

// DefaultDecoder reads a type byte and, for a message, whatever one further
// Read returns.
//
// The wire carries no length, so a message's end is wherever that Read stops:
// a payload in two TCP segments may be cut short, and one followed at once by
// another frame may swallow it. Senders must leave a pause between frames.
type DefaultDecoder struct{}

// Decode fills msg, leaving a stream's bytes unread.
func (dec DefaultDecoder) Decode(r io.Reader, msg *RPC) error {
	peekBuf := make([]byte, 1)
	if _, err := r.Read(peekBuf); err != nil {
		// The one change of behaviour against the original, which returns nil
		// here and so decodes empty messages for ever once a peer has hung up.
		return err
	}

	stream := peekBuf[0] == IncomingStream
	if stream {
		msg.Stream = true
		return nil
	}

	buf := make([]byte, 1028)
	n, err := r.Read(buf)
	if err != nil {
		return err
	}

	msg.Payload = buf[:n]

	return nil
}
