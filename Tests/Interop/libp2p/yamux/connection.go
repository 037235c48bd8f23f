package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"

	"github.com/flynn/noise"
	"github.com/hashicorp/yamux"
)

// --- Identities -----------------------------------------------------------------------------------------------

// What comes before an Ed25519 key in its protobuf, and before that in an id: a multihash that is the key itself.
var (
	keyPrefix    = []byte{0x08, 0x01, 0x12, 0x20}
	idPrefix     = []byte{0x00, 0x24}
	signedPrefix = []byte("noise-libp2p-static-key:")
)

func join(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func idOf(key []byte) string { return base58(join(idPrefix, keyPrefix, key)) }

func base58(bytes []byte) string {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var text []byte
	rest, base, digit := new(big.Int).SetBytes(bytes), big.NewInt(58), new(big.Int)
	for rest.Sign() > 0 {
		rest.DivMod(rest, base, digit)
		text = append([]byte{digits[digit.Int64()]}, text...)
	}
	for i := 0; i < len(bytes) && bytes[i] == 0; i++ {
		text = append([]byte{digits[0]}, text...)
	}
	return string(text)
}

// --- Protobuf: fields of bytes --------------------------------------------------------------------------------

func field(number int, value []byte) []byte {
	return join([]byte{byte(number<<3 | 2)}, binary.AppendUvarint(nil, uint64(len(value))), value)
}

func fields(message []byte) (map[int][][]byte, error) {
	found := map[int][][]byte{}
	for len(message) > 0 {
		tag, tagBytes := binary.Uvarint(message)
		if tagBytes <= 0 || tag&7 != 2 {
			return nil, fmt.Errorf("a field of kind %d", tag&7)
		}
		count, countBytes := binary.Uvarint(message[tagBytes:])
		start := tagBytes + countBytes
		if countBytes <= 0 || count > uint64(len(message)-start) {
			return nil, errors.New("a field that is cut off")
		}
		end := start + int(count)
		found[int(tag>>3)] = append(found[int(tag>>3)], message[start:end])
		message = message[end:]
	}
	return found, nil
}

// --- Noise ----------------------------------------------------------------------------------------------------

const (
	tagBytes   = 16
	maxContent = 65535 - tagBytes
)

// sealed is a connection whose bytes travel in Noise messages. One goroutine reads and one writes.
type sealed struct {
	net.Conn
	in                 *bufio.Reader
	sending, receiving *noise.CipherState
	content            []byte
	// Who is at the other end.
	remote string
}

func (s *sealed) readMessage() ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(s.in, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(s.in, message)
	return message, err
}

func (s *sealed) writeMessage(message []byte) error {
	_, err := s.Conn.Write(join(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message))
	return err
}

func (s *sealed) Read(p []byte) (int, error) {
	for len(s.content) == 0 {
		message, err := s.readMessage()
		if err != nil {
			return 0, err
		}
		if s.content, err = s.receiving.Decrypt(nil, nil, message); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.content)
	s.content = s.content[n:]
	return n, nil
}

func (s *sealed) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part := rest
		if len(part) > maxContent {
			part = part[:maxContent]
		}
		rest = rest[len(part):]
		message, err := s.sending.Encrypt(nil, nil, part)
		if err != nil {
			return 0, err
		}
		if err = s.writeMessage(message); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// handshake is Noise XX, in which both sides show an identity that has signed their Noise key.
func (s *sealed) handshake(identity ed25519.PrivateKey, isInitiator bool) error {
	suite := noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)
	static, err := suite.GenerateKeypair(rand.Reader)
	if err != nil {
		return err
	}
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: suite, Pattern: noise.HandshakeXX, Initiator: isInitiator, StaticKeypair: static,
	})
	if err != nil {
		return err
	}
	public := identity.Public().(ed25519.PublicKey)
	signature := ed25519.Sign(identity, join(signedPrefix, static.Public))
	own := join(field(1, join(keyPrefix, public)), field(2, signature))
	for turn := 0; turn < 3; turn++ {
		var first, second *noise.CipherState
		if (turn%2 == 0) == isInitiator {
			var shown, message []byte
			if turn > 0 {
				shown = own
			}
			if message, first, second, err = state.WriteMessage(nil, shown); err == nil {
				err = s.writeMessage(message)
			}
		} else {
			var message, shown []byte
			if message, err = s.readMessage(); err == nil {
				shown, first, second, err = state.ReadMessage(nil, message)
			}
			if err == nil && turn > 0 {
				err = s.identify(shown, state.PeerStatic())
			}
		}
		if err != nil {
			return err
		}
		if s.sending, s.receiving = first, second; !isInitiator {
			s.sending, s.receiving = second, first
		}
	}
	return nil
}

// identify finds out who the other side is, by the payload that it shows.
func (s *sealed) identify(payload, static []byte) error {
	shown, err := fields(payload)
	if err != nil {
		return err
	}
	if len(shown[1]) != 1 || len(shown[2]) != 1 || len(shown[1][0]) != len(keyPrefix)+ed25519.PublicKeySize {
		return errors.New("a payload without a key and a signature")
	}
	key := shown[1][0][len(keyPrefix):]
	if !ed25519.Verify(key, join(signedPrefix, static), shown[2][0]) {
		return errors.New("a Noise key that its owner has not signed")
	}
	s.remote = idOf(key)
	return nil
}

// --- multistream-select ---------------------------------------------------------------------------------------

const multistream = "/multistream/1.0.0"

func writeLine(out io.Writer, line string) error {
	_, err := out.Write(join(binary.AppendUvarint(nil, uint64(len(line)+1)), []byte(line+"\n")))
	return err
}

// oneByte reads no further than it is asked to.
type oneByte struct{ io.Reader }

func (r oneByte) ReadByte() (byte, error) {
	var one [1]byte
	_, err := io.ReadFull(r.Reader, one[:])
	return one[0], err
}

func readLine(in io.Reader) (string, error) {
	count, err := binary.ReadUvarint(oneByte{in})
	if err != nil {
		return "", err
	}
	if count == 0 || count > 1024 {
		return "", fmt.Errorf("a line of %d bytes", count)
	}
	line := make([]byte, count)
	if _, err := io.ReadFull(in, line); err != nil {
		return "", err
	}
	return string(line[:count-1]), nil
}

// propose is the side that wants a protocol.
func propose(conn io.ReadWriter, name string) error {
	for _, line := range []string{multistream, name} {
		if err := writeLine(conn, line); err != nil {
			return err
		}
	}
	for _, wanted := range []string{multistream, name} {
		if line, err := readLine(conn); err != nil {
			return err
		} else if line != wanted {
			return fmt.Errorf("%q instead of %q", line, wanted)
		}
	}
	return nil
}

// choose is the side that has protocols. It returns the one that is agreed on.
func choose(conn io.ReadWriter, isSpoken func(string) bool) (string, error) {
	if line, err := readLine(conn); err != nil || line != multistream {
		return "", fmt.Errorf("%q instead of %s, or %w", line, multistream, err)
	}
	if err := writeLine(conn, multistream); err != nil {
		return "", err
	}
	for {
		name, err := readLine(conn)
		if err != nil {
			return "", err
		}
		if isSpoken(name) {
			return name, writeLine(conn, name)
		}
		if err := writeLine(conn, "na"); err != nil {
			return "", err
		}
	}
}

// --- All of it ------------------------------------------------------------------------------------------------

// secure makes a session with many streams of a new connection, and tells who is at the other end.
func secure(conn net.Conn, identity ed25519.PrivateKey, isDialer bool) (*yamux.Session, string, error) {
	agree := func(conn io.ReadWriter, name string) error {
		if isDialer {
			return propose(conn, name)
		}
		_, err := choose(conn, func(proposed string) bool { return proposed == name })
		return err
	}
	if err := agree(conn, "/noise"); err != nil {
		return nil, "", err
	}
	s := &sealed{Conn: conn, in: bufio.NewReader(conn)}
	if err := s.handshake(identity, isDialer); err != nil {
		return nil, "", err
	}
	if err := agree(s, "/yamux/1.0.0"); err != nil {
		return nil, "", err
	}
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	if isDialer {
		session, err := yamux.Client(s, config)
		return session, s.remote, err
	}
	session, err := yamux.Server(s, config)
	return session, s.remote, err
}
