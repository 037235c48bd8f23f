// Command yamux is Go with hashicorp/yamux, with its default configuration: many streams of one connection. The first
// byte of a stream says what it is for.
package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
	"parley.benchmarks/bench"
)

const (
	// Its bytes are counted.
	sink = 'S'
	// That byte is sent back, and that is its end.
	echo = 'E'
	// That byte is sent back; then the stream stays open.
	hold = 'H'
	// Frames follow, which are sent back.
	messages = 'M'

	header      = bench.FrameHeader
	bufferBytes = 64 << 10
	frameLimit  = 64 << 10
)

func main() {
	bench.Run(bench.Start(), map[string]func(*bench.Options){
		"streams-serve": serve, "streams-bulk": bulk, "streams-beside": beside, "streams-open": open,
		"streams-hold": holdMany,
	})
}

func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	return c
}

// --- The server -----------------------------------------------------------------------------------------------

// Streams that nobody reads, without a goroutine each.
var (
	held     []net.Conn
	heldLock sync.Mutex
)

func serve(o *bench.Options) {
	listener, err := net.Listen("tcp", o.ListenAddress())
	bench.Check(err)
	bench.Ready(listener.Addr())
	for {
		conn, err := listener.Accept()
		bench.Check(err)
		session, err := yamux.Server(conn, config())
		bench.Check(err)
		go func() {
			for {
				stream, err := session.Accept()
				if err != nil {
					return
				}
				go handle(stream)
			}
		}()
	}
}

func handle(stream net.Conn) {
	var first [1]byte
	if _, err := io.ReadFull(stream, first[:]); err != nil {
		return
	}
	switch first[0] {
	case sink:
		bench.Drain(stream)
	case echo, hold:
		_, err := stream.Write(first[:])
		bench.Check(err)
		bench.Add(1, 0)
		if first[0] == echo {
			_ = stream.Close()
			return
		}
		heldLock.Lock()
		held = append(held, stream)
		heldLock.Unlock()
	case messages:
		sendBack(stream)
	}
}

func sendBack(stream net.Conn) {
	in, out := bufio.NewReaderSize(stream, bufferBytes), bufio.NewWriterSize(stream, bufferBytes)
	frame := make([]byte, header+frameLimit)
	for {
		if _, err := io.ReadFull(in, frame[:header]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint32(frame[1:]))
		if length > frameLimit {
			return
		}
		if _, err := io.ReadFull(in, frame[header:header+length]); err != nil {
			return
		}
		_, _ = out.Write(frame[:header+length])
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

// --- The other side -------------------------------------------------------------------------------------------

func dial(o *bench.Options, n int) *yamux.Session {
	conn, err := net.Dial("tcp", o.DialAddress(n))
	bench.Check(err)
	session, err := yamux.Client(conn, config())
	bench.Check(err)
	return session
}

func opened(session *yamux.Session, purpose byte) net.Conn {
	stream, err := session.Open()
	bench.Check(err)
	_, err = stream.Write([]byte{purpose})
	bench.Check(err)
	return stream
}

func fill(session *yamux.Session, chunkBytes int) {
	stream, chunk := opened(session, sink), make([]byte, chunkBytes)
	for {
		_, err := stream.Write(chunk)
		bench.Check(err)
		bench.Add(0, uint64(len(chunk)))
	}
}

func bulk(o *bench.Options) {
	session := dial(o, 0)
	bench.Ready(nil)
	for i := 0; i < o.Streams; i++ {
		go fill(session, o.Chunk)
	}
	bench.Forever()
}

// beside has round trips of messages, and from `go` on a stream beside them that is always full.
func beside(o *bench.Options) {
	session := dial(o, 0)
	stream := opened(session, messages)
	go func() {
		bench.WaitForGo()
		fill(session, o.Chunk)
	}()
	bench.Ready(nil)
	bench.RoundTrips(stream, bench.Frame(o, echo))
}

// open opens a stream, sends a byte, gets it back, and closes.
func open(o *bench.Options) {
	session := dial(o, 0)
	bench.Ready(nil)
	if o.Streams == 1 {
		for {
			begun := time.Now()
			exchangeByte(session)
			bench.RoundTrip(time.Since(begun))
		}
	}
	for i := 0; i < o.Streams; i++ {
		go func() {
			for {
				exchangeByte(session)
				bench.Add(1, 0)
			}
		}()
	}
	bench.Forever()
}

func exchangeByte(session *yamux.Session) {
	stream := opened(session, echo)
	_, err := io.ReadFull(stream, make([]byte, 1))
	bench.Check(err)
	bench.Check(stream.Close())
}

// holdMany opens more streams to each of its peers whenever it is told to, and holds them.
func holdMany(o *bench.Options) {
	sessions := make([]*yamux.Session, o.Peers)
	for n := range sessions {
		sessions[n] = dial(o, n)
	}
	bench.Ready(nil)
	for {
		bench.WaitForGo()
		for _, session := range sessions {
			streams := make([]net.Conn, o.Streams)
			for i := range streams {
				streams[i] = opened(session, hold)
			}
			for _, stream := range streams {
				_, err := io.ReadFull(stream, make([]byte, 1))
				bench.Check(err)
			}
			heldLock.Lock()
			held = append(held, streams...)
			heldLock.Unlock()
		}
		bench.Say("SENT")
	}
}
