/* How a two-way stream ends: half-close, close, abort, an unknown protocol, the end of its connection, and
 * parley_close(), which wakes every call that waits. */
#include "peer_streams.h"

typedef struct both {
    pair nodes;
    parley_peer_stream client, server;
} both;

static both connected_streams(void) {
    parley_options options = multiplexed();
    both it;
    /* Some leave bytes that nobody reads, which a close waits for. */
    options.close_timeout_ms = 500;
    it.nodes = connected(&options, &options);
    speak(it.nodes.server, ECHO_NAME);
    it.client = open_stream(it.nodes.client, it.nodes.to_server, ECHO_NAME);
    it.server = accept_stream(it.nodes.server, ECHO_NAME);
    return it;
}

/* Each direction ends by itself. */
static void half_close(void) {
    both it = connected_streams();
    write_text(it.nodes.client, it.client, "question");
    CHECK_OK(parley_peer_stream_finish(it.nodes.client, it.client));
    CHECK_OK(parley_peer_stream_finish(it.nodes.client, it.client));
    CHECK_CODE(
        parley_peer_stream_write(it.nodes.client, it.client, "more", 4, LIMIT_MS), PARLEY_ECLOSED);
    expect_text(it.nodes.server, it.server, "question");
    CHECK_INT(read_code(it.nodes.server, it.server, LIMIT_MS), 0);
    CHECK_INT(read_code(it.nodes.server, it.server, LIMIT_MS), 0);
    write_text(it.nodes.server, it.server, "answer");
    CHECK_OK(parley_peer_stream_close(it.nodes.server, it.server));
    expect_text(it.nodes.client, it.client, "answer");
    CHECK_INT(read_code(it.nodes.client, it.client, LIMIT_MS), 0);
    CHECK_OK(parley_peer_stream_close(it.nodes.client, it.client));
    await_open_streams(it.nodes.client, 0);
    await_open_streams(it.nodes.server, 0);
    free_pair(it.nodes);
}

/* Fewer bytes than an exact read asks for: those are lost. */
static void short_exact_read(void) {
    both it = connected_streams();
    uint8_t bytes[8];
    write_text(it.nodes.client, it.client, "four");
    CHECK_OK(parley_peer_stream_finish(it.nodes.client, it.client));
    CHECK_CODE(
        parley_peer_stream_read_exactly(it.nodes.server, it.server, bytes, 8, LIMIT_MS), PARLEY_EOF);
    CHECK_CONTAINS(parley_last_error(), "after 4 of 8 bytes");
    CHECK_INT(read_code(it.nodes.server, it.server, LIMIT_MS), 0);
    free_pair(it.nodes);
}

/* An exact read whose time is up keeps what had arrived for the next one. */
static void late_exact_read(void) {
    both it = connected_streams();
    parley_transport *node = it.nodes.server;
    char bytes[8];
    write_text(it.nodes.client, it.client, "four");
    expect_text(node, it.server, "f");
    CHECK_CODE(parley_peer_stream_read_exactly(node, it.server, bytes, 8, 10), PARLEY_ETIMEDOUT);
    CHECK_CODE(parley_peer_stream_read_exactly(node, it.server, bytes, 8, 0), PARLEY_EAGAIN);
    CHECK_INT(parley_peer_stream_read(node, it.server, bytes, 1, 0), 1);
    CHECK(bytes[0] == 'o');
    write_text(it.nodes.client, it.client, "teen");
    CHECK_OK(parley_peer_stream_read_exactly(node, it.server, bytes, 6, LIMIT_MS));
    CHECK(memcmp(bytes, "urteen", 6) == 0);
    free_pair(it.nodes);
}

static void aborts(void) {
    both it = connected_streams();
    const parley_peer_stream other = open_stream(it.nodes.client, it.nodes.to_server, ECHO_NAME);
    const parley_peer_stream other_end = accept_stream(it.nodes.server, ECHO_NAME);
    CHECK_OK(parley_peer_stream_abort(it.nodes.client, it.client, 4711));
    CHECK_CODE(read_code(it.nodes.server, it.server, LIMIT_MS), PARLEY_EABORTED);
    CHECK_INT(parley_last_remote_code(), 4711);
    CHECK_CODE(parley_peer_stream_write(it.nodes.server, it.server, "x", 1, LIMIT_MS), PARLEY_EABORTED);
    CHECK_INT(parley_last_remote_code(), 4711);
    CHECK_CODE(read_code(it.nodes.client, it.client, 0), PARLEY_ECLOSED);
    CHECK_INT(parley_last_remote_code(), 0);
    /* Another stream of the connection goes on. */
    write_text(it.nodes.client, other, "still here");
    expect_text(it.nodes.server, other_end, "still here");
    free_pair(it.nodes);
}

/* A name that nobody takes is refused to the first read. */
static void unknown_protocol(void) {
    both it = connected_streams();
    const parley_peer_stream stream = open_stream(it.nodes.client, it.nodes.to_server, "/nothing/1.0.0");
    CHECK_CODE(read_code(it.nodes.client, stream, LIMIT_MS), PARLEY_ENOTSUP);
    CHECK_CONTAINS(parley_last_error(), "/nothing/1.0.0");
    CHECK_CODE(
        parley_peer_stream_write(it.nodes.client, stream, "x", 1, LIMIT_MS), PARLEY_ENOTSUP);
    CHECK_OK(parley_peer_stream_close(it.nodes.client, stream));
    /* A protocol that is not spoken any more. */
    CHECK_OK(parley_stop_accepting(it.nodes.server, ECHO_NAME));
    CHECK_CODE(
        read_code(
            it.nodes.client, open_stream(it.nodes.client, it.nodes.to_server, ECHO_NAME), LIMIT_MS),
        PARLEY_ENOTSUP);
    /* A stream that was handed out goes on. */
    write_text(it.nodes.client, it.client, "still here");
    expect_text(it.nodes.server, it.server, "still here");
    free_pair(it.nodes);
}

/* The peer goes in the middle: what had arrived is read, and then the reason comes. */
static void peer_goes(void) {
    both it = connected_streams();
    write_text(it.nodes.client, it.client, "last words");
    expect_text(it.nodes.server, it.server, "last");
    CHECK_OK(parley_free(it.nodes.client));
    expect_text(it.nodes.server, it.server, " words");
    CHECK(read_code(it.nodes.server, it.server, LIMIT_MS) < 0);
    CHECK(parley_peer_stream_write(it.nodes.server, it.server, "x", 1, LIMIT_MS) < 0);
    await_peers(it.nodes.server, 0);
    /* The number is valid as long as the program has not closed it. */
    CHECK(parley_peer_stream_peer(it.nodes.server, it.server) == it.nodes.to_client);
    CHECK_OK(parley_peer_stream_close(it.nodes.server, it.server));
    CHECK(parley_peer_stream_peer(it.nodes.server, it.server) == PARLEY_NO_PEER);
    CHECK_OK(parley_free(it.nodes.server));
}

/* ---- Calls that wait ---- */

static void time_outs(void) {
    both it = connected_streams();
    parley_peer_stream stream;
    uint8_t *bytes = (uint8_t *)calloc(1 << 20, 1);
    int64_t written = 0, count;
    CHECK(bytes != NULL);
    CHECK_CODE(parley_accept(it.nodes.server, ECHO_NAME, 10, &stream), PARLEY_ETIMEDOUT);
    CHECK_CODE(read_code(it.nodes.server, it.server, 10), PARLEY_ETIMEDOUT);
    CHECK_CODE(read_code(it.nodes.server, it.server, 0), PARLEY_EAGAIN);
    /* Nobody reads: a write is told how much had room, and then that there is none. */
    while ((count = parley_peer_stream_write(it.nodes.client, it.client, bytes, 1 << 20, 50)) > 0) {
        CHECK(count < 1 << 20);
        written += count;
    }
    CHECK_CODE(count, PARLEY_ETIMEDOUT);
    CHECK(written >= 256 << 10);
    count = parley_peer_stream_write(it.nodes.client, it.client, bytes, 1, 0);
    CHECK(count == PARLEY_EAGAIN || count == 1);
    free(bytes);
    free_pair(it.nodes);
}

typedef struct waiting {
    both streams;
    event waits, ended;
    int64_t result;
} waiting;

static void *wait_for_stream(void *argument) {
    waiting *it = (waiting *)argument;
    parley_peer_stream stream;
    event_add(&it->waits, 1);
    it->result = parley_accept(it->streams.nodes.server, ECHO_NAME, PARLEY_FOREVER, &stream);
    event_add(&it->ended, 1);
    return NULL;
}

static void *wait_to_read(void *argument) {
    waiting *it = (waiting *)argument;
    event_add(&it->waits, 1);
    it->result = read_code(it->streams.nodes.server, it->streams.server, PARLEY_FOREVER);
    return NULL;
}

static void *wait_to_write(void *argument) {
    static uint8_t bytes[1 << 20];
    waiting *it = (waiting *)argument;
    event_add(&it->waits, 1);
    while ((it->result = parley_peer_stream_write(
                it->streams.nodes.server, it->streams.server, bytes, sizeof bytes, PARLEY_FOREVER)) > 0) {}
    return NULL;
}

static const struct {
    void *(*wait)(void *argument);
    const char *name;
} waits[] = {{wait_for_stream, "accept"}, {wait_to_read, "read"}, {wait_to_write, "write"}};

/* Starts one of the waits on new streams, in a thread of its own. */
static pthread_t start_waiting(waiting *it, size_t index) {
    const event none = EVENT_INIT;
    pthread_t thread;
    it->streams = connected_streams();
    it->waits = it->ended = none;
    thread = start_thread(waits[index].wait, it);
    CHECK_REACHES(&it->waits, 1);
    sleep_ms(20); /* usually enough for it to wait; the tests pass either way */
    return thread;
}

static void woken_by_close(void) {
    size_t index;
    for (index = 0; index < 3; index++) {
        waiting it;
        const pthread_t thread = start_waiting(&it, index);
        CHECK_OK(parley_close(it.streams.nodes.server));
        join(thread);
        trying(waits[index].name);
        CHECK_CODE(it.result, PARLEY_ECLOSED);
        free_pair(it.streams.nodes);
    }
}

/* Closing a stream, and aborting it, wake those that wait for it. */
static void woken_by_closed_stream(void) {
    size_t index;
    for (index = 1; index < 3; index++) {
        waiting it;
        const pthread_t thread = start_waiting(&it, index);
        if (index == 1)
            CHECK_OK(parley_peer_stream_close(it.streams.nodes.server, it.streams.server));
        else
            CHECK_OK(parley_peer_stream_abort(it.streams.nodes.server, it.streams.server, 1));
        join(thread);
        CHECK(it.result == PARLEY_ECLOSED || it.result == PARLEY_EABORTED);
        free_pair(it.streams.nodes);
    }
}

/* parley_stop_accepting() wakes the threads that accept, and resets the streams that wait for them. */
static void woken_by_stop(void) {
    waiting it;
    pthread_t thread;
    parley_peer_stream waiting_stream;
    const event none = EVENT_INIT;
    it.streams = connected_streams();
    it.waits = it.ended = none;
    thread = start_thread(wait_for_stream, &it);
    /* A thread that comes later speaks the protocol anew. */
    do CHECK_OK(parley_stop_accepting(it.streams.nodes.server, ECHO_NAME));
    while (!event_reaches(&it.ended, 1, 20));
    join(thread);
    CHECK_CODE(it.result, PARLEY_ECANCELED);
    speak(it.streams.nodes.server, "/later/1");
    waiting_stream = open_stream(it.streams.nodes.client, it.streams.nodes.to_server, "/later/1");
    write_text(it.streams.nodes.client, waiting_stream, "x");
    await_open_streams(it.streams.nodes.server, 2);
    CHECK_OK(parley_stop_accepting(it.streams.nodes.server, "/later/1"));
    CHECK(read_code(it.streams.nodes.client, waiting_stream, LIMIT_MS) < 0);
    free_pair(it.streams.nodes);
}

int main(void) {
    begin(120);
    trying("half-close");
    half_close();
    trying("short exact read");
    short_exact_read();
    trying("late exact read");
    late_exact_read();
    trying("abort");
    aborts();
    trying("unknown protocol");
    unknown_protocol();
    trying("the peer goes");
    peer_goes();
    trying("time-outs");
    time_outs();
    trying("woken by parley_close()");
    woken_by_close();
    trying("woken by the end of the stream");
    woken_by_closed_stream();
    trying("woken by parley_stop_accepting()");
    woken_by_stop();
    return 0;
}
