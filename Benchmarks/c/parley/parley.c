/*
 * Parley from C. Its doors: `callback` (on_rpcs, on the loop's thread), `spin` (the same, and it polls before
 * it blocks), `loops` (the same on a loop for each core) and `consume` (parley_consume_batch, which blocks,
 * on the program's own thread). What it sends from a callback leaves with the turn; from a thread each send
 * is a call.
 */
#include "frames.h"
#include "node.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 256, SENDS_PER_TURN = 4096 };

static bool has_many_loops;

/* Where links are secured, their handshake is what is counted. */
static int count_peer(parley_transport *at, parley_peer peer, void *unused) {
    (void)at, (void)peer, (void)unused;
    bench_add_shared(1, 0);
    return PARLEY_OK;
}

static void secure(parley_options *made) {
    static parley_identity *identity;
    check(parley_identity_generate(&identity), "identity");
    made->identity = identity;
    if (strcmp(options->role, "greet-serve") == 0) made->on_peer = count_peer;
    made->handshake = NULL;
}

static void make(void (*on_rpcs)(parley_transport *, const parley_rpc *, size_t, void *),
                 int (*handshake)(parley_transport *, parley_peer, void *)) {
    parley_options made = PARLEY_OPTIONS_INIT;
    made.codec = PARLEY_CODEC_FRAMED;
    made.on_rpcs = on_rpcs;
    made.handshake = handshake;
    if (options->secured) secure(&made);
    /* As C on libuv does where it spins. */
    if (strcmp(options->door, "spin") == 0) made.busy_poll_us = 50;
    if (has_many_loops) made.loops = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    make_node(made);
}

static void dial(void) { server = dialed(0); }

/* --- The server ---------------------------------------------------------------------------------------- */

static bool wants_echo(const parley_rpc *rpc) { return rpc->length > 0 && rpc->payload[0] == FRAME_ECHO; }

static void serve_rpcs(parley_transport *at, const parley_rpc *rpcs, size_t count, void *unused) {
    (void)unused;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += rpcs[i].length;
        /* One that does not take its answers loses them, and is not waited for. */
        if (wants_echo(&rpcs[i])) parley_send_message(at, rpcs[i].peer, rpcs[i].payload, rpcs[i].length, 0);
    }
    if (has_many_loops) bench_add_shared(count, bytes);
    else bench_add(count, bytes);
}

static void consume_for_ever(void) {
    parley_rpc rpcs[BATCH];
    for (;;) {
        int count = parley_consume_batch(transport, rpcs, BATCH, PARLEY_FOREVER);
        check(count, "consume");
        uint64_t bytes = 0;
        for (int i = 0; i < count; i++) {
            bytes += rpcs[i].length;
            if (wants_echo(&rpcs[i]))
                parley_send_message(transport, rpcs[i].peer, rpcs[i].payload, rpcs[i].length, PARLEY_FOREVER);
            parley_rpc_release(&rpcs[i]);
        }
        bench_add((uint64_t)count, bytes);
    }
}

static void serve(bool with_callback) {
    make(with_callback ? serve_rpcs : NULL, NULL);
    listen_and_say_so();
    if (with_callback) sleep_for_ever();
    consume_for_ever();
}

/* --- Round trips --------------------------------------------------------------------------------------- */

static void ping(bool with_callback) {
    make(with_callback ? answered : NULL, NULL);
    message[0] = FRAME_ECHO;
    dial();
    bench_ready(0);
    if (with_callback) {
        check(parley_post(transport, send_and_note, NULL), "post");
        sleep_for_ever();
    }
    for (;;) {
        parley_rpc answer;
        begun = bench_now();
        check(parley_send_message(transport, server, message, options->bytes, PARLEY_FOREVER), "send");
        check(parley_consume(transport, &answer, PARLEY_FOREVER), "consume");
        parley_rpc_release(&answer);
        bench_round_trip(bench_now() - begun);
    }
}

/* --- Questions ------------------------------------------------------------------------------------------ */

enum { ANSWER_TIMEOUT_MS = 30000 };

static void answer_rpcs(parley_transport *at, const parley_rpc *rpcs, size_t count, void *unused) {
    (void)unused;
    for (size_t i = 0; i < count; i++) {
        if (rpcs[i].kind != PARLEY_RPC_REQUEST) continue;
        check(parley_reply(at, rpcs[i].peer, rpcs[i].request, rpcs[i].payload, rpcs[i].length, 0), "reply");
        bench_add(1, rpcs[i].length);
    }
}

static void answer(bool with_callback) {
    make(with_callback ? answer_rpcs : NULL, NULL);
    listen_and_say_so();
    if (with_callback) sleep_for_ever();
    parley_rpc rpcs[BATCH];
    for (;;) {
        int count = parley_consume_batch(transport, rpcs, BATCH, PARLEY_FOREVER);
        check(count, "consume");
        for (int i = 0; i < count; i++) {
            if (rpcs[i].kind == PARLEY_RPC_REQUEST)
                parley_reply(transport, rpcs[i].peer, rpcs[i].request, rpcs[i].payload, rpcs[i].length,
                             PARLEY_FOREVER);
            bench_add(1, rpcs[i].length);
            parley_rpc_release(&rpcs[i]);
        }
    }
}

static void ask_again(void *unused);

static void has_answer(parley_transport *at, parley_peer peer, const parley_answer *given, void *unused) {
    (void)at, (void)peer;
    check(given->result, "answer");
    bench_round_trip(bench_now() - begun);
    ask_again(unused);
}

static void ask_again(void *unused) {
    begun = bench_now();
    int status = parley_request_async(
        transport, server, message, options->bytes, ANSWER_TIMEOUT_MS, has_answer, unused);
    check(status, "request");
}

static void ask(bool with_callback) {
    make(NULL, NULL);
    dial();
    bench_ready(0);
    if (with_callback) {
        check(parley_post(transport, ask_again, NULL), "post");
        sleep_for_ever();
    }
    for (;;) {
        parley_answer given;
        begun = bench_now();
        int status = parley_request(
            transport, server, message, options->bytes, ANSWER_TIMEOUT_MS, &given);
        check(status, "request");
        parley_answer_release(&given);
        bench_round_trip(bench_now() - begun);
    }
}

/* --- One way ------------------------------------------------------------------------------------------- */

static void send_some(void *unused);

static void writable(parley_transport *at, parley_peer peer, void *unused) {
    (void)at, (void)peer;
    send_some(unused);
}

/* As much as is accepted, and then again when there is room; now and then the loop has its turn. */
static void send_some(void *unused) {
    int status = PARLEY_OK;
    unsigned sent = 0;
    while (sent < SENDS_PER_TURN
           && (status = parley_send_message(transport, server, message, options->bytes, 0)) == 0)
        sent++;
    bench_add(sent, sent * options->bytes);
    if (status == PARLEY_EAGAIN) {
        check(parley_when_writable(transport, server, writable, NULL), "when_writable");
    } else {
        check(status, "send");
        check(parley_post(transport, send_some, unused), "post");
    }
}

static void flood(bool with_callback) {
    make(NULL, NULL);
    message[0] = FRAME_SINK;
    dial();
    bench_ready(0);
    if (with_callback) {
        check(parley_post(transport, send_some, NULL), "post");
        sleep_for_ever();
    }
    for (;;) {
        check(parley_send_message(transport, server, message, options->bytes, PARLEY_FOREVER), "send");
        bench_add(1, options->bytes);
    }
}

/* Holds many connections, and sends a message on each whenever it is told to. */
static void open_many(void) {
    parley_peer *peers = calloc(options->peers, sizeof *peers);
    make(NULL, NULL);
    message[0] = FRAME_SINK;
    for (unsigned i = 0; i < options->peers; i++) peers[i] = dialed(i);
    bench_ready(0);
    for (;;) {
        bench_wait_for_go();
        for (unsigned i = 0; i < options->peers; i++)
            check(parley_send_message(transport, peers[i], message, options->bytes, PARLEY_FOREVER), "send");
        bench_say("SENT");
    }
}

/* --- Streams and files --------------------------------------------------------------------------------- */

static parley_peer next_stream(void) {
    for (;;) {
        parley_rpc rpc;
        check(parley_consume(transport, &rpc, PARLEY_FOREVER), "consume");
        parley_peer peer = rpc.peer;
        bool is_stream = rpc.stream;
        parley_rpc_release(&rpc);
        if (is_stream) return peer;
    }
}

static void bulk_serve(void) {
    enum { READ_BYTES = 1 << 20 };
    uint8_t *buffer = malloc(READ_BYTES);
    make(NULL, NULL);
    listen_and_say_so();
    parley_peer peer = next_stream();
    for (;;) {
        int64_t got = parley_read(transport, peer, buffer, READ_BYTES, PARLEY_FOREVER);
        if (got <= 0) sleep_for_ever();
        bench_add(1, (uint64_t)got);
    }
}

static void bulk(void) {
    uint8_t *chunk = calloc(1, options->chunk);
    parley_stream *stream;
    make(NULL, NULL);
    dial();
    bench_ready(0);
    check(parley_stream_open(transport, server, NULL, 0, PARLEY_FOREVER, &stream), "open");
    for (;;) {
        check(parley_stream_write(stream, chunk, options->chunk, PARLEY_FOREVER), "write");
        bench_add(1, options->chunk);
    }
}

/* --- Connecting ---------------------------------------------------------------------------------------- */

static int answer_greeting(parley_transport *at, parley_peer peer, void *unused) {
    (void)unused;
    char greeting[GREETING_BYTES];
    int status = parley_read_exactly(at, peer, greeting, sizeof greeting, PARLEY_FOREVER);
    if (status != PARLEY_OK) return status;
    bench_add_shared(1, sizeof greeting);
    return parley_send(at, peer, greeting, sizeof greeting, PARLEY_FOREVER);
}

static int say_greeting(parley_transport *at, parley_peer peer, void *unused) {
    (void)unused;
    char greeting[GREETING_BYTES] = "greeting";
    int status = parley_send(at, peer, greeting, sizeof greeting, PARLEY_FOREVER);
    if (status != PARLEY_OK) return status;
    return parley_read_exactly(at, peer, greeting, sizeof greeting, PARLEY_FOREVER);
}

static void *greet_in_turn(void *first) {
    for (unsigned n = (unsigned)(uintptr_t)first;; n += options->peers) {
        parley_peer_close(transport, dialed(n), PARLEY_FOREVER);
        bench_add_shared(1, GREETING_BYTES);
    }
    return NULL;
}

static void greet(void) {
    make(NULL, say_greeting);
    bench_ready(0);
    for (unsigned i = 1; i < options->peers; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, greet_in_turn, (void *)(uintptr_t)i);
    }
    greet_in_turn((void *)0);
}

int main(int argc, char **argv) {
    options = bench_start(argc, argv);
    const char *role = options->role;
    has_many_loops = strcmp(options->door, "loops") == 0;
    bool with_callback = strcmp(options->door, "consume") != 0;
    if (strcmp(role, "serve") == 0) serve(with_callback);
    else if (strcmp(role, "ping") == 0) ping(with_callback);
    else if (strcmp(role, "ask") == 0) ask(with_callback);
    else if (strcmp(role, "answer") == 0) answer(with_callback);
    else if (strcmp(role, "flood") == 0) flood(with_callback);
    else if (strcmp(role, "open") == 0) open_many();
    else if (strcmp(role, "bulk-serve") == 0) bulk_serve();
    else if (strcmp(role, "bulk") == 0) bulk();
    else if (strcmp(role, "greet-serve") == 0) {
        make(NULL, answer_greeting);
        listen_and_say_so();
        sleep_for_ever();
    } else if (strcmp(role, "greet") == 0) greet();
    bench_fail("no such role", 0);
}
