package main

import "encoding/binary"

// content produces the bytes that messages and streams are made of, so that
// both ends of a test know them from a length and a seed alone.
//
// It is xorshift64. The state starts as the seed, or as 0x9E3779B97F4A7C15 if
// the seed is 0. Each step is
//
//	x ^= x << 13
//	x ^= x >> 7
//	x ^= x << 17
//
// and appends the new state as 8 bytes, least significant first; the whole is
// cut to the length wanted.
type content struct {
	state uint64
}

func newContent(seed uint64) *content {
	if seed == 0 {
		seed = 0x9E3779B97F4A7C15 // xorshift never leaves 0
	}
	return &content{state: seed}
}

// fill writes the next len(b) bytes. A length that is no multiple of 8 cuts
// the last word, so only the final call for one content may have one.
func (c *content) fill(b []byte) {
	var word [8]byte
	for len(b) > 0 {
		c.state ^= c.state << 13
		c.state ^= c.state >> 7
		c.state ^= c.state << 17
		binary.LittleEndian.PutUint64(word[:], c.state)
		b = b[copy(b, word[:]):]
	}
}
