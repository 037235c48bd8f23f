package p2p

// The type byte in front of everything sent.
const (
	IncomingMessage = 0x1
	IncomingStream  = 0x2
)

// RPC is what a Decoder makes of the bytes a peer sent.
type RPC struct {
	From    string
	Payload []byte
	Stream  bool
}
