package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Run calls the function of the role that the options name.
func Run(o *Options, roles map[string]func(*Options)) {
	role, ok := roles[o.Role]
	if !ok {
		Check(fmt.Errorf("no such role: %q", o.Role))
	}
	role(o)
}

// FrameHeader is how many bytes come before a frame's payload.
const FrameHeader = 5

// Frame makes a framed message of the size that the options ask for. Its first byte says what it is for.
func Frame(o *Options, purpose byte) []byte {
	f := make([]byte, FrameHeader+o.Bytes)
	f[0] = 1
	binary.BigEndian.PutUint32(f[1:], uint32(o.Bytes))
	f[FrameHeader] = purpose
	return f
}

// Drain counts what it reads, until there is no more.
func Drain(in io.Reader) {
	buffer := make([]byte, 1<<20)
	for {
		n, err := in.Read(buffer)
		if err != nil {
			return
		}
		Add(1, uint64(n))
	}
}

// Fill writes chunks for ever, and counts them.
func Fill(out io.Writer, chunkBytes int) {
	chunk := make([]byte, chunkBytes)
	Ready(nil)
	for {
		_, err := out.Write(chunk)
		Check(err)
		Add(1, uint64(len(chunk)))
	}
}

// RoundTrips sends a message that comes back, for ever, and notes how long each takes.
func RoundTrips(conn io.ReadWriter, message []byte) {
	in := bufio.NewReaderSize(conn, 64<<10)
	answer := make([]byte, len(message))
	for {
		begun := time.Now()
		_, err := conn.Write(message)
		Check(err)
		_, err = io.ReadFull(in, answer)
		Check(err)
		RoundTrip(time.Since(begun))
	}
}
