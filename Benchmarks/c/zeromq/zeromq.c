/*
 * ZeroMQ with the socket types made for each job: PAIR for round trips, PUSH and PULL for one way, REQ and
 * REP for questions and greetings. Its wire form is its own, so both ends are always this program. Secured,
 * it speaks CURVE: the clients check the server's key, and the server takes every client's key.
 */
#include "bench.h"
#include "frames.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

static const struct bench_options *options;
static void *context;

static void check(int status, const char *what) {
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
        _exit(1);
    }
}

static void *new_socket(int type) {
    void *socket = zmq_socket(context, type);
    if (!socket) check(-1, "socket");
    check(zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int)), "linger");
    return socket;
}

/* --- CURVE --------------------------------------------------------------------------------------------- */

/* Keys of the benchmark, from libzmq's documentation; they protect nothing. */
static const char server_secret[] = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";
static const char client_secret[] = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

static void set_key(void *socket, int option, const char *key) {
    check(zmq_setsockopt(socket, option, key, strlen(key)), "key");
}

static void secure_server(void *socket) {
    if (!options->secured) return;
    if (!zmq_has("curve")) bench_fail("this libzmq is built without CURVE", 0);
    check(zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &(int){1}, sizeof(int)), "curve");
    set_key(socket, ZMQ_CURVE_SECRETKEY, server_secret);
}

static void secure_client(void *socket) {
    char public_key[41];
    if (!options->secured) return;
    check(zmq_curve_public(public_key, server_secret), "public key");
    set_key(socket, ZMQ_CURVE_SERVERKEY, public_key);
    check(zmq_curve_public(public_key, client_secret), "public key");
    set_key(socket, ZMQ_CURVE_PUBLICKEY, public_key);
    set_key(socket, ZMQ_CURVE_SECRETKEY, client_secret);
}

/* --- Sockets ------------------------------------------------------------------------------------------- */

static void *listening(int type) {
    char endpoint[64];
    void *socket = new_socket(type);
    secure_server(socket);
    check(zmq_setsockopt(socket, ZMQ_BACKLOG, &(int){4096}, sizeof(int)), "backlog");
    if (options->port == 0) snprintf(
        endpoint, sizeof endpoint, "tcp://%s:*", options->hosts > 1 ? "*" : options->host);
    else snprintf(
        endpoint, sizeof endpoint, "tcp://%s:%d", options->hosts > 1 ? "*" : options->host, options->port);
    check(zmq_bind(socket, endpoint), "bind");
    size_t length = sizeof endpoint;
    check(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &length), "endpoint");
    bench_ready(atoi(strrchr(endpoint, ':') + 1));
    return socket;
}

static void *connected(int type, unsigned n) {
    char host[16], endpoint[64];
    bench_host(options, n, host);
    void *socket = new_socket(type);
    secure_client(socket);
    snprintf(endpoint, sizeof endpoint, "tcp://%s:%d", host, options->port);
    check(zmq_connect(socket, endpoint), "connect");
    return socket;
}

static void send_one(void *socket, uint8_t purpose) {
    zmq_msg_t message;
    zmq_msg_init_size(&message, options->bytes);
    memset(zmq_msg_data(&message), 'x', options->bytes);
    *(uint8_t *)zmq_msg_data(&message) = purpose;
    check(zmq_msg_send(&message, socket, 0), "send");
}

/* A message on its way over: what was received is what is sent back. */
static void echo(int type) {
    void *socket = listening(type);
    for (;;) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        check(zmq_msg_recv(&message, socket, 0), "receive");
        bench_add(1, zmq_msg_size(&message));
        check(zmq_msg_send(&message, socket, 0), "send");
    }
}

static void sink(void) {
    void *socket = listening(ZMQ_PULL);
    zmq_msg_t message;
    zmq_msg_init(&message);
    for (;;) {
        check(zmq_msg_recv(&message, socket, 0), "receive");
        bench_add(1, zmq_msg_size(&message));
    }
}

static void ping(int type) {
    void *socket = connected(type, 0);
    zmq_msg_t answer;
    zmq_msg_init(&answer);
    bench_ready(0);
    for (;;) {
        uint64_t begun = bench_now();
        send_one(socket, FRAME_ECHO);
        check(zmq_msg_recv(&answer, socket, 0), "receive");
        bench_round_trip(bench_now() - begun);
    }
}

static void flood(void) {
    void *socket = connected(ZMQ_PUSH, 0);
    bench_ready(0);
    for (;;) {
        send_one(socket, FRAME_SINK);
        bench_add(1, options->bytes);
    }
}

static void nothing_to_free(void *data, void *hint) { (void)data, (void)hint; }

/* Large messages without a copy, as its guide recommends. */
static void bulk(void) {
    void *socket = connected(ZMQ_PUSH, 0), *chunk = calloc(1, options->chunk);
    bench_ready(0);
    for (;;) {
        zmq_msg_t message;
        zmq_msg_init_data(&message, chunk, options->chunk, nothing_to_free, NULL);
        check(zmq_msg_send(&message, socket, 0), "send");
        bench_add(1, options->chunk);
    }
}

static void open_many(void) {
    void **sockets = calloc(options->peers, sizeof *sockets);
    for (unsigned i = 0; i < options->peers; i++) sockets[i] = connected(ZMQ_PUSH, i);
    bench_ready(0);
    for (;;) {
        bench_wait_for_go();
        for (unsigned i = 0; i < options->peers; i++) send_one(sockets[i], FRAME_SINK);
        bench_say("SENT");
    }
}

static void greet_serve(void) {
    void *socket = listening(ZMQ_REP);
    char greeting[GREETING_BYTES];
    for (;;) {
        check(zmq_recv(socket, greeting, sizeof greeting, 0), "receive");
        bench_add(1, GREETING_BYTES);
        check(zmq_send(socket, greeting, sizeof greeting, 0), "send");
    }
}

static void *greet_in_turn(void *first) {
    char greeting[GREETING_BYTES] = "greeting";
    for (unsigned n = (unsigned)(uintptr_t)first;; n += options->peers) {
        void *socket = connected(ZMQ_REQ, n);
        check(zmq_send(socket, greeting, sizeof greeting, 0), "send");
        check(zmq_recv(socket, greeting, sizeof greeting, 0), "receive");
        zmq_close(socket);
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
    context = zmq_ctx_new();
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 20000);
    const char *role = options->role;
    if (strcmp(role, "serve") == 0 && strcmp(options->door, "echo") == 0) echo(ZMQ_PAIR);
    else if (strcmp(role, "serve") == 0 || strcmp(role, "bulk-serve") == 0) sink();
    else if (strcmp(role, "ping") == 0) ping(ZMQ_PAIR);
    else if (strcmp(role, "answer") == 0) echo(ZMQ_REP);
    else if (strcmp(role, "ask") == 0) ping(ZMQ_REQ);
    else if (strcmp(role, "flood") == 0) flood();
    else if (strcmp(role, "open") == 0) open_many();
    else if (strcmp(role, "bulk") == 0) bulk();
    else if (strcmp(role, "greet-serve") == 0) greet_serve();
    else if (strcmp(role, "greet") == 0) greet();
    bench_fail("no such role", 0);
}
