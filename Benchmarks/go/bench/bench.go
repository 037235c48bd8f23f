// Package bench is Sources/CBench in Go: the command line, the counters and the line of figures that every
// benchmark program has.
package bench

import (
	"bufio"
	"flag"
	"fmt"
	"math/bits"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Options are what the command line says; see bench.h.
type Options struct {
	Role, Host, Door, Path, Wire string
	Port, Bytes, Chunk           int
	Peers, Streams, Hosts        int
	Seconds                      float64
}

const bucketsPerOctave = 64

var (
	messages, byteCount atomic.Uint64
	roundTrips          [40 * bucketsPerOctave]atomic.Uint64
	before              [40 * bucketsPerOctave]uint64
	ready               = make(chan struct{}, 1)
	goneAhead           = make(chan struct{}, 64)
	begun               = time.Now()
)

// Start reads the command line, lifts the limit of descriptors, and starts to listen to standard input.
func Start() *Options {
	var o Options
	if len(os.Args) > 1 {
		o.Role = os.Args[1]
	}
	flags := flag.NewFlagSet(o.Role, flag.ExitOnError)
	flags.StringVar(&o.Host, "host", "127.0.0.1", "")
	flags.StringVar(&o.Door, "door", "", "")
	flags.StringVar(&o.Path, "path", "", "")
	flags.StringVar(&o.Wire, "wire", "", "")
	flags.IntVar(&o.Port, "port", 0, "")
	flags.IntVar(&o.Bytes, "bytes", 64, "")
	flags.IntVar(&o.Chunk, "chunk", 256<<10, "")
	flags.IntVar(&o.Peers, "peers", 1, "")
	flags.IntVar(&o.Streams, "streams", 1, "")
	flags.IntVar(&o.Hosts, "hosts", 1, "")
	flags.StringVar(new(string), "secured", "", "every role of a secured command is")
	flags.Float64Var(&o.Seconds, "seconds", 0, "")
	_ = flags.Parse(os.Args[min(2, len(os.Args)):])

	limit := syscall.Rlimit{Cur: 65536, Max: 65536}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	go listenToStdin(o.Seconds)
	return &o
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

// ListenAddress is where a server of these options binds.
func (o *Options) ListenAddress() string {
	if o.Hosts > 1 {
		return fmt.Sprintf("0.0.0.0:%d", o.Port)
	}
	return fmt.Sprintf("%s:%d", o.Host, o.Port)
}

// DialAddress is where the n-th connection goes.
func (o *Options) DialAddress(n int) string {
	if o.Hosts > 1 {
		return fmt.Sprintf("127.0.0.%d:%d", 1+n%o.Hosts, o.Port)
	}
	return fmt.Sprintf("%s:%d", o.Host, o.Port)
}

// Ready says that the program has begun; addr is what a server is bound to.
func Ready(addr net.Addr) {
	port := 0
	if addr != nil {
		port = addr.(*net.TCPAddr).Port
	}
	fmt.Printf("READY port=%d\n", port)
	ready <- struct{}{}
}

// Check ends the program when there is an error.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Forever blocks: the end of standard input ends the program.
func Forever() { select {} }

// WaitForGo waits for the line `go` on standard input.
func WaitForGo() { <-goneAhead }

// Say prints one line on standard output.
func Say(line string) { fmt.Println(line) }

// Add counts, from any goroutine.
func Add(count, bytes uint64) {
	messages.Add(count)
	byteCount.Add(bytes)
}

// RoundTrip counts one message and its time.
func RoundTrip(took time.Duration) {
	ns := uint64(took)
	bucket := int(ns)
	if ns >= bucketsPerOctave {
		exponent := bits.Len64(ns) - 1
		bucket = (exponent-5)*bucketsPerOctave + int(ns>>(exponent-6)&63)
	}
	roundTrips[min(bucket, len(roundTrips)-1)].Add(1)
	messages.Add(1)
}

func listenToStdin(seconds float64) {
	if seconds > 0 {
		<-ready
		time.Sleep(500 * time.Millisecond)
		printMark()
		time.Sleep(time.Duration(seconds * float64(time.Second)))
		printMark()
		os.Exit(0)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "go" {
			goneAhead <- struct{}{}
		} else {
			printMark()
		}
	}
	os.Exit(0)
}

func printMark() {
	ns := time.Since(begun).Nanoseconds()
	count, bytes := messages.Load(), byteCount.Load()
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	cpu := (usage.Utime.Sec+usage.Stime.Sec)*1e6 + usage.Utime.Usec + usage.Stime.Usec
	allocations := int64(-1)
	// Counting them stops the world: only when it is asked for.
	if os.Getenv("BENCH_ALLOCATIONS") != "" {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		allocations = int64(stats.Mallocs)
	}
	since := make([]uint64, len(roundTrips))
	var total uint64
	for i := range roundTrips {
		now := roundTrips[i].Load()
		since[i] = now - before[i]
		before[i] = now
		total += since[i]
	}
	fmt.Printf("MARK ns=%d messages=%d bytes=%d cpu_us=%d rss_kb=%d allocations=%d p50_ns=%d p99_ns=%d p999_ns=%d\n",
		ns, count, bytes, cpu, rssKB(), allocations,
		quantile(since, total, 0.5), quantile(since, total, 0.99), quantile(since, total, 0.999))
}

func rssKB() int {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	resident, _ := strconv.Atoi(strings.Fields(string(statm))[1])
	return resident * os.Getpagesize() / 1024
}

func quantile(since []uint64, total uint64, part float64) uint64 {
	wanted, seen := uint64(float64(total)*part), uint64(0)
	for bucket, count := range since {
		seen += count
		if seen > wanted {
			if bucket < bucketsPerOctave {
				return uint64(bucket)
			}
			exponent, rest := bucket/bucketsPerOctave+5, bucket%bucketsPerOctave
			step := uint64(1) << (exponent - 6)
			return uint64(bucketsPerOctave+rest)*step + step/2
		}
	}
	return 0
}
