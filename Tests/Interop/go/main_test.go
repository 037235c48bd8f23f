package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// remote is a running node as its controller sees it.
type remote struct {
	t        *testing.T
	commands io.Writer
	events   chan string
}

// start runs a node in this process; one without an address does not listen.
func start(t *testing.T, listenAddr string) *remote {
	commandReader, commandWriter := io.Pipe()
	eventReader, eventWriter := io.Pipe()
	r := &remote{t, commandWriter, make(chan string, 64)}
	n := newNode(listenAddr, eventWriter)

	go func() {
		for lines := bufio.NewScanner(eventReader); lines.Scan(); {
			r.events <- lines.Text()
		}
	}()
	if listenAddr != "" {
		if err := n.listen(); err != nil {
			t.Fatal(err)
		}
	}
	go n.run(commandReader)
	t.Cleanup(func() { commandWriter.Close() })
	return r
}

func (r *remote) do(format string, args ...any) {
	fmt.Fprintf(r.commands, format+"\n", args...)
}

// await takes the next event, which must begin as given, and returns the rest.
func (r *remote) await(format string, args ...any) string {
	r.t.Helper()
	prefix := fmt.Sprintf(format, args...)
	select {
	case event := <-r.events:
		if !strings.HasPrefix(event, prefix) {
			r.t.Fatalf("got %q instead of %q", event, prefix)
		}
		return event[len(prefix):]
	case <-time.After(60 * time.Second):
		r.t.Fatalf("no event, wanted %q", prefix)
		return ""
	}
}

// connect returns a node that dialled, one that listens, and the address at
// which each has the other.
func connect(t *testing.T) (dialler, listener *remote, toListener, toDialler string) {
	t.Helper()
	listener = start(t, "127.0.0.1:0")
	toListener = listener.await("listening ")
	dialler = start(t, "")
	dialler.do("dial %s", toListener)
	dialler.await("peer %s outbound", toListener)
	toDialler = strings.TrimSuffix(listener.await("peer "), " inbound")
	return
}

func describe(length int, seed uint64) string {
	b := make([]byte, length)
	newContent(seed).fill(b)
	return fmt.Sprintf("%d %x", length, sha256.Sum256(b))
}

func TestContent(t *testing.T) {
	for seed, want := range map[uint64]string{
		0: "ad4df30bae771bdc76606e02b9ee",
		1: "41208240000000004114010c0641",
	} {
		b := make([]byte, 14)
		newContent(seed).fill(b)
		if got := fmt.Sprintf("%x", b); got != want {
			t.Errorf("seed %d: %s instead of %s", seed, got, want)
		}
	}
}

func TestMessages(t *testing.T) {
	dialler, listener, toListener, toDialler := connect(t)
	for _, command := range []string{"message", "message-one"} {
		for seed, length := range []int{1, 2, 100, 1027, 1028} {
			want := describe(length, uint64(seed))
			dialler.do("%s %s %d %d", command, toListener, length, seed)
			listener.await("message %s %s", toDialler, want)
			dialler.await("sent %s", toListener)

			listener.do("%s * %d %d", command, length, seed)
			dialler.await("message %s %s", toListener, want)
			listener.await("sent %s", toDialler)
		}
	}
}

func TestStreamThenMessage(t *testing.T) {
	const length = 4 << 20
	dialler, listener, toListener, toDialler := connect(t)
	listener.do("expect %d", length)
	listener.await("expecting %d", length)

	dialler.do("stream %s %d 7", toListener, length)
	listener.await("stream %s", toDialler)
	listener.await("streamed %s %s", toDialler, describe(length, 7))
	dialler.await("sent %s", toListener)

	dialler.do("message %s 100 8", toListener)
	listener.await("message %s %s", toDialler, describe(100, 8))
}

func TestStreamCutShort(t *testing.T) {
	dialler, listener, toListener, toDialler := connect(t)
	listener.do("expect 1001")
	listener.await("expecting 1001")

	dialler.do("stream %s 1000 1", toListener)
	listener.await("stream %s", toDialler)
	dialler.await("sent %s", toListener)
	dialler.do("close *")
	dialler.await("dropped %s ", toListener)
	listener.await("stream-failed %s 1000 EOF", toDialler)
	listener.await("dropped %s ", toDialler)
}

func TestStreamOfUnknownLength(t *testing.T) {
	dialler, listener, _, toDialler := connect(t)
	dialler.do("stream * 1 1")
	listener.await("stream %s", toDialler)
	listener.await("stream-failed %s 0 no length expected", toDialler)
	listener.await("dropped %s ", toDialler)
}

// A stream that does not end must not keep its sender from other commands.
func TestCloseDuringSend(t *testing.T) {
	const length = 1 << 40
	dialler, listener, toListener, toDialler := connect(t)
	listener.do("expect %d", length)
	listener.await("expecting")
	dialler.do("stream * %d 1", length)
	listener.await("stream %s", toDialler)

	dialler.do("close %s", toListener)
	for _, event := range []string{<-dialler.events, <-dialler.events} {
		if !strings.HasPrefix(event, "error stream: ") &&
			!strings.HasPrefix(event, "dropped "+toListener) {
			t.Error(event)
		}
	}
	listener.await("stream-failed %s ", toDialler)
	listener.await("dropped %s ", toDialler)
}

func TestBadCommands(t *testing.T) {
	r := start(t, "")
	r.do("sing")
	r.await(`error unknown command "sing"`)
	r.do("message * 1")
	r.await("error message takes 3 arguments, not 2")
	r.do("message * -1 1")
	r.await("error ")
	r.do("close *")
	r.await("error no peer *")
	r.do("dial nowhere")
	r.await("error ")
}
