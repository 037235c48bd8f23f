/* Every order of creating, using, closing and freeing; and the use of a dead peer's number. */
#include "check.h"

#include <fcntl.h>

/* ---- Callbacks at the end ---- */

typedef struct story {
    event peers, disconnects, destroyed, calls;
    int is_over; /* no callback may come any more */
    int reason;
} story;

static const story no_story = {EVENT_INIT, EVENT_INIT, EVENT_INIT, EVENT_INIT, 0, 0};

static void happened(story *story) {
    CHECK(!__atomic_load_n(&story->is_over, __ATOMIC_SEQ_CST));
    event_add(&story->calls, 1);
}

static int on_peer(parley_transport *transport, parley_peer peer, void *userdata) {
    story *it = (story *)userdata;
    happened(it);
    CHECK(peer != PARLEY_NO_PEER);
    CHECK(parley_peer_userdata(transport, peer) == NULL);
    event_add(&it->peers, 1);
    return PARLEY_OK;
}

static void on_disconnect(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    story *it = (story *)userdata;
    happened(it);
    CHECK(message != NULL && strlen(message) > 0);
    /* The number is valid until this returns. */
    CHECK(parley_peer_remote_address(transport, peer, NULL, 0) > 0);
    it->reason = reason;
    event_add(&it->disconnects, 1);
}

static void on_log(parley_log_level level, const char *line, void *userdata) {
    (void)level;
    CHECK(strlen(line) > 0);
    happened((story *)userdata);
}

static void destroy(void *userdata) {
    story *it = (story *)userdata;
    event_add(&it->destroyed, 1);
    __atomic_store_n(&it->is_over, 1, __ATOMIC_SEQ_CST);
}

static parley_options telling(story *story) {
    parley_options options = loopback();
    options.userdata = story;
    options.destroy_userdata = destroy;
    options.on_peer = on_peer;
    options.on_disconnect = on_disconnect;
    options.on_log = on_log;
    return options;
}

/* ---- Orders ---- */

static void nothing_between(void) {
    story it = no_story;
    parley_options options = telling(&it);
    parley_transport *node = create(&options);
    CHECK_INT(event_count(&it.destroyed), 0);
    CHECK_OK(parley_free(node));
    CHECK_INT(event_count(&it.destroyed), 1);

    CHECK_OK(parley_free(NULL));
    CHECK_OK(parley_free(create(NULL)));
}

static void close_before_free(void) {
    story it = no_story;
    parley_options options = telling(&it);
    parley_transport *node = create(&options);
    parley_peer peer;
    parley_rpc rpc;
    char address[64];
    CHECK_OK(parley_close(node));
    CHECK_OK(parley_close(node));
    CHECK_CODE(parley_listen(node), PARLEY_ECLOSED);
    CHECK_CODE(parley_dial(node, "127.0.0.1:9", 1000, &peer), PARLEY_ECLOSED);
    CHECK_CODE(parley_consume(node, &rpc, PARLEY_FOREVER), PARLEY_ECLOSED);
    CHECK_CODE(parley_try_consume(node, &rpc), PARLEY_ECLOSED);
    CHECK_INT(parley_peers(node, NULL, 0), 0);
    CHECK_CODE(parley_broadcast(node, "x", 1), PARLEY_ECLOSED);
    CHECK(parley_address(node, address, sizeof address) > 0);
    CHECK_INT(event_count(&it.destroyed), 0);
    CHECK_OK(parley_free(node));
    CHECK_INT(event_count(&it.destroyed), 1);
}

static void listen_and_free(void) {
    story it = no_story;
    parley_options options = telling(&it);
    CHECK_OK(parley_free(listening(&options)));
    CHECK_INT(event_count(&it.destroyed), 1);
}

static void listen_close_and_free(void) {
    story it = no_story;
    parley_options options = telling(&it);
    parley_transport *node = listening(&options);
    CHECK_CODE(parley_listen(node), PARLEY_EALREADY);
    CHECK_OK(parley_close(node));
    CHECK_CODE(parley_listen(node), PARLEY_ECLOSED);
    CHECK_OK(parley_free(node));
    CHECK_INT(event_count(&it.destroyed), 1);
}

/* Peers stay, and it may listen again. */
static void stop_listening(void) {
    story of_server = no_story, of_client = no_story;
    parley_options server = telling(&of_server), client = telling(&of_client);
    pair pair = connected(&server, &client);
    char address[64];
    parley_peer refused;
    parley_rpc rpc;
    CHECK(parley_address(pair.server, address, sizeof address) > 0);
    CHECK_OK(parley_stop_listening(pair.server));
    CHECK_CODE(parley_dial(pair.client, address, PARLEY_FOREVER, &refused), PARLEY_ECONNREFUSED);
    CHECK_OK(parley_stop_listening(pair.server));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "still here", 10, PARLEY_FOREVER));
    CHECK_OK(parley_consume(pair.server, &rpc, PARLEY_FOREVER));
    CHECK(rpc.length == 10 && memcmp(rpc.payload, "still here", 10) == 0);
    parley_rpc_release(&rpc);
    CHECK_OK(parley_listen(pair.server));
    CHECK(dial(pair.client, pair.server) != PARLEY_NO_PEER);
    CHECK_OK(parley_close(pair.server));
    CHECK_OK(parley_stop_listening(pair.server));
    free_pair(pair);
}

/* Either side may free first: both get on_disconnect exactly once. */
static void free_while_connected(bool server_first) {
    story of_server = no_story, of_client = no_story;
    parley_options server = telling(&of_server), client = telling(&of_client);
    pair pair = connected(&server, &client);
    CHECK_REACHES(&of_server.peers, 1);
    CHECK_OK(parley_free(server_first ? pair.server : pair.client));
    CHECK_REACHES(server_first ? &of_client.disconnects : &of_server.disconnects, 1);
    CHECK_OK(parley_free(server_first ? pair.client : pair.server));
    CHECK_INT(event_count(&of_server.disconnects), 1);
    CHECK_INT(event_count(&of_client.disconnects), 1);
    CHECK_CODE(of_server.reason, server_first ? PARLEY_ECLOSED : PARLEY_EOF);
    CHECK_CODE(of_client.reason, server_first ? PARLEY_EOF : PARLEY_ECLOSED);
    CHECK_INT(event_count(&of_server.destroyed), 1);
    CHECK_INT(event_count(&of_client.destroyed), 1);
}

/* Freeing closes connections in the handshake, ended ones, and ones that were not accepted yet. */
static void free_in_a_storm(void) {
    int round, index;
    for (round = 0; round < (int)scaled(60, 6); round++) {
        story it = no_story;
        parley_options options = telling(&it);
        parley_transport *node = listening(&options);
        int sockets[16];
        for (index = 0; index < 16; index++) {
            sockets[index] = raw_dial(node);
            if (index % 3 == 1) raw_send(sockets[index], "\1\0\0\0\1x", 6);
            if (index % 3 == 2) raw_reset(sockets[index]);
        }
        CHECK_OK(parley_free(node));
        for (index = 0; index < 16; index++)
            if (index % 3 != 2) close(sockets[index]);
        CHECK_INT(event_count(&it.disconnects), event_count(&it.peers));
        CHECK_INT(event_count(&it.destroyed), 1);
    }
}

/* The same during handshakes: none begins and none runs after the transport is freed. */
static int slow_handshake(parley_transport *transport, parley_peer peer, void *userdata) {
    uint8_t byte;
    story *it = (story *)userdata;
    happened(it);
    int code = parley_read_exactly(transport, peer, &byte, 1, PARLEY_FOREVER);
    happened(it);
    return code;
}

static void free_during_handshakes(void) {
    int round, index;
    for (round = 0; round < (int)scaled(100, 8); round++) {
        story it = no_story;
        parley_options options = telling(&it);
        parley_transport *node;
        int sockets[8];
        options.handshake = slow_handshake;
        node = listening(&options);
        for (index = 0; index < 8; index++) {
            sockets[index] = raw_dial(node);
            if (index % 2) raw_send(sockets[index], "x", 1);
        }
        /* Sometimes at once, sometimes after some were accepted. */
        if (round % 2) event_reaches(&it.calls, round % 16, 100);
        CHECK_OK(parley_free(node));
        for (index = 0; index < 8; index++) close(sockets[index]);
        CHECK_INT(event_count(&it.destroyed), 1);
    }
}

static void *close_it(void *argument) {
    CHECK_OK(parley_close((parley_transport *)argument));
    return NULL;
}

static void *consume_until_closed(void *argument) {
    parley_rpc rpc;
    CHECK_CODE(parley_consume((parley_transport *)argument, &rpc, PARLEY_FOREVER), PARLEY_ECLOSED);
    return NULL;
}

static void close_on_several_threads(void) {
    int round, index;
    for (round = 0; round < (int)scaled(40, 4); round++) {
        story of_server = no_story, of_client = no_story;
        parley_options server = telling(&of_server), client = telling(&of_client);
        pair pair = connected(&server, &client);
        pthread_t threads[8];
        for (index = 0; index < 8; index++)
            threads[index] = start_thread(index < 4 ? close_it : consume_until_closed, pair.server);
        for (index = 0; index < 8; index++) join(threads[index]);
        CHECK_INT(event_count(&of_server.disconnects), 1);
        free_pair(pair);
        CHECK_INT(event_count(&of_server.destroyed), 1);
    }
}

/* ---- A dead peer ---- */

static void never_called(parley_transport *transport, parley_peer peer, void *argument) {
    (void)transport;
    (void)peer;
    (void)argument;
    CHECK(!"called for a peer that is gone");
}

static void has_no_such_peer(parley_transport *node, parley_peer peer) {
    char text[64];
    uint8_t byte = 0;
    parley_stream *stream = NULL;
    CHECK_CODE(parley_peer_remote_address(node, peer, text, sizeof text), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_local_address(node, peer, text, sizeof text), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_is_outbound(node, peer), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_set_userdata(node, peer, text), PARLEY_ENOPEER);
    CHECK(parley_peer_userdata(node, peer) == NULL);
    CHECK_CODE(parley_peer_close(node, peer, 0), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_close(node, peer, PARLEY_FOREVER), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_set_deadline(node, peer, 1000), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_set_read_deadline(node, peer, 1000), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_set_write_deadline(node, peer, 1000), PARLEY_ENOPEER);
    CHECK_CODE(parley_send_message(node, peer, "x", 1, PARLEY_FOREVER), PARLEY_ENOPEER);
    CHECK_CODE(parley_send(node, peer, "x", 1, 0), PARLEY_ENOPEER);
    CHECK_CODE(parley_write(node, peer, "x", 1, 0), PARLEY_ENOPEER);
    CHECK_CODE(parley_when_writable(node, peer, never_called, NULL), PARLEY_ENOPEER);
    CHECK_CODE(parley_when_readable(node, peer, never_called, NULL), PARLEY_ENOPEER);
    CHECK_CODE(parley_stream_open(node, peer, NULL, 0, PARLEY_FOREVER, &stream), PARLEY_ENOPEER);
    CHECK(stream == NULL);
    CHECK_CODE(parley_read(node, peer, &byte, 1, PARLEY_FOREVER), PARLEY_ENOPEER);
    CHECK_CODE(parley_read_exactly(node, peer, &byte, 1, PARLEY_FOREVER), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_close_stream(node, peer), PARLEY_ENOPEER);
    CHECK_CODE(parley_send_file(node, peer, "/dev/null", NULL, 0, 0, 0, NULL, NULL), PARLEY_ENOPEER);
    CHECK_CODE(parley_receive_file(node, peer, "/tmp/never", 0, NULL, NULL), PARLEY_ENOPEER);
    CHECK_CONTAINS(parley_last_error(), "peer");
}

static void dead_peer(void) {
    story of_server = no_story, of_client = no_story;
    parley_options server = telling(&of_server), client = telling(&of_client);
    pair pair = connected(&server, &client);
    parley_peer second;
    parley_rpc rpc;
    char address[64], from[64];

    /* RPCs that it sent before can still be consumed, and still have its address. */
    CHECK(parley_peer_remote_address(pair.server, pair.to_client, address, sizeof address) > 0);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "last words", 10, LIMIT_MS));
    CHECK_OK(parley_peer_close(pair.client, pair.to_server, LIMIT_MS));
    CHECK_REACHES(&of_server.disconnects, 1);
    CHECK_REACHES(&of_client.disconnects, 1);
    CHECK_CODE(of_client.reason, PARLEY_ECLOSED);
    CHECK_CODE(of_server.reason, PARLEY_EOF);
    await_callbacks(pair.server);
    await_callbacks(pair.client);
    has_no_such_peer(pair.client, pair.to_server);
    has_no_such_peer(pair.server, PARLEY_NO_PEER);
    has_no_such_peer(pair.server, UINT64_MAX);
    has_no_such_peer(pair.server, pair.to_client);
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK_INT(rpc.peer, pair.to_client);
    CHECK_INT(rpc.length, 10);
    CHECK(memcmp(rpc.payload, "last words", 10) == 0);
    CHECK_INT(parley_rpc_from(&rpc, from, sizeof from), strlen(address));
    CHECK(strcmp(from, address) == 0);
    parley_rpc_release(&rpc);
    parley_rpc_release(&rpc);

    /* A number is never reused. */
    second = dial(pair.client, pair.server);
    CHECK(second != pair.to_server);
    CHECK(await_peers(pair.server, 1) != pair.to_client);
    has_no_such_peer(pair.client, pair.to_server);

    CHECK_OK(parley_close(pair.client));
    has_no_such_peer(pair.client, second);
    free_pair(pair);
    CHECK_INT(event_count(&of_client.disconnects), 2);
    CHECK_INT(event_count(&of_server.disconnects), 2);
}

/* ---- What outlives a transport ---- */

static void rpc_outlives_close(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_rpc held, left;
    char from[64];
    int index;
    for (index = 0; index < 3; index++)
        CHECK_OK(parley_send_message(pair.client, pair.to_server, "abc", 3, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &held, LIMIT_MS));
    CHECK_OK(parley_free(pair.client));
    await_peers(pair.server, 0);
    CHECK_OK(parley_close(pair.server));
    /* RPCs that have arrived are not lost; after them comes PARLEY_ECLOSED. */
    CHECK_OK(parley_consume(pair.server, &left, PARLEY_FOREVER));
    CHECK(memcmp(left.payload, "abc", 3) == 0);
    parley_rpc_release(&left);
    CHECK(memcmp(held.payload, "abc", 3) == 0);
    CHECK(parley_rpc_from(&held, from, sizeof from) > 0);
    parley_rpc_release(&held);
    CHECK_OK(parley_try_consume(pair.server, &left));
    parley_rpc_release(&left);
    CHECK_CODE(parley_try_consume(pair.server, &left), PARLEY_ECLOSED);
    CHECK_OK(parley_free(pair.server));
}

/* Freeing also frees RPCs that nobody consumed and streams that nobody read. */
static void free_with_work_undone(void) {
    story of_server = no_story, of_client = no_story;
    parley_options server = telling(&of_server), client = telling(&of_client);
    pair pair = connected(&server, &client);
    parley_stream *stream;
    parley_rpc rpc;
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "unheard", 7, LIMIT_MS));
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
    CHECK_OK(parley_stream_write(stream, "unread", 6, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    CHECK_OK(parley_free(pair.server));
    CHECK_REACHES(&of_client.disconnects, 1);
    CHECK(parley_stream_finish(stream) < 0);
    CHECK_OK(parley_free(pair.client));
    CHECK_INT(event_count(&of_server.destroyed), 1);
    CHECK_INT(event_count(&of_client.destroyed), 1);
}

/* ---- Descriptors ---- */

static int open_descriptors(void) { return count_files("/proc/self/fd", false); }

static void no_descriptor_is_left(void) {
    parley_options options = loopback();
    int before, round;
    before = open_descriptors();
    for (round = 0; round < (int)scaled(50, 5); round++) {
        pair pair = connected(&options, &options);
        CHECK(parley_fd(pair.server) >= 0);
        CHECK(parley_fd(pair.server) == parley_fd(pair.server));
        free_pair(pair);
    }
    CHECK_INT(open_descriptors(), before);
}

/* parley_peer_close() returns after on_disconnect, whether it begins the end or is called while on_disconnect
 * runs. Each round adds one to each event. */
static struct {
    event entered, leaving, left, returned;
    parley_transport *node;
    parley_peer peer;
    int code;
    int round;
} closing = {EVENT_INIT, EVENT_INIT, EVENT_INIT, EVENT_INIT, NULL, PARLEY_NO_PEER, 0, 0};

static void slow_goodbye(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    (void)transport;
    (void)peer;
    (void)reason;
    (void)message;
    (void)userdata;
    event_add(&closing.entered, 1);
    CHECK_REACHES(&closing.leaving, closing.round);
    event_add(&closing.left, 1);
}

static void *close_peer(void *unused) {
    (void)unused;
    closing.code = parley_peer_close(closing.node, closing.peer, LIMIT_MS);
    CHECK_INT(event_count(&closing.left), closing.round);
    event_add(&closing.returned, 1);
    return NULL;
}

static void close_returns_after_on_disconnect(bool begins_the_end) {
    parley_options server = loopback(), client = loopback();
    client.on_disconnect = slow_goodbye;
    pair pair = connected(&server, &client);
    closing.node = pair.client;
    closing.peer = pair.to_server;
    closing.round += 1;
    pthread_t closer;
    if (begins_the_end) {
        closer = start_thread(close_peer, NULL);
        CHECK_REACHES(&closing.entered, closing.round);
    } else {
        CHECK_OK(parley_peer_close(pair.client, pair.to_server, 0));
        CHECK_REACHES(&closing.entered, closing.round);
        /* The callback blocks, and the number is valid until it has returned. */
        CHECK_CODE(parley_peer_close(pair.client, pair.to_server, 50), PARLEY_ETIMEDOUT);
        closer = start_thread(close_peer, NULL);
    }
    sleep_ms(50);
    CHECK_INT(event_count(&closing.returned), closing.round - 1);
    event_add(&closing.leaving, 1);
    join(closer);
    CHECK(closing.code == PARLEY_OK || closing.code == PARLEY_ENOPEER);
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("create and free");
    nothing_between();
    close_before_free();
    listen_and_free();
    listen_close_and_free();
    stop_listening();
    trying("free while connected");
    free_while_connected(true);
    free_while_connected(false);
    free_in_a_storm();
    free_during_handshakes();
    trying("close on several threads");
    close_on_several_threads();
    trying("a dead peer");
    dead_peer();
    trying("what outlives a transport");
    rpc_outlives_close();
    free_with_work_undone();
    trying("descriptors");
    no_descriptor_is_left();
    trying("close and on_disconnect");
    close_returns_after_on_disconnect(false);
    close_returns_after_on_disconnect(true);
    return 0;
}
