/* Properties and userdata of peers; sending to all of them. */
#include "check.h"

static void addresses(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    char local[64], remote[64], other[64], few[4];
    int length = parley_peer_remote_address(pair.client, pair.to_server, remote, sizeof remote);
    CHECK_INT(length, strlen(remote));
    parley_address(pair.server, other, sizeof other);
    CHECK(strcmp(remote, other) == 0);
    CHECK(parley_peer_local_address(pair.server, pair.to_client, local, sizeof local) > 0);
    CHECK(strcmp(local, other) == 0);
    CHECK(parley_peer_local_address(pair.client, pair.to_server, local, sizeof local) > 0);
    CHECK(parley_peer_remote_address(pair.server, pair.to_client, other, sizeof other) > 0);
    CHECK(strcmp(local, other) == 0);
    CHECK_INT(parley_peer_is_outbound(pair.client, pair.to_server), 1);
    CHECK_INT(parley_peer_is_outbound(pair.server, pair.to_client), 0);
    /* The buffer is filled like snprintf(3). */
    CHECK_INT(parley_peer_remote_address(pair.client, pair.to_server, few, sizeof few), length);
    CHECK(memcmp(few, remote, 3) == 0 && few[3] == 0);
    CHECK_INT(parley_peer_remote_address(pair.client, pair.to_server, few, 1), length);
    CHECK(few[0] == 0);
    few[0] = 'x';
    CHECK_INT(parley_peer_remote_address(pair.client, pair.to_server, few, 0), length);
    CHECK(few[0] == 'x');
    CHECK_INT(parley_peer_local_address(pair.client, pair.to_server, NULL, 0), strlen(local));
    CHECK_INT(parley_address(pair.server, few, 1), length);
    free_pair(pair);
}

static void ipv6(void) {
    parley_options options = loopback();
    parley_transport *node = NULL;
    char address[64], remote[64];
    parley_peer peer;
    options.listen_address = "[::1]:0";
    node = create(&options);
    if (parley_listen(node) == PARLEY_OK) {
        parley_address(node, address, sizeof address);
        CHECK(strncmp(address, "[::1]:", 6) == 0);
        CHECK_OK(parley_dial(node, address, LIMIT_MS, &peer));
        CHECK(parley_peer_remote_address(node, peer, remote, sizeof remote) > 0);
        CHECK(strcmp(remote, address) == 0);
    } else {
        printf("    this machine has no IPv6\n");
    }
    CHECK_OK(parley_free(node));
}

static void userdata(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    int mine, yours;
    CHECK(parley_peer_userdata(pair.client, pair.to_server) == NULL);
    CHECK_OK(parley_peer_set_userdata(pair.client, pair.to_server, &mine));
    CHECK_OK(parley_peer_set_userdata(pair.server, pair.to_client, &yours));
    CHECK(parley_peer_userdata(pair.client, pair.to_server) == &mine);
    CHECK(parley_peer_userdata(pair.server, pair.to_client) == &yours);
    CHECK_OK(parley_peer_set_userdata(pair.client, pair.to_server, NULL));
    CHECK(parley_peer_userdata(pair.client, pair.to_server) == NULL);
    CHECK(parley_peer_userdata(NULL, 1) == NULL);
    free_pair(pair);
}

static void lists(void) {
    enum { count = 20 };
    parley_options options = loopback();
    parley_transport *hub = listening(&options), *spokes[count];
    parley_peer peers[count + 5], few[3], to_hub[count];
    int index, other;
    CHECK_INT(parley_peers(hub, NULL, 0), 0);
    CHECK_INT(parley_broadcast(hub, "nobody", 6), 0);
    for (index = 0; index < count; index++) {
        spokes[index] = create(&options);
        to_hub[index] = dial(spokes[index], hub);
    }
    await_peers(hub, count);
    CHECK_INT(parley_peers(hub, peers, count + 5), count);
    for (index = 0; index < count; index++)
        for (other = 0; other < index; other++) CHECK(peers[index] != peers[other]);
    few[2] = 12345;
    CHECK_INT(parley_peers(hub, few, 2), count);
    CHECK_INT(few[2], 12345);
    CHECK_INT(parley_peers(hub, NULL, 7), count);
    CHECK_INT(parley_peers(NULL, peers, 7), 0);

    /* Every peer gets the message once. An invalid message reaches none. */
    CHECK_INT(parley_broadcast(hub, "to all", 6), count);
    for (index = 0; index < count; index++) {
        parley_rpc rpc;
        CHECK_OK(parley_consume(spokes[index], &rpc, LIMIT_MS));
        CHECK(rpc.peer == to_hub[index] && rpc.length == 6 && memcmp(rpc.payload, "to all", 6) == 0);
        parley_rpc_release(&rpc);
        CHECK_CODE(parley_try_consume(spokes[index], &rpc), PARLEY_EAGAIN);
    }
    CHECK_INT(parley_broadcast(NULL, "x", 1), PARLEY_EINVAL);
    CHECK_INT(parley_broadcast(hub, NULL, 1), PARLEY_EINVAL);
    for (index = 0; index < count; index += 2) CHECK_OK(parley_free(spokes[index]));
    await_peers(hub, count / 2);
    CHECK_INT(parley_broadcast(hub, "the rest", 8), count / 2);
    for (index = 1; index < count; index += 2) CHECK_OK(parley_free(spokes[index]));
    CHECK_OK(parley_free(hub));
}

/* Impossible lengths. */
static void impossible_lengths(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_stream *stream = NULL;
    parley_rpc rpc;
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, NULL, 1, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "x", SIZE_MAX, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_send(pair.client, pair.to_server, "x", (size_t)PTRDIFF_MAX + 1, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_write(pair.client, pair.to_server, NULL, SIZE_MAX, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_stream_open(pair.client, pair.to_server, "h", SIZE_MAX, 0, &stream), PARLEY_EINVAL);
    CHECK(stream == NULL);
    CHECK_CODE(parley_stream_open(pair.client, pair.to_server, NULL, 0, 0, NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_stream_write(NULL, "x", 1, 0), PARLEY_EINVAL);
    CHECK_INT(parley_broadcast(pair.client, "x", SIZE_MAX), PARLEY_EINVAL);
    /* Raw bytes would be taken for frames. */
    CHECK_CODE(parley_send(pair.client, pair.to_server, "x", 1, 0), PARLEY_ENOTSUP);
    CHECK_CONTAINS(parley_last_error(), "would break the framed wire form");
    CHECK_CODE(parley_write(pair.client, pair.to_server, "x", 1, LIMIT_MS), PARLEY_ENOTSUP);
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "x", 1, -2), PARLEY_EINVAL);
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "x", 1, INT_MAX), PARLEY_OK);
    CHECK_OK(parley_consume(pair.server, &rpc, INT_MAX));
    CHECK_INT(rpc.length, 1);
    parley_rpc_release(&rpc);
    CHECK_CODE(parley_try_consume(pair.server, &rpc), PARLEY_EAGAIN);
    /* NULL for a transport is an error, not a crash. */
    CHECK_CODE(parley_listen(NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_close(NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_send(NULL, 1, "x", 1, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_fd(NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_address(NULL, NULL, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_post(NULL, NULL, NULL), PARLEY_EINVAL);
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("addresses");
    addresses();
    ipv6();
    trying("userdata");
    userdata();
    trying("lists");
    lists();
    trying("impossible lengths");
    impossible_lengths();
    return 0;
}
