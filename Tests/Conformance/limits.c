/* Gate and bans, limits and time-outs that close a peer, staying connected, and statistics. */
#include "check.h"

static struct {
    event gone;
    int reason;
} end = {EVENT_INIT, 0};

static void gone(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    (void)transport;
    (void)peer;
    (void)userdata;
    CHECK(strlen(message) > 0);
    end.reason = reason;
    event_add(&end.gone, 1);
}

/* Waits for the next on_disconnect and returns its reason. */
static void ends_with(long before, int reason) {
    CHECK(event_reaches(&end.gone, before + 1, LIMIT_MS));
    CHECK_INT(end.reason, reason);
}

static void peers(void) {
    parley_options options = loopback(), few = loopback();
    parley_transport *server, *client;
    parley_peer peer;
    parley_statistics statistics;
    char address[64];
    server = listening(&options);
    few.max_outbound_peers = 1;
    client = create(&few);
    parley_address(server, address, sizeof address);
    CHECK_OK(parley_dial(client, address, LIMIT_MS, &peer));
    CHECK_CODE(parley_dial(client, address, LIMIT_MS, &peer), PARLEY_EMAXPEERS);
    CHECK_INT(peer, PARLEY_NO_PEER);
    CHECK_OK(parley_get_statistics(client, &statistics, sizeof statistics));
    CHECK_INT(statistics.outbound_peers, 1);
    CHECK_OK(parley_free(client));
    CHECK_OK(parley_free(server));
}

static bool asked_about_loopback;

static bool refuse_all(const char *address, bool is_outbound, void *userdata) {
    CHECK(userdata == &end);
    CHECK(is_outbound);
    asked_about_loopback = strncmp(address, "127.0.0.1:", 10) == 0;
    return false;
}

static void gate_and_bans(void) {
    parley_options options = loopback(), gated = loopback();
    parley_transport *client;
    parley_peer peer;
    char address[64];
    pair pair;
    long before;
    options.on_disconnect = gone;
    pair = connected(&options, &options);
    parley_address(pair.server, address, sizeof address);

    gated.gate = refuse_all;
    gated.userdata = &end;
    client = create(&gated);
    CHECK_CODE(parley_dial(client, address, LIMIT_MS, &peer), PARLEY_ENOTALLOWED);
    CHECK(asked_about_loopback);
    CHECK_OK(parley_free(client));

    CHECK_CODE(parley_ban(pair.client, "no address", 1000), PARLEY_EADDRINVAL);
    CHECK_CODE(parley_ban(pair.client, "127.0.0.1", -2), PARLEY_EINVAL);
    CHECK_CODE(parley_ban(pair.client, NULL, 1000), PARLEY_EINVAL);
    before = event_count(&end.gone);
    CHECK_OK(parley_ban(pair.client, "127.0.0.1", PARLEY_FOREVER));
    CHECK(event_reaches(&end.gone, before + 2, LIMIT_MS));
    CHECK_CODE(parley_dial(pair.client, address, LIMIT_MS, &peer), PARLEY_EBANNED);
    CHECK_CODE(parley_unban(pair.client, "no address"), PARLEY_EADDRINVAL);
    CHECK_OK(parley_unban(pair.client, "127.0.0.1"));
    CHECK_OK(parley_unban(pair.client, "127.0.0.1"));
    CHECK_OK(parley_dial(pair.client, address, LIMIT_MS, &peer));
    free_pair(pair);
}

/* Peers that are plain sockets: they send nothing, read nothing, or send more than allowed. */
static void ends(void) {
    parley_options options = loopback();
    parley_transport *node;
    parley_peer peer;
    int socket_fd, code;
    long before;
    uint8_t *bytes = (uint8_t *)calloc(1, 1 << 20);
    options.on_disconnect = gone;

    options.idle_timeout_ms = 50;
    node = listening(&options);
    before = event_count(&end.gone);
    socket_fd = raw_dial(node);
    ends_with(before, PARLEY_EIDLE);
    close(socket_fd);
    CHECK_OK(parley_free(node));

    options.idle_timeout_ms = 0;
    options.heartbeat_interval_ms = 50;
    options.heartbeat_max_missed = 2;
    node = listening(&options);
    before = event_count(&end.gone);
    socket_fd = raw_dial(node);
    ends_with(before, PARLEY_EHEARTBEAT);
    close(socket_fd);
    CHECK_OK(parley_free(node));

    /* The peer stays open, but a send that would wait for ever fails. */
    options.heartbeat_interval_ms = 0;
    options.write_timeout_ms = 100;
    node = listening(&options);
    socket_fd = raw_dial(node);
    CHECK_OK(parley_send_message(node, await_peers(node, 1), bytes, 1 << 20, 0));
    do {
        code = parley_send_message(node, await_peers(node, 1), bytes, 1 << 20, PARLEY_FOREVER);
    } while (code == PARLEY_OK);
    CHECK_CODE(code, PARLEY_ETIMEDOUT);
    close(socket_fd);
    CHECK_OK(parley_free(node));

    options.write_timeout_ms = 0;
    options.write_stall_timeout_ms = 200;
    options.send_high_water_bytes = 64 << 20;
    node = listening(&options);
    before = event_count(&end.gone);
    socket_fd = raw_dial(node);
    /* On a slow machine it ends meanwhile. */
    peer = await_peers(node, 1);
    while (parley_send_message(node, peer, bytes, 1 << 20, 0) == PARLEY_OK) {
        parley_peer_statistics statistics;
        if (parley_peer_get_statistics(node, peer, &statistics, sizeof statistics) == PARLEY_OK &&
            statistics.unsent_bytes > 8u << 20) {
            break;
        }
    }
    ends_with(before, PARLEY_ESTALLED);
    close(socket_fd);
    CHECK_OK(parley_free(node));

    options.write_stall_timeout_ms = 0;
    options.send_high_water_bytes = 0;
    options.receive_buffer_bytes = 1;
    node = listening(&options);
    before = event_count(&end.gone);
    socket_fd = raw_dial(node);
    /* A message of 256 KiB that is never complete. */
    memcpy(bytes, "\1\0\4\0\0", 5);
    /* Its first part is too much already, and what follows may find the connection reset. */
    CHECK(send(socket_fd, bytes, 128 << 10, MSG_NOSIGNAL) > 0);
    ends_with(before, PARLEY_EBUFFERFULL);
    close(socket_fd);
    CHECK_OK(parley_free(node));
    free(bytes);
}

/* Closes the only peer of a node, and waits until another one has come. Nobody may see that it was gone. */
static void replace_peer(parley_transport *node) {
    const parley_peer first = await_peers(node, 1);
    CHECK_OK(parley_peer_close(node, first, LIMIT_MS));
    CHECK_EVENTUALLY(await_peers(node, 1) != first);
}

static void staying_connected(void) {
    parley_options options = loopback();
    parley_transport *server = listening(&options), *client = create(&options);
    char address[64];
    parley_address(server, address, sizeof address);
    CHECK_CODE(parley_keep_connected(client, "nonsense"), PARLEY_EADDRINVAL);
    CHECK_CODE(parley_stop_keeping_connected(client, address), PARLEY_EINVAL);
    CHECK_OK(parley_keep_connected(client, address));
    CHECK_CODE(parley_keep_connected(client, address), PARLEY_EALREADY);
    await_peers(client, 1);
    /* It reconnects when the other side closes the connection. */
    replace_peer(server);
    await_peers(client, 1);
    CHECK_OK(parley_stop_keeping_connected(client, address));
    await_peers(client, 0);
    await_peers(server, 0);
    CHECK_CODE(parley_stop_keeping_connected(client, address), PARLEY_EINVAL);
    /* With other waits. It ends with the transport. */
    CHECK_CODE(parley_keep_connected_backoff(client, address, -1, 0, 0), PARLEY_EINVAL);
    CHECK_OK(parley_keep_connected_backoff(client, address, 10, 5000, 0));
    CHECK_CODE(parley_keep_connected_backoff(client, address, 0, 0, 0), PARLEY_EALREADY);
    await_peers(client, 1);
    replace_peer(server);
    await_peers(client, 1);
    CHECK_OK(parley_close(client));
    CHECK_CODE(parley_keep_connected(client, address), PARLEY_ECLOSED);
    CHECK_CODE(parley_keep_connected_backoff(client, address, 10, 5000, 0), PARLEY_ECLOSED);
    CHECK_OK(parley_free(client));
    CHECK_OK(parley_free(server));
}

/* A newer program has fields that the library does not know: they are zero. */
static void statistics_of_newer_header(parley_transport *node, parley_peer number) {
    struct {
        parley_statistics known;
        uint8_t unknown[24], behind;
    } all;
    struct {
        parley_peer_statistics known;
        uint8_t unknown[24], behind;
    } one;
    size_t index;
    memset(&all, 0xff, sizeof all);
    CHECK_OK(parley_get_statistics(node, &all.known, sizeof all.known + sizeof all.unknown));
    CHECK_INT(all.known.traffic.messages_received, 1);
    CHECK_INT(all.known.refused_streams, 0);
    for (index = 0; index < sizeof all.unknown; index++) CHECK_INT(all.unknown[index], 0);
    CHECK_INT(all.behind, 0xff);
    memset(&one, 0xff, sizeof one);
    CHECK_OK(parley_peer_get_statistics(node, number, &one.known, sizeof one.known + sizeof one.unknown));
    CHECK_INT(one.known.traffic.messages_received, 1);
    CHECK_INT(one.known.refused_streams, 0);
    for (index = 0; index < sizeof one.unknown; index++) CHECK_INT(one.unknown[index], 0);
    CHECK_INT(one.behind, 0xff);
    /* No version's struct is that large: the size was never set. Nothing is written. */
    CHECK_CODE(parley_get_statistics(node, &all.known, 65 * sizeof all.known), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "size is ");
    CHECK_CODE(parley_peer_get_statistics(node, number, &one.known, 65 * sizeof one.known), PARLEY_EINVAL);
    CHECK_INT(one.behind, 0xff);
}

static void statistics(void) {
    parley_options options = loopback();
    parley_statistics statistics;
    parley_peer_statistics peer;
    parley_rpc rpc;
    pair pair;
    options.heartbeat_interval_ms = 20;
    /* On a slow machine answers may take long. */
    options.heartbeat_max_missed = 1000000;
    pair = connected(&options, &options);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "twelve bytes", 12, PARLEY_FOREVER));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    do {
        CHECK_OK(parley_peer_get_statistics(pair.client, pair.to_server, &peer, sizeof peer));
    } while (peer.round_trip_us == 0);
    CHECK_INT(peer.traffic.messages_sent, 1);
    CHECK(peer.traffic.bytes_sent >= 17);
    CHECK(!peer.is_reading_paused);
    CHECK_OK(parley_get_statistics(pair.server, &statistics, sizeof statistics));
    CHECK_INT(statistics.traffic.messages_received, 1);
    CHECK_INT(statistics.inbound_peers, 1);
    CHECK_INT(statistics.accepted, 1);
    CHECK_INT(statistics.inbox_rpcs, 0);
    /* An older program passes a smaller size. */
    memset(&statistics, 0xff, sizeof statistics);
    CHECK_OK(parley_get_statistics(pair.server, &statistics, sizeof statistics.traffic));
    CHECK_INT(statistics.traffic.messages_received, 1);
    CHECK(statistics.uptime_ms == UINT64_MAX);
    statistics_of_newer_header(pair.server, pair.to_client);
    CHECK_CODE(parley_get_statistics(pair.server, NULL, sizeof statistics), PARLEY_EINVAL);
    CHECK_CODE(parley_get_statistics(pair.server, &statistics, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_peer_get_statistics(pair.server, 4711, &peer, sizeof peer), PARLEY_ENOPEER);
    free_pair(pair);
}

int main(void) {
    begin(120);
    trying("peers");
    peers();
    trying("gate and bans");
    gate_and_bans();
    trying("disconnects");
    ends();
    trying("staying connected");
    staying_connected();
    trying("a statistics from outside");
    statistics();
    return 0;
}
