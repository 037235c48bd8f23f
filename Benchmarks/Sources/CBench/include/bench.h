#ifndef BENCH_H
#define BENCH_H

/*
 * What every benchmark program shares: the command line, the counters, and the line of figures.
 *
 * A program says READY, and then works until its standard input ends. Whoever runs it writes `mark` there
 * whenever it wants the figures so far: the rate is what two marks are apart, so no program decides what is
 * warm-up and what is measured, and the end of the runner is the end of the program.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct bench_options {
    const char *role;      /* serve, ping, flood, ...: see Benchmarks/README.md */
    const char *host;      /* 127.0.0.1 */
    int port;              /* 0: a server takes a free one */
    size_t bytes;          /* payload of a message */
    size_t chunk;          /* bytes of one write of a bulk stream */
    unsigned peers;        /* connections of the roles that have many */
    unsigned streams;      /* streams of a connection, for roles that have many */
    unsigned hosts;        /* dial 127.0.0.1, .2, ... in turn: more ports than one address has */
    const char *door;      /* which of its ways in a candidate is to use; "" is its usual one */
    const char *path;      /* the file to send, or the folder to receive into */
    bool unframed;         /* the reference's wire form: a type byte, no length */
    bool secured;          /* both ends show keys to each other, and what is sent is sealed */
    /* by hand: mark after a warm-up and after as many seconds, then end; 0: marks from stdin */
    double seconds;
};

/* Reads the command line, lifts the limit of descriptors, and starts to listen to standard input. */
const struct bench_options *bench_start(int argc, char *const *argv);

/* `port` is what a server is bound to; 0 for the others. */
void bench_ready(int port);

/* Waits for the line `go` on standard input, for roles that have something to do but when they are told. */
void bench_wait_for_go(void);

/* Whether that line has come, for roles that go on meanwhile; each line counts once. */
bool bench_was_told(void);

/* Prints one line on standard output. */
void bench_say(const char *line);

/* Says why on standard error, and ends the program. `error` is an errno, 0 for none. */
void bench_fail(const char *what, int error) __attribute__((noreturn));

/* 127.0.0.1, .2, ... of `options->hosts`, for the n-th connection; a buffer of at least 16 bytes. */
void bench_host(const struct bench_options *options, unsigned n, char *host);

/* --- Counting ------------------------------------------------------------------------------------------ */

enum { BENCH_BUCKETS_PER_OCTAVE = 64, BENCH_BUCKETS = 40 * BENCH_BUCKETS_PER_OCTAVE };

struct bench_counters {
    uint64_t messages;
    uint64_t bytes;
    /* Round trips by their time, 64 buckets an octave: within 1.6 %. */
    uint64_t round_trips[BENCH_BUCKETS];
};

extern struct bench_counters bench_counters;

/* Monotonic, in nanoseconds. */
static inline uint64_t bench_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void bench_bump(uint64_t *counter, uint64_t by) {
    /* One writer, so no locked instruction; atomic, so that the thread that prints may look. */
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

/* From one thread of the program only. */
static inline void bench_add(uint64_t messages, uint64_t bytes) {
    bench_bump(&bench_counters.messages, messages);
    bench_bump(&bench_counters.bytes, bytes);
}

/* What threads count together, each in a place of its own, so that they do not wait for one another's cache
 * lines; more
 *    than there are places share. */
enum { BENCH_PLACES = 64 };
struct bench_place {
    uint64_t messages;
    uint64_t bytes;
    char padding[112];
};
extern struct bench_place bench_places[BENCH_PLACES];
extern __thread struct bench_place *bench_place;
struct bench_place *bench_take_place(void);

/* From any thread. */
static inline void bench_add_shared(uint64_t messages, uint64_t bytes) {
    struct bench_place *place = bench_place ? bench_place : bench_take_place();
    __atomic_fetch_add(&place->messages, messages, __ATOMIC_RELAXED);
    __atomic_fetch_add(&place->bytes, bytes, __ATOMIC_RELAXED);
}

/* Counts one message and its round trip's nanoseconds; from one thread of the program only. */
static inline void bench_round_trip(uint64_t ns) {
    unsigned bucket = (unsigned)ns;
    if (ns >= BENCH_BUCKETS_PER_OCTAVE) {
        unsigned exponent = 63u - (unsigned)__builtin_clzll(ns);
        bucket = (exponent - 5u) * BENCH_BUCKETS_PER_OCTAVE + (unsigned)((ns >> (exponent - 6u)) & 63u);
    }
    bench_bump(&bench_counters.round_trips[bucket < BENCH_BUCKETS ? bucket : BENCH_BUCKETS - 1], 1);
    bench_bump(&bench_counters.messages, 1);
}

#endif
