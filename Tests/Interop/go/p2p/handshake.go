package p2p

// HandshakeFunc decides whether a new connection becomes a peer.
type HandshakeFunc func(Peer) error

// NOPHandshakeFunc accepts everyone and puts nothing on the wire.
func NOPHandshakeFunc(Peer) error { return nil }
