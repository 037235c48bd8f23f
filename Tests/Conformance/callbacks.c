/* Everything that is called back: on which thread, in which order, and what may be done in there. */
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

/* Which thread is the loop's. */
static pthread_t loop_of(parley_transport *node) {
    seat it = {pthread_self(), node, PARLEY_NO_PEER, EVENT_INIT};
    CHECK_OK(parley_post(node, note_thread, &it));
    CHECK_REACHES(&it.done, 1);
    CHECK(!pthread_equal(it.thread, pthread_self()));
    return it.thread;
}

/* ---- The order of a peer's life ---- */

typedef struct life {
    pthread_t loop;
    bool has_loop;
    int stage; /* 0: nothing yet, 1: on_peer, 2: something was received, 3: gone */
    int received;
    event peers, all, gone;
    int expected;
} life;

static void check_loop(life *it) {
    /* The first call may come before the program can know the thread. */
    if (!it->has_loop) {
        it->loop = pthread_self();
        it->has_loop = true;
    }
    CHECK(pthread_equal(it->loop, pthread_self()));
}

static int peer_came(parley_transport *transport, parley_peer peer, void *userdata) {
    life *it = (life *)userdata;
    parley_peer peers[4];
    check_loop(it);
    CHECK_INT(it->stage, 0);
    it->stage = 1;
    /* Not one of the greeted yet, but it can be used. */
    CHECK_INT(parley_peers(transport, peers, 4), 0);
    CHECK_OK(parley_peer_set_userdata(transport, peer, it));
    CHECK_OK(parley_send_message(transport, peer, "welcome", 7, 0));
    event_add(&it->peers, 1);
    return 0;
}

static void rpcs_came(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    life *it = (life *)userdata;
    size_t index;
    check_loop(it);
    CHECK(it->stage == 1 || it->stage == 2);
    CHECK(count > 0);
    it->stage = 2;
    for (index = 0; index < count; index++) {
        int number;
        char text[64];
        parley_rpc copy = rpcs[index];
        CHECK_INT(copy.length, sizeof number);
        memcpy(&number, copy.payload, sizeof number);
        CHECK_INT(number, it->received);
        it->received += 1;
        CHECK(copy.owner == NULL);
        CHECK(parley_peer_userdata(transport, copy.peer) == it);
        CHECK_CODE(parley_rpc_from(&copy, text, sizeof text), PARLEY_EINVAL);
        CHECK(parley_peer_remote_address(transport, copy.peer, text, sizeof text) > 0);
        parley_rpc_release(&copy); /* fine, and does nothing */
        CHECK(copy.payload != NULL);
    }
    event_add(&it->all, (long)count);
}

static void peer_went(
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
    options.on_peer = peer_came;
    options.on_rpcs = rpcs_came;
    options.on_disconnect = peer_went;
    pair = connected(&options, &plain);
    CHECK_INT(event_count(&it.peers), 1);
    CHECK_OK(parley_consume(pair.client, &rpc, PATIENCE_MS));
    CHECK(rpc.length == 7 && memcmp(rpc.payload, "welcome", 7) == 0);
    parley_rpc_release(&rpc);
    for (index = 0; index < it.expected; index++)
        CHECK_OK(parley_send_message(pair.client, pair.to_server, &index, sizeof index, PATIENCE_MS));
    /* Closing loses nothing of what was sent. */
    CHECK_OK(parley_peer_close(pair.client, pair.to_server, PATIENCE_MS));
    CHECK_REACHES(&it.gone, 1);
    CHECK_INT(event_count(&it.all), it.expected);
    CHECK(pthread_equal(it.loop, loop_of(pair.server)));
    CHECK(!pthread_equal(it.loop, loop_of(pair.client)));

    /* With on_rpcs there is nothing to consume. */
    CHECK_CODE(parley_consume(pair.server, &rpc, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_consume_batch(pair.server, &rpc, 1, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_try_consume(pair.server, &rpc), PARLEY_EINVAL);
    CHECK_CODE(parley_fd(pair.server), PARLEY_EINVAL);
    free_pair(pair);
}

/* ---- What blocks elsewhere does not block here ---- */

static void may_not_block(void *argument) {
    seat *it = (seat *)argument;
    parley_peer other;
    parley_rpc rpc;
    parley_stream *stream = NULL, *second = NULL;
    uint8_t byte;
    CHECK_CODE(parley_listen(it->node), PARLEY_EDEADLK);
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
    /* Where there is room nobody has to wait, whatever the timeout. */
    CHECK_OK(parley_send_message(it->node, it->peer, "a", 1, PARLEY_FOREVER));
    CHECK_OK(parley_stream_open(it->node, it->peer, NULL, 0, PARLEY_FOREVER, &stream));
    CHECK_OK(parley_stream_write(stream, "b", 1, PARLEY_FOREVER));
    /* An unfinished stream is in the way of messages and other streams. */
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
    /* Nobody would have to wait: there is one. */
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
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "1", 1, PATIENCE_MS));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "2", 1, PATIENCE_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, PATIENCE_MS));
    parley_rpc_release(&rpc);
    waiting.fd = parley_fd(pair.server);
    waiting.events = POLLIN;
    CHECK_INT(poll(&waiting, 1, PATIENCE_MS), 1);
    CHECK_OK(parley_post(it.node, consume_what_is_there, &it));
    CHECK_REACHES(&it.done, 1);
    free_pair(pair);
}

/* ---- Posting ---- */

typedef struct row {
    int next;
    event run;
} row;

typedef struct step {
    row *in;
    int number;
} step;

static void take_step(void *argument) {
    step *it = (step *)argument;
    CHECK_INT(it->in->next, it->number);
    it->in->next += 1;
    event_add(&it->in->run, 1);
}

static void posted_in_order(void) {
    enum { count = 1000 };
    row row = {0, EVENT_INIT};
    step steps[count];
    parley_transport *node = create(NULL);
    int index;
    for (index = 0; index < count; index++) {
        steps[index].in = &row;
        steps[index].number = index;
        CHECK_OK(parley_post(node, take_step, &steps[index]));
    }
    CHECK_REACHES(&row.run, count);
    CHECK_CODE(parley_post(node, NULL, NULL), PARLEY_EINVAL);
    CHECK_OK(parley_free(node));
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
    parley_options options = loopback();
    parley_transport *server = listening(&options), *refusing;
    char address[64];
    options.dial_timeout_ms = 1000;
    it.node = create(&options);
    parley_address(server, address, sizeof address);

    CHECK_OK(parley_dial_async(it.node, address, dialed, &it));
    CHECK_REACHES(&it.done, 1);
    CHECK_OK(it.error);
    CHECK(it.peer != PARLEY_NO_PEER);
    CHECK(pthread_equal(it.thread, loop_of(it.node)));
    CHECK_OK(parley_send_message(it.node, it.peer, "x", 1, PATIENCE_MS));

    CHECK_CODE(parley_dial_async(it.node, "nowhere", dialed, &it), PARLEY_EADDRINVAL);
    CHECK_CODE(parley_dial_async(it.node, NULL, dialed, &it), PARLEY_EINVAL);
    CHECK_CODE(parley_dial_async(it.node, address, NULL, &it), PARLEY_EINVAL);
    CHECK_OK(parley_free(server));

    CHECK_OK(parley_dial_async(it.node, address, dialed, &it));
    CHECK_REACHES(&it.done, 2);
    CHECK_CODE(it.error, PARLEY_ECONNREFUSED);
    CHECK(it.peer == PARLEY_NO_PEER);
    CHECK_CONTAINS(it.message, address);

    CHECK_OK(parley_dial_async(it.node, "no-such-host.invalid:1", dialed, &it));
    CHECK_REACHES(&it.done, 3);
    CHECK_CODE(it.error, PARLEY_ENONAME);

    /* A refusal of its own on_peer comes as it is. */
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

    /* Those under way when the transport is freed hear of it, before it is gone. */
    for (int index = 0; index < 8; index++)
        CHECK_OK(parley_dial_async(it.node, "192.0.2.1:9", dialed, &it));
    CHECK_OK(parley_free(it.node));
    CHECK_INT(event_count(&it.done), 12);
    CHECK(it.error < 0);
    CHECK_OK(parley_free(server));
}

/* ---- Readable and writable ---- */

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

/* A stream that is written and read on the loops alone, by two state machines. */
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
    CHECK_OK(parley_close_stream(transport, peer));
    event_add(&it->called, 1);
}

static void stream_came(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
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
    server.on_rpcs = stream_came;
    client.send_high_water_bytes = 30000;
    client.send_low_water_bytes = 1000;
    pair = connected(&server, &client);
    writing.total = scaled(64 << 20, 1 << 20);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, PATIENCE_MS, &writing.stream));
    writing.node = pair.client;
    writing.peer = pair.to_server;
    CHECK_OK(parley_when_writable(pair.client, pair.to_server, write_on, &writing));
    CHECK_REACHES(&writing.called, 1);
    CHECK_REACHES(&reading.called, 1);
    CHECK_INT(reading.moved, writing.total);
    free_pair(pair);
}

/* The call comes also when what it waits for has happened before it was asked for. */
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
    /* Nothing is in the way. */
    CHECK_OK(parley_when_writable(it.node, it.peer, was_called, &it));
    CHECK_REACHES(&it.called, 1);

    CHECK_OK(parley_stream_open(it.node, it.peer, NULL, 0, 0, &it.stream));
    while ((code = parley_stream_write(it.stream, piece, sizeof piece, 0)) == PARLEY_OK) written += sizeof piece;
    CHECK_CODE(code, PARLEY_EAGAIN);
    /* The reader takes all of it, and only then does the writer ask to be called. */
    CHECK_OK(parley_consume(pair.server, &rpc, PATIENCE_MS));
    CHECK(rpc.stream);
    parley_rpc_release(&rpc);
    while (read < written) {
        int64_t count = parley_read(pair.server, pair.to_client, piece, sizeof piece, PATIENCE_MS);
        CHECK(count > 0);
        read += (uint64_t)count;
    }
    sleep_ms(20); /* until the last acknowledgement is there; nothing depends on it */
    CHECK_OK(parley_when_writable(it.node, it.peer, was_called, &it));
    CHECK_REACHES(&it.called, 2);
    CHECK_OK(parley_stream_write(it.stream, piece, 1, 0));
    CHECK_OK(parley_stream_finish(it.stream));
    free_pair(pair);
}

/* Somebody waits for a peer that goes: the call comes, once. */
static void called_at_the_end(void) {
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
        CHECK(event_reaches(&reading.called, index + 1, PATIENCE_MS));
        if (index) CHECK(parley_stream_finish(stream) < 0);
        if (!index) parley_stream_abort(stream, 1, "gone");
        CHECK_OK(parley_free(index ? pair.server : pair.client));
        CHECK_INT(event_count(&writing.called), index + 1);
    }
    CHECK_CODE(parley_when_readable(NULL, 1, was_called, NULL), PARLEY_EINVAL);
}

/* read_exactly without waiting, for more than is read ahead: it has to get there in the end. */
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
    wait it = {NULL, PARLEY_NO_PEER, EVENT_INIT, 0, scaled(2 << 20, 512 << 10), NULL};
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_rpc rpc;
    uint8_t *bytes = (uint8_t *)malloc((size_t)it.total);
    fill_content(bytes, (size_t)it.total, 0);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, 0, &it.stream));
    CHECK_OK(parley_stream_write(it.stream, bytes, (size_t)it.total, PATIENCE_MS));
    CHECK_OK(parley_stream_finish(it.stream));
    CHECK_OK(parley_consume(pair.server, &rpc, PATIENCE_MS));
    parley_rpc_release(&rpc);
    CHECK_OK(parley_when_readable(pair.server, pair.to_client, exactly_on, &it));
    CHECK_REACHES(&it.called, 1);
    free(bytes);
    free_pair(pair);
}

int main(void) {
    begin(90);
    trying("order");
    order();
    trying("what may not block");
    may_not_block_here();
    may_consume_here();
    trying("posting");
    posted_in_order();
    trying("dialing");
    dial_async();
    trying("readable and writable");
    stream_on_the_loops();
    called_at_the_end();
    trying("asked when it is writable already");
    writable_already();
    trying("a large exact read without waiting");
    large_exact_read();
    return 0;
}
