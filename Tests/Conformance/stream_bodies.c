/* parley_rpc_body(): the stream that an RPC has announced, in each wire form. */
#include "peer_streams.h"

static const struct {
    parley_codec codec;
    const char *name;
    bool has_header, has_end;
} forms[] = {
    {PARLEY_CODEC_UNFRAMED, "unframed", false, false},
    {PARLEY_CODEC_FRAMED, "framed", true, true},
    {PARLEY_CODEC_GOB, "gob", true, false},
    {PARLEY_CODEC_MULTIPLEXED, "multiplexed", true, true},
};

/* Sends a stream with these bytes. */
static void send_stream(pair pair, parley_codec codec, const char *header, const char *text) {
    if (codec == PARLEY_CODEC_MULTIPLEXED) {
        parley_peer_stream stream;
        CHECK_OK(parley_peer_stream_announce(
            pair.client, pair.to_server, header, strlen(header), LIMIT_MS, &stream));
        write_text(pair.client, stream, text);
        CHECK_OK(parley_peer_stream_close(pair.client, stream));
    } else {
        parley_stream *stream;
        CHECK_OK(parley_stream_open(pair.client, pair.to_server, header, strlen(header), LIMIT_MS, &stream));
        CHECK_OK(parley_stream_write(stream, text, strlen(text), LIMIT_MS));
        CHECK_OK(parley_stream_finish(stream));
    }
}

/* The same program receives in every form. */
static void consumed(size_t form) {
    parley_options options = loopback();
    const char *header = forms[form].has_header ? "a header" : "";
    parley_peer_stream body;
    parley_rpc rpc;
    pair pair;
    int round;
    options.codec = forms[form].codec;
    pair = connected(&options, &options);
    for (round = 0; round < 2; round++) {
        send_stream(pair, options.codec, header, "the bytes of the stream");
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        CHECK(rpc.stream && rpc.length == strlen(header) && rpc.peer_stream == PARLEY_NO_PEER_STREAM);
        CHECK(rpc.length == 0 || memcmp(rpc.payload, header, rpc.length) == 0);
        CHECK_OK(parley_rpc_body(pair.server, &rpc, &body));
        parley_rpc_release(&rpc);
        CHECK(parley_peer_stream_peer(pair.server, body) == pair.to_client);
        CHECK_INT(parley_peer_stream_protocol(pair.server, body, NULL, 0), 0);
        expect_text(pair.server, body, "the bytes of ");
        expect_text(pair.server, body, "the stream");
        if (forms[form].has_end) CHECK_INT(read_code(pair.server, body, LIMIT_MS), 0);
        if (options.codec != PARLEY_CODEC_MULTIPLEXED) {
            CHECK_CODE(parley_peer_stream_write(pair.server, body, "x", 1, LIMIT_MS), PARLEY_ENOTSUP);
            CHECK_CODE(parley_peer_stream_finish(pair.server, body), PARLEY_ENOTSUP);
        }
        CHECK_OK(parley_peer_stream_close(pair.server, body));
        /* Messages follow. */
        CHECK_OK(parley_send_message(pair.client, pair.to_server, "message", 7, LIMIT_MS));
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        CHECK(!rpc.stream && rpc.length == 7);
        CHECK_CODE(parley_rpc_body(pair.server, &rpc, &body), PARLEY_EINVAL);
        CHECK_CONTAINS(parley_last_error(), "rpc has announced no stream");
        parley_rpc_release(&rpc);
    }
    free_pair(pair);
}

/* ---- In on_rpcs: read piece by piece on the loop ---- */

typedef struct receiving {
    event ended;
    size_t length;
} receiving;

static void read_on(parley_transport *node, parley_peer_stream body, void *argument) {
    receiving *it = (receiving *)argument;
    uint8_t piece[1000];
    int64_t count;
    while ((count = parley_peer_stream_read(node, body, piece, sizeof piece, 0)) > 0)
        it->length += (size_t)count;
    if (count == PARLEY_EAGAIN) {
        CHECK_OK(parley_peer_stream_when_readable(node, body, read_on, it));
        return;
    }
    CHECK_INT(count, 0);
    CHECK_OK(parley_peer_stream_close(node, body));
    event_add(&it->ended, 1);
}

static void on_rpcs(parley_transport *node, const parley_rpc *rpcs, size_t count, void *userdata) {
    parley_peer_stream body;
    CHECK(count == 1 && rpcs[0].stream);
    CHECK_OK(parley_rpc_body(node, &rpcs[0], &body));
    read_on(node, body, userdata);
}

static void in_callback(size_t form) {
    receiving it = {EVENT_INIT, 0};
    parley_options server = loopback(), client = loopback();
    pair pair;
    char *text = (char *)malloc(100001);
    CHECK(text != NULL);
    memset(text, 'x', 100000);
    text[100000] = 0;
    server.codec = client.codec = forms[form].codec;
    server.on_rpcs = on_rpcs;
    server.userdata = &it;
    pair = connected(&server, &client);
    send_stream(pair, server.codec, "", text);
    CHECK_REACHES(&it.ended, 1);
    CHECK_INT(it.length, 100000);
    free(text);
    free_pair(pair);
}

/* ---- Many at once, both ways ---- */

static void two_way(void) {
    pair pair = multiplexed_pair();
    parley_peer_stream streams[10], body;
    parley_stream *one_way;
    parley_rpc rpc;
    uint8_t byte;
    size_t index;
    for (index = 0; index < 10; index++) {
        const uint8_t header = (uint8_t)index;
        CHECK_OK(parley_peer_stream_announce(
            pair.client, pair.to_server, &header, 1, LIMIT_MS, &streams[index]));
    }
    for (index = 0; index < 10; index++) {
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        CHECK(rpc.stream && rpc.length == 1);
        CHECK_OK(parley_rpc_body(pair.server, &rpc, &body));
        write_all(pair.server, body, rpc.payload, 1);
        CHECK_OK(parley_peer_stream_close(pair.server, body));
        parley_rpc_release(&rpc);
    }
    for (index = 10; index-- > 0;) {
        CHECK_OK(parley_peer_stream_read_exactly(pair.client, streams[index], &byte, 1, LIMIT_MS));
        CHECK_INT(byte, index);
    }
    /* Streams are no messages. */
    CHECK_INT(statistics_of(pair.server).traffic.messages_received, 0);
    CHECK_INT(statistics_of(pair.server).traffic.streams_received, 10);
    /* The functions about one-way streams say what to use. */
    CHECK_CODE(
        parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &one_way), PARLEY_ENOTSUP);
    CHECK_CODE(
        parley_peer_stream_announce(
            pair.client, pair.to_server, "", (16 << 20) + 1, LIMIT_MS, &streams[0]),
        PARLEY_EMSGSIZE);
    free_pair(pair);
}

/* ---- A header that may have to wait for room ---- */

typedef struct announcing {
    pair nodes;
    event done;
    int code;
} announcing;

static uint8_t long_header[300 << 10];

static void announce_in_callback(void *argument) {
    announcing *it = (announcing *)argument;
    parley_peer_stream stream;
    it->code = parley_peer_stream_announce(
        it->nodes.client, it->nodes.to_server, long_header, sizeof long_header, LIMIT_MS, &stream);
    event_add(&it->done, 1);
}

static void long_headers(void) {
    const size_t lengths[] = {255 << 10, sizeof long_header};
    announcing it = {multiplexed_pair(), EVENT_INIT, 0};
    parley_transport *client = it.nodes.client;
    parley_peer_stream stream = 1;
    size_t index;
    fill_content(long_header, sizeof long_header, 0);
    CHECK_CODE(
        parley_peer_stream_announce(client, it.nodes.to_server, long_header, sizeof long_header, 0, &stream),
        PARLEY_EMSGSIZE);
    CHECK(stream == PARLEY_NO_PEER_STREAM);
    CHECK_OK(parley_post(client, announce_in_callback, &it));
    CHECK_REACHES(&it.done, 1);
    CHECK_CODE(it.code, PARLEY_EDEADLK);
    /* No stream was opened. */
    CHECK_INT(statistics_of(client).traffic.streams_sent, 0);
    for (index = 0; index < 2; index++) {
        parley_rpc rpc;
        CHECK_OK(parley_peer_stream_announce(
            client, it.nodes.to_server, long_header, lengths[index], index == 0 ? 0 : LIMIT_MS, &stream));
        CHECK_OK(parley_consume(it.nodes.server, &rpc, LIMIT_MS));
        CHECK(rpc.stream && rpc.length == lengths[index] && is_content(rpc.payload, rpc.length, 0));
        parley_rpc_release(&rpc);
    }
    free_pair(it.nodes);
}

int main(void) {
    size_t form;
    begin(90);
    for (form = 0; form < sizeof forms / sizeof *forms; form++) {
        trying(forms[form].name);
        consumed(form);
        if (forms[form].has_end) in_callback(form);
    }
    trying("many at once, both ways");
    two_way();
    trying("long headers");
    long_headers();
    return 0;
}
