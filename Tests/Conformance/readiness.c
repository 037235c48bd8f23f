/* parley_when_readable() and parley_when_writable(): called once, when ready, when ready already, or at the
 * end. */
#include "check.h"

typedef struct wait {
    parley_transport *node;
    parley_peer peer;
    event called;
    uint64_t moved, total;
    parley_stream *stream;
} wait;

static void was_called(parley_transport *transport, parley_peer peer, void *argument) {
    wait *it = (wait *)argument;
    CHECK(transport == it->node && peer == it->peer);
    event_add(&it->called, 1);
}

/* A stream that two state machines write and read on the loops alone. */
static void write_on(parley_transport *transport, parley_peer peer, void *argument) {
    wait *it = (wait *)argument;
    uint8_t piece[10000];
    int code = PARLEY_OK;
    while (it->moved < it->total) {
        size_t length = it->total - it->moved < sizeof piece ? (size_t)(it->total - it->moved) : sizeof piece;
        fill_content(piece, length, it->moved);
        code = parley_stream_write(it->stream, piece, length, 0);
        if (code == PARLEY_EAGAIN) {
            CHECK_OK(parley_when_writable(transport, peer, write_on, it));
            return;
        }
        CHECK_OK(code);
        it->moved += length;
    }
    CHECK_OK(parley_stream_finish(it->stream));
    event_add(&it->called, 1);
}

static void read_on(parley_transport *transport, parley_peer peer, void *argument) {
    wait *it = (wait *)argument;
    uint8_t piece[7777];
    int64_t count;
    while ((count = parley_read(transport, peer, piece, sizeof piece, 0)) > 0) {
        CHECK(is_content(piece, (size_t)count, it->moved));
        it->moved += (uint64_t)count;
    }
    if (count == PARLEY_EAGAIN) {
        CHECK_OK(parley_when_readable(transport, peer, read_on, it));
        return;
    }
    CHECK_INT(count, 0);
    CHECK_OK(parley_peer_close_stream(transport, peer));
    event_add(&it->called, 1);
}

static void on_stream(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    wait *it = (wait *)userdata;
    CHECK_INT(count, 1);
    CHECK(rpcs[0].stream);
    it->node = transport;
    it->peer = rpcs[0].peer;
    read_on(transport, rpcs[0].peer, it);
}

static void stream_on_the_loops(void) {
    wait reading = {NULL, PARLEY_NO_PEER, EVENT_INIT, 0, 0, NULL}, writing = reading;
    parley_options server = loopback(), client = loopback();
    pair pair;
    server.userdata = &reading;
    server.on_rpcs = on_stream;
    client.send_high_water_bytes = 30000;
    client.send_low_water_bytes = 1000;
    pair = connected(&server, &client);
    writing.total = scaled(64 << 20, 1 << 20);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &writing.stream));
    writing.node = pair.client;
    writing.peer = pair.to_server;
    CHECK_OK(parley_when_writable(pair.client, pair.to_server, write_on, &writing));
    CHECK_REACHES(&writing.called, 1);
    CHECK_REACHES(&reading.called, 1);
    CHECK_INT(reading.moved, writing.total);
    free_pair(pair);
}

/* The call also comes when the peer was ready before it was requested. */
static void writable_already(void) {
    wait it = {NULL, PARLEY_NO_PEER, EVENT_INIT, 0, 0, NULL};
    parley_options options = loopback();
    pair pair;
    parley_rpc rpc;
    static uint8_t piece[65536];
    uint64_t read = 0, written = 0;
    int code;
    options.send_high_water_bytes = 65536;
    pair = connected(&options, &options);
    it.node = pair.client;
    it.peer = pair.to_server;
    /* A send has room. */
    CHECK_OK(parley_when_writable(it.node, it.peer, was_called, &it));
    CHECK_REACHES(&it.called, 1);

    CHECK_OK(parley_stream_open(it.node, it.peer, NULL, 0, 0, &it.stream));
    while ((code = parley_stream_write(it.stream, piece, sizeof piece, 0)) == PARLEY_OK)
        written += sizeof piece;
    CHECK_CODE(code, PARLEY_EAGAIN);
    /* The writer requests the call only after the reader has read everything. */
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK(rpc.stream);
    parley_rpc_release(&rpc);
    while (read < written) {
        int64_t count = parley_read(pair.server, pair.to_client, piece, sizeof piece, LIMIT_MS);
        CHECK(count > 0);
        read += (uint64_t)count;
    }
    sleep_ms(20); /* usually enough for the last acknowledgement; the test passes either way */
    CHECK_OK(parley_when_writable(it.node, it.peer, was_called, &it));
    CHECK_REACHES(&it.called, 2);
    CHECK_OK(parley_stream_write(it.stream, piece, 1, 0));
    CHECK_OK(parley_stream_finish(it.stream));
    free_pair(pair);
}

/* The peer disconnects meanwhile: the call comes once. */
static void called_at_disconnect(void) {
    wait reading = {NULL, PARLEY_NO_PEER, EVENT_INIT, 0, 0, NULL}, writing = reading;
    parley_options options = loopback();
    pair pair;
    parley_stream *stream;
    int index;
    for (index = 0; index < 2; index++) {
        pair = connected(&options, &options);
        reading.node = writing.node = pair.client;
        reading.peer = writing.peer = pair.to_server;
        CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, 0, &stream));
        CHECK_CODE(parley_send_message(pair.client, pair.to_server, "x", 1, 0), PARLEY_EAGAIN);
        CHECK_OK(parley_when_writable(pair.client, pair.to_server, was_called, &writing));
        CHECK_OK(parley_when_readable(pair.client, pair.to_server, was_called, &reading));
        CHECK_OK(parley_free(index ? pair.client : pair.server));
        CHECK_REACHES(&writing.called, index + 1);
        CHECK(event_reaches(&reading.called, index + 1, LIMIT_MS));
        if (index) CHECK(parley_stream_finish(stream) < 0);
        if (!index) parley_stream_abort(stream, 1, "gone");
        CHECK_OK(parley_free(index ? pair.server : pair.client));
        CHECK_INT(event_count(&writing.called), index + 1);
    }
    CHECK_CODE(parley_when_readable(NULL, 1, was_called, NULL), PARLEY_EINVAL);
}

/* parley_read_exactly() with a time-out of 0, for more bytes than are read ahead, succeeds in the end. */
static void exactly_on(parley_transport *transport, parley_peer peer, void *argument) {
    wait *it = (wait *)argument;
    uint8_t *bytes = (uint8_t *)malloc((size_t)it->total);
    int code = parley_read_exactly(transport, peer, bytes, (size_t)it->total, 0);
    if (code == PARLEY_EAGAIN) {
        CHECK_OK(parley_when_readable(transport, peer, exactly_on, it));
    } else {
        CHECK_OK(code);
        CHECK(is_content(bytes, (size_t)it->total, 0));
        event_add(&it->called, 1);
    }
    free(bytes);
}

static void large_exact_read(void) {
    wait it = {NULL, PARLEY_NO_PEER, EVENT_INIT, 0, scaled(2 << 20, 768 << 10), NULL};
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_rpc rpc;
    uint8_t *bytes = (uint8_t *)malloc((size_t)it.total);
    fill_content(bytes, (size_t)it.total, 0);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, 0, &it.stream));
    CHECK_OK(parley_stream_write(it.stream, bytes, (size_t)it.total, LIMIT_MS));
    CHECK_OK(parley_stream_finish(it.stream));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    CHECK_OK(parley_when_readable(pair.server, pair.to_client, exactly_on, &it));
    CHECK_REACHES(&it.called, 1);
    free(bytes);
    free_pair(pair);
}

int main(void) {
    begin(90);
    trying("a stream on the loops alone");
    stream_on_the_loops();
    trying("at the end");
    called_at_disconnect();
    trying("requested when writable already");
    writable_already();
    trying("a large exact read without waiting");
    large_exact_read();
    return 0;
}
