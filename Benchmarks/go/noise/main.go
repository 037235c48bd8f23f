// Command noise is Go with flynn/noise: the same handshake as Parley's, Noise_XX_25519_ChaChaPoly_SHA256, with a key
// that an Ed25519 identity has signed, and messages of up to 65,535 bytes behind their length. Frames are as in the
// command frames, read where they arrive.
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/flynn/noise"
	"parley.benchmarks/bench"
)

const (
	header      = bench.FrameHeader
	echo        = 'E'
	bufferBytes = 64 << 10
	frameLimit  = 64 << 10
	tagBytes    = 16
	maxContent  = 65535 - tagBytes
)

func main() {
	bench.Run(bench.Start(), map[string]func(*bench.Options){
		"serve": serve, "ping": ping, "flood": flood, "bulk-serve": bulkServe, "bulk": bulk,
		"greet-serve": greetServe, "greet": greet,
	})
}

// --- The secured connection -----------------------------------------------------------------------------------

var (
	suite        = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)
	static       noise.DHKey
	payload      []byte
	signedPrefix = []byte("noise-libp2p-static-key:")
)

func init() {
	var err error
	static, err = suite.GenerateKeypair(rand.Reader)
	bench.Check(err)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	bench.Check(err)
	payload = append(public, ed25519.Sign(private, append(append([]byte{}, signedPrefix...), static.Public...))...)
}

// sealed is a connection whose bytes travel in Noise messages.
type sealed struct {
	net.Conn
	in        *bufio.Reader
	sending   *noise.CipherState
	receiving *noise.CipherState
	message   []byte
	content   []byte
	out       []byte
}

func (s *sealed) readMessage() ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(s.in, length[:]); err != nil {
		return nil, err
	}
	message := s.message[:binary.BigEndian.Uint16(length[:])]
	_, err := io.ReadFull(s.in, message)
	return message, err
}

func (s *sealed) writeMessage(message []byte) error {
	out := binary.BigEndian.AppendUint16(s.out[:0], uint16(len(message)))
	_, err := s.Conn.Write(append(out, message...))
	return err
}

func (s *sealed) Read(p []byte) (int, error) {
	for len(s.content) == 0 {
		message, err := s.readMessage()
		if err != nil {
			return 0, err
		}
		if s.content, err = s.receiving.Decrypt(message[:0], nil, message); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.content)
	s.content = s.content[n:]
	return n, nil
}

// Write seals as much as fits into one message at a time, and writes all of it at once.
func (s *sealed) Write(p []byte) (int, error) {
	out := s.out[:0]
	for rest := p; len(rest) > 0; {
		part := rest
		if len(part) > maxContent {
			part = part[:maxContent]
		}
		rest = rest[len(part):]
		out = binary.BigEndian.AppendUint16(out, uint16(len(part)+tagBytes))
		var err error
		if out, err = s.sending.Encrypt(out, nil, part); err != nil {
			return 0, err
		}
	}
	s.out = out
	if _, err := s.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func secure(conn net.Conn, isInitiator bool) (*sealed, error) {
	s := &sealed{Conn: conn, in: bufio.NewReaderSize(conn, bufferBytes), message: make([]byte, 65535)}
	handshake, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: suite, Pattern: noise.HandshakeXX, Initiator: isInitiator, StaticKeypair: static,
	})
	if err != nil {
		return nil, err
	}
	for turn := 0; turn < 3; turn++ {
		var first, second *noise.CipherState
		if (turn%2 == 0) == isInitiator {
			var shown, message []byte
			if turn > 0 {
				shown = payload
			}
			if message, first, second, err = handshake.WriteMessage(nil, shown); err != nil {
				return nil, err
			}
			if err = s.writeMessage(message); err != nil {
				return nil, err
			}
		} else {
			var message, shown []byte
			if message, err = s.readMessage(); err != nil {
				return nil, err
			}
			if shown, first, second, err = handshake.ReadMessage(nil, message); err != nil {
				return nil, err
			}
			if turn > 0 && !isSigned(shown, handshake.PeerStatic()) {
				return nil, errors.New("a key that nobody has signed")
			}
		}
		if s.sending, s.receiving = first, second; !isInitiator {
			s.sending, s.receiving = second, first
		}
	}
	return s, nil
}

func isSigned(shown, key []byte) bool {
	if len(shown) != ed25519.PublicKeySize+ed25519.SignatureSize {
		return false
	}
	public := ed25519.PublicKey(shown[:ed25519.PublicKeySize])
	return ed25519.Verify(public, append(append([]byte{}, signedPrefix...), key...), shown[ed25519.PublicKeySize:])
}

func listen(o *bench.Options, handle func(*sealed)) {
	listener, err := net.Listen("tcp", o.ListenAddress())
	bench.Check(err)
	bench.Ready(listener.Addr())
	for {
		conn, err := listener.Accept()
		bench.Check(err)
		go func() {
			defer conn.Close()
			if s, err := secure(conn, false); err == nil {
				handle(s)
			}
		}()
	}
}

func dial(o *bench.Options, n int) *sealed {
	conn, err := net.Dial("tcp", o.DialAddress(n))
	bench.Check(err)
	s, err := secure(conn, true)
	bench.Check(err)
	return s
}

// --- Messages -------------------------------------------------------------------------------------------------

func serve(o *bench.Options) {
	listen(o, func(s *sealed) {
		in, out := bufio.NewReaderSize(s, bufferBytes), bufio.NewWriterSize(s, maxContent)
		var head [header]byte
		payload := make([]byte, frameLimit)
		for {
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			length := int(binary.BigEndian.Uint32(head[1:]))
			if length > frameLimit {
				return
			}
			payload = payload[:length]
			if _, err := io.ReadFull(in, payload); err != nil {
				return
			}
			bench.Add(1, uint64(header+length))
			if length == 0 || payload[0] != echo {
				continue
			}
			_, _ = out.Write(head[:])
			_, _ = out.Write(payload)
			if in.Buffered() == 0 && out.Flush() != nil {
				return
			}
		}
	})
}

func ping(o *bench.Options) {
	s := dial(o, 0)
	bench.Ready(nil)
	bench.RoundTrips(s, bench.Frame(o, echo))
}

func flood(o *bench.Options) {
	out := bufio.NewWriterSize(dial(o, 0), 4*maxContent)
	message := bench.Frame(o, 'S')
	bench.Ready(nil)
	for {
		_, err := out.Write(message)
		bench.Check(err)
		bench.Add(1, uint64(len(message)))
	}
}

// --- Streams --------------------------------------------------------------------------------------------------

func bulkServe(o *bench.Options) { listen(o, func(s *sealed) { bench.Drain(s) }) }

func bulk(o *bench.Options) { bench.Fill(dial(o, 0), o.Chunk) }

// --- Handshakes -----------------------------------------------------------------------------------------------

func greetServe(o *bench.Options) {
	listen(o, func(s *sealed) {
		bench.Add(1, 0)
		_, _ = s.Read(make([]byte, 1))
	})
}

func greet(o *bench.Options) {
	bench.Ready(nil)
	for chain := 0; chain < o.Peers; chain++ {
		go func(n int) {
			for ; ; n += o.Peers {
				bench.Check(dial(o, n).Close())
				bench.Add(1, 0)
			}
		}(chain)
	}
	bench.Forever()
}
