/* The multiplexed wire form, and that of libp2p: messages, requests, and streams that two threads echo. */
#include "peer_streams.h"

/* ---- A server that echoes: messages on one thread, each stream on a thread of its own ---- */

typedef struct echoing {
    parley_transport *node;
    parley_peer_stream stream;
} echoing;

static void *echo_stream(void *argument) {
    echoing *it = (echoing *)argument;
    uint8_t bytes[20000];
    int64_t count;
    while ((count = parley_peer_stream_read(it->node, it->stream, bytes, sizeof bytes, LIMIT_MS)) > 0)
        write_all(it->node, it->stream, bytes, (size_t)count);
    CHECK_INT(count, 0);
    CHECK_OK(parley_peer_stream_finish(it->node, it->stream));
    CHECK_OK(parley_peer_stream_close(it->node, it->stream));
    free(it);
    return NULL;
}

static void *echo_streams(void *argument) {
    parley_transport *node = (parley_transport *)argument;
    pthread_t threads[256];
    int count = 0, code;
    parley_peer_stream stream;
    while ((code = parley_accept(node, ECHO_NAME, PARLEY_FOREVER, &stream)) == PARLEY_OK) {
        echoing *it = (echoing *)malloc(sizeof(echoing));
        CHECK(it != NULL && count < 256);
        it->node = node;
        it->stream = stream;
        threads[count++] = start_thread(echo_stream, it);
    }
    CHECK_CODE(code, PARLEY_ECLOSED);
    while (count > 0) join(threads[--count]);
    return NULL;
}

static void *answer(void *argument) {
    parley_transport *node = (parley_transport *)argument;
    parley_rpc rpc;
    int code;
    while ((code = parley_consume(node, &rpc, PARLEY_FOREVER)) == PARLEY_OK) {
        CHECK(!rpc.stream && rpc.peer_stream == PARLEY_NO_PEER_STREAM);
        if (rpc.kind == PARLEY_RPC_REQUEST)
            CHECK_OK(parley_reply(node, rpc.peer, rpc.request, rpc.payload, rpc.length, LIMIT_MS));
        else
            CHECK_OK(parley_send_message(node, rpc.peer, rpc.payload, rpc.length, LIMIT_MS));
        parley_rpc_release(&rpc);
    }
    CHECK_CODE(code, PARLEY_ECLOSED);
    return NULL;
}

/* ---- What the client does ---- */

static void messages(pair pair) {
    const size_t lengths[] = {0, 1, 65531, 1 << 20, 16 << 20};
    size_t index;
    for (index = 0; index < scaled(5, 4); index++) {
        const size_t length = lengths[index];
        uint8_t *message = (uint8_t *)malloc(length + 1);
        parley_rpc rpc;
        CHECK(message != NULL);
        fill_content(message, length, index);
        CHECK_OK(parley_send_message(pair.client, pair.to_server, message, length, LIMIT_MS));
        CHECK_OK(parley_consume(pair.client, &rpc, LIMIT_MS));
        CHECK(rpc.peer == pair.to_server && rpc.length == length);
        CHECK(is_content(rpc.payload, length, index));
        parley_rpc_release(&rpc);
        free(message);
    }
    CHECK_CODE(parley_send(pair.client, pair.to_server, "raw", 3, LIMIT_MS), PARLEY_ENOTSUP);
}

static void requests(pair pair) {
    parley_answer answer;
    CHECK_OK(parley_request(pair.client, pair.to_server, "question", 8, LIMIT_MS, &answer));
    CHECK(answer.length == 8 && memcmp(answer.payload, "question", 8) == 0);
    parley_answer_release(&answer);
}

typedef struct asking {
    pair nodes;
    size_t length;
    parley_peer_stream stream;
} asking;

static void *write_content(void *argument) {
    const asking *it = (const asking *)argument;
    uint8_t *bytes = (uint8_t *)malloc(it->length + 1);
    CHECK(bytes != NULL);
    fill_content(bytes, it->length, it->length);
    write_all(it->nodes.client, it->stream, bytes, it->length);
    CHECK_OK(parley_peer_stream_finish(it->nodes.client, it->stream));
    free(bytes);
    return NULL;
}

/* What is written comes back, and then the end. */
static void *echo(void *argument) {
    asking *it = (asking *)argument;
    parley_transport *node = it->nodes.client;
    uint8_t *bytes = (uint8_t *)malloc(it->length + 1);
    char protocol[32];
    pthread_t writer;
    CHECK(bytes != NULL);
    it->stream = open_stream(node, it->nodes.to_server, ECHO_NAME);
    CHECK(parley_peer_stream_peer(node, it->stream) == it->nodes.to_server);
    CHECK_INT(parley_peer_stream_protocol(node, it->stream, protocol, sizeof protocol), 11);
    CHECK(strcmp(protocol, ECHO_NAME) == 0);
    writer = start_thread(write_content, it);
    CHECK_OK(parley_peer_stream_read_exactly(node, it->stream, bytes, it->length, LIMIT_MS));
    CHECK(is_content(bytes, it->length, it->length));
    CHECK_INT(read_code(node, it->stream, LIMIT_MS), 0);
    join(writer);
    CHECK_OK(parley_peer_stream_close(node, it->stream));
    free(bytes);
    return NULL;
}

static void sizes(pair pair) {
    const size_t lengths[] = {0, 1, 1000, 262144, 262145, 5000000};
    size_t index;
    for (index = 0; index < scaled(6, 5); index++) {
        asking it;
        it.nodes = pair;
        it.length = lengths[index];
        echo(&it);
    }
}

/* A hundred streams at once, beside messages, and beside one that nobody goes on with. */
static void side_by_side(pair pair) {
    enum { count = 100 };
    static asking askings[count];
    pthread_t threads[count];
    const int used = (int)scaled(count, 20);
    const parley_peer_stream slow = open_stream(pair.client, pair.to_server, ECHO_NAME);
    int index;
    write_text(pair.client, slow, "slow");
    for (index = 0; index < used; index++) {
        askings[index].nodes = pair;
        askings[index].length = scaled(50000, 5000) + (size_t)index;
        threads[index] = start_thread(echo, &askings[index]);
    }
    for (index = 0; index < used; index++) requests(pair);
    for (index = 0; index < used; index++) join(threads[index]);
    expect_text(pair.client, slow, "slow");
    CHECK_OK(parley_peer_stream_close(pair.client, slow));
}

static void whole(pair pair) {
    parley_statistics statistics;
    pthread_t echoing_streams, answering;
    speak(pair.server, ECHO_NAME);
    echoing_streams = start_thread(echo_streams, pair.server);
    answering = start_thread(answer, pair.server);
    trying("messages");
    messages(pair);
    trying("requests");
    requests(pair);
    trying("streams of many sizes");
    sizes(pair);
    trying("streams side by side");
    side_by_side(pair);
    await_open_streams(pair.client, 0);
    await_open_streams(pair.server, 0);
    CHECK_OK(parley_get_statistics(pair.server, &statistics, sizeof statistics));
    CHECK(statistics.traffic.streams_received >= scaled(107, 26));
    CHECK_INT(statistics.refused_streams, 0);
    CHECK_OK(parley_close(pair.server));
    join(echoing_streams);
    join(answering);
    free_pair(pair);
}

int main(void) {
    parley_options options = multiplexed();
    begin(120);
    whole(multiplexed_pair());
    /* The same as libp2p nodes do it. */
    options.codec = PARLEY_CODEC_LIBP2P;
    options.identity = some_identity();
    whole(connected(&options, &options));
    return 0;
}
