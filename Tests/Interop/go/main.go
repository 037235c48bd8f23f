// Command gonode is a node on the Go transport in p2p, remote-controlled by a
// test: commands on standard input, events on standard output, one a line;
// notes for a human on standard error.
//
//	gonode [-listen ADDR]
//
// Without -listen the node only dials. ADDR names a peer by its remote
// address; * stands for all peers. Numbers are decimal.
//
// Commands:
//
//	dial ADDR
//	message ADDR|* LEN SEED      a message: type byte and payload in two writes
//	message-one ADDR|* LEN SEED  the same in one write
//	stream ADDR|* LEN SEED       a stream, in writes of 64 KiB after the type byte
//	expect N                     streams that begin from now on are N bytes long
//	close ADDR|*                 at once, even if a send is under way
//	quit                         as does the end of input
//
// Content follows from LEN and SEED, see content.go.
//
// Events:
//
//	listening ADDR                  with the real port
//	peer ADDR inbound|outbound
//	message ADDR LEN SHA256
//	expecting N                     the answer to expect
//	stream ADDR                     a stream has begun
//	streamed ADDR BYTES SHA256      all of it was read, messages are read again
//	stream-failed ADDR BYTES ERROR  it ended early or no length was expected
//	sent ADDR                       the last write of a send has returned
//	dropped ADDR ERROR
//	error TEXT                      a command failed
//
// Messages pass through a channel of their own, so that a message event may
// come after the event of something that happened later on the connection.
//
// The wire form does not separate frames (see p2p.DefaultDecoder): whoever
// sends to a node waits for its message event before sending the next frame.
package main

import (
	"flag"
	"os"
)

func main() {
	listenAddr := flag.String("listen", "", "address to listen on; none if empty")
	flag.Parse()

	n := newNode(*listenAddr, os.Stdout)
	if *listenAddr != "" {
		if err := n.listen(); err != nil {
			n.event("error %s", err)
			os.Exit(1)
		}
	}
	n.run(os.Stdin)
}
