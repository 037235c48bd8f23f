/* Two-way streams of a program with a loop of its own: poll(2) on parley_fd() tells of new streams, and of
 * reads and writes that may be tried again. */
#include "peer_streams.h"

#include <poll.h>

static parley_options with_events(size_t capacity) {
    parley_options options = multiplexed();
    options.peer_event_capacity = capacity;
    return options;
}

/* The next item that is not about the peer itself. */
static parley_rpc next(parley_transport *node) {
    while (true) {
        struct pollfd entry;
        parley_rpc rpc;
        const int code = parley_try_consume(node, &rpc);
        if (code == PARLEY_OK && rpc.kind != PARLEY_RPC_CONNECTED) return rpc;
        if (code == PARLEY_OK) {
            parley_rpc_release(&rpc);
            continue;
        }
        CHECK_CODE(code, PARLEY_EAGAIN);
        entry.fd = parley_fd(node);
        entry.events = POLLIN;
        entry.revents = 0;
        CHECK_INT(poll(&entry, 1, LIMIT_MS), 1);
    }
}

static void expect_event(parley_transport *node, parley_rpc_kind kind, parley_peer_stream stream) {
    parley_rpc rpc = next(node);
    CHECK_INT(rpc.kind, kind);
    CHECK(rpc.peer_stream == stream && rpc.payload == NULL && !rpc.stream);
    parley_rpc_release(&rpc);
}

static parley_peer_stream expect_stream(parley_transport *node, parley_peer peer, const char *protocol) {
    parley_rpc rpc = next(node);
    const parley_peer_stream stream = rpc.peer_stream;
    CHECK_INT(rpc.kind, PARLEY_RPC_STREAM_ACCEPTED);
    CHECK(rpc.peer == peer && stream != PARLEY_NO_PEER_STREAM && !rpc.stream);
    CHECK(rpc.length == strlen(protocol) && strcmp((const char *)rpc.payload, protocol) == 0);
    parley_rpc_release(&rpc);
    CHECK(parley_peer_stream_peer(node, stream) == peer);
    return stream;
}

static void question_and_answer(void) {
    parley_options options = with_events(100);
    pair pair = connected(&options, &options);
    parley_peer_stream client, server;
    CHECK_OK(parley_accept_streams(pair.server, ECHO_NAME, NULL, NULL));
    CHECK_OK(parley_accept_streams(pair.server, "/other/1", NULL, NULL));
    client = open_stream(pair.client, pair.to_server, ECHO_NAME);
    server = expect_stream(pair.server, pair.to_client, ECHO_NAME);
    CHECK_CODE(read_code(pair.server, server, 0), PARLEY_EAGAIN);
    CHECK_OK(parley_peer_stream_when_readable(pair.server, server, NULL, NULL));
    write_text(pair.client, client, "question");
    expect_event(pair.server, PARLEY_RPC_STREAM_READABLE, server);
    expect_text(pair.server, server, "question");
    CHECK_OK(parley_peer_stream_when_writable(pair.server, server, NULL, NULL));
    expect_event(pair.server, PARLEY_RPC_STREAM_WRITABLE, server);
    write_text(pair.server, server, "answer");
    CHECK_OK(parley_peer_stream_when_readable(pair.client, client, NULL, NULL));
    expect_event(pair.client, PARLEY_RPC_STREAM_READABLE, client);
    expect_text(pair.client, client, "answer");
    /* The end makes a stream readable as well. */
    CHECK_OK(parley_peer_stream_when_readable(pair.client, client, NULL, NULL));
    CHECK_OK(parley_peer_stream_close(pair.server, server));
    expect_event(pair.client, PARLEY_RPC_STREAM_READABLE, client);
    CHECK_INT(read_code(pair.client, client, 0), 0);
    CHECK_OK(parley_peer_stream_close(pair.client, client));
    client = open_stream(pair.client, pair.to_server, "/other/1");
    expect_stream(pair.server, pair.to_client, "/other/1");
    free_pair(pair);
}

/* More than there is room for. One thread writes and reads it, and waits in poll(2) alone. */
typedef struct transfer {
    pair nodes;
    parley_peer_stream client, server;
    size_t total, written, read;
} transfer;

static void write_on(transfer *it) {
    static uint8_t piece[30000];
    while (it->written < it->total) {
        const size_t rest = it->total - it->written;
        const size_t length = rest < sizeof piece ? rest : sizeof piece;
        int64_t count;
        fill_content(piece, length, it->written);
        count = parley_peer_stream_write(it->nodes.client, it->client, piece, length, 0);
        if (count == PARLEY_EAGAIN) {
            CHECK_OK(parley_peer_stream_when_writable(it->nodes.client, it->client, NULL, NULL));
            return;
        }
        CHECK(count > 0 && (size_t)count <= length);
        it->written += (size_t)count;
    }
    CHECK_OK(parley_peer_stream_finish(it->nodes.client, it->client));
}

/* Returns whether the stream has ended. */
static bool read_on(transfer *it) {
    static uint8_t piece[20000];
    int64_t count;
    while ((count = parley_peer_stream_read(it->nodes.server, it->server, piece, sizeof piece, 0)) > 0) {
        CHECK(is_content(piece, (size_t)count, it->read));
        it->read += (size_t)count;
    }
    if (count == 0) return true;
    CHECK_CODE(count, PARLEY_EAGAIN);
    CHECK_OK(parley_peer_stream_when_readable(it->nodes.server, it->server, NULL, NULL));
    return false;
}

static void a_long_stream(void) {
    parley_options options = with_events(100);
    transfer it;
    bool has_ended;
    it.total = scaled(16 << 20, 1 << 20);
    it.written = it.read = 0;
    it.nodes = connected(&options, &options);
    CHECK_OK(parley_accept_streams(it.nodes.server, ECHO_NAME, NULL, NULL));
    it.client = open_stream(it.nodes.client, it.nodes.to_server, ECHO_NAME);
    it.server = expect_stream(it.nodes.server, it.nodes.to_client, ECHO_NAME);
    write_on(&it);
    has_ended = read_on(&it);
    while (!has_ended) {
        struct pollfd entries[2];
        parley_rpc rpc;
        memset(entries, 0, sizeof entries);
        entries[0].fd = parley_fd(it.nodes.client);
        entries[1].fd = parley_fd(it.nodes.server);
        entries[0].events = entries[1].events = POLLIN;
        CHECK(poll(entries, 2, LIMIT_MS) > 0);
        while (parley_try_consume(it.nodes.client, &rpc) == PARLEY_OK) {
            if (rpc.kind == PARLEY_RPC_STREAM_WRITABLE) write_on(&it);
            parley_rpc_release(&rpc);
        }
        while (parley_try_consume(it.nodes.server, &rpc) == PARLEY_OK) {
            if (rpc.kind == PARLEY_RPC_STREAM_READABLE) has_ended = read_on(&it);
            parley_rpc_release(&rpc);
        }
    }
    CHECK_INT(it.read, it.total);
    free_pair(it.nodes);
}

/* A program that takes no items gets no further streams, instead of more and more items. */
static void bounded(void) {
    enum { capacity = 4 };
    parley_options options = with_events(capacity), plain = multiplexed();
    pair pair = connected(&options, &plain);
    parley_peer_stream streams[2 * capacity];
    int index;
    CHECK_OK(parley_accept_streams(pair.server, ECHO_NAME, NULL, NULL));
    for (index = 0; index < 2 * capacity; index++) {
        streams[index] = open_stream(pair.client, pair.to_server, ECHO_NAME);
        /* Those without a place may be refused already. */
        if (index < capacity - 1) write_text(pair.client, streams[index], "x");
        else (void)!parley_peer_stream_write(pair.client, streams[index], "x", 1, LIMIT_MS);
    }
    /* One place is the peer's. */
    for (index = capacity - 1; index < 2 * capacity; index++)
        CHECK_CODE(read_code(pair.client, streams[index], LIMIT_MS), PARLEY_EABORTED);
    for (index = 0; index < capacity - 1; index++) {
        const parley_peer_stream stream = expect_stream(pair.server, pair.to_client, ECHO_NAME);
        expect_text(pair.server, stream, "x");
        CHECK_OK(parley_peer_stream_close(pair.server, stream));
        CHECK_INT(read_code(pair.client, streams[index], LIMIT_MS), 0);
    }
    free_pair(pair);
}

/* What the program has asked for takes no place of what others do. */
static void asked_for(void) {
    enum { count = 20 };
    parley_options options = with_events(2), plain = multiplexed();
    pair pair = connected(&options, &plain);
    parley_peer_stream client, server;
    int index;
    CHECK_OK(parley_accept_streams(pair.server, ECHO_NAME, NULL, NULL));
    (void)open_stream(pair.client, pair.to_server, ECHO_NAME);
    server = expect_stream(pair.server, pair.to_client, ECHO_NAME);
    for (index = 0; index < count; index++)
        CHECK_OK(parley_peer_stream_when_writable(pair.server, server, NULL, NULL));
    CHECK_EVENTUALLY(statistics_of(pair.server).inbox_rpcs == count);
    client = open_stream(pair.client, pair.to_server, ECHO_NAME);
    write_text(pair.client, client, "x");
    for (index = 0; index < count; index++) expect_event(pair.server, PARLEY_RPC_STREAM_WRITABLE, server);
    server = expect_stream(pair.server, pair.to_client, ECHO_NAME);
    expect_text(pair.server, server, "x");
    free_pair(pair);
}

/* Without peer_event_capacity there are no items. */
static void needs_capacity(void) {
    pair pair = multiplexed_pair();
    const parley_peer_stream stream = open_stream(pair.client, pair.to_server, ECHO_NAME);
    CHECK_CODE(parley_accept_streams(pair.server, ECHO_NAME, NULL, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "on_stream is NULL, and peer_event_capacity is 0");
    CHECK_CODE(parley_peer_stream_when_readable(pair.client, stream, NULL, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "function is NULL, and peer_event_capacity is 0");
    CHECK_CODE(parley_peer_stream_when_writable(pair.client, stream, NULL, NULL), PARLEY_EINVAL);
    free_pair(pair);
}

int main(void) {
    begin(90);
    trying("question and answer");
    question_and_answer();
    trying("a long stream");
    a_long_stream();
    trying("bounded");
    bounded();
    trying("asked for");
    asked_for();
    trying("needs peer_event_capacity");
    needs_capacity();
    return 0;
}
