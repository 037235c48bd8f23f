package p2p

import (
	"errors"
	"log"
	"net"
	"sync"
)

// TCPPeer is one TCP connection to another node.
type TCPPeer struct {
	net.Conn
	outbound bool            // true if this side dialled
	wg       *sync.WaitGroup // held while a stream is being read
}

// NewTCPPeer wraps an established connection.
func NewTCPPeer(conn net.Conn, outbound bool) *TCPPeer {
	return &TCPPeer{
		Conn:     conn,
		outbound: outbound,
		wg:       &sync.WaitGroup{},
	}
}

// Send writes b as it is: the type byte is the caller's business.
func (p *TCPPeer) Send(b []byte) error {
	_, err := p.Conn.Write(b)
	return err
}

// CloseStream gives the connection back to the read loop.
func (p *TCPPeer) CloseStream() {
	p.wg.Done()
}

// Outbound tells a test which side dialled.
func (p *TCPPeer) Outbound() bool {
	return p.outbound
}

// TCPTransportOpts configures a TCPTransport.
type TCPTransportOpts struct {
	ListenAddr    string
	HandshakeFunc HandshakeFunc
	Decoder       Decoder
	OnPeer        func(Peer) error

	// OnStream and OnDrop exist for a test's observation only: otherwise
	// nobody is told that a stream has begun or that a peer is gone. OnStream
	// runs in a goroutine of its own and has to end with CloseStream.
	OnStream func(Peer)
	OnDrop   func(Peer, error)
}

// TCPTransport is the Transport over TCP.
type TCPTransport struct {
	TCPTransportOpts
	listener net.Listener
	rpcch    chan RPC
}

// NewTCPTransport makes a transport that neither listens nor dials yet.
func NewTCPTransport(opts TCPTransportOpts) *TCPTransport {
	return &TCPTransport{
		TCPTransportOpts: opts,
		rpcch:            make(chan RPC, 1024),
	}
}

// Addr is the address listened on, with the real port once there is one.
func (t *TCPTransport) Addr() string {
	if t.listener == nil {
		return t.ListenAddr
	}
	return t.listener.Addr().String()
}

// Consume is where messages, but not streams, arrive.
func (t *TCPTransport) Consume() <-chan RPC {
	return t.rpcch
}

// Close stops listening; connections are closed through their peers.
func (t *TCPTransport) Close() error {
	if t.listener == nil {
		return nil
	}
	return t.listener.Close()
}

// Dial returns once connected, before the handshake and OnPeer have run.
func (t *TCPTransport) Dial(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}

	go t.handleConn(conn, true)

	return nil
}

// ListenAndAccept starts listening and returns.
func (t *TCPTransport) ListenAndAccept() error {
	var err error

	t.listener, err = net.Listen("tcp", t.ListenAddr)
	if err != nil {
		return err
	}

	go t.startAcceptLoop()

	log.Printf("TCP transport listening on port: %s\n", t.ListenAddr)

	return nil
}

func (t *TCPTransport) startAcceptLoop() {
	for {
		conn, err := t.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}

		// As in the original, any other failure goes on with a nil connection
		// and so ends the program: a test notices that at once.
		if err != nil {
			log.Printf("TCP accept error: %s\n", err)
		}

		go t.handleConn(conn, false)
	}
}

func (t *TCPTransport) handleConn(conn net.Conn, outbound bool) {
	var err error

	peer := NewTCPPeer(conn, outbound)

	defer func() {
		log.Printf("dropping peer connection: %s", err)
		conn.Close()
		if t.OnDrop != nil {
			t.OnDrop(peer, err)
		}
	}()

	if err = t.HandshakeFunc(peer); err != nil {
		return
	}

	if t.OnPeer != nil {
		if err = t.OnPeer(peer); err != nil {
			return
		}
	}

	for {
		rpc := RPC{}
		err = t.Decoder.Decode(conn, &rpc)
		if err != nil {
			return
		}

		rpc.From = conn.RemoteAddr().String()

		if rpc.Stream {
			peer.wg.Add(1)
			if t.OnStream != nil {
				go t.OnStream(peer)
			}
			log.Printf("[%s] incoming stream, waiting...\n", conn.RemoteAddr())
			peer.wg.Wait()
			log.Printf("[%s] stream closed, resuming read loop\n", conn.RemoteAddr())
			continue
		}

		t.rpcch <- rpc
	}
}
