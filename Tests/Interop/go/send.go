package main

import "parley.interop/p2p"

const streamWriteSize = 64 << 10

// senders holds the commands that write length bytes of content to a peer.
var senders = map[string]func(peer p2p.Peer, length int64, seed uint64) error{
	"message":     sendMessage,
	"message-one": sendMessageInOneWrite,
	"stream":      sendStream,
}

// sendMessage writes the type byte and the payload separately, as an
// application on the original transport does.
func sendMessage(peer p2p.Peer, length int64, seed uint64) error {
	payload := make([]byte, length)
	newContent(seed).fill(payload)
	if err := peer.Send([]byte{p2p.IncomingMessage}); err != nil {
		return err
	}
	return peer.Send(payload)
}

func sendMessageInOneWrite(peer p2p.Peer, length int64, seed uint64) error {
	frame := make([]byte, 1+length)
	frame[0] = p2p.IncomingMessage
	newContent(seed).fill(frame[1:])
	return peer.Send(frame)
}

func sendStream(peer p2p.Peer, length int64, seed uint64) error {
	if err := peer.Send([]byte{p2p.IncomingStream}); err != nil {
		return err
	}
	source := newContent(seed)
	chunk := make([]byte, streamWriteSize)
	for length > 0 {
		if length < streamWriteSize {
			chunk = chunk[:length]
		}
		source.fill(chunk)
		if err := peer.Send(chunk); err != nil {
			return err
		}
		length -= int64(len(chunk))
	}
	return nil
}
