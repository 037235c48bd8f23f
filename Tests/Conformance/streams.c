/* Streams in each wire form: headers, ends, aborts, readers that stop early, deadlines, and waiting. */
#include "check.h"

static parley_stream *open_stream(pair pair, const char *header) {
    parley_stream *stream = NULL;
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, header, strlen(header), LIMIT_MS, &stream));
    CHECK(stream != NULL);
    return stream;
}

static void expect(pair pair, const char *text, bool stream) {
    parley_rpc rpc;
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, strlen(text));
    CHECK(rpc.length == 0 || memcmp(rpc.payload, text, rpc.length) == 0);
    CHECK(rpc.stream == stream);
    parley_rpc_release(&rpc);
}

typedef struct writing {
    parley_stream *stream;
    uint64_t total;
} writing;

static void *write_content(void *argument) {
    writing *it = (writing *)argument;
    uint8_t piece[70001];
    uint64_t sent = 0;
    while (sent < it->total) {
        size_t length = it->total - sent < sizeof piece ? (size_t)(it->total - sent) : sizeof piece;
        fill_content(piece, length, sent);
        CHECK_OK(parley_stream_write(it->stream, piece, length, PARLEY_FOREVER));
        sent += length;
    }
    CHECK_OK(parley_stream_finish(it->stream));
    return NULL;
}

static void read_content(pair pair, uint64_t total, bool to_the_end) {
    uint8_t piece[65537];
    uint64_t read = 0;
    while (read < total) {
        size_t want = total - read < sizeof piece ? (size_t)(total - read) : sizeof piece;
        int64_t count = parley_read(pair.server, pair.to_client, piece, want, LIMIT_MS);
        if (count <= 0) CHECK_CODE((int)count, 1);
        CHECK(is_content(piece, (size_t)count, read));
        read += (uint64_t)count;
    }
    if (to_the_end) CHECK_INT(parley_read(pair.server, pair.to_client, piece, sizeof piece, LIMIT_MS), 0);
}

/* Streams of many lengths between messages: each arrives whole, and the messages after it are decoded
 * correctly. */
static void between_messages(parley_codec codec) {
    const size_t lengths[] = {0, 1, 1000, 65536, 262144, 262145, 1 << 20, 24 << 20};
    parley_options options = loopback();
    bool delimited = codec == PARLEY_CODEC_FRAMED;
    const char *header = codec == PARLEY_CODEC_UNFRAMED ? "" : "name=value";
    pair pair;
    size_t index;
    options.codec = codec;
    pair = connected(&options, &options);
    for (index = 0; index < scaled(8, 7); index++) {
        writing it;
        pthread_t writer;
        it.stream = open_stream(pair, header);
        it.total = lengths[index];
        writer = start_thread(write_content, &it);
        expect(pair, header, true);
        read_content(pair, it.total, delimited);
        CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
        join(writer);
        CHECK_OK(parley_send_message(pair.client, pair.to_server, "message", 7, LIMIT_MS));
        expect(pair, "message", false);
    }
    if (codec == PARLEY_CODEC_UNFRAMED) {
        parley_stream *stream = NULL;
        CHECK_CODE(parley_stream_open(pair.client, pair.to_server, "h", 1, 0, &stream), PARLEY_ENOTSUP);
        CHECK(stream == NULL);
    }
    free_pair(pair);
}

/* ---- Streams that end early ---- */

static void reader_stops_early(pair pair) {
    writing it;
    pthread_t writer;
    it.stream = open_stream(pair, "long");
    it.total = scaled(16 << 20, 2 << 20);
    writer = start_thread(write_content, &it);
    expect(pair, "long", true);
    read_content(pair, 100, false);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    join(writer);
    /* A stream that nobody read at all. */
    it.stream = open_stream(pair, "unread");
    writer = start_thread(write_content, &it);
    expect(pair, "unread", true);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    join(writer);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "in step", 7, LIMIT_MS));
    expect(pair, "in step", false);
}

static void aborts(pair pair) {
    char reason[3000];
    uint8_t byte;
    parley_stream *stream;
    stream = open_stream(pair, "");
    CHECK_OK(parley_stream_write(stream, "x", 1, LIMIT_MS));
    parley_stream_abort(stream, 42, "changed my mind");
    expect(pair, "", true);
    CHECK_INT(parley_read(pair.server, pair.to_client, &byte, 1, LIMIT_MS), 1);
    CHECK_INT(parley_read(pair.server, pair.to_client, &byte, 1, LIMIT_MS), PARLEY_EABORTED);
    CHECK_CONTAINS(parley_last_error(), "changed my mind");
    CHECK_CONTAINS(parley_last_error(), "42");
    CHECK_CODE(parley_read_exactly(pair.server, pair.to_client, &byte, 1, 0), PARLEY_EABORTED);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));

    /* The reason is text that the other side chose: it reaches no terminal and no second line. */
    parley_stream_abort(open_stream(pair, ""), 0, "\x1b[31mred\nfake\xe2\x80\xaeline");
    expect(pair, "", true);
    CHECK_INT(parley_read(pair.server, pair.to_client, &byte, 1, LIMIT_MS), PARLEY_EABORTED);
    CHECK_CONTAINS(parley_last_error(), "\\x1b[31mred\\nfake\\u{202e}line");
    CHECK(strpbrk(parley_last_error(), "\x1b\n") == NULL);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));

    /* No reason, and a reason that is too long. */
    parley_stream_abort(open_stream(pair, ""), UINT32_MAX, NULL);
    expect(pair, "", true);
    CHECK_INT(parley_read(pair.server, pair.to_client, &byte, 1, LIMIT_MS), PARLEY_EABORTED);
    CHECK_CONTAINS(parley_last_error(), "4294967295");
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = 0;
    parley_stream_abort(open_stream(pair, ""), 0, reason);
    expect(pair, "", true);
    CHECK_INT(parley_read(pair.server, pair.to_client, &byte, 1, LIMIT_MS), PARLEY_EABORTED);
    reason[1024] = 0;
    CHECK_CONTAINS(parley_last_error(), reason);
    reason[1024] = 'r';
    reason[1025] = 0;
    CHECK(strstr(parley_last_error(), reason) == NULL);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));

    /* A stream whose reader has closed it already. */
    stream = open_stream(pair, "");
    expect(pair, "", true);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    parley_stream_abort(stream, 1, "late");
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "in step", 7, LIMIT_MS));
    expect(pair, "in step", false);

    CHECK_OK(parley_stream_finish(NULL));
    parley_stream_abort(NULL, 0, NULL);
}

/* ---- Waiting for a stream ---- */

static void *send_after_stream(void *argument) {
    pair *it = (pair *)argument;
    CHECK_OK(parley_send_message(it->client, it->to_server, "waited", 6, LIMIT_MS));
    return NULL;
}

static void *stream_after_stream(void *argument) {
    pair *it = (pair *)argument;
    parley_stream_finish(open_stream(*it, "second"));
    return NULL;
}

static void *broadcast_after_stream(void *argument) {
    pair *it = (pair *)argument;
    CHECK_INT(parley_broadcast_wait(it->client, "waited", 6, LIMIT_MS), 1);
    return NULL;
}

/* A broadcast that waits behind the stream. */
static void broadcast_waits(pair pair) {
    parley_stream *stream = open_stream(pair, "first");
    pthread_t thread;
    parley_rpc rpc;
    CHECK_INT(parley_broadcast_wait(pair.client, "x", 1, 0), 0);
    CHECK_INT(parley_broadcast_wait(pair.client, "x", 1, 20), 0);
    CHECK_INT(parley_broadcast_wait(pair.client, "x", 1, -2), PARLEY_EINVAL);
    CHECK_INT(parley_broadcast_wait(NULL, "x", 1, 0), PARLEY_EINVAL);
    thread = start_thread(broadcast_after_stream, &pair);
    sleep_ms(10); /* usually enough for the broadcast to wait; the test passes either way */
    CHECK_OK(parley_stream_finish(stream));
    join(thread);
    expect(pair, "first", true);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK(rpc.length == 6 && memcmp(rpc.payload, "waited", 6) == 0);
    parley_rpc_release(&rpc);
    CHECK_INT(parley_broadcast_wait(pair.client, "at once", 7, PARLEY_FOREVER), 1);
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, 7);
    parley_rpc_release(&rpc);
}

static void one_at_a_time(pair pair) {
    parley_stream *stream = open_stream(pair, "first"), *second = NULL;
    pthread_t threads[2];
    parley_rpc rpc;
    bool message_came = false;
    int index;
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "x", 1, 0), PARLEY_EAGAIN);
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "x", 1, 30), PARLEY_ETIMEDOUT);
    CHECK_CODE(parley_stream_open(pair.client, pair.to_server, NULL, 0, 0, &second), PARLEY_EAGAIN);
    CHECK(second == NULL);
    CHECK_INT(parley_broadcast(pair.client, "x", 1), 0);
    threads[0] = start_thread(send_after_stream, &pair);
    threads[1] = start_thread(stream_after_stream, &pair);
    /* The other direction does not wait. */
    CHECK_OK(parley_send_message(pair.server, pair.to_client, "meanwhile", 9, 0));
    CHECK_OK(parley_consume(pair.client, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, 9);
    parley_rpc_release(&rpc);
    CHECK_OK(parley_stream_write(stream, "bytes", 5, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    for (index = 0; index < 2; index++) join(threads[index]);
    expect(pair, "first", true);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    /* The two may come in either order. */
    for (index = 0; index < 2; index++) {
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        if (!rpc.stream) message_came = true;
        else CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
        parley_rpc_release(&rpc);
    }
    CHECK(message_came);
}

/* A read before the stream begins waits for it. */
static void *read_first(void *argument) {
    pair *it = (pair *)argument;
    uint8_t bytes[3];
    CHECK_OK(parley_read_exactly(it->server, it->to_client, bytes, 3, LIMIT_MS));
    CHECK(memcmp(bytes, "abc", 3) == 0);
    return NULL;
}

static void reader_before_stream(pair pair) {
    pthread_t reader = start_thread(read_first, &pair);
    parley_stream *stream;
    sleep_ms(10); /* usually enough for the read to wait; the test passes either way */
    stream = open_stream(pair, "");
    CHECK_OK(parley_stream_write(stream, "abc", 3, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    join(reader);
    expect(pair, "", true);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    /* Closing without an open stream does nothing. */
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
}

/* ---- Another thread closes the stream that is read ---- */

typedef struct exact_read {
    pair nodes;
    uint8_t bytes[4];
    int code;
} exact_read;

static void *read_four(void *argument) {
    exact_read *it = (exact_read *)argument;
    it->code = parley_read_exactly(it->nodes.server, it->nodes.to_client, it->bytes, 4, LIMIT_MS);
    return NULL;
}

/* The read ends, and takes nothing of the next stream. */
static void closed_meanwhile(void) {
    parley_options options = loopback();
    exact_read it;
    parley_stream *stream;
    pthread_t reader;
    it.nodes = connected(&options, &options);
    stream = open_stream(it.nodes, "");
    CHECK_OK(parley_stream_write(stream, "11", 2, LIMIT_MS));
    expect(it.nodes, "", true);
    reader = start_thread(read_four, &it);
    await_read(it.nodes, 12);
    CHECK_OK(parley_peer_close_stream(it.nodes.server, it.nodes.to_client));
    CHECK_OK(parley_stream_finish(stream));
    stream = open_stream(it.nodes, "");
    CHECK_OK(parley_stream_write(stream, "22", 2, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    join(reader);
    CHECK_CODE(it.code, PARLEY_ECLOSED);
    expect(it.nodes, "", true);
    CHECK_OK(parley_read_exactly(it.nodes.server, it.nodes.to_client, it.bytes, 2, LIMIT_MS));
    CHECK(memcmp(it.bytes, "22", 2) == 0);
    free_pair(it.nodes);
}

/* ---- Time-outs and deadlines ---- */

static void *set_deadline_soon(void *argument) {
    pair *it = (pair *)argument;
    sleep_ms(20);
    CHECK_OK(parley_peer_set_read_deadline(it->server, it->to_client, 30));
    return NULL;
}

static void deadlines(pair pair) {
    uint8_t bytes[8];
    parley_stream *stream = open_stream(pair, "");
    pthread_t setter;
    double begun = now_ms();
    expect(pair, "", true);
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 1, 0), PARLEY_EAGAIN);
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 1, 40), PARLEY_ETIMEDOUT);
    CHECK(now_ms() - begun >= 40);
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 1, -2), PARLEY_EINVAL);
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 0, 0), PARLEY_EINVAL);
    CHECK_INT(parley_read(pair.server, pair.to_client, NULL, 8, 0), PARLEY_EINVAL);

    /* Bytes that came too late are not lost. */
    CHECK_OK(parley_stream_write(stream, "1234", 4, LIMIT_MS));
    CHECK_CODE(parley_read_exactly(pair.server, pair.to_client, bytes, 8, 100), PARLEY_ETIMEDOUT);
    CHECK_OK(parley_stream_write(stream, "5678", 4, LIMIT_MS));
    CHECK_OK(parley_read_exactly(pair.server, pair.to_client, bytes, 8, LIMIT_MS));
    CHECK(memcmp(bytes, "12345678", 8) == 0);

    /* A deadline also ends reads that wait already, and holds until it is removed. */
    setter = start_thread(set_deadline_soon, &pair);
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 1, PARLEY_FOREVER), PARLEY_ETIMEDOUT);
    join(setter);
    CHECK_OK(parley_stream_write(stream, "9", 1, LIMIT_MS));
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 1, PARLEY_FOREVER), PARLEY_ETIMEDOUT);
    CHECK_OK(parley_peer_set_read_deadline(pair.server, pair.to_client, PARLEY_FOREVER));
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 1, LIMIT_MS), 1);
    CHECK(bytes[0] == '9');
    CHECK_OK(parley_peer_set_write_deadline(pair.client, pair.to_server, 0));
    CHECK_CODE(parley_stream_write(stream, "x", 1, PARLEY_FOREVER), PARLEY_ETIMEDOUT);
    CHECK_OK(parley_peer_set_deadline(pair.client, pair.to_server, PARLEY_FOREVER));
    CHECK_CODE(parley_peer_set_deadline(pair.client, pair.to_server, -2), PARLEY_EINVAL);

    /* Fewer bytes than requested are lost, as the header says. */
    CHECK_OK(parley_stream_write(stream, "ab", 2, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    CHECK_CODE(parley_read_exactly(pair.server, pair.to_client, bytes, 3, LIMIT_MS), PARLEY_EOF);
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 1, LIMIT_MS), 0);
    CHECK_OK(parley_read_exactly(pair.server, pair.to_client, NULL, 0, 0));
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
}

static void gone(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    (void)transport;
    (void)peer;
    (void)message;
    event_add((event *)userdata, -reason);
}

/* A stream that nobody reads closes its peer after stream_idle_timeout_ms. */
static void idle(void) {
    event reasons = EVENT_INIT;
    parley_options server = loopback(), client = loopback();
    parley_stream *stream;
    pair pair;
    server.stream_idle_timeout_ms = 100;
    server.userdata = &reasons;
    server.on_disconnect = gone;
    pair = connected(&server, &client);
    stream = open_stream(pair, "");
    expect(pair, "", true);
    CHECK_REACHES(&reasons, -PARLEY_ETIMEDOUT);
    CHECK_INT(event_count(&reasons), -PARLEY_ETIMEDOUT);
    await_peers(pair.client, 0);
    CHECK(parley_stream_write(stream, "x", 1, LIMIT_MS) < 0);
    CHECK(parley_stream_finish(stream) < 0);
    free_pair(pair);
}

/* The connection ends inside a stream. */
static void cut_off(parley_codec codec) {
    event reasons = EVENT_INIT;
    parley_options options = loopback();
    parley_transport *node;
    parley_rpc rpc;
    uint8_t bytes[16];
    int socket_fd;
    options.codec = codec;
    options.userdata = &reasons;
    options.on_disconnect = gone;
    /* What was sent before the end is kept for so long. */
    options.close_timeout_ms = LIMIT_MS;
    node = listening(&options);
    socket_fd = raw_dial(node);
    if (codec == PARLEY_CODEC_FRAMED) raw_send(socket_fd, "\2\0\0\0\0\3\0\0\0\3abc", 13);
    else raw_send(socket_fd, "\2abc", 4);
    close(socket_fd);
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK(rpc.stream);
    CHECK_OK(parley_read_exactly(node, rpc.peer, bytes, 3, LIMIT_MS));
    CHECK(memcmp(bytes, "abc", 3) == 0);
    /* A raw stream ends with its connection. A delimited one is truncated. */
    if (codec == PARLEY_CODEC_FRAMED)
        CHECK_INT(parley_read(node, rpc.peer, bytes, 1, LIMIT_MS), PARLEY_ETRUNCATED);
    else CHECK_INT(parley_read(node, rpc.peer, bytes, 1, LIMIT_MS), 0);
    CHECK_OK(parley_peer_close_stream(node, rpc.peer));
    parley_rpc_release(&rpc);
    CHECK_REACHES(&reasons, 1);
    CHECK_INT(event_count(&reasons), codec == PARLEY_CODEC_FRAMED ? -PARLEY_ETRUNCATED : -PARLEY_EOF);
    CHECK_OK(parley_free(node));
}

/* A peer disconnects while a stream to it is open: the writer gets an error, and the handle is still
 * freed. */
static void writer_without_reader(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_stream *stream = open_stream(pair, "");
    static uint8_t piece[100000];
    int code;
    CHECK_OK(parley_peer_close(pair.server, pair.to_client, LIMIT_MS));
    while ((code = parley_stream_write(stream, piece, sizeof piece, LIMIT_MS)) == PARLEY_OK) {}
    CHECK(code == PARLEY_EOF || code == PARLEY_ECONNRESET);
    CHECK_CODE(parley_stream_finish(stream), code);
    free_pair(pair);
}

int main(void) {
    parley_options options = loopback();
    pair pair;
    begin(90);
    trying("between messages: framed");
    between_messages(PARLEY_CODEC_FRAMED);
    trying("between messages: default");
    between_messages(PARLEY_CODEC_UNFRAMED);
    trying("between messages: gob");
    between_messages(PARLEY_CODEC_GOB);
    pair = connected(&options, &options);
    trying("a reader stops early");
    reader_stops_early(pair);
    trying("aborts");
    aborts(pair);
    trying("one at a time");
    one_at_a_time(pair);
    trying("broadcast waits");
    broadcast_waits(pair);
    trying("a reader before the stream");
    reader_before_stream(pair);
    trying("deadlines");
    deadlines(pair);
    free_pair(pair);
    trying("closed meanwhile");
    closed_meanwhile();
    trying("idle");
    idle();
    trying("cut off");
    cut_off(PARLEY_CODEC_FRAMED);
    cut_off(PARLEY_CODEC_UNFRAMED);
    trying("a writer without a reader");
    writer_without_reader();
    return 0;
}
