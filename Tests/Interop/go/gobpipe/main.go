// Command gobpipe reads RPC values in gob from its input and writes each back to its output, re-encoded by
// Go.
//
//	gobpipe [-fresh] [-per-message] [-from name]
//
// With -fresh it makes a decoder for each value, otherwise one for the whole input. With -per-message it
// makes an encoder for each value, otherwise one for the whole output. It ends with status 0 at the end of
// the input, and with status 1 and a line on its error output when either side fails.
package main

import (
	"bufio"
	"encoding/gob"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// RPC is the reference's message.
type RPC struct {
	From    string
	Payload []byte
	Stream  bool
}

func main() {
	fresh := flag.Bool("fresh", false, "decode each value with a decoder of its own")
	perMessage := flag.Bool("per-message", false, "encode each value with an encoder of its own")
	from := flag.String("from", "", "send this as From instead of what arrived")
	flag.Parse()

	if err := pipe(*fresh, *perMessage, *from); err != nil {
		fmt.Fprintln(os.Stderr, "gobpipe:", err)
		os.Exit(1)
	}
}

func pipe(fresh, perMessage bool, from string) error {
	// A bufio.Reader is an io.ByteReader, which keeps a decoder from putting a buffer of its own in front:
	// what that one read ahead would be lost to the next decoder.
	in := bufio.NewReaderSize(os.Stdin, 64<<10)
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	dec := gob.NewDecoder(in)
	enc := gob.NewEncoder(out)
	for count := 0; ; count++ {
		if fresh {
			dec = gob.NewDecoder(in)
		}
		var rpc RPC
		if err := dec.Decode(&rpc); errors.Is(err, io.EOF) {
			return out.Flush()
		} else if err != nil {
			return fmt.Errorf("decode value %d: %w", count, err)
		}
		if from != "" {
			rpc.From = from
		}
		if perMessage {
			enc = gob.NewEncoder(out)
		}
		if err := enc.Encode(rpc); err != nil {
			return fmt.Errorf("encode value %d: %w", count, err)
		}
		// Answer before waiting for more, so that a peer may send one value at a time.
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}
