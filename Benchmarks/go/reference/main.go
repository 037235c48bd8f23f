// Command reference is the package that Parley descends from, as the interop tests have it, used as its users do:
// one loop over Consume, and Send for each message with its type byte in front. Its door "bufio" puts a decoder of
// frames with a buffer into the same package.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"parley.benchmarks/bench"
	"parley.interop/p2p"
)

const echo = 'E'

func main() {
	// The reference logs each connection; to nowhere, since that is no part of what is measured.
	log.SetOutput(io.Discard)
	bench.Run(bench.Start(), map[string]func(*bench.Options){
		"serve": serve, "ping": ping, "flood": flood, "bulk-serve": bulkServe, "bulk": bulk,
		"greet-serve": greetServe, "greet": greet,
	})
}

// framed reads frames through a buffer for each connection.
type framed struct{ readers sync.Map }

const header = 5

func (f *framed) Decode(conn io.Reader, rpc *p2p.RPC) error {
	in, ok := f.readers.Load(conn)
	if !ok {
		in, _ = f.readers.LoadOrStore(conn, bufio.NewReaderSize(conn, 64<<10))
	}
	var head [header]byte
	if _, err := io.ReadFull(in.(*bufio.Reader), head[:]); err != nil {
		f.readers.Delete(conn)
		return err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > 64<<10 {
		return fmt.Errorf("a frame of %d bytes", length)
	}
	rpc.Payload = make([]byte, length)
	_, err := io.ReadFull(in.(*bufio.Reader), rpc.Payload)
	return err
}

func decoder(o *bench.Options) p2p.Decoder {
	if o.Door == "bufio" {
		return &framed{}
	}
	return p2p.DefaultDecoder{}
}

// encoded is a payload with what goes before it.
func encoded(o *bench.Options, payload []byte) []byte {
	if o.Door != "bufio" {
		return append([]byte{p2p.IncomingMessage}, payload...)
	}
	m := make([]byte, header, header+len(payload))
	m[0] = p2p.IncomingMessage
	binary.BigEndian.PutUint32(m[1:], uint32(len(payload)))
	return append(m, payload...)
}

func transport(o *bench.Options, onPeer func(p2p.Peer) error, onStream func(p2p.Peer)) *p2p.TCPTransport {
	return p2p.NewTCPTransport(p2p.TCPTransportOpts{
		ListenAddr:    o.ListenAddress(),
		HandshakeFunc: p2p.NOPHandshakeFunc,
		Decoder:       decoder(o),
		OnPeer:        onPeer,
		OnStream:      onStream,
	})
}

func listen(t *p2p.TCPTransport) {
	bench.Check(t.ListenAndAccept())
	addr, err := net.ResolveTCPAddr("tcp", t.Addr())
	bench.Check(err)
	bench.Ready(addr)
}

// dial returns the peer, which the reference hands to OnPeer alone.
func dial(o *bench.Options, t *p2p.TCPTransport, peers <-chan p2p.Peer) p2p.Peer {
	bench.Check(t.Dial(o.DialAddress(0)))
	peer := <-peers
	bench.Ready(nil)
	return peer
}

func message(o *bench.Options, purpose byte) []byte {
	payload := make([]byte, o.Bytes)
	payload[0] = purpose
	return encoded(o, payload)
}

func serve(o *bench.Options) {
	var peers sync.Map
	t := transport(o, func(p p2p.Peer) error {
		peers.Store(p.RemoteAddr().String(), p)
		return nil
	}, nil)
	listen(t)
	for rpc := range t.Consume() {
		bench.Add(1, uint64(len(rpc.Payload)))
		if rpc.Payload[0] != echo {
			continue
		}
		if peer, ok := peers.Load(rpc.From); ok {
			_ = peer.(p2p.Peer).Send(encoded(o, rpc.Payload))
		}
	}
}

func newClient(o *bench.Options) (*p2p.TCPTransport, chan p2p.Peer) {
	peers := make(chan p2p.Peer, 1)
	return transport(o, func(p p2p.Peer) error {
		peers <- p
		return nil
	}, nil), peers
}

func ping(o *bench.Options) {
	t, peers := newClient(o)
	peer := dial(o, t, peers)
	m := message(o, echo)
	for {
		begun := time.Now()
		bench.Check(peer.Send(m))
		<-t.Consume()
		bench.RoundTrip(time.Since(begun))
	}
}

func flood(o *bench.Options) {
	t, peers := newClient(o)
	peer := dial(o, t, peers)
	m := message(o, 'S')
	send := peer.Send
	if o.Door == "bufio" {
		out := bufio.NewWriterSize(peer, 64<<10)
		send = func(m []byte) error {
			_, err := out.Write(m)
			return err
		}
	}
	for {
		bench.Check(send(m))
		bench.Add(1, uint64(len(m)))
	}
}

func bulkServe(o *bench.Options) {
	listen(transport(o, nil, func(p p2p.Peer) {
		buffer := make([]byte, 1<<20)
		for {
			n, err := p.Read(buffer)
			if err != nil {
				bench.Forever()
			}
			bench.Add(1, uint64(n))
		}
	}))
	bench.Forever()
}

func bulk(o *bench.Options) {
	t, peers := newClient(o)
	peer := dial(o, t, peers)
	bench.Check(peer.Send([]byte{p2p.IncomingStream}))
	chunk := make([]byte, o.Chunk)
	for {
		bench.Check(peer.Send(chunk))
		bench.Add(1, uint64(len(chunk)))
	}
}

// --- A greeting is the handshake -----------------------------------------------------------------------------

func greetServe(o *bench.Options) {
	listen(p2p.NewTCPTransport(p2p.TCPTransportOpts{
		ListenAddr: o.ListenAddress(),
		Decoder:    p2p.DefaultDecoder{},
		HandshakeFunc: func(p p2p.Peer) error {
			var greeting [8]byte
			if _, err := io.ReadFull(p, greeting[:]); err != nil {
				return err
			}
			bench.Add(1, 8)
			return p.Send(greeting[:])
		},
	}))
	bench.Forever()
}

func greet(o *bench.Options) {
	bench.Ready(nil)
	for chain := 0; chain < o.Peers; chain++ {
		go greetInTurn(o, chain)
	}
	bench.Forever()
}

func greetInTurn(o *bench.Options, n int) {
	greeted := make(chan p2p.Peer)
	t := p2p.NewTCPTransport(p2p.TCPTransportOpts{
		Decoder: p2p.DefaultDecoder{},
		HandshakeFunc: func(p p2p.Peer) error {
			if err := p.Send([]byte("greeting")); err != nil {
				return err
			}
			var answer [8]byte
			_, err := io.ReadFull(p, answer[:])
			return err
		},
		OnPeer: func(p p2p.Peer) error {
			greeted <- p
			return nil
		},
	})
	for ; ; n += o.Peers {
		bench.Check(t.Dial(o.DialAddress(n)))
		peer := <-greeted
		_ = peer.Close()
		bench.Add(1, 8)
	}
}
