/*
 * nng with the protocols made for each job: pair1 for round trips, push and pull for one way, req and rep for
 * questions and greetings; messages are handed over, not copied. Its wire form is its own, so both ends are
 * always this program.
 */
#include "bench.h"
#include "frames.h"

#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct bench_options *options;

static void check(int status, const char *what) {
    if (status != 0) {
        fprintf(stderr, "%s: %s\n", what, nng_strerror(status));
        _exit(1);
    }
}

static nng_socket listening(int (*open)(nng_socket *)) {
    char url[64];
    nng_socket socket;
    nng_listener listener;
    int port = options->port;
    check(open(&socket), "open");
    check(nng_setopt_size(socket, NNG_OPT_RECVMAXSZ, 0), "no limit of size");
    snprintf(url, sizeof url, "tcp://%s:%d", options->hosts > 1 ? "0.0.0.0" : options->host, port);
    check(nng_listener_create(&listener, socket, url), "listener");
    check(nng_listener_start(listener, 0), "listen");
    if (port == 0) {
        nng_sockaddr address;
        check(nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &address), "address");
        port = (address.s_in.sa_port & 0xff) << 8 | address.s_in.sa_port >> 8;
    }
    bench_ready(port);
    return socket;
}

static nng_socket connected(int (*open)(nng_socket *), unsigned n) {
    char host[16], url[64];
    nng_socket socket;
    bench_host(options, n, host);
    snprintf(url, sizeof url, "tcp://%s:%d", host, options->port);
    check(open(&socket), "open");
    check(nng_setopt_size(socket, NNG_OPT_RECVMAXSZ, 0), "no limit of size");
    check(nng_dial(socket, url, NULL, 0), "dial");
    return socket;
}

static void send_one(nng_socket socket, uint8_t purpose, size_t count) {
    nng_msg *message;
    check(nng_msg_alloc(&message, count), "message");
    memset(nng_msg_body(message), 'x', count);
    *(uint8_t *)nng_msg_body(message) = purpose;
    check(nng_sendmsg(socket, message, 0), "send");
    bench_add(1, count);
}

static void echo(void) {
    nng_socket socket = listening(nng_pair1_open);
    for (;;) {
        nng_msg *message;
        check(nng_recvmsg(socket, &message, 0), "receive");
        bench_add(1, nng_msg_len(message));
        check(nng_sendmsg(socket, message, 0), "send");
    }
}

static void sink(void) {
    nng_socket socket = listening(nng_pull0_open);
    for (;;) {
        nng_msg *message;
        check(nng_recvmsg(socket, &message, 0), "receive");
        bench_add(1, nng_msg_len(message));
        nng_msg_free(message);
    }
}

/* Sends what comes back, again and again. */
static void round_trips(nng_socket socket, nng_msg *message) {
    bench_ready(0);
    for (;;) {
        uint64_t begun = bench_now();
        check(nng_sendmsg(socket, message, 0), "send");
        check(nng_recvmsg(socket, &message, 0), "receive");
        bench_round_trip(bench_now() - begun);
    }
}

static void ping(void) {
    nng_socket socket = connected(nng_pair1_open, 0);
    nng_msg *message;
    check(nng_msg_alloc(&message, options->bytes), "message");
    *(uint8_t *)nng_msg_body(message) = FRAME_ECHO;
    round_trips(socket, message);
}

static void ask(void) {
    nng_socket socket = connected(nng_req0_open, 0);
    nng_msg *message;
    check(nng_msg_alloc(&message, options->bytes), "message");
    memset(nng_msg_body(message), 'x', options->bytes);
    round_trips(socket, message);
}

static void flood(size_t count) {
    nng_socket socket = connected(nng_push0_open, 0);
    bench_ready(0);
    for (;;) send_one(socket, FRAME_SINK, count);
}

static void open_many(void) {
    nng_socket *sockets = calloc(options->peers, sizeof *sockets);
    for (unsigned i = 0; i < options->peers; i++) sockets[i] = connected(nng_push0_open, i);
    bench_ready(0);
    for (;;) {
        bench_wait_for_go();
        for (unsigned i = 0; i < options->peers; i++) send_one(sockets[i], FRAME_SINK, options->bytes);
        bench_say("SENT");
    }
}

/* Questions and greetings are answered alike. */
static void answer(void) {
    nng_socket socket = listening(nng_rep0_open);
    for (;;) {
        nng_msg *message;
        check(nng_recvmsg(socket, &message, 0), "receive");
        bench_add(1, nng_msg_len(message));
        check(nng_sendmsg(socket, message, 0), "send");
    }
}

static void *greet_in_turn(void *first) {
    for (unsigned n = (unsigned)(uintptr_t)first;; n += options->peers) {
        nng_msg *message;
        nng_socket socket = connected(nng_req0_open, n);
        check(nng_msg_alloc(&message, GREETING_BYTES), "message");
        check(nng_sendmsg(socket, message, 0), "send");
        check(nng_recvmsg(socket, &message, 0), "receive");
        nng_msg_free(message);
        nng_close(socket);
        bench_add_shared(1, GREETING_BYTES);
    }
    return NULL;
}

static void greet(void) {
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
    if (strcmp(role, "serve") == 0 && strcmp(options->door, "echo") == 0) echo();
    else if (strcmp(role, "serve") == 0 || strcmp(role, "bulk-serve") == 0) sink();
    else if (strcmp(role, "ping") == 0) ping();
    else if (strcmp(role, "flood") == 0) flood(options->bytes);
    else if (strcmp(role, "open") == 0) open_many();
    else if (strcmp(role, "bulk") == 0) flood(options->chunk);
    else if (strcmp(role, "ask") == 0) ask();
    else if (strcmp(role, "answer") == 0 || strcmp(role, "greet-serve") == 0) answer();
    else if (strcmp(role, "greet") == 0) greet();
    bench_fail("no such role", 0);
}
