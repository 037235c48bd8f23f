/* What the functions about two-way streams refuse: NULL, numbers that are gone, and the wrong wire form. */
#include "peer_streams.h"

static void ignore(parley_transport *node, parley_peer_stream stream, void *argument) {
    (void)node;
    (void)stream;
    (void)argument;
}

/* Each function refuses the number, with this code. */
static void refused(parley_transport *node, parley_peer_stream stream, int code) {
    char bytes[4];
    CHECK_CODE(parley_peer_stream_read(node, stream, bytes, 4, LIMIT_MS), code);
    CHECK_CODE(parley_peer_stream_read_exactly(node, stream, bytes, 4, LIMIT_MS), code);
    CHECK_CODE(parley_peer_stream_write(node, stream, "x", 1, LIMIT_MS), code);
    CHECK_CODE(parley_peer_stream_finish(node, stream), code);
    CHECK_CODE(parley_peer_stream_close(node, stream), code);
    CHECK_CODE(parley_peer_stream_abort(node, stream, 1), code);
    CHECK_CODE(parley_peer_stream_when_readable(node, stream, ignore, NULL), code);
    CHECK_CODE(parley_peer_stream_when_writable(node, stream, ignore, NULL), code);
    CHECK_CODE(parley_peer_stream_protocol(node, stream, bytes, 4), code);
    CHECK_CODE(parley_peer_stream_set_userdata(node, stream, bytes), code);
    CHECK(parley_peer_stream_userdata(node, stream) == NULL);
    CHECK(parley_peer_stream_peer(node, stream) == PARLEY_NO_PEER);
}

static void numbers(void) {
    pair pair = multiplexed_pair();
    const parley_peer_stream stream = open_stream(pair.client, pair.to_server, ECHO_NAME);
    CHECK_OK(parley_peer_stream_close(pair.client, stream));
    refused(pair.client, stream, PARLEY_ECLOSED);
    CHECK_CONTAINS(parley_last_error(), "is closed");
    refused(pair.client, 4711, PARLEY_ECLOSED);
    refused(pair.client, PARLEY_NO_PEER_STREAM, PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "stream is PARLEY_NO_PEER_STREAM");
    refused(NULL, stream, PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "transport is NULL");
    /* A number is never used again. */
    CHECK(open_stream(pair.client, pair.to_server, ECHO_NAME) > stream);
    free_pair(pair);
}

static void arguments(void) {
    pair pair = multiplexed_pair();
    parley_peer_stream stream;
    parley_transport *node = pair.client;
    const parley_peer peer = pair.to_server;
    parley_peer_stream out = 1;
    char bytes[4], name[1025];
    speak(pair.server, ECHO_NAME);
    stream = open_stream(node, peer, ECHO_NAME);
    CHECK_CODE(parley_peer_stream_open(node, peer, ECHO_NAME, LIMIT_MS, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "stream is NULL");
    CHECK_CODE(parley_peer_stream_open(node, peer, NULL, LIMIT_MS, &out), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "protocol is NULL");
    CHECK(out == PARLEY_NO_PEER_STREAM);
    CHECK_CODE(parley_peer_stream_open(node, peer, "", LIMIT_MS, &out), PARLEY_EINVAL);
    CHECK_CODE(parley_peer_stream_open(node, peer, "two\nlines", LIMIT_MS, &out), PARLEY_EINVAL);
    memset(name, 'n', 1024);
    name[1024] = 0;
    CHECK_CODE(parley_peer_stream_open(node, peer, name, LIMIT_MS, &out), PARLEY_EINVAL);
    name[1023] = 0;
    CHECK_OK(parley_peer_stream_open(node, peer, name, LIMIT_MS, &out));
    CHECK_CODE(parley_peer_stream_open(node, peer, ECHO_NAME, -2, &out), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "timeout_ms is -2");
    CHECK_CODE(parley_peer_stream_open(node, 4711, ECHO_NAME, LIMIT_MS, &out), PARLEY_ENOPEER);
    CHECK_CODE(parley_peer_stream_announce(node, peer, NULL, 1, LIMIT_MS, &out), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "header is NULL, but length is 1");
    CHECK_CODE(parley_accept(node, NULL, 0, &out), PARLEY_EINVAL);
    CHECK_CODE(parley_accept(node, ECHO_NAME, 0, NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_accept(node, "", 0, &out), PARLEY_EINVAL);
    CHECK_CODE(parley_accept_streams(node, NULL, ignore, NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_stop_accepting(node, NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_rpc_body(node, NULL, &out), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "rpc is NULL");

    CHECK_CODE(parley_peer_stream_read(node, stream, bytes, 0, LIMIT_MS), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "size is 0");
    CHECK_CODE(parley_peer_stream_read(node, stream, NULL, 1, LIMIT_MS), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "buffer is NULL");
    CHECK_CODE(parley_peer_stream_read(node, stream, bytes, SIZE_MAX, LIMIT_MS), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "size is 18446744073709551615, above PTRDIFF_MAX");
    CHECK_OK(parley_peer_stream_read_exactly(node, stream, NULL, 0, LIMIT_MS));
    CHECK_CODE(parley_peer_stream_read_exactly(node, stream, NULL, 1, LIMIT_MS), PARLEY_EINVAL);
    CHECK_CODE(parley_peer_stream_write(node, stream, NULL, 1, LIMIT_MS), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "bytes is NULL, but length is 1");
    CHECK_CODE(parley_peer_stream_write(node, stream, "x", SIZE_MAX, LIMIT_MS), PARLEY_EINVAL);
    CHECK_INT(parley_peer_stream_write(node, stream, NULL, 0, LIMIT_MS), 0);
    CHECK_CODE(parley_peer_stream_write(node, stream, "x", 1, -2), PARLEY_EINVAL);
    free_pair(pair);
}

static void wrong_wire_form(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_peer_stream out;
    CHECK_CODE(
        parley_peer_stream_open(pair.client, pair.to_server, ECHO_NAME, LIMIT_MS, &out), PARLEY_ENOTSUP);
    CHECK_CODE(
        parley_peer_stream_announce(pair.client, pair.to_server, "x", 1, LIMIT_MS, &out), PARLEY_ENOTSUP);
    CHECK_CODE(parley_accept(pair.server, ECHO_NAME, 0, &out), PARLEY_ENOTSUP);
    CHECK_CODE(parley_accept_streams(pair.server, ECHO_NAME, ignore, NULL), PARLEY_ENOTSUP);
    CHECK_CODE(parley_stop_accepting(pair.server, ECHO_NAME), PARLEY_ENOTSUP);
    free_pair(pair);
}

static void closed_transport(void) {
    pair pair = multiplexed_pair();
    parley_peer_stream stream, out;
    speak(pair.server, ECHO_NAME);
    stream = open_stream(pair.client, pair.to_server, ECHO_NAME);
    CHECK_OK(parley_close(pair.client));
    CHECK_CODE(
        parley_peer_stream_open(pair.client, pair.to_server, ECHO_NAME, LIMIT_MS, &out), PARLEY_ENOPEER);
    CHECK_CODE(parley_accept(pair.client, ECHO_NAME, 0, &out), PARLEY_ECLOSED);
    CHECK_CODE(parley_accept_streams(pair.client, ECHO_NAME, ignore, NULL), PARLEY_ECLOSED);
    CHECK_CODE(parley_stop_accepting(pair.client, ECHO_NAME), PARLEY_ECLOSED);
    CHECK_CODE(parley_peer_stream_write(pair.client, stream, "x", 1, LIMIT_MS), PARLEY_ECLOSED);
    CHECK_CODE(read_code(pair.client, stream, LIMIT_MS), PARLEY_ECLOSED);
    CHECK_OK(parley_peer_stream_close(pair.client, stream));
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("numbers");
    numbers();
    trying("arguments");
    arguments();
    trying("another wire form");
    wrong_wire_form();
    trying("a closed transport");
    closed_transport();
    return 0;
}
