/* Sending bytes that lie in several places. */
#include "check.h"

static parley_slice slice(const void *bytes, size_t length) {
    parley_slice made;
    made.bytes = bytes;
    made.length = length;
    return made;
}

static void expect(parley_transport *node, const void *bytes, size_t length) {
    parley_rpc rpc;
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, length);
    CHECK(length == 0 || memcmp(rpc.payload, bytes, length) == 0);
    parley_rpc_release(&rpc);
}

/* One message, whatever its slices are. */
static void messages(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    const size_t large = 1 << 20;
    uint8_t *bytes = (uint8_t *)malloc(large);
    parley_slice slices[3], *many;
    size_t index;
    slices[0] = slice("head", 4);
    slices[1] = slice(NULL, 0);
    slices[2] = slice(" and body", 9);
    CHECK_OK(parley_send_messagev(pair.client, pair.to_server, slices, 3, 0));
    expect(pair.server, "head and body", 13);
    CHECK_OK(parley_send_messagev(pair.client, pair.to_server, slices, 2, 0));
    expect(pair.server, "head", 4);
    CHECK_OK(parley_send_messagev(pair.client, pair.to_server, slices + 1, 1, 0));
    expect(pair.server, "", 0);
    CHECK_OK(parley_send_messagev(pair.client, pair.to_server, NULL, 0, 0));
    expect(pair.server, "", 0);

    CHECK_INT(parley_broadcastv(pair.client, slices, 3), 1);
    expect(pair.server, "head and body", 13);

    /* A large one, in a slice for each byte of its beginning and one for the rest. */
    fill_content(bytes, large, 0);
    many = (parley_slice *)calloc(1001, sizeof *many);
    for (index = 0; index < 1000; index++) many[index] = slice(bytes + index, 1);
    many[1000] = slice(bytes + 1000, large - 1000);
    CHECK_OK(parley_send_messagev(pair.client, pair.to_server, many, 1001, LIMIT_MS));
    /* The library has copied the bytes, or no longer needs them. */
    memset(bytes, 0, large);
    {
        parley_rpc rpc;
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        CHECK_INT(rpc.length, large);
        CHECK(is_content(rpc.payload, rpc.length, 0));
        parley_rpc_release(&rpc);
    }
    free(many);
    free(bytes);
    free_pair(pair);
}

/* Raw bytes, and the bytes of a stream. */
static void streams(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_stream *stream;
    parley_slice slices[2];
    parley_rpc rpc;
    char read[10];
    slices[0] = slice("01234", 5);
    slices[1] = slice("56789", 5);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, 0, &stream));
    CHECK_OK(parley_stream_writev(stream, slices, 2, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK(rpc.stream);
    parley_rpc_release(&rpc);
    CHECK_OK(parley_read_exactly(pair.server, pair.to_client, read, 10, LIMIT_MS));
    CHECK(memcmp(read, "0123456789", 10) == 0);
    CHECK_INT(parley_read(pair.server, pair.to_client, read, 10, LIMIT_MS), 0);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    free_pair(pair);
}

enum { part_size = 900000, parts = 3 };

static void *write_parts(void *argument) {
    parley_stream *stream = (parley_stream *)argument;
    static char part[part_size];
    parley_slice slices[parts];
    int index;
    for (index = 0; index < part_size; index++) part[index] = (char)(index % 251);
    for (index = 0; index < parts; index++) slices[index] = slice(part, part_size);
    CHECK_OK(parley_stream_writev(stream, slices, parts, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    return NULL;
}

/* A long write is accepted in pieces, whose ends are not those of the slices. Nothing is copied before its
 * length is checked. */
static void long_writes(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_stream *stream;
    parley_slice slices[2];
    parley_rpc rpc;
    pthread_t writer;
    static char read[part_size];
    int round, index;
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
    slices[0] = slices[1] = slice("x", PTRDIFF_MAX / 2);
    CHECK_CODE(parley_stream_writev(stream, slices, 2, 0), PARLEY_EMSGSIZE);
    CHECK_CONTAINS(parley_last_error(), "without waiting");
    writer = start_thread(write_parts, stream);
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    for (round = 0; round < parts; round++) {
        CHECK_OK(parley_read_exactly(pair.server, pair.to_client, read, part_size, LIMIT_MS));
        for (index = 0; index < part_size; index++) CHECK(read[index] == (char)(index % 251));
    }
    CHECK_INT(parley_read(pair.server, pair.to_client, read, 10, LIMIT_MS), 0);
    join(writer);
    free_pair(pair);
}

static int greet(parley_transport *transport, parley_peer peer, void *userdata) {
    parley_slice slices[2];
    char read[5];
    (void)userdata;
    slices[0] = slice("he", 2);
    slices[1] = slice("llo", 3);
    CHECK_OK(parley_sendv(transport, peer, slices, 2, LIMIT_MS));
    CHECK_OK(parley_read_exactly(transport, peer, read, 5, LIMIT_MS));
    CHECK(memcmp(read, "hello", 5) == 0);
    return PARLEY_OK;
}

static void raw(void) {
    parley_options options = loopback();
    options.handshake = greet;
    free_pair(connected(&options, &options));
}

#define SAYS(call, text) \
    do { \
        CHECK_CODE(call, PARLEY_EINVAL); \
        CHECK_CONTAINS(parley_last_error(), text); \
    } while (0)

static void impossible(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_slice slices[2];
    parley_rpc rpc;
    slices[0] = slice("x", 1);
    SAYS(parley_send_messagev(NULL, 1, slices, 1, 0), "transport is NULL");
    SAYS(parley_send_messagev(pair.client, pair.to_server, NULL, 1, 0), "slices is NULL, but count is 1");
    SAYS(parley_sendv(pair.client, pair.to_server, slices, SIZE_MAX, 0), "count is 18446744073709551615");
    slices[1] = slice(NULL, 7);
    SAYS(
        parley_send_messagev(pair.client, pair.to_server, slices, 2, 0),
        "slices[1].bytes is NULL, but its length is 7");
    slices[1] = slice("x", SIZE_MAX);
    SAYS(parley_broadcastv(pair.client, slices, 2), "slices[1].length is 18446744073709551615");
    slices[1] = slice("x", PTRDIFF_MAX);
    SAYS(parley_send_messagev(pair.client, pair.to_server, slices, 2, 0), "PTRDIFF_MAX bytes together");
    SAYS(parley_stream_writev(NULL, slices, 1, 0), "stream is NULL");
    SAYS(parley_send_messagev(pair.client, pair.to_server, slices, 1, -2), "timeout_ms is -2");
    CHECK_CODE(parley_send_messagev(pair.client, 12345, slices, 1, 0), PARLEY_ENOPEER);
    CHECK_CODE(parley_try_consume(pair.server, &rpc), PARLEY_EAGAIN);
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("messages");
    messages();
    trying("streams");
    streams();
    trying("long writes");
    long_writes();
    trying("raw bytes");
    raw();
    trying("impossible slices");
    impossible();
    return 0;
}
