// Command yamux is a libp2p node of other parts than go-libp2p's: hashicorp/yamux and flynn/noise, with the little
// that joins them written here. ../commands.py says what it is told to do. hashicorp/yamux cannot reset a stream, and
// reads nothing of one whose own side it has ended.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/yamux"
)

const (
	echo     = "/echo/1.0.0"
	ping     = "/ipfs/ping/1.0.0"
	identify = "/ipfs/id/1.0.0"
)

var spoken = []string{echo, "/echo/2.0.0", ping, "/count/1.0.0", "/silent/1.0.0", identify}

func isSpoken(name string) bool {
	for _, known := range spoken {
		if name == known {
			return true
		}
	}
	return false
}

// --- What it does for others ----------------------------------------------------------------------------------

func (n *node) handle(name string, s *yamux.Stream) (err error) {
	switch name {
	case identify:
		_, err = s.Write(n.introduction(s))
	case "/count/1.0.0":
		var count int64
		if count, err = io.Copy(io.Discard, s); err == nil {
			_, err = fmt.Fprint(s, count)
		}
	case "/silent/1.0.0":
		_, err = io.Copy(io.Discard, s)
	default:
		_, err = io.Copy(s, s)
	}
	return err
}

// introduction is the message of identify: who this node is, and what it speaks.
func (n *node) introduction(s *yamux.Stream) []byte {
	message := join(
		field(1, join(keyPrefix, n.identity.Public().(ed25519.PublicKey))), field(2, multiaddr(n.listener.Addr())),
		field(4, multiaddr(s.RemoteAddr())), field(5, []byte("ipfs/0.1.0")), field(6, []byte("hashicorp-yamux")),
	)
	for _, name := range spoken {
		message = append(message, field(3, []byte(name))...)
	}
	return join(binary.AppendUvarint(nil, uint64(len(message))), message)
}

// multiaddr is /ip4/ADDRESS/tcp/PORT in bytes.
func multiaddr(address net.Addr) []byte {
	tcp := address.(*net.TCPAddr)
	return join([]byte{0x04}, tcp.IP.To4(), []byte{0x06}, binary.BigEndian.AppendUint16(nil, uint16(tcp.Port)))
}

func (n *node) serve(session *yamux.Session) {
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			name, err := choose(stream, isSpoken)
			if err == nil {
				err = n.handle(name, stream)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "a stream failed:", err)
			}
		}()
	}
}

// --- What it is told to do ------------------------------------------------------------------------------------

type node struct {
	identity ed25519.PrivateKey
	listener net.Listener
	lock     sync.Mutex
	arrived  *sync.Cond
	// By who is at the other end.
	sessions map[string]*yamux.Session
	peer     string
}

func (n *node) add(conn net.Conn, isDialer bool, wanted string) (string, error) {
	session, remote, err := secure(conn, n.identity, isDialer)
	if err == nil && wanted != "" && remote != wanted {
		err = fmt.Errorf("%s answers, not %s", remote, wanted)
	}
	if err != nil {
		conn.Close()
		return "", err
	}
	n.lock.Lock()
	n.sessions[remote] = session
	n.lock.Unlock()
	n.arrived.Broadcast()
	go n.serve(session)
	return remote, nil
}

// dial takes /ip4/ADDRESS/tcp/PORT/p2p/ID.
func (n *node) dial(address string) error {
	parts := strings.Split(address, "/")
	if len(parts) != 7 {
		return fmt.Errorf("no address: %s", address)
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(parts[2], parts[4]))
	if err != nil {
		return err
	}
	n.peer, err = n.add(conn, true, parts[6])
	return err
}

func (n *node) open(name string) (*yamux.Stream, error) {
	n.lock.Lock()
	for n.sessions[n.peer] == nil {
		n.arrived.Wait()
	}
	session := n.sessions[n.peer]
	n.lock.Unlock()
	stream, err := session.OpenStream()
	if err != nil {
		return nil, err
	}
	if err = propose(stream, name); err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}

// echo does not end its side before everything is back: hashicorp/yamux reads nothing behind that.
func (n *node) echo(count int) error {
	stream, err := n.open(echo)
	if err != nil {
		return err
	}
	defer stream.Close()
	sent := pattern(count)
	written := make(chan error, 1)
	go func() {
		_, err := stream.Write(sent)
		written <- err
	}()
	answer := make([]byte, count)
	if read, err := io.ReadFull(stream, answer); err != nil {
		return fmt.Errorf("%d of %d bytes came back: %w", read, count, err)
	}
	if !bytes.Equal(answer, sent) {
		return fmt.Errorf("%d bytes came back, and others", count)
	}
	return <-written
}

func (n *node) many(streams, count int) error {
	ends := make(chan error, streams)
	for i := 0; i < streams; i++ {
		go func() { ends <- n.echo(count) }()
	}
	var failure error
	for i := 0; i < streams; i++ {
		if err := <-ends; err != nil {
			failure = err
		}
	}
	return failure
}

func (n *node) ping(count int) error {
	stream, err := n.open(ping)
	if err != nil {
		return err
	}
	defer stream.Close()
	sent, answer := make([]byte, 32), make([]byte, 32)
	for i := 0; i < count; i++ {
		if _, err = rand.Read(sent); err != nil {
			return err
		}
		if _, err = stream.Write(sent); err != nil {
			return err
		}
		if _, err = io.ReadFull(stream, answer); err != nil {
			return err
		}
		if !bytes.Equal(sent, answer) {
			return fmt.Errorf("ping %d is answered with other bytes", i)
		}
	}
	return nil
}

// isReset opens a stream that the other side resets.
func (n *node) isReset() error {
	stream, err := n.open("/reset/1.0.0")
	if err != nil {
		return err
	}
	if _, err = stream.Write([]byte("x")); err != nil {
		return err
	}
	if _, err = stream.Read(make([]byte, 1)); err == nil || err == io.EOF {
		return fmt.Errorf("a read ended with %v instead of a reset", err)
	}
	return nil
}

// identified returns the protocols that the other side says it speaks.
func (n *node) identified() ([]string, error) {
	stream, err := n.open(identify)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	bytes, err := io.ReadAll(stream)
	if err != nil {
		return nil, err
	}
	_, prefix := binary.Uvarint(bytes)
	if prefix <= 0 {
		return nil, fmt.Errorf("%d bytes, and no length", len(bytes))
	}
	said, err := fields(bytes[prefix:])
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range said[3] {
		names = append(names, string(name))
	}
	return names, nil
}

func (n *node) does(words []string) ([]string, error) {
	number := func(index int) int {
		value, err := strconv.Atoi(words[index])
		if err != nil {
			panic(err)
		}
		return value
	}
	switch words[0] {
	case "dial":
		return nil, n.dial(words[1])
	case "meet":
		n.peer = words[1]
		return nil, nil
	case "ping":
		return nil, n.ping(number(1))
	case "identified":
		return n.identified()
	case "echo":
		return nil, n.echo(number(1))
	case "many":
		return nil, n.many(number(1), number(2))
	case "count":
		// See echo.
		return []string{"skipped", "it cannot end one direction of a stream"}, nil
	case "pieces":
		// See echo.
		return []string{"skipped", "it cannot end one direction of a stream"}, nil
	case "reset":
		return nil, n.isReset()
	case "wrong":
		if _, err := n.open("/nothing/1.0.0"); err == nil {
			return nil, fmt.Errorf("a protocol was agreed on that nobody speaks")
		}
		return nil, nil
	}
	return nil, fmt.Errorf("no such command: %s", words[0])
}

// pattern is the same as in commands.py.
func pattern(count int) []byte {
	all := make([]byte, count)
	for i := range all {
		all[i] = byte(i*7 + i/251)
	}
	return all
}

func main() {
	_, identity, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	n := &node{identity: identity, sessions: map[string]*yamux.Session{}}
	n.arrived = sync.NewCond(&n.lock)
	if n.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := n.listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if _, err := n.add(conn, false, ""); err != nil {
					fmt.Fprintln(os.Stderr, "a connection failed:", err)
				}
			}()
		}
	}()
	own := idOf(identity.Public().(ed25519.PublicKey))
	fmt.Println("listening", own, n.listener.Addr().(*net.TCPAddr).Port, "cannot-reset")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if answer, err := n.does(strings.Fields(lines.Text())); err != nil {
			fmt.Println("failed", err)
		} else {
			fmt.Println("ok", strings.Join(answer, " "))
		}
	}
}
