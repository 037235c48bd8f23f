// Command frames is Go by itself, without the reference: a goroutine for each connection, which reads frames through a
// bufio.Reader. Its server has two doors: "channel" hands each message to one consumer over a channel; the other handles
// it where it was read and keeps nothing, which is the most that Go can do.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"parley.benchmarks/bench"
)

const (
	header      = bench.FrameHeader
	echo        = 'E'
	bufferBytes = 64 << 10
	frameLimit  = 64 << 10
)

func main() {
	bench.Run(bench.Start(), map[string]func(*bench.Options){
		"serve": serve, "ping": ping, "flood": flood,
		"bulk-serve": bulkServe, "bulk": bulk,
		"file-serve": fileServe, "file": sendFile,
		"greet-serve": greetServe, "greet": greet,
	})
}

func listen(o *bench.Options, handle func(net.Conn)) {
	listener, err := net.Listen("tcp", o.ListenAddress())
	bench.Check(err)
	bench.Ready(listener.Addr())
	for {
		conn, err := listener.Accept()
		bench.Check(err)
		go handle(conn)
	}
}

func dial(o *bench.Options, n int) net.Conn {
	conn, err := net.Dial("tcp", o.DialAddress(n))
	bench.Check(err)
	return conn
}

// --- Messages ------------------------------------------------------------------------------------------------

func serve(o *bench.Options) {
	if o.Door == "channel" {
		serveByChannel(o)
		return
	}
	listen(o, func(conn net.Conn) {
		defer conn.Close()
		in := bufio.NewReaderSize(conn, bufferBytes)
		var out *bufio.Writer
		var head [header]byte
		var payload []byte
		for {
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			length := int(binary.BigEndian.Uint32(head[1:]))
			if length > frameLimit {
				return
			}
			if cap(payload) < length {
				payload = make([]byte, length)
			}
			payload = payload[:length]
			if _, err := io.ReadFull(in, payload); err != nil {
				return
			}
			bench.Add(1, uint64(header+length))
			if length == 0 || payload[0] != echo {
				continue
			}
			if out == nil {
				out = bufio.NewWriterSize(conn, bufferBytes)
			}
			_, _ = out.Write(head[:])
			_, _ = out.Write(payload)
			if in.Buffered() == 0 && out.Flush() != nil {
				return
			}
		}
	})
}

// rpc is a message of its own: the consumer may keep it.
type rpc struct {
	from    *peer
	payload []byte
}

type peer struct {
	out *bufio.Writer
}

func serveByChannel(o *bench.Options) {
	// As many as the reference's channel holds.
	rpcs := make(chan rpc, 1024)
	go consume(rpcs)
	listen(o, func(conn net.Conn) {
		defer conn.Close()
		in := bufio.NewReaderSize(conn, bufferBytes)
		from := &peer{out: bufio.NewWriterSize(conn, bufferBytes)}
		var head [header]byte
		for {
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			length := int(binary.BigEndian.Uint32(head[1:]))
			if length > frameLimit {
				return
			}
			payload := make([]byte, length)
			if _, err := io.ReadFull(in, payload); err != nil {
				return
			}
			rpcs <- rpc{from, payload}
		}
	})
}

func consume(rpcs <-chan rpc) {
	for rpc := range rpcs {
		bench.Add(1, uint64(header+len(rpc.payload)))
		if len(rpc.payload) == 0 || rpc.payload[0] != echo {
			continue
		}
		head := [header]byte{1}
		binary.BigEndian.PutUint32(head[1:], uint32(len(rpc.payload)))
		_, _ = rpc.from.out.Write(head[:])
		_, _ = rpc.from.out.Write(rpc.payload)
		if rpc.from.out.Flush() != nil {
			continue
		}
	}
}

func ping(o *bench.Options) {
	conn := dial(o, 0)
	in, out := bufio.NewReaderSize(conn, bufferBytes), bufio.NewWriterSize(conn, bufferBytes)
	message := bench.Frame(o, echo)
	answer := make([]byte, len(message))
	bench.Ready(nil)
	for {
		begun := time.Now()
		_, _ = out.Write(message)
		bench.Check(out.Flush())
		_, err := io.ReadFull(in, answer)
		bench.Check(err)
		bench.RoundTrip(time.Since(begun))
	}
}

func flood(o *bench.Options) {
	out := bufio.NewWriterSize(dial(o, 0), 256<<10)
	message := bench.Frame(o, 'S')
	bench.Ready(nil)
	for {
		_, err := out.Write(message)
		bench.Check(err)
		bench.Add(1, uint64(len(message)))
	}
}

// --- Streams and files ---------------------------------------------------------------------------------------

func bulkServe(o *bench.Options) { listen(o, func(conn net.Conn) { bench.Drain(conn) }) }

func bulk(o *bench.Options) { bench.Fill(dial(o, 0), o.Chunk) }

// counted passes a file's bytes on in pieces, and counts them.
type counted struct{ *os.File }

func (c counted) Write(p []byte) (int, error) {
	n, err := c.File.Write(p)
	bench.Add(0, uint64(n))
	return n, err
}

// The file is wrapped so that it is copied in pieces: spliced, it would count only when it is whole.
func fileServe(o *bench.Options) {
	listen(o, func(conn net.Conn) {
		buffer := make([]byte, 1<<20)
		for n := 0; ; n++ {
			var length [8]byte
			if _, err := io.ReadFull(conn, length[:]); err != nil {
				return
			}
			path := fmt.Sprintf("%s/received-%d", o.Path, n)
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			bench.Check(err)
			to := struct{ io.Writer }{counted{file}}
			from := io.LimitReader(conn, int64(binary.LittleEndian.Uint64(length[:])))
			_, err = io.CopyBuffer(to, from, buffer)
			bench.Check(err)
			bench.Check(file.Close())
			bench.Add(1, 0)
			_, err = conn.Write([]byte("!"))
			bench.Check(err)
			bench.Check(os.Remove(path))
		}
	})
}

func sendFile(o *bench.Options) {
	conn := dial(o, 0)
	file, err := os.Open(o.Path)
	bench.Check(err)
	status, err := file.Stat()
	bench.Check(err)
	bench.Ready(nil)
	for {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(status.Size()))
		_, err = conn.Write(length[:])
		bench.Check(err)
		_, err = file.Seek(0, io.SeekStart)
		bench.Check(err)
		// sendfile, by way of TCPConn.ReadFrom.
		_, err = io.Copy(conn, file)
		bench.Check(err)
		var answer [1]byte
		_, err = io.ReadFull(conn, answer[:])
		bench.Check(err)
		bench.Add(1, uint64(status.Size()))
	}
}

// --- Connecting ----------------------------------------------------------------------------------------------

func greetServe(o *bench.Options) {
	listen(o, func(conn net.Conn) {
		defer conn.Close()
		var greeting [8]byte
		if _, err := io.ReadFull(conn, greeting[:]); err != nil {
			return
		}
		bench.Add(1, 8)
		_, _ = conn.Write(greeting[:])
		_, _ = conn.Read(greeting[:])
	})
}

func greet(o *bench.Options) {
	bench.Ready(nil)
	for chain := 0; chain < o.Peers; chain++ {
		go func(n int) {
			for ; ; n += o.Peers {
				conn := dial(o, n)
				_, err := conn.Write([]byte("greeting"))
				bench.Check(err)
				var answer [8]byte
				_, err = io.ReadFull(conn, answer[:])
				bench.Check(err)
				bench.Check(conn.Close())
				bench.Add(1, 8)
			}
		}(chain)
	}
	bench.Forever()
}
