package main

import (
	"log"
	"math"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"time"
)

func plain() []golden {
	three := []RPC{{Payload: text("one")}, {Payload: text("two"), Stream: true}, {Payload: text("three")}}
	zeros := []RPC{
		{}, {Stream: true}, {From: "a:1"}, {From: "a:1", Stream: true}, {Payload: text("x")},
		{From: "a:1", Payload: text("x")}, {From: "a:1", Payload: text("x"), Stream: true}, {},
	}
	return []golden{
		{name: "one message", stream: fromOne(RPC{Payload: text("hello")}), rpcs: message("hello")},
		{name: "one stream opening", stream: fromOne(RPC{Payload: text("file"), Stream: true}),
			rpcs: []RPC{{Payload: text("file"), Stream: true}}},
		{name: "nothing but zero values", stream: fromOne(RPC{}), rpcs: []RPC{{}}},
		{name: "one encoder for three", stream: fromOne(three[0], three[1], three[2]), rpcs: three},
		{name: "an encoder for each of three", stream: fromOneEach(three[0], three[1], three[2]), rpcs: three,
			reading: withOneDecoderEach},
		{name: "every choice of omitted fields", stream: fromOne(asAny(zeros)...), rpcs: zeros},
		{name: "pointers to values", stream: fromOne(&three[0], &three[1]), rpcs: three[:2]},
	}
}

func asAny(rpcs []RPC) (values []any) {
	for _, rpc := range rpcs {
		values = append(values, rpc)
	}
	return values
}

// lengths go over the edges of gob's numbers.
func lengths() []golden {
	var rpcs []RPC
	for _, length := range []int{1, 120, 122, 127, 128, 249, 252, 255, 256, 300} {
		rpcs = append(rpcs, RPC{Payload: counting(length)})
	}
	return []golden{
		{name: "payloads around the edges of numbers", stream: fromOne(asAny(rpcs)...), rpcs: rpcs},
	}
}

// shapes are structs that differ from RPC and can still be read as one.
func shapes() []golden {
	type address string
	type body []byte
	type flag bool
	type backwards struct {
		Stream  bool
		Payload []byte
		From    string
	}
	type onlyPayload struct{ Payload []byte }
	type onlyStream struct{ Stream bool }
	type named struct {
		From    address
		Payload body
		Stream  flag
	}
	type pointers struct {
		From    *string
		Payload **[]byte
		Stream  *bool
	}
	type unsent struct {
		hidden  int
		Notify  chan int
		Payload []byte
		Call    func()
	}
	from, payload, yes := "a:1", text("p"), true
	pointer := &payload
	opening := []RPC{{Payload: text("p"), Stream: true}}
	return []golden{
		{name: "fields in another order", stream: fromOne(backwards{true, text("p"), "a:1"}), rpcs: opening},
		{name: "Payload alone", stream: fromOne(onlyPayload{text("p")}), rpcs: message("p")},
		{name: "Stream alone", stream: fromOne(onlyStream{true}), rpcs: []RPC{{Stream: true}}},
		{name: "fields of named types", stream: fromOne(named{"a:1", body("p"), true}), rpcs: opening},
		{name: "fields that are pointers", stream: fromOne(pointers{&from, &pointer, &yes}), rpcs: opening},
		{name: "fields that Go does not send", stream: fromOne(unsent{hidden: 1, Payload: text("p")}),
			rpcs: message("p")},
		{name: "several structs from one encoder",
			stream: fromOne(onlyPayload{text("a")}, RPC{Payload: text("b")}, backwards{Stream: true},
				onlyPayload{text("c")}),
			rpcs: []RPC{{Payload: text("a")}, {Payload: text("b")}, {Stream: true}, {Payload: text("c")}}},
	}
}

// around is an RPC among fields of another kind. Neither of them is zero, so that Go sends them.
type around[T any] struct {
	Before  T
	Payload []byte
	Between T
	Stream  bool
	After   T
}

func skip[T any](name string, value T) golden {
	g := golden{name: "skips " + name, rpcs: []RPC{{Payload: text("p"), Stream: true}}}
	g.stream = fromOne(around[T]{value, text("p"), value, true, value})
	return g
}

func skippedScalars() []golden {
	type celsius float32
	type deltas struct {
		A, B, C, D, E, F, G, H int
		Payload                []byte
		I, J, K                string
		Stream                 bool
		L, M                   float64
	}
	return []golden{
		skip("ints", int8(-5)),
		skip("the smallest int", int64(math.MinInt64)),
		skip("the largest uint", uint64(math.MaxUint64)),
		skip("floats", 17.0),
		skip("named floats", celsius(-40.5)),
		skip("bools", true),
		skip("complex numbers", complex(1.5, -0.25)),
		skip("strings", "Payload"),
		skip("byte slices", text("Payload")),
		skip("pointers to pointers", pointerTo(pointerTo(7))),
		{name: "skips fields that were not sent",
			stream: fromOne(deltas{C: 3, H: 8, Payload: text("p"), J: "j", Stream: true, M: 0.1}),
			rpcs:   []RPC{{Payload: text("p"), Stream: true}}},
	}
}

func pointerTo[T any](value T) *T { return &value }

// list, tree, nest and dict refer to themselves.
type list struct {
	Payload []byte
	Next    *list
}
type tree struct {
	Left, Right *tree
	Stream      bool
	Leaves      []tree
}
type nest []nest
type dict map[string]dict

func skippedParts() []golden {
	type point struct{ X, Y int }
	type embedding struct {
		point
		RPC
		Other []point
	}
	long := make([]int, 300)
	inner := RPC{From: "inner", Payload: text("inner"), Stream: true}
	return []golden{
		skip("slices", []int{0, 1, -1, 1 << 40}),
		skip("long slices", long),
		skip("slices of byte slices", [][]byte{text("Payload"), nil, text("x")}),
		skip("slices of bools", []bool{false, true}),
		skip("slices of complex numbers", []complex64{0, 1i}),
		skip("arrays", [3]string{"a", "", "c"}),
		skip("arrays of bytes", [4]byte{0, 1, 254, 255}),
		skip("arrays of arrays", [2][2]uint{{0, 1}, {2, 3}}),
		skip("maps", map[string]int{"Payload": 1}),
		skip("maps of slices of structs", map[point][]point{{1, 2}: {{3, 4}, {}, {0, 5}}}),
		skip("empty maps", map[string]string{}),
		skip("structs", point{3, -4}),
		skip("structs of zeros", point{}),
		skip("structs with fields named as ours", inner),
		skip("slices of structs", []RPC{inner, {}, inner}),
		skip("embedded structs", embedding{point{1, 2}, inner, []point{{}}}),
		skip("linked lists", list{text("1"), &list{text("2"), &list{Payload: text("3")}}}),
		skip("trees", tree{&tree{Stream: true}, &tree{Right: &tree{}}, false, []tree{{}, {Stream: true}}}),
		skip("slices of themselves", nest{nest{}, nest{nest{}, nest{nest{}}}}),
		skip("maps of themselves", dict{"a": dict{"b": dict{"c": nil}}}),
	}
}

// skippedCodes have encodings of their own: by GobEncoder, BinaryMarshaler and TextMarshaler.
func skippedCodes() []golden {
	site, err := url.Parse("gob://host/Payload")
	if err != nil {
		log.Fatal(err)
	}
	return []golden{
		skip("GobEncoders", time.Unix(1_600_000_000, 5).UTC()),
		skip("GobEncoders behind pointers", big.NewInt(-1<<40)),
		skip("BinaryMarshalers", site),
		skip("TextMarshalers", net.IPv4(192, 0, 2, 1)),
		skip("slices of GobEncoders", []*big.Int{big.NewInt(0), big.NewInt(1)}),
		skip("maps from one to another", map[netip.Addr]net.IP{netip.IPv6Unspecified(): net.IPv6loopback}),
	}
}
