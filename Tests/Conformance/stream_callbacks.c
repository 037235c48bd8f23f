/* Two-way streams on the loops alone: callbacks take, read and write them, and nothing waits there. */
#include "peer_streams.h"

typedef struct echoed {
    event ended, wakes;
    uint64_t bytes;
} echoed;

/* ---- A server that echoes in callbacks ---- */

/* What is read and not written yet. */
typedef struct echoing {
    uint8_t bytes[8192];
    size_t length, written;
    echoed *result;
} echoing;

static void echo_on(parley_transport *node, parley_peer_stream stream, void *argument) {
    echoing *it = (echoing *)argument;
    while (true) {
        int64_t count;
        while (it->written < it->length) {
            count = parley_peer_stream_write(
                node, stream, it->bytes + it->written, it->length - it->written, 0);
            if (count == PARLEY_EAGAIN) {
                CHECK_OK(parley_peer_stream_when_writable(node, stream, echo_on, it));
                return;
            }
            CHECK(count > 0);
            it->written += (size_t)count;
        }
        count = parley_peer_stream_read(node, stream, it->bytes, sizeof it->bytes, 0);
        if (count == PARLEY_EAGAIN) {
            CHECK_OK(parley_peer_stream_when_readable(node, stream, echo_on, it));
            return;
        }
        CHECK(count >= 0);
        if (count == 0) break;
        it->length = (size_t)count;
        it->written = 0;
        it->result->bytes += (uint64_t)count;
    }
    CHECK(parley_peer_stream_userdata(node, stream) == it);
    CHECK_OK(parley_peer_stream_close(node, stream));
    event_add(&it->result->ended, 1);
    free(it);
}

static void on_stream(parley_transport *node, parley_peer_stream stream, void *argument) {
    echoing *it = (echoing *)calloc(1, sizeof(echoing));
    uint8_t byte;
    CHECK(it != NULL);
    it->result = (echoed *)argument;
    CHECK(parley_peer_stream_userdata(node, stream) == NULL);
    CHECK_OK(parley_peer_stream_set_userdata(node, stream, it));
    /* Nothing waits on a loop's thread. */
    if (parley_peer_stream_read(node, stream, &byte, 0, LIMIT_MS) != PARLEY_EINVAL) CHECK(false);
    echo_on(node, stream, it);
}

static void *write_content(void *argument) {
    const pair *nodes = (const pair *)argument;
    const size_t total = scaled(8 << 20, 1 << 20);
    uint8_t *bytes = (uint8_t *)malloc(total), *back = (uint8_t *)malloc(total);
    const parley_peer_stream stream = open_stream(nodes->client, nodes->to_server, ECHO_NAME);
    size_t written = 0, read = 0;
    CHECK(bytes != NULL && back != NULL);
    fill_content(bytes, total, 0);
    /* One thread does both, so that neither direction may wait for the other. */
    while (read < total) {
        int64_t count;
        if (written < total) {
            count = parley_peer_stream_write(nodes->client, stream, bytes + written, total - written, 0);
            if (count != PARLEY_EAGAIN) {
                CHECK(count > 0);
                written += (size_t)count;
            }
        }
        count = parley_peer_stream_read(nodes->client, stream, back + read, total - read, 1);
        if (count == PARLEY_ETIMEDOUT) continue;
        CHECK(count > 0);
        read += (size_t)count;
    }
    CHECK(is_content(back, total, 0));
    CHECK_OK(parley_peer_stream_finish(nodes->client, stream));
    CHECK_INT(read_code(nodes->client, stream, LIMIT_MS), 0);
    CHECK_OK(parley_peer_stream_close(nodes->client, stream));
    free(bytes);
    free(back);
    return NULL;
}

static void echo(size_t loops) {
    enum { count = 4 };
    echoed result = {EVENT_INIT, EVENT_INIT, 0};
    parley_options options = multiplexed();
    pthread_t threads[count];
    pair pair;
    int index;
    options.loops = loops;
    pair = connected(&options, &options);
    CHECK_OK(parley_accept_streams(pair.server, ECHO_NAME, on_stream, &result));
    for (index = 0; index < count; index++) threads[index] = start_thread(write_content, &pair);
    for (index = 0; index < count; index++) join(threads[index]);
    CHECK_REACHES(&result.ended, count);
    CHECK_INT(result.bytes, count * scaled(8 << 20, 1 << 20));
    free_pair(pair);
}

/* ---- What would have to wait on a loop ---- */

static void wait_on_loop(parley_transport *node, parley_peer_stream stream, void *argument) {
    echoed *it = (echoed *)argument;
    parley_peer_stream other = 1;
    static uint8_t bytes[1 << 20];
    int64_t count;
    CHECK_CODE(read_code(node, stream, PARLEY_FOREVER), PARLEY_EDEADLK);
    CHECK_CODE(read_code(node, stream, 0), PARLEY_EAGAIN);
    CHECK_CODE(parley_peer_stream_read_exactly(node, stream, bytes, 4, LIMIT_MS), PARLEY_EDEADLK);
    CHECK_CODE(parley_accept(node, "/other/1", LIMIT_MS, &other), PARLEY_EDEADLK);
    CHECK(other == PARLEY_NO_PEER_STREAM);
    /* What there is room for is written. */
    while ((count = parley_peer_stream_write(node, stream, bytes, sizeof bytes, LIMIT_MS)) > 0) {}
    CHECK_CODE(count, PARLEY_EDEADLK);
    CHECK_OK(parley_peer_stream_close(node, stream));
    event_add(&it->ended, 1);
}

static void nothing_waits(void) {
    echoed result = {EVENT_INIT, EVENT_INIT, 0};
    pair pair = multiplexed_pair();
    CHECK_OK(parley_accept_streams(pair.server, ECHO_NAME, wait_on_loop, &result));
    open_stream(pair.client, pair.to_server, ECHO_NAME);
    CHECK_REACHES(&result.ended, 1);
    free_pair(pair);
}

/* ---- The last call decides ---- */

static void count_stream(parley_transport *node, parley_peer_stream stream, void *argument) {
    CHECK_OK(parley_peer_stream_close(node, stream));
    event_add((event *)argument, 1);
}

static void replaced(void) {
    event first = EVENT_INIT, second = EVENT_INIT;
    parley_peer_stream stream;
    pair pair = multiplexed_pair();
    CHECK_OK(parley_accept_streams(pair.server, ECHO_NAME, count_stream, &first));
    open_stream(pair.client, pair.to_server, ECHO_NAME);
    CHECK_REACHES(&first, 1);
    CHECK_OK(parley_accept_streams(pair.server, ECHO_NAME, count_stream, &second));
    open_stream(pair.client, pair.to_server, ECHO_NAME);
    CHECK_REACHES(&second, 1);
    CHECK_INT(event_count(&first), 1);
    CHECK_CODE(parley_accept(pair.server, ECHO_NAME, 0, &stream), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "parley_accept_streams takes the streams for /echo/1.0.0");
    CHECK_OK(parley_stop_accepting(pair.server, ECHO_NAME));
    speak(pair.server, ECHO_NAME);
    open_stream(pair.client, pair.to_server, ECHO_NAME);
    accept_stream(pair.server, ECHO_NAME);
    free_pair(pair);
}

/* ---- Called once, also when the stream or its peer ends ---- */

static void was_called(parley_transport *node, parley_peer_stream stream, void *argument) {
    (void)node;
    (void)stream;
    event_add((event *)argument, 1);
}

static void called_at_the_end(void) {
    event readable = EVENT_INIT;
    pair pair = multiplexed_pair();
    parley_peer_stream stream;
    int index;
    speak(pair.server, ECHO_NAME);
    for (index = 0; index < 3; index++) {
        open_stream(pair.client, pair.to_server, ECHO_NAME);
        stream = accept_stream(pair.server, ECHO_NAME);
        CHECK_OK(parley_peer_stream_when_readable(pair.server, stream, was_called, &readable));
        if (index == 0) CHECK_OK(parley_peer_stream_close(pair.server, stream));
        if (index == 1) CHECK_OK(parley_peer_close(pair.client, pair.to_server, LIMIT_MS));
        if (index == 2) CHECK_OK(parley_close(pair.server));
        CHECK_REACHES(&readable, index + 1);
        if (index == 1) pair.to_server = dial(pair.client, pair.server);
    }
    CHECK_CODE(
        parley_peer_stream_when_readable(pair.server, stream, was_called, &readable), PARLEY_ENOPEER);
    free_pair(pair);
    CHECK_INT(event_count(&readable), 3);
}

int main(void) {
    begin(120);
    trying("echo");
    echo(1);
    trying("echo, two loops");
    echo(2);
    trying("nothing waits on a loop");
    nothing_waits();
    trying("replaced");
    replaced();
    trying("called at the end");
    called_at_the_end();
    return 0;
}
