/* Errors of arguments name the parameter as parley.h does. And the former names of functions. */
#include "check.h"

#define SAYS(call, text) \
    do { \
        CHECK_INT(call, PARLEY_EINVAL); \
        CHECK_CONTAINS(parley_last_error(), text); \
    } while (0)

static void nothing(void *argument) { (void)argument; }

static void nothing_of_peer(parley_transport *transport, parley_peer peer, void *argument) {
    (void)transport;
    (void)peer;
    (void)argument;
}

static void nulls(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_transport *node = pair.client;
    parley_peer peer = pair.to_server;
    parley_stream *stream = NULL;
    parley_rpc rpc;
    parley_statistics statistics;
    parley_peer_statistics about_peer;
    char text[8];
    const char *transport_is_null = "transport is NULL";
    memset(&rpc, 0, sizeof rpc);

    SAYS(parley_listen(NULL), transport_is_null);
    SAYS(parley_stop_listening(NULL), transport_is_null);
    SAYS(parley_close(NULL), transport_is_null);
    SAYS(parley_address(NULL, text, sizeof text), transport_is_null);
    SAYS(parley_post(NULL, nothing, NULL), transport_is_null);
    SAYS(parley_dial(NULL, "127.0.0.1:1", 0, &peer), transport_is_null);
    SAYS(parley_peer_remote_address(NULL, 1, text, sizeof text), transport_is_null);
    SAYS(parley_peer_set_userdata(NULL, 1, NULL), transport_is_null);
    SAYS(parley_peer_close(NULL, 1, 0), transport_is_null);
    SAYS(parley_peer_set_deadline(NULL, 1, 0), transport_is_null);
    SAYS(parley_keep_connected(NULL, "127.0.0.1:1"), transport_is_null);
    SAYS(parley_stop_keeping_connected(NULL, "127.0.0.1:1"), transport_is_null);
    SAYS(parley_ban(NULL, "192.0.2.1", 0), transport_is_null);
    SAYS(parley_send_message(NULL, 1, "x", 1, 0), transport_is_null);
    SAYS(parley_send(NULL, 1, "x", 1, 0), transport_is_null);
    SAYS(parley_broadcast(NULL, "x", 1), transport_is_null);
    SAYS(parley_try_consume(NULL, &rpc), transport_is_null);
    SAYS(parley_fd(NULL), transport_is_null);
    SAYS(parley_stream_open(NULL, 1, NULL, 0, 0, &stream), transport_is_null);
    SAYS(parley_read(NULL, 1, text, 1, 0), transport_is_null);
    SAYS(parley_peer_close_stream(NULL, 1), transport_is_null);
    SAYS(parley_get_statistics(NULL, &statistics, sizeof statistics), transport_is_null);
    SAYS(parley_peer_get_statistics(NULL, 1, &about_peer, sizeof about_peer), transport_is_null);

    SAYS(parley_create(NULL, NULL), "out is NULL");
    SAYS(parley_dial(node, NULL, 0, &peer), "address is NULL");
    peer = pair.to_server;
    SAYS(parley_dial(node, "127.0.0.1:1", 0, NULL), "peer is NULL");
    SAYS(parley_dial_async(node, "127.0.0.1:1", NULL, NULL), "done is NULL");
    SAYS(parley_post(node, NULL, NULL), "function is NULL");
    SAYS(parley_peer_post(node, peer, NULL, NULL), "function is NULL");
    SAYS(parley_when_readable(node, peer, NULL, NULL), "function is NULL");
    SAYS(parley_when_writable(node, peer, NULL, NULL), "function is NULL");
    SAYS(parley_keep_connected(node, NULL), "address is NULL");
    SAYS(parley_ban(node, NULL, 0), "host is NULL");
    SAYS(parley_unban(node, NULL), "host is NULL");
    SAYS(parley_send_message(node, peer, NULL, 3, 0), "message is NULL, but length is 3");
    SAYS(parley_send(node, peer, NULL, 3, 0), "bytes is NULL, but length is 3");
    SAYS(parley_broadcast(node, NULL, 3), "message is NULL, but length is 3");
    SAYS(parley_try_consume(node, NULL), "rpc is NULL");
    SAYS(parley_consume_batch(node, NULL, 1, 0), "rpcs is NULL");
    SAYS(parley_rpc_from(NULL, text, sizeof text), "rpc is NULL");
    SAYS(parley_rpc_from(&rpc, text, sizeof text), "rpc is released");
    SAYS(parley_stream_open(node, peer, NULL, 0, 0, NULL), "out is NULL");
    SAYS(parley_stream_open(node, peer, NULL, 2, 0, &stream), "header is NULL, but length is 2");
    SAYS(parley_stream_write(NULL, "x", 1, 0), "stream is NULL");
    SAYS(parley_read(node, peer, NULL, 1, 0), "buffer is NULL");
    SAYS(parley_read_exactly(node, peer, NULL, 5, 0), "buffer is NULL, but size is 5");
    SAYS(parley_get_statistics(node, NULL, sizeof statistics), "statistics is NULL");
    SAYS(
        (int)parley_send_file(node, peer, NULL, NULL, 0, 0, UINT64_MAX, NULL, NULL), "path is NULL");
    SAYS(
        (int)parley_send_file(node, peer, "/dev/null", NULL, 4, 0, 0, NULL, NULL),
        "header is NULL, but header_length is 4");
    SAYS((int)parley_receive_file(node, peer, NULL, UINT64_MAX, NULL, NULL), "path is NULL");
    CHECK_OK(parley_when_writable(node, peer, nothing_of_peer, NULL));
    free_pair(pair);
}

static void sizes(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_transport *node = pair.client;
    parley_peer peer = pair.to_server, peers[4];
    parley_rpc rpcs[1];
    parley_statistics statistics;
    char largest[64], text[64], byte = 0;
    snprintf(largest, sizeof largest, "is %zu, above PTRDIFF_MAX", SIZE_MAX);
    SAYS(parley_send_message(node, peer, &byte, SIZE_MAX, 0), largest);
    CHECK_CONTAINS(parley_last_error(), "length is ");
    SAYS(parley_send(node, peer, &byte, SIZE_MAX, 0), largest);
    SAYS(parley_broadcast(node, &byte, SIZE_MAX), largest);
    SAYS((int)parley_read(node, peer, &byte, SIZE_MAX, 0), largest);
    CHECK_CONTAINS(parley_last_error(), "size is ");
    SAYS(parley_read_exactly(node, peer, &byte, SIZE_MAX, 0), largest);
    SAYS(parley_consume_batch(node, rpcs, SIZE_MAX, 0), largest);
    CHECK_CONTAINS(parley_last_error(), "capacity is ");
    SAYS(parley_get_statistics(node, &statistics, SIZE_MAX), largest);
    SAYS(parley_address(node, text, SIZE_MAX), largest);
    SAYS(parley_id(node, text, SIZE_MAX), largest);
    SAYS(parley_peer_remote_address(node, peer, text, SIZE_MAX), largest);
    SAYS((int)parley_read(node, peer, &byte, 0, 0), "size is 0");
    SAYS(parley_consume_batch(node, rpcs, 0, 0), "capacity is 0");
    SAYS(parley_get_statistics(node, &statistics, 0), "size is 0");
    SAYS(parley_send(node, peer, "x", 1, -7), "timeout_ms is -7");
    SAYS(parley_peer_set_deadline(node, peer, -7), "from_now_ms is -7");
    SAYS(parley_ban(node, "192.0.2.1", -7), "duration_ms is -7");
    SAYS(
        (int)parley_send_file(node, peer, "/dev/null", NULL, 0, UINT64_MAX, 0, NULL, NULL),
        "offset is 18446744073709551615, above INT64_MAX");
    CHECK_INT(parley_peers(node, peers, SIZE_MAX), 1);
    CHECK(peers[0] == peer);
    free_pair(pair);
}

/* Programs that were written for version 0.1.0 still work. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void former_names(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_peer_statistics statistics;
    char address[64];
    uint8_t byte;
    CHECK_OK(parley_set_read_deadline(pair.client, pair.to_server, 0));
    CHECK_INT(parley_read(pair.client, pair.to_server, &byte, 1, LIMIT_MS), PARLEY_ETIMEDOUT);
    CHECK_OK(parley_set_write_deadline(pair.client, pair.to_server, 0));
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "x", 1, LIMIT_MS), PARLEY_ETIMEDOUT);
    CHECK_OK(parley_set_deadline(pair.client, pair.to_server, PARLEY_FOREVER));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "x", 1, LIMIT_MS));
    CHECK_OK(parley_close_stream(pair.client, pair.to_server));
    CHECK_OK(parley_get_peer_statistics(pair.client, pair.to_server, &statistics, sizeof statistics));
    CHECK_INT(statistics.traffic.messages_sent, 1);
    CHECK_OK(parley_peer_get_statistics(pair.client, pair.to_server, &statistics, sizeof statistics));
    CHECK_INT(statistics.traffic.messages_sent, 1);
    parley_address(pair.server, address, sizeof address);
    CHECK_OK(parley_keep_connected(pair.client, address));
    CHECK_OK(parley_disconnect(pair.client, address));
    SAYS(parley_disconnect(pair.client, address), address);
    CHECK_OK(parley_keep_connected(pair.client, address));
    CHECK_OK(parley_stop_keeping_connected(pair.client, address));
    free_pair(pair);
}
#pragma GCC diagnostic pop

int main(void) {
    begin(60);
    trying("NULL");
    nulls();
    trying("sizes");
    sizes();
    trying("former names");
    former_names();
    return 0;
}
