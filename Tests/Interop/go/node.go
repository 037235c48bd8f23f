package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"parley.interop/p2p"
)

// node turns commands into calls of the transport, and what the transport
// tells into events.
type node struct {
	transport p2p.Transport

	// expected is the length of a stream, which the wire does not carry;
	// negative until a command has given it.
	expected atomic.Int64

	outLock sync.Mutex // held for a whole line
	out     io.Writer

	linksLock sync.Mutex
	links     map[p2p.Peer]*link
}

// link is a peer and the newest of its sends.
type link struct {
	peer p2p.Peer
	sent chan struct{} // closed when the newest send has returned
}

func newNode(listenAddr string, out io.Writer) *node {
	n := &node{out: out, links: make(map[p2p.Peer]*link)}
	n.expected.Store(-1)
	n.transport = p2p.NewTCPTransport(p2p.TCPTransportOpts{
		ListenAddr:    listenAddr,
		HandshakeFunc: p2p.NOPHandshakeFunc,
		Decoder:       p2p.DefaultDecoder{},
		OnPeer:        n.onPeer,
		OnStream:      n.onStream,
		OnDrop:        n.onDrop,
	})
	go n.reportMessages()
	return n
}

func (n *node) listen() error {
	if err := n.transport.ListenAndAccept(); err != nil {
		return err
	}
	n.event("listening %s", n.transport.Addr())
	return nil
}

// run obeys commands until quit or the end of input.
func (n *node) run(in io.Reader) {
	defer n.transport.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "quit" {
			return
		}
		if err := n.execute(words[0], words[1:]); err != nil {
			n.event("error %s", err)
		}
	}
}

func (n *node) execute(command string, args []string) error {
	arities := map[string]int{
		"dial": 1, "message": 3, "message-one": 3, "stream": 3, "expect": 1, "close": 1,
	}
	arity, known := arities[command]
	if !known {
		return fmt.Errorf("unknown command %q", command)
	}
	if len(args) != arity {
		return fmt.Errorf("%s takes %d arguments, not %d", command, arity, len(args))
	}

	switch command {
	case "dial":
		return n.transport.Dial(args[0])
	case "expect":
		return n.expect(args[0])
	case "close":
		return n.close(args[0])
	default:
		return n.send(command, args[0], args[1], args[2])
	}
}

func (n *node) expect(length string) error {
	expected, err := parseLength(length)
	if err != nil {
		return err
	}
	n.expected.Store(expected)
	n.event("expecting %d", expected)
	return nil
}

func (n *node) close(target string) error {
	links, err := n.selected(target)
	for _, l := range links {
		l.peer.Close()
	}
	return err
}

// send leaves the writing to goroutines, so that a peer that does not read
// cannot keep the node from its commands. Each waits for the one before it:
// sends to the same peer keep their order.
func (n *node) send(command, target, length, seed string) error {
	size, err := parseLength(length)
	if err != nil {
		return err
	}
	seedValue, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	links, err := n.selected(target)
	for _, l := range links {
		peer, before, after := l.peer, l.sent, make(chan struct{})
		l.sent = after
		go func() {
			defer close(after)
			<-before
			if err := senders[command](peer, size, seedValue); err != nil {
				n.event("error %s: %s", command, err)
				return
			}
			n.event("sent %s", peer.RemoteAddr())
		}()
	}
	return err
}

// selected finds the peers a command is meant for: those at one address, or
// all of them for "*". Finding none is an error.
func (n *node) selected(target string) ([]*link, error) {
	n.linksLock.Lock()
	defer n.linksLock.Unlock()
	var found []*link
	for peer, l := range n.links {
		if target == "*" || target == peer.RemoteAddr().String() {
			found = append(found, l)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no peer %s", target)
	}
	return found, nil
}

// onPeer registers the peer before announcing it: the event is an invitation
// to use its address in a command.
func (n *node) onPeer(peer p2p.Peer) error {
	idle := make(chan struct{})
	close(idle)
	n.linksLock.Lock()
	n.links[peer] = &link{peer: peer, sent: idle}
	n.linksLock.Unlock()

	direction := "inbound"
	if peer.(*p2p.TCPPeer).Outbound() {
		direction = "outbound"
	}
	n.event("peer %s %s", peer.RemoteAddr(), direction)
	return nil
}

func (n *node) onDrop(peer p2p.Peer, err error) {
	n.linksLock.Lock()
	delete(n.links, peer)
	n.linksLock.Unlock()
	n.event("dropped %s %s", peer.RemoteAddr(), err)
}

// onStream reads a stream of the expected length. Where that fails, the
// connection is closed before the read loop gets it back: it would take the
// rest of the stream for messages.
func (n *node) onStream(peer p2p.Peer) {
	length := n.expected.Load()
	n.event("stream %s", peer.RemoteAddr())
	if length < 0 {
		n.failStream(peer, 0, errors.New("no length expected"))
		return
	}

	hash := sha256.New()
	count, err := io.CopyN(hash, peer, length) // reads 32 KiB at a time
	if err != nil {
		n.failStream(peer, count, err)
		return
	}
	peer.CloseStream()
	n.event("streamed %s %d %x", peer.RemoteAddr(), count, hash.Sum(nil))
}

func (n *node) failStream(peer p2p.Peer, count int64, err error) {
	n.event("stream-failed %s %d %s", peer.RemoteAddr(), count, err)
	peer.Close()
	peer.CloseStream()
}

func (n *node) reportMessages() {
	for rpc := range n.transport.Consume() {
		n.event("message %s %d %x", rpc.From, len(rpc.Payload), sha256.Sum256(rpc.Payload))
	}
}

func (n *node) event(format string, args ...any) {
	n.outLock.Lock()
	defer n.outLock.Unlock()
	fmt.Fprintf(n.out, format+"\n", args...)
}

// parseLength keeps to 63 bits: lengths are added up in an int64.
func parseLength(text string) (int64, error) {
	length, err := strconv.ParseUint(text, 10, 63)
	return int64(length), err
}
