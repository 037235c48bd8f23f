#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIAL_TIMEOUT_MS = 10000 };

const struct bench_options *options;
parley_transport *transport;
parley_peer server;
uint8_t *message;
uint64_t begun;

void check(int64_t status, const char *what) {
    if (status < 0) {
        fprintf(stderr, "%s: %s (%s)\n", what, parley_last_error(), parley_strerror((int)status));
        _exit(1);
    }
}

void make_node(parley_options made) {
    static char address[32];
    snprintf(address, sizeof address, "%s:%d", options->hosts > 1 ? "0.0.0.0" : options->host, options->port);
    made.listen_address = address;
    made.max_peers = made.max_inbound_peers = made.max_outbound_peers = 20000;
    check(parley_create(&made, &transport), "create");
    message = malloc(options->bytes + 1);
    memset(message, 'x', options->bytes);
}

void listen_and_say_so(void) {
    char address[64];
    check(parley_listen(transport), "listen");
    parley_address(transport, address, sizeof address);
    bench_ready(atoi(strrchr(address, ':') + 1));
}

parley_peer dialed(unsigned n) {
    char host[16], address[32];
    parley_peer peer;
    bench_host(options, n, host);
    snprintf(address, sizeof address, "%s:%d", host, options->port);
    check(parley_dial(transport, address, DIAL_TIMEOUT_MS, &peer), "dial");
    return peer;
}

void sleep_for_ever(void) {
    for (;;) pause();
}

void send_and_note(void *unused) {
    (void)unused;
    begun = bench_now();
    check(parley_send_message(transport, server, message, options->bytes, 0), "send");
}

void answered(parley_transport *at, const parley_rpc *rpcs, size_t count, void *unused) {
    (void)at, (void)rpcs, (void)count;
    bench_round_trip(bench_now() - begun);
    send_and_note(unused);
}
