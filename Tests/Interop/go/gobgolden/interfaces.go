package main

import (
	"encoding/gob"
	"io"
	"log"
	"os"
	"os/exec"
	"time"
)

// circle and its likes are sent inside interface values, which Go allows for registered types only.
type circle struct{ R float64 }
type square struct {
	Side  int
	Inner any
}
type label string
type grid [2][]circle

func init() {
	for _, value := range []any{circle{}, square{}, label(""), grid{}, time.Time{}, RPC{}} {
		gob.Register(value)
	}
}

// interfaces hold a value behind the name and the id of its type. Where a type is new, Go ends the message,
// sends the definition in the same breath, and goes on with the value in the next message.
func interfaces() []golden {
	type held struct {
		Before  any
		Payload []byte
		After   any
	}
	type several struct {
		All     []any
		Payload []byte
		More    map[string]any
	}
	deep := square{1, square{2, square{3, label("bottom")}}}
	first := held{circle{1}, text("p"), label("l")}
	second := held{label("l"), text("q"), circle{1}}
	two := []RPC{{Payload: text("p")}, {Payload: text("q")}}
	unread := func(g golden) golden {
		g.reading = notAtAll
		return g
	}
	return []golden{
		skip("interfaces with strings", any("Payload")),
		skip("interfaces with structs", any(circle{1.5})),
		skip("interfaces with named strings", any(label("x"))),
		skip("interfaces with slices", any([]int{1, 2, 3})),
		skip("interfaces with arrays", any(grid{{circle{1}}, nil})),
		skip("interfaces with GobEncoders", any(time.Unix(1, 0).UTC())),
		skip("interfaces with RPCs", any(RPC{Payload: text("inner"), Stream: true})),
		{name: "skips nil interfaces", stream: fromOne(held{nil, text("p"), nil}), rpcs: message("p")},
		unread(golden{name: "skips interfaces in interfaces",
			stream: fromOne(held{deep, text("p"), square{4, circle{5}}}), rpcs: message("p")}),
		unread(golden{name: "skips slices and maps of interfaces",
			stream: fromOne(several{[]any{nil, 1, circle{2}, nil, deep, "x", circle{3}}, text("p"),
				map[string]any{"a": grid{nil, {circle{4}}}}}),
			rpcs: message("p")}),
		{name: "one encoder for two with interfaces", stream: fromOne(first, second), rpcs: two},
		{name: "an encoder for each of two with interfaces", stream: fromOneEach(first, second), rpcs: two,
			reading: withOneDecoderEach},
	}
}

const otherProcess = "other-process"

// writeAsOtherProcess gives the ids that belong to the types of plain() away to others.
func writeAsOtherProcess(out io.Writer) {
	type point struct{ Payload, Stream int }
	type rpc struct {
		Where   []point
		Stream  bool
		Payload []byte
	}
	if err := gob.NewEncoder(out).Encode(rpc{[]point{{1, 2}}, true, text("other")}); err != nil {
		log.Fatal(err)
	}
}

// startedOver are streams in which an id changes its meaning, as when connections of two processes are
// joined.
func startedOver() []golden {
	program, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	other, err := exec.Command(program, otherProcess).Output()
	if err != nil {
		log.Fatal(err)
	}
	stream := fromOne(RPC{Payload: text("a")}, RPC{Payload: text("b")})
	stream = append(stream, other...)
	stream = append(stream, fromOne(RPC{Payload: text("c")})...)
	rpcs := []RPC{
		{Payload: text("a")},
		{Payload: text("b")},
		{Payload: text("other"), Stream: true},
		{Payload: text("c")},
	}
	return []golden{{name: "ids that change their meaning", stream: stream, rpcs: rpcs, reading: notAtAll}}
}

// refused are streams that Go does not read as RPC values either.
func refused() []golden {
	type textual struct{ Payload string }
	type numeric struct{ Stream int }
	type opaque struct{ Payload time.Time }
	type unrelated struct{ A, B int }
	refuse := func(name string, value any, refusal string) golden {
		return golden{name: name, stream: fromOne(value), refusal: refusal}
	}
	return []golden{
		refuse("an int", 42, "gob: type mismatch in decoder: want struct type main.RPC; got non-struct"),
		refuse("a slice", []RPC{{Payload: text("p")}},
			"gob: type mismatch in decoder: want struct type main.RPC"),
		refuse("a Payload of text", textual{"p"},
			"gob: wrong type ([]uint8) for received field textual.Payload"),
		refuse("a Stream of numbers", numeric{1}, "gob: wrong type (bool) for received field numeric.Stream"),
		refuse("a Payload with a code of its own", opaque{time.Unix(1, 0).UTC()},
			"gob: wrong type ([]uint8) for received field opaque.Payload"),
		refuse("nothing in common", unrelated{1, 2},
			"gob: type mismatch: no fields matched compiling decoder for RPC"),
	}
}
