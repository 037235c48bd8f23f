package bench

import (
	"encoding/binary"
	"io"
)

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
