/* Callbacks: their thread, their order, and which calls are allowed inside them. */
#include "check.h"

#include <poll.h>

/* ---- The loop's thread ---- */

typedef struct seat {
    pthread_t thread;
    parley_transport *node;
    parley_peer peer;
    event done;
} seat;

static void note_thread(void *argument) {
    seat *it = (seat *)argument;
    it->thread = pthread_self();
    event_add(&it->done, 1);
}

/* Stores the loop's thread. */
static pthread_t loop_of(parley_transport *node) {
    seat it = {pthread_self(), node, PARLEY_NO_PEER, EVENT_INIT};
    CHECK_OK(parley_post(node, note_thread, &it));
    CHECK_REACHES(&it.done, 1);
    CHECK(!pthread_equal(it.thread, pthread_self()));
    return it.thread;
}

/* ---- The order of a peer's callbacks ---- */

typedef struct life {
    pthread_t loop;
    bool has_loop;
    int stage; /* 0: no callback yet, 1: on_peer, 2: received an RPC, 3: disconnected */
    int received;
    event peers, all, gone;
    int expected;
} life;

static void check_loop(life *it) {
    /* The first call may come before the program has stored the thread. */
    if (!it->has_loop) {
        it->loop = pthread_self();
        it->has_loop = true;
    }
    CHECK(pthread_equal(it->loop, pthread_self()));
}

static int on_peer(parley_transport *transport, parley_peer peer, void *userdata) {
    life *it = (life *)userdata;
    parley_peer peers[4];
    check_loop(it);
    CHECK_INT(it->stage, 0);
    it->stage = 1;
    /* The peer is not open yet, but it can be used. */
    CHECK_INT(parley_peers(transport, peers, 4), 0);
    CHECK_OK(parley_peer_set_userdata(transport, peer, it));
    CHECK_OK(parley_send_message(transport, peer, "welcome", 7, 0));
    event_add(&it->peers, 1);
    return 0;
}

static void on_rpcs(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    life *it = (life *)userdata;
    size_t index;
    check_loop(it);
    CHECK(it->stage == 1 || it->stage == 2);
    CHECK(count > 0);
    it->stage = 2;
    for (index = 0; index < count; index++) {
        int number;
        char text[64], from[64];
        parley_rpc copy = rpcs[index];
        CHECK_INT(copy.length, sizeof number);
        memcpy(&number, copy.payload, sizeof number);
        CHECK_INT(number, it->received);
        it->received += 1;
        CHECK(parley_peer_userdata(transport, copy.peer) == it);
        CHECK(parley_rpc_from(&copy, from, sizeof from) > 0);
        CHECK(parley_peer_remote_address(transport, copy.peer, text, sizeof text) > 0);
        CHECK(strcmp(from, text) == 0);
        parley_rpc_release(&copy); /* allowed; does nothing */
        CHECK(copy.payload != NULL);
    }
    event_add(&it->all, (long)count);
}

static void on_disconnect(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    life *it = (life *)userdata;
    parley_peer peers[4];
    check_loop(it);
    CHECK_INT(it->stage, 2);
    CHECK_INT(it->received, it->expected);
    it->stage = 3;
    CHECK_CODE(reason, PARLEY_EOF);
    CHECK(strlen(message) > 0);
    CHECK(parley_peer_userdata(transport, peer) == it);
    CHECK_INT(parley_peers(transport, peers, 4), 0);
    CHECK(parley_send_message(transport, peer, "too late", 8, 0) < 0);
    event_add(&it->gone, 1);
}

static void order(void) {
    life it = {pthread_self(), false, 0, 0, EVENT_INIT, EVENT_INIT, EVENT_INIT, (int)scaled(20000, 500)};
    parley_options options = loopback(), plain = loopback();
    pair pair;
    parley_rpc rpc;
    int index;
    options.userdata = &it;
    options.on_peer = on_peer;
    options.on_rpcs = on_rpcs;
    options.on_disconnect = on_disconnect;
    /* All of it is sent and taken, however long that takes. */
    options.close_timeout_ms = plain.close_timeout_ms = LIMIT_MS;
    pair = connected(&options, &plain);
    CHECK_INT(event_count(&it.peers), 1);
    CHECK_OK(parley_consume(pair.client, &rpc, LIMIT_MS));
    CHECK(rpc.length == 7 && memcmp(rpc.payload, "welcome", 7) == 0);
    parley_rpc_release(&rpc);
    for (index = 0; index < it.expected; index++)
        CHECK_OK(parley_send_message(pair.client, pair.to_server, &index, sizeof index, LIMIT_MS));
    /* Closing loses no accepted message. */
    CHECK_OK(parley_peer_close(pair.client, pair.to_server, LIMIT_MS));
    CHECK_REACHES(&it.gone, 1);
    CHECK_INT(event_count(&it.all), it.expected);
    CHECK(pthread_equal(it.loop, loop_of(pair.server)));
    CHECK(!pthread_equal(it.loop, loop_of(pair.client)));

    /* A transport with on_rpcs cannot be consumed. */
    CHECK_CODE(parley_consume(pair.server, &rpc, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_consume_batch(pair.server, &rpc, 1, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_try_consume(pair.server, &rpc), PARLEY_EINVAL);
    CHECK_CODE(parley_fd(pair.server), PARLEY_EINVAL);
    free_pair(pair);
}

/* ---- No call blocks in a callback ---- */

static void may_not_block(void *argument) {
    seat *it = (seat *)argument;
    parley_peer other;
    parley_rpc rpc;
    parley_stream *stream = NULL, *second = NULL;
    uint8_t byte;
    CHECK_CODE(parley_listen(it->node), PARLEY_EDEADLK);
    CHECK_CODE(parley_stop_listening(it->node), PARLEY_EDEADLK);
    CHECK_CODE(parley_dial(it->node, "127.0.0.1:9", PARLEY_FOREVER, &other), PARLEY_EDEADLK);
    CHECK_CODE(parley_close(it->node), PARLEY_EDEADLK);
    CHECK_CODE(parley_free(it->node), PARLEY_EDEADLK);
    CHECK_CODE(parley_consume(it->node, &rpc, PARLEY_FOREVER), PARLEY_EDEADLK);
    CHECK_CODE(parley_consume(it->node, &rpc, 5), PARLEY_EDEADLK);
    CHECK_CODE(parley_consume(it->node, &rpc, 0), PARLEY_EAGAIN);
    CHECK_CODE(parley_consume_batch(it->node, &rpc, 1, 5), PARLEY_EDEADLK);
    CHECK_CODE(parley_try_consume(it->node, &rpc), PARLEY_EAGAIN);
    CHECK_CODE(parley_read(it->node, it->peer, &byte, 1, 5), PARLEY_EDEADLK);
    CHECK_CODE(parley_read(it->node, it->peer, &byte, 1, 0), PARLEY_EAGAIN);
    CHECK_CODE(parley_read_exactly(it->node, it->peer, &byte, 1, PARLEY_FOREVER), PARLEY_EDEADLK);
    CHECK_CODE(parley_read_exactly(it->node, it->peer, &byte, 1, 0), PARLEY_EAGAIN);
    CHECK_CODE(parley_send_file(it->node, it->peer, "/dev/null", NULL, 0, 0, 0, NULL, NULL), PARLEY_EDEADLK);
    CHECK_CODE(parley_receive_file(it->node, it->peer, "/tmp/never", 0, NULL, NULL), PARLEY_EDEADLK);
    /* While there is room no send has to wait, whatever its time-out. */
    CHECK_OK(parley_send_message(it->node, it->peer, "a", 1, PARLEY_FOREVER));
    CHECK_OK(parley_stream_open(it->node, it->peer, NULL, 0, PARLEY_FOREVER, &stream));
    CHECK_OK(parley_stream_write(stream, "b", 1, PARLEY_FOREVER));
    /* Messages and other streams wait for an unfinished stream. */
    CHECK_CODE(parley_send_message(it->node, it->peer, "c", 1, 5), PARLEY_EDEADLK);
    CHECK_CODE(parley_send_message(it->node, it->peer, "c", 1, 0), PARLEY_EAGAIN);
    CHECK_CODE(parley_stream_open(it->node, it->peer, NULL, 0, 5, &second), PARLEY_EDEADLK);
    CHECK(second == NULL);
    CHECK_OK(parley_stream_finish(stream));
    event_add(&it->done, 1);
}

static void close_peer_here(void *argument) {
    seat *it = (seat *)argument;
    CHECK_CODE(parley_peer_close(it->node, it->peer, 5), PARLEY_EDEADLK);
    CHECK_INT(parley_peers(it->node, NULL, 0), 1);
    CHECK_OK(parley_peer_close(it->node, it->peer, 0));
    event_add(&it->done, 1);
}

static void may_not_block_here(void) {
    seat it = {pthread_self(), NULL, PARLEY_NO_PEER, EVENT_INIT};
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    it.node = pair.client;
    it.peer = pair.to_server;
    CHECK_OK(parley_post(it.node, may_not_block, &it));
    CHECK_REACHES(&it.done, 1);
    CHECK_OK(parley_post(it.node, close_peer_here, &it));
    CHECK_REACHES(&it.done, 2);
    await_peers(pair.client, 0);
    free_pair(pair);
}

static void consume_what_is_there(void *argument) {
    seat *it = (seat *)argument;
    parley_rpc rpc;
    /* No wait is needed: an RPC is there. */
    CHECK_OK(parley_consume(it->node, &rpc, PARLEY_FOREVER));
    parley_rpc_release(&rpc);
    event_add(&it->done, 1);
}

static void may_consume_here(void) {
    seat it = {pthread_self(), NULL, PARLEY_NO_PEER, EVENT_INIT};
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_rpc rpc;
    struct pollfd waiting;
    it.node = pair.server;
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "1", 1, LIMIT_MS));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "2", 1, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    waiting.fd = parley_fd(pair.server);
    waiting.events = POLLIN;
    CHECK_INT(poll(&waiting, 1, LIMIT_MS), 1);
    CHECK_OK(parley_post(it.node, consume_what_is_there, &it));
    CHECK_REACHES(&it.done, 1);
    free_pair(pair);
}

/* ---- Callbacks that try to free their transport ---- */

typedef struct attempt {
    parley_transport *transport, *other;
    event done;
} attempt;

static void free_from_inside(void *argument) {
    attempt *it = (attempt *)argument;
    CHECK_CODE(parley_free(it->transport), PARLEY_EDEADLK);
    CHECK_CODE(parley_close(it->transport), PARLEY_EDEADLK);
    /* Freeing another transport could wait for this thread as well. */
    CHECK_CODE(parley_free(it->other), PARLEY_EDEADLK);
    CHECK_OK(parley_free(NULL));
    event_add(&it->done, 1);
}

static void free_in_a_callback(void) {
    attempt it = {NULL, NULL, EVENT_INIT};
    parley_options options = loopback();
    parley_peer_stream stream;
    options.codec = PARLEY_CODEC_MULTIPLEXED;
    it.transport = create(&options);
    it.other = create(&options);
    CHECK_CODE(parley_accept(it.transport, "/x/1", 0, &stream), PARLEY_EAGAIN);
    CHECK_OK(parley_post(it.transport, free_from_inside, &it));
    CHECK_REACHES(&it.done, 1);
    /* The calls did nothing: both transports still work. */
    CHECK_OK(parley_post(it.other, free_from_inside, &it));
    CHECK_REACHES(&it.done, 2);
    CHECK_CODE(parley_accept(it.transport, "/x/1", 0, &stream), PARLEY_EAGAIN);
    CHECK_CODE(parley_accept(it.other, "/x/1", 0, &stream), PARLEY_EAGAIN);
    CHECK_OK(parley_free(it.transport));
    CHECK_OK(parley_free(it.other));
}

static int free_in_handshake(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)peer;
    CHECK_CODE(parley_close(transport), PARLEY_EDEADLK);
    CHECK_CODE(parley_free(transport), PARLEY_EDEADLK);
    event_add((event *)userdata, 1);
    return PARLEY_OK;
}

static void free_in_a_handshake(void) {
    event done = EVENT_INIT;
    parley_options options = loopback();
    options.handshake = free_in_handshake;
    options.userdata = &done;
    free_pair(connected(&options, &options));
    CHECK_INT(event_count(&done), 2);
}

/* ---- Dialing without blocking ---- */

typedef struct outcome {
    parley_transport *node;
    parley_peer peer;
    int error;
    char message[256];
    pthread_t thread;
    event done;
} outcome;

static void dialed(parley_transport *transport, parley_peer peer, int error, void *argument) {
    outcome *it = (outcome *)argument;
    CHECK(transport == it->node);
    it->peer = peer;
    it->error = error;
    it->thread = pthread_self();
    snprintf(it->message, sizeof it->message, "%s", parley_last_error());
    event_add(&it->done, 1);
}

static int refuse(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)transport;
    (void)peer;
    (void)userdata;
    return -1234;
}

static void dial_async(void) {
    outcome it = {NULL, PARLEY_NO_PEER, 0, "", pthread_self(), EVENT_INIT};
    enum { look_up_ms = 300000 };
    parley_options options = loopback();
    parley_transport *server = listening(&options), *refusing;
    char address[64];
    options.dial_timeout_ms = look_up_ms;
    it.node = create(&options);
    parley_address(server, address, sizeof address);

    CHECK_OK(parley_dial_async(it.node, address, dialed, &it));
    CHECK_REACHES(&it.done, 1);
    CHECK_OK(it.error);
    CHECK(it.peer != PARLEY_NO_PEER);
    CHECK(pthread_equal(it.thread, loop_of(it.node)));
    CHECK_OK(parley_send_message(it.node, it.peer, "x", 1, LIMIT_MS));

    CHECK_CODE(parley_dial_async(it.node, "nowhere", dialed, &it), PARLEY_EADDRINVAL);
    CHECK_CODE(parley_dial_async(it.node, NULL, dialed, &it), PARLEY_EINVAL);
    CHECK_CODE(parley_dial_async(it.node, address, NULL, &it), PARLEY_EINVAL);
    CHECK_OK(parley_free(server));

    CHECK_OK(parley_dial_async(it.node, address, dialed, &it));
    CHECK_REACHES(&it.done, 2);
    CHECK_CODE(it.error, PARLEY_ECONNREFUSED);
    CHECK(it.peer == PARLEY_NO_PEER);
    CHECK_CONTAINS(it.message, address);

    /* However long the name servers take. */
    CHECK_OK(parley_dial_async(it.node, "no-such-host.invalid:1", dialed, &it));
    CHECK(event_reaches(&it.done, 3, look_up_ms));
    CHECK_CODE(it.error, PARLEY_ENONAME);

    /* The code of the dialer's own on_peer is passed unchanged. */
    server = listening(&options);
    parley_address(server, address, sizeof address);
    options.on_peer = refuse;
    refusing = create(&options);
    CHECK_OK(parley_free(it.node));
    it.node = refusing;
    CHECK_OK(parley_dial_async(it.node, address, dialed, &it));
    CHECK_REACHES(&it.done, 4);
    CHECK_CODE(it.error, -1234);
    CHECK(it.peer == PARLEY_NO_PEER);

    /* Dials that are pending when the transport is freed are called back before parley_free() returns. */
    for (int index = 0; index < 8; index++)
        CHECK_OK(parley_dial_async(it.node, "192.0.2.1:9", dialed, &it));
    CHECK_OK(parley_free(it.node));
    CHECK_INT(event_count(&it.done), 12);
    CHECK(it.error < 0);
    CHECK_OK(parley_free(server));
}

int main(void) {
    begin(360);
    trying("order");
    order();
    trying("no call blocks in a callback");
    may_not_block_here();
    may_consume_here();
    trying("freeing");
    free_in_a_callback();
    free_in_a_handshake();
    trying("dialing");
    dial_async();
    return 0;
}
