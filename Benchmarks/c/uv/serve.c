#include "common.h"

#include <stdlib.h>
#include <string.h>

/* A connection owns what it has of an unfinished frame, and replies that did not go at once; mostly
 * neither. */
struct connection {
    uv_tcp_t tcp;
    uint8_t *rest;
    size_t rest_count;
    struct outgoing *replies;
};

static uint8_t in[FRAME_SLAB + FRAME_LIMIT + FRAME_HEADER];
static uint8_t out[FRAME_SLAB + FRAME_LIMIT + FRAME_HEADER];
static const struct bench_options *options;
static uv_tcp_t listener;

static void closed(uv_handle_t *handle) {
    struct connection *connection = handle->data;
    free(connection->rest);
    free(connection->replies);
    free(connection);
}

static void lend_slab(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)suggested;
    struct connection *connection = handle->data;
    if (connection->rest_count > 0) memcpy(in, connection->rest, connection->rest_count);
    *buffer = uv_buf_init((char *)in + connection->rest_count, FRAME_SLAB);
}

static void keep_rest(struct connection *connection, const uint8_t *data, size_t count) {
    if (count > 0) {
        connection->rest = realloc(connection->rest, FRAME_LIMIT + FRAME_HEADER);
        memcpy(connection->rest, data, count);
    } else if (connection->rest) {
        free(connection->rest);
        connection->rest = NULL;
    }
    connection->rest_count = count;
}

static void read_some(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer);

static void replied(struct outgoing *outgoing) {
    struct connection *connection = outgoing->owner;
    uv_read_start((uv_stream_t *)&connection->tcp, lend_slab, read_some);
    connection->replies = NULL;
    free(outgoing);
}

/* All replies of one read leave in one write. Who does not take them is not read any further. */
static void reply(struct connection *connection, size_t count) {
    uv_buf_t buffer = uv_buf_init((char *)out, (unsigned)count);
    int sent = uv_try_write((uv_stream_t *)&connection->tcp, &buffer, 1);
    if (sent == (int)count) return;
    if (sent < 0 && sent != UV_EAGAIN) return;
    size_t left = count - (size_t)(sent > 0 ? sent : 0);
    struct outgoing *outgoing = malloc(sizeof *outgoing + left);
    *outgoing = (struct outgoing){.bytes = (uint8_t *)(outgoing + 1), .done = replied, .owner = connection};
    memcpy(outgoing->bytes, out + count - left, left);
    connection->replies = outgoing;
    if (write_now(&connection->tcp, outgoing, left)) replied(outgoing);
    else uv_read_stop((uv_stream_t *)&connection->tcp);
}

static void read_some(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)buffer;
    struct connection *connection = stream->data;
    if (got == 0) return;
    struct frames_taken taken = {0};
    size_t all = connection->rest_count + (size_t)(got > 0 ? got : 0);
    if (got < 0 || !frames_take(in, all, out, &taken)) {
        uv_close((uv_handle_t *)stream, closed);
        return;
    }
    note_activity();
    bench_add(taken.messages, (uint64_t)got);
    keep_rest(connection, in + taken.consumed, all - taken.consumed);
    if (taken.echoed > 0) reply(connection, taken.echoed);
}

static void connected(uv_stream_t *server, int status) {
    check(status, "listen");
    struct connection *connection = calloc(1, sizeof *connection);
    uv_tcp_init(server->loop, &connection->tcp);
    connection->tcp.data = connection;
    check(uv_accept(server, (uv_stream_t *)&connection->tcp), "accept");
    uv_tcp_nodelay(&connection->tcp, 1);
    uv_read_start((uv_stream_t *)&connection->tcp, lend_slab, read_some);
}

void serve(const struct bench_options *given) {
    options = given;
    bench_ready(listen_at(options, &listener, connected));
    run_loop(options);
}
