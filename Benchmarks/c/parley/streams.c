/*
 * Many streams of one connection with Parley from C, in the wire form that is multiplexed: callbacks on the
 * loop's thread at both ends. What a stream is for is its protocol.
 */
#include "node.h"

#include <stdlib.h>
#include <string.h>

/* Its bytes are counted; one byte is sent back and that is its end; one is sent back and it stays open. */
#define SINK "/bench/sink/1.0.0"
#define ECHO "/bench/echo/1.0.0"
#define HOLD "/bench/hold/1.0.0"

enum { TIMEOUT_MS = 10000, READ_BYTES = 1 << 20 };

static uint8_t *chunk;

static void make(void (*on_rpcs)(parley_transport *, const parley_rpc *, size_t, void *)) {
    parley_options made = PARLEY_OPTIONS_INIT;
    made.codec = PARLEY_CODEC_MULTIPLEXED;
    made.on_rpcs = on_rpcs;
    /* As many as are opened, and more. */
    made.max_streams = 1000000;
    made.streams_per_second = 10000000;
    make_node(made);
    chunk = calloc(1, options->chunk);
}

/* --- The server ----------------------------------------------------------------------------------------- */

static void send_back(parley_transport *at, const parley_rpc *rpcs, size_t count, void *unused) {
    (void)unused;
    for (size_t i = 0; i < count; i++)
        parley_send_message(at, rpcs[i].peer, rpcs[i].payload, rpcs[i].length, 0);
}

static void drain(parley_transport *at, parley_peer_stream stream, void *unused) {
    static uint8_t buffer[READ_BYTES];
    int64_t got;
    while ((got = parley_peer_stream_read(at, stream, buffer, sizeof buffer, 0)) > 0)
        bench_add(0, (uint64_t)got);
    if (got == PARLEY_EAGAIN) check(parley_peer_stream_when_readable(at, stream, drain, unused), "wait");
    else parley_peer_stream_close(at, stream);
}

typedef void (*stream_function)(parley_transport *, parley_peer_stream, void *);

/* Sends a stream's first byte back when it has come, and calls `again` when it has not. */
static bool has_echoed(parley_transport *at, parley_peer_stream stream, stream_function again) {
    uint8_t byte;
    int64_t got = parley_peer_stream_read(at, stream, &byte, 1, 0);
    if (got == PARLEY_EAGAIN) {
        check(parley_peer_stream_when_readable(at, stream, again, NULL), "wait");
        return false;
    }
    check(got, "read");
    check(parley_peer_stream_write(at, stream, &byte, 1, 0), "write");
    bench_add(1, 0);
    return true;
}

static void echo(parley_transport *at, parley_peer_stream stream, void *unused) {
    (void)unused;
    if (has_echoed(at, stream, echo)) parley_peer_stream_close(at, stream);
}

static void hold(parley_transport *at, parley_peer_stream stream, void *unused) {
    (void)unused;
    has_echoed(at, stream, hold);
}

static void serve(void) {
    make(send_back);
    check(parley_accept_streams(transport, SINK, drain, NULL), "accept");
    check(parley_accept_streams(transport, ECHO, echo, NULL), "accept");
    check(parley_accept_streams(transport, HOLD, hold, NULL), "accept");
    listen_and_say_so();
    sleep_for_ever();
}

/* --- Full streams --------------------------------------------------------------------------------------- */

static void fill(parley_transport *at, parley_peer_stream stream, void *unused) {
    int64_t taken;
    while ((taken = parley_peer_stream_write(at, stream, chunk, options->chunk, 0)) > 0)
        bench_add(0, (uint64_t)taken);
    if (taken == PARLEY_EAGAIN) taken = parley_peer_stream_when_writable(at, stream, fill, unused);
    check(taken, "write");
}

static void open_and_fill(void *unused) {
    parley_peer_stream stream;
    check(parley_peer_stream_open(transport, server, SINK, 0, &stream), "open");
    fill(transport, stream, unused);
}

static void begin_to_fill(void) { check(parley_post(transport, open_and_fill, NULL), "post"); }

static void bulk(void) {
    make(NULL);
    server = dialed(0);
    bench_ready(0);
    for (unsigned i = 0; i < options->streams; i++) begin_to_fill();
    sleep_for_ever();
}

/* --- Messages beside a full stream ---------------------------------------------------------------------- */

static void beside(void) {
    make(answered);
    server = dialed(0);
    bench_ready(0);
    check(parley_post(transport, send_and_note, NULL), "post");
    bench_wait_for_go();
    begin_to_fill();
    sleep_for_ever();
}

/* --- Opening -------------------------------------------------------------------------------------------- */

static void open_next(void *unused);

static void byte_is_back(parley_transport *at, parley_peer_stream stream, void *unused) {
    uint8_t byte;
    int64_t got = parley_peer_stream_read(at, stream, &byte, 1, 0);
    if (got == PARLEY_EAGAIN) {
        check(parley_peer_stream_when_readable(at, stream, byte_is_back, unused), "wait");
        return;
    }
    check(got, "read");
    parley_peer_stream_close(at, stream);
    if (options->streams > 1) bench_add(1, 0);
    else bench_round_trip(bench_now() - begun);
    open_next(unused);
}

static void open_next(void *unused) {
    parley_peer_stream stream;
    begun = bench_now();
    check(parley_peer_stream_open(transport, server, ECHO, 0, &stream), "open");
    check(parley_peer_stream_write(transport, stream, "x", 1, 0), "write");
    byte_is_back(transport, stream, unused);
}

static void open_and_close(void) {
    make(NULL);
    server = dialed(0);
    bench_ready(0);
    for (unsigned i = 0; i < options->streams; i++) check(parley_post(transport, open_next, NULL), "post");
    sleep_for_ever();
}

/* --- Holding -------------------------------------------------------------------------------------------- */

static void open_more(parley_peer peer, parley_peer_stream *streams) {
    uint8_t byte;
    for (unsigned i = 0; i < options->streams; i++) {
        check(parley_peer_stream_open(transport, peer, HOLD, TIMEOUT_MS, &streams[i]), "open");
        check(parley_peer_stream_write(transport, streams[i], "x", 1, TIMEOUT_MS), "write");
    }
    for (unsigned i = 0; i < options->streams; i++)
        check(parley_peer_stream_read_exactly(transport, streams[i], &byte, 1, TIMEOUT_MS), "read");
}

static void hold_many(void) {
    parley_peer *peers = calloc(options->peers, sizeof *peers);
    make(NULL);
    for (unsigned i = 0; i < options->peers; i++) peers[i] = dialed(i);
    bench_ready(0);
    for (;;) {
        bench_wait_for_go();
        for (unsigned i = 0; i < options->peers; i++)
            open_more(peers[i], malloc(options->streams * sizeof(parley_peer_stream)));
        bench_say("SENT");
    }
}

int main(int argc, char **argv) {
    options = bench_start(argc, argv);
    const char *role = options->role;
    if (strcmp(role, "streams-serve") == 0) serve();
    else if (strcmp(role, "streams-bulk") == 0) bulk();
    else if (strcmp(role, "streams-beside") == 0) beside();
    else if (strcmp(role, "streams-open") == 0) open_and_close();
    else if (strcmp(role, "streams-hold") == 0) hold_many();
    bench_fail("no such role", 0);
}
