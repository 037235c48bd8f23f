/* The limits on two-way streams: options, what exceeds them is reset, and statistics count it. */
#include "peer_streams.h"

/* Opens streams until all are answered, and returns how many the server has let in. */
static int let_in(pair pair, int count) {
    parley_peer_stream streams[64];
    int index, admitted = 0;
    CHECK(count <= 64);
    for (index = 0; index < count; index++) {
        streams[index] = open_stream(pair.client, pair.to_server, ECHO_NAME);
        (void)!parley_peer_stream_write(pair.client, streams[index], "x", 1, LIMIT_MS);
    }
    for (index = 0; index < count; index++) {
        char byte;
        const int code =
            parley_peer_stream_read_exactly(pair.client, streams[index], &byte, 1, LIMIT_MS);
        if (code == PARLEY_OK) admitted += 1;
        else CHECK_CODE(code, PARLEY_EABORTED);
    }
    for (index = 0; index < count; index++)
        CHECK_OK(parley_peer_stream_close(pair.client, streams[index]));
    return admitted;
}

/* Answers a stream with one byte, and leaves it open. */
static void answer(parley_transport *node, parley_peer_stream stream, void *argument) {
    (void)argument;
    if (parley_peer_stream_write(node, stream, "y", 1, 0) != 1) CHECK(false);
}

static void limited(void (*change)(parley_options *options), int admitted) {
    parley_options server = multiplexed(), client = multiplexed();
    parley_statistics statistics;
    parley_peer_statistics of_peer;
    parley_rpc rpc;
    pair pair;
    change(&server);
    pair = connected(&server, &client);
    CHECK_OK(parley_accept_streams(pair.server, ECHO_NAME, answer, NULL));
    /* The messages of a peer are one stream of its own. */
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "x", 1, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    CHECK_INT(let_in(pair, 6), admitted);
    CHECK_OK(parley_peer_get_statistics(pair.server, pair.to_client, &of_peer, sizeof of_peer));
    CHECK_INT(of_peer.refused_streams, 6 - admitted);
    CHECK_OK(parley_peer_close(pair.client, pair.to_server, LIMIT_MS));
    await_open_streams(pair.server, 0);
    CHECK_OK(parley_get_statistics(pair.server, &statistics, sizeof statistics));
    CHECK_INT(statistics.refused_streams, 6 - admitted);
    CHECK_INT(statistics.open_streams, 0);
    free_pair(pair);
}

/* One more, for the messages. */
static void per_peer(parley_options *options) { options->max_streams_per_peer = 4; }
static void in_all(parley_options *options) { options->max_streams = 3; }
/* Room for the windows of four streams; messages have theirs beside these. */
static void by_bytes(parley_options *options) { options->stream_bytes_per_peer = 4 * (256 << 10); }

/* At twice the rate the peer is closed. */
static void by_rate(void) {
    end_record end = {EVENT_INIT, 0};
    parley_options server = multiplexed(), client = multiplexed();
    pair pair;
    int code = PARLEY_OK;
    server.streams_per_second = 1;
    server.on_disconnect = note_end;
    server.userdata = &end;
    pair = connected(&server, &client);
    while (code == PARLEY_OK) {
        parley_peer_stream stream;
        code = parley_peer_stream_open(pair.client, pair.to_server, ECHO_NAME, LIMIT_MS, &stream);
    }
    CHECK_REACHES(&end.gone, 1);
    CHECK_CODE(end.reason, PARLEY_EPROTO);
    free_pair(pair);
}

static void out_of_range(void) {
    parley_options options = multiplexed();
    parley_transport *node = NULL;
    options.max_streams = SIZE_MAX;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "max_streams is 18446744073709551615");
    options = multiplexed();
    options.codec = (parley_codec)7;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "codec is 7");
}

int main(void) {
    begin(60);
    trying("streams of one peer");
    limited(per_peer, 4);
    trying("streams of all peers");
    limited(in_all, 2);
    trying("bytes of one peer");
    limited(by_bytes, 4);
    trying("streams in a second");
    by_rate();
    trying("out of range");
    out_of_range();
    return 0;
}
