// Package p2p is the Go transport that Parley talks to on the wire, kept as
// plain as its description: one goroutine per connection, a type byte in front
// of every message or stream, and no length anywhere.
//
// It differs from what it models in these points, none visible to a peer:
//   - DefaultDecoder reports a failed first Read (see there);
//   - TCPTransportOpts has OnStream and OnDrop, and TCPPeer has Outbound,
//     through which a test observes the transport;
//   - its own notes go to the log, since a test reads standard output.
package p2p

import "net"

// Peer is a connection to another node.
type Peer interface {
	net.Conn
	Send([]byte) error
	CloseStream()
}

// Transport is a way of reaching other nodes.
type Transport interface {
	Addr() string
	Dial(string) error
	ListenAndAccept() error
	Consume() <-chan RPC
	Close() error
}
