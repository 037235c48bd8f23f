/* Peers that come and go are items of the inbox: a program with its own loop needs nothing else. */
#include "check.h"

#include <poll.h>

static parley_options with_events(size_t capacity) {
    parley_options options = loopback();
    options.peer_event_capacity = capacity;
    return options;
}

/* Waits as a program with its own loop does: with poll(2) alone. */
static parley_rpc next(parley_transport *node) {
    parley_rpc rpc;
    int code;
    while ((code = parley_try_consume(node, &rpc)) == PARLEY_EAGAIN) {
        struct pollfd entry;
        entry.fd = parley_fd(node);
        entry.events = POLLIN;
        entry.revents = 0;
        CHECK_INT(poll(&entry, 1, LIMIT_MS), 1);
    }
    CHECK_OK(code);
    return rpc;
}

static void expect_message(parley_transport *node, parley_peer peer, const char *text) {
    parley_rpc rpc = next(node);
    CHECK_INT(rpc.kind, PARLEY_RPC_RECEIVED);
    CHECK_INT(rpc.reason, 0);
    CHECK(rpc.peer == peer && rpc.length == strlen(text) && memcmp(rpc.payload, text, rpc.length) == 0);
    parley_rpc_release(&rpc);
}

static parley_peer expect_connected(parley_transport *node) {
    parley_rpc rpc = next(node);
    parley_peer peer = rpc.peer;
    char from[64];
    CHECK_INT(rpc.kind, PARLEY_RPC_CONNECTED);
    CHECK(peer != PARLEY_NO_PEER && rpc.payload == NULL && rpc.length == 0 && !rpc.stream);
    CHECK(parley_rpc_from(&rpc, from, sizeof from) > 0);
    CHECK_CONTAINS(from, "127.0.0.1:");
    parley_rpc_release(&rpc);
    return peer;
}

static void expect_disconnected(parley_transport *node, parley_peer peer, int reason, void *userdata) {
    parley_rpc rpc = next(node);
    char from[64];
    CHECK_INT(rpc.kind, PARLEY_RPC_DISCONNECTED);
    CHECK(rpc.peer == peer && !rpc.stream);
    CHECK_CODE(rpc.reason, reason);
    CHECK(rpc.length > 0 && strlen((const char *)rpc.payload) == rpc.length);
    CHECK(parley_rpc_from(&rpc, from, sizeof from) > 0);
    CHECK(parley_rpc_userdata(&rpc) == userdata);
    /* The number is gone. */
    CHECK_CODE(parley_peer_close(node, peer, 0), PARLEY_ENOPEER);
    parley_rpc_release(&rpc);
    CHECK(parley_rpc_userdata(&rpc) == NULL);
}

/* A peer comes, sends, and goes: in this order. */
static void in_order(void) {
    parley_options options = with_events(100), plain = loopback();
    parley_transport *server = listening(&options), *client;
    parley_peer first, second, to_server;
    parley_rpc rpc;
    int mine;
    CHECK_CODE(parley_try_consume(server, &rpc), PARLEY_EAGAIN);
    client = create(&plain);
    to_server = dial(client, server);
    CHECK_OK(parley_send_message(client, to_server, "one", 3, LIMIT_MS));
    first = expect_connected(server);
    CHECK_OK(parley_peer_set_userdata(server, first, &mine));
    expect_message(server, first, "one");
    CHECK_OK(parley_send_message(client, to_server, "two", 3, LIMIT_MS));
    CHECK_OK(parley_free(client));
    expect_message(server, first, "two");
    expect_disconnected(server, first, PARLEY_EOF, &mine);

    client = create(&plain);
    to_server = dial(client, server);
    second = expect_connected(server);
    CHECK(second != first);
    CHECK_OK(parley_peer_close(server, second, LIMIT_MS));
    expect_disconnected(server, second, PARLEY_ECLOSED, NULL);
    CHECK_CODE(parley_try_consume(server, &rpc), PARLEY_EAGAIN);
    CHECK_OK(parley_free(client));
    CHECK_OK(parley_free(server));
}

/* The dialing side has events as well; peers that were never open have none. */
static int refuse(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)transport;
    (void)peer;
    return *(int *)userdata;
}

static void dialed_and_refused(void) {
    parley_options options = with_events(100), plain = loopback();
    parley_transport *server = listening(&plain), *client;
    parley_peer peer;
    parley_rpc rpc;
    char address[64];
    int answer = -2000;
    options.on_peer = refuse;
    options.userdata = &answer;
    client = create(&options);
    parley_address(server, address, sizeof address);
    CHECK_CODE(parley_dial(client, address, LIMIT_MS, &peer), -2000);
    answer = 0;
    CHECK_OK(parley_dial(client, address, LIMIT_MS, &peer));
    CHECK(expect_connected(client) == peer);
    CHECK_CODE(parley_try_consume(client, &rpc), PARLEY_EAGAIN);
    /* A connection that the server has not accepted yet would end with a reset. */
    CHECK_OK(parley_send_message(client, peer, "accepted", 8, LIMIT_MS));
    CHECK_OK(parley_consume(server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    CHECK_OK(parley_free(server));
    expect_disconnected(client, peer, PARLEY_EOF, NULL);
    CHECK_OK(parley_free(client));
}

/* Events of peers whose last messages wait for room come after these messages. */
static void behind_a_backlog(void) {
    enum { count = 50 };
    parley_options options = with_events(100), plain = loopback();
    parley_transport *server, *client;
    parley_peer peer, to_server;
    int index;
    options.inbox_capacity = 4;
    server = listening(&options);
    client = create(&plain);
    to_server = dial(client, server);
    peer = expect_connected(server);
    for (index = 0; index < count; index++)
        CHECK_OK(parley_send_message(client, to_server, "message", 7, LIMIT_MS));
    CHECK_OK(parley_free(client));
    for (index = 0; index < count; index++) expect_message(server, peer, "message");
    expect_disconnected(server, peer, PARLEY_EOF, NULL);
    CHECK_OK(parley_free(server));
}

/* What has happened before parley_close() returned can still be consumed. */
static void at_the_end(size_t loops) {
    enum { count = 6 };
    parley_options options = with_events(100), plain = loopback();
    parley_transport *server, *client = create(&plain);
    parley_rpc rpc;
    int index, connected = 0, disconnected = 0;
    options.loops = loops;
    server = listening(&options);
    for (index = 0; index < count; index++) dial(client, server);
    await_peers(server, count);
    CHECK_OK(parley_close(server));
    while (parley_try_consume(server, &rpc) == PARLEY_OK) {
        if (rpc.kind == PARLEY_RPC_CONNECTED) connected += 1;
        if (rpc.kind == PARLEY_RPC_DISCONNECTED) {
            CHECK_CODE(rpc.reason, PARLEY_ECLOSED);
            disconnected += 1;
        }
        parley_rpc_release(&rpc);
    }
    CHECK_INT(connected, count);
    CHECK_INT(disconnected, count);
    CHECK_OK(parley_free(server));
    CHECK_OK(parley_free(client));
}

/* A program that does not take its events gets no further peers, instead of more and more events. */
static void bounded(void) {
    parley_options options = with_events(4), plain = loopback();
    parley_transport *server = listening(&plain), *client = create(&options);
    parley_peer peer;
    parley_rpc rpc;
    char address[64];
    int index;
    parley_address(server, address, sizeof address);
    for (index = 0; index < 2; index++) {
        CHECK_OK(parley_dial(client, address, LIMIT_MS, &peer));
        CHECK_OK(parley_peer_close(client, peer, LIMIT_MS));
    }
    await_callbacks(client);
    CHECK_CODE(parley_dial(client, address, LIMIT_MS, &peer), PARLEY_EBUFFERFULL);
    CHECK_CONTAINS(parley_last_error(), "4 events of peers");
    for (index = 0; index < 4; index++) {
        rpc = next(client);
        CHECK_INT(rpc.kind, index % 2 == 0 ? PARLEY_RPC_CONNECTED : PARLEY_RPC_DISCONNECTED);
        parley_rpc_release(&rpc);
    }
    CHECK_OK(parley_dial(client, address, LIMIT_MS, &peer));
    CHECK(expect_connected(client) == peer);
    CHECK_OK(parley_free(client));
    CHECK_OK(parley_free(server));
}

/* What would have to wait goes on when an item says so. */
static void readiness(void) {
    parley_options options = with_events(100);
    pair pair = connected(&options, &options);
    parley_stream *stream;
    uint8_t piece[4096];
    uint64_t written = 0, read = 0;
    int code;
    bool is_finished = false, asked = true;
    memset(piece, 7, sizeof piece);
    CHECK(expect_connected(pair.client) == pair.to_server);
    CHECK(expect_connected(pair.server) == pair.to_client);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, 0, &stream));
    while ((code = parley_stream_write(stream, piece, sizeof piece, 0)) == PARLEY_OK) written += sizeof piece;
    CHECK_CODE(code, PARLEY_EAGAIN);
    CHECK_OK(parley_when_writable(pair.client, pair.to_server, NULL, NULL));
    CHECK_OK(parley_when_readable(pair.server, pair.to_client, NULL, NULL));
    while (!is_finished) {
        /* One loop for both nodes. */
        struct pollfd entries[2];
        parley_rpc rpc;
        memset(entries, 0, sizeof entries);
        entries[0].fd = parley_fd(pair.client);
        entries[1].fd = parley_fd(pair.server);
        entries[0].events = entries[1].events = POLLIN;
        CHECK(poll(entries, 2, LIMIT_MS) > 0);
        if (parley_try_consume(pair.client, &rpc) == PARLEY_OK) {
            CHECK(stream != NULL && rpc.peer == pair.to_server);
            CHECK_INT(rpc.kind, PARLEY_RPC_WRITABLE);
            parley_rpc_release(&rpc);
            CHECK_OK(parley_stream_write(stream, piece, 1, 0));
            written += 1;
            CHECK_OK(parley_stream_finish(stream));
            stream = NULL;
        }
        if (parley_try_consume(pair.server, &rpc) != PARLEY_OK) continue;
        CHECK(rpc.peer == pair.to_client);
        CHECK(rpc.kind == PARLEY_RPC_READABLE || (rpc.kind == PARLEY_RPC_RECEIVED && rpc.stream));
        asked = asked && rpc.kind != PARLEY_RPC_READABLE;
        parley_rpc_release(&rpc);
        while (!is_finished) {
            int64_t count = parley_read(pair.server, pair.to_client, piece, sizeof piece, 0);
            if (count == PARLEY_EAGAIN) break;
            CHECK(count >= 0);
            is_finished = count == 0;
            read += (uint64_t)count;
        }
        if (!is_finished && !asked) {
            CHECK_OK(parley_when_readable(pair.server, pair.to_client, NULL, NULL));
            asked = true;
        }
    }
    CHECK(stream == NULL);
    CHECK_INT(read, written);
    free_pair(pair);

    options = loopback();
    pair = connected(&options, &options);
    CHECK_CODE(parley_when_writable(pair.client, pair.to_server, NULL, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "function is NULL, and peer_event_capacity is 0");
    free_pair(pair);
}

static void never(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    (void)transport;
    (void)rpcs;
    (void)count;
    (void)userdata;
}

static void not_with_a_callback(void) {
    parley_options options = with_events(1);
    parley_transport *node = NULL;
    options.on_rpcs = never;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "peer_event_capacity");
}

int main(void) {
    begin(90);
    trying("in order");
    in_order();
    trying("dialed and refused");
    dialed_and_refused();
    trying("behind a backlog");
    behind_a_backlog();
    trying("at the end");
    at_the_end(1);
    at_the_end(3);
    trying("bounded");
    bounded();
    trying("readiness");
    readiness();
    trying("not with a callback");
    not_with_a_callback();
    return 0;
}
