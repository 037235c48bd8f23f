// Command gobgolden prints Tests/ParleyTests/GOBGolden.swift: streams made by Go's encoding/gob, and what a
// reader of RPC values has to find in them.
//
//	go run ./gobgolden > ../../ParleyTests/GOBGolden.swift
//
// Go gives type ids away in the order in which a process first meets its types (from 65 on in older releases,
// from 64 on in newer ones), so the bytes depend on the order of the cases here and on the release, which the
// file names.
package main

import (
	"bytes"
	"encoding/gob"
	"errors"
	"io"
	"log"
	"os"
	"strings"
)

// RPC is the reference's message.
type RPC struct {
	From    string
	Payload []byte
	Stream  bool
}

// golden is one stream and what it holds.
type golden struct {
	name    string
	stream  []byte
	rpcs    []RPC
	reading reading
	// What Go says, when it is not an RPC that the stream holds.
	refusal string
}

// reading is how Go can be made to read a stream.
type reading int

const (
	withOneDecoder reading = iota
	withOneDecoderEach
	// Go 1.19 cannot skip a nil interface value inside a slice, nor an interface value inside another whose
	// type it has not seen, though it writes both, and can read them into fields that it knows.
	notAtAll
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gobgolden: ")
	if len(os.Args) == 2 && os.Args[1] == otherProcess {
		writeAsOtherProcess(os.Stdout)
		return
	}
	// The plain ones come first: there RPC has to have the first id of all.
	var all []golden
	for _, some := range []func() []golden{
		plain, lengths, shapes, skippedScalars, skippedParts, skippedCodes, interfaces, startedOver, refused,
	} {
		all = append(all, some()...)
	}
	for _, g := range all {
		g.check()
	}
	print(os.Stdout, all)
}

// fromOne is what one encoder makes of the values.
func fromOne(values ...any) []byte {
	var out bytes.Buffer
	enc := gob.NewEncoder(&out)
	for _, value := range values {
		if err := enc.Encode(value); err != nil {
			log.Fatal(err)
		}
	}
	return out.Bytes()
}

// fromOneEach is what an encoder for each value makes of them.
func fromOneEach(values ...any) []byte {
	var out []byte
	for _, value := range values {
		out = append(out, fromOne(value)...)
	}
	return out
}

// check lets Go read the stream, so that what is expected of others is what Go does itself.
func (g golden) check() {
	in := bytes.NewReader(g.stream) // an io.ByteReader: no decoder reads ahead
	dec := gob.NewDecoder(in)
	var rpcs []RPC
	var err error
	for err == nil {
		if g.reading == withOneDecoderEach {
			dec = gob.NewDecoder(in)
		}
		var rpc RPC
		if err = dec.Decode(&rpc); err == nil {
			rpcs = append(rpcs, rpc)
		}
	}
	switch {
	case g.refusal != "":
		if !strings.Contains(err.Error(), g.refusal) {
			log.Fatalf("%s: Go says %q, not %q", g.name, err, g.refusal)
		}
	case g.reading == notAtAll:
	case !errors.Is(err, io.EOF) || !same(rpcs, g.rpcs):
		log.Fatalf("%s: Go reads %v, then says %v", g.name, rpcs, err)
	}
}

func same(a, b []RPC) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i].Payload, b[i].Payload) || a[i].Stream != b[i].Stream {
			return false
		}
	}
	return true
}

// counting is a payload that does not have to be written out: 0, 1, 2 ... 255, 0 ...
func counting(length int) []byte {
	payload := make([]byte, length)
	for i := range payload {
		payload[i] = byte(i)
	}
	return payload
}

func text(s string) []byte { return []byte(s) }

func message(s string) []RPC { return []RPC{{Payload: text(s)}} }
