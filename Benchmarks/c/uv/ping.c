#include "common.h"

#include <stdlib.h>

static const struct bench_options *options;
static uv_tcp_t tcp;
static uv_connect_t connecting;
static uint8_t message[FRAME_HEADER + FRAME_LIMIT], answer[FRAME_SLAB];
static size_t message_count, have;
static uint64_t begun;
static struct outgoing outgoing;

static void sent(struct outgoing *unused) { (void)unused; }

static void send_one(void) {
    begun = bench_now();
    write_now(&tcp, &outgoing, message_count);
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)handle, (void)suggested;
    *buffer = uv_buf_init((char *)answer, sizeof answer);
}

static void read_some(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)stream, (void)buffer;
    if (got < 0) bench_fail("the server is gone", (int)-got);
    note_activity();
    have += (size_t)got;
    if (have < message_count) return;
    have = 0;
    bench_round_trip(bench_now() - begun);
    send_one();
}

static void connected(uv_connect_t *request, int status) {
    (void)request;
    check(status, "connect");
    uv_read_start((uv_stream_t *)&tcp, lend, read_some);
    bench_ready(0);
    send_one();
}

void ping(const struct bench_options *given) {
    options = given;
    message_count = frame_put(message, FRAME_ECHO, options->bytes);
    outgoing = (struct outgoing){.bytes = message, .done = sent};
    connect_to(options, 0, &tcp, &connecting, connected);
    run_loop(options);
}
