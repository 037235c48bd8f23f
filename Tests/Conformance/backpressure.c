/* Queues are bounded: sends wait above the high water mark, and peers are held back while the inbox is
 * full. */
#include "check.h"

static uint8_t piece[16384];

typedef struct waiting {
    parley_transport *node;
    parley_peer peer;
    event writable, done;
    int code;
} waiting;

static void writable(parley_transport *transport, parley_peer peer, void *argument) {
    (void)transport;
    (void)peer;
    event_add(&((waiting *)argument)->writable, 1);
}

static void *send_one(void *argument) {
    waiting *it = (waiting *)argument;
    it->code = parley_send_message(it->node, it->peer, piece, sizeof piece, PARLEY_FOREVER);
    event_add(&it->done, 1);
    return NULL;
}

/* Lets both nodes do what they can, and then the kernel: its buffers may still drain. */
static void let_run(const pair *pair) {
    await_callbacks(pair->client);
    await_callbacks(pair->server);
    sleep_ms(5);
}

/* Sends to a server with a limited inbox until a send would have to wait. Returns how many messages were
 * accepted. */
static int send_until_full(const pair *pair) {
    int code, sent = 0, stuck = 0;
    while (stuck < 20) {
        code = parley_send_message(pair->client, pair->to_server, piece, sizeof piece, 0);
        if (code == PARLEY_OK) {
            sent += 1;
            stuck = 0;
        } else {
            CHECK_CODE(code, PARLEY_EAGAIN);
            let_run(pair);
            if (statistics_of(pair->server).paused_peers == 1) stuck += 1;
        }
    }
    return sent;
}

static void above_high_water(void) {
    parley_options options = loopback();
    waiting it = {NULL, PARLEY_NO_PEER, EVENT_INIT, EVENT_INIT, 0};
    pthread_t sender;
    parley_stream *stream = NULL;
    parley_rpc rpc;
    pair pair;
    int sent, received, index;
    double begun;
    options.send_high_water_bytes = 100000;
    options.send_low_water_bytes = 20000;
    options.inbox_capacity = 8;
    pair = connected(&options, &options);
    it.node = pair.client;
    it.peer = pair.to_server;
    sent = send_until_full(&pair);
    CHECK(sent > 8);
    begun = now_ms();
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "x", 1, 50), PARLEY_ETIMEDOUT);
    CHECK(now_ms() - begun >= 50);
    CHECK_CODE(parley_stream_open(pair.client, pair.to_server, NULL, 0, 20, &stream), PARLEY_ETIMEDOUT);
    CHECK_INT(parley_broadcast(pair.client, "x", 1), 0);
    /* A deadline ends a send that would wait for ever. */
    sender = start_thread(send_one, &it);
    CHECK_OK(parley_peer_set_write_deadline(pair.client, pair.to_server, 50));
    join(sender);
    CHECK_CODE(it.code, PARLEY_ETIMEDOUT);
    CHECK_OK(parley_peer_set_write_deadline(pair.client, pair.to_server, PARLEY_FOREVER));

    CHECK_OK(parley_when_writable(pair.client, pair.to_server, writable, &it));
    sender = start_thread(send_one, &it);
    /* The inbox holds exactly its capacity. */
    for (received = 0; received < sent; received++) {
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        CHECK_INT(rpc.length, sizeof piece);
        parley_rpc_release(&rpc);
    }
    CHECK_REACHES(&it.writable, 1);
    join(sender);
    CHECK_OK(it.code);
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    /* Nothing of the refused message was accepted. */
    CHECK_CODE(parley_consume(pair.server, &rpc, 20), PARLEY_ETIMEDOUT);
    /* Exactly once. */
    CHECK_INT(event_count(&it.writable), 1);

    /* The remote side closes while a send waits. */
    for (index = 0; index < 2; index++) send_until_full(&pair);
    sender = start_thread(send_one, &it);
    CHECK_OK(parley_when_writable(pair.client, pair.to_server, writable, &it));
    CHECK_OK(parley_free(pair.server));
    join(sender);
    CHECK(it.code == PARLEY_EOF || it.code == PARLEY_ECONNRESET || it.code == PARLEY_ENOPEER);
    CHECK_REACHES(&it.writable, 2);
    CHECK_OK(parley_free(pair.client));
}

/* How many RPCs or bytes the inbox takes while nobody consumes. */
static void inbox(size_t capacity, size_t capacity_bytes) {
    parley_options server = loopback(), client = loopback();
    parley_rpc rpcs[64];
    pair pair;
    int sent, received = 0, count;
    server.inbox_capacity = capacity;
    server.inbox_capacity_bytes = capacity_bytes;
    client.send_high_water_bytes = 16384;
    pair = connected(&server, &client);
    sent = send_until_full(&pair);
    CHECK(sent > 64);
    count = parley_consume_batch(pair.server, rpcs, 64, LIMIT_MS);
    CHECK(count >= 1);
    if (capacity) CHECK(count <= (int)capacity);
    /* One RPC may exceed the limit. */
    if (capacity_bytes) CHECK((size_t)count * sizeof piece <= capacity_bytes + sizeof piece);
    for (;;) {
        int index;
        for (index = 0; index < count; index++) parley_rpc_release(&rpcs[index]);
        received += count;
        if (received == sent) break;
        count = parley_consume_batch(pair.server, rpcs, 64, LIMIT_MS);
        CHECK(count > 0);
    }
    CHECK_CODE(parley_consume_batch(pair.server, rpcs, 64, 0), PARLEY_EAGAIN);
    free_pair(pair);
}

/* A peer that is held back delays neither the ends of other peers nor closing. */
static void closing_while_full(void) {
    parley_options options = loopback();
    pair pair;
    double begun;
    options.inbox_capacity = 2;
    options.close_timeout_ms = 200;
    pair = connected(&options, &options);
    send_until_full(&pair);
    begun = now_ms();
    /* Not everything can be written out: close_timeout_ms ends the attempt. */
    CHECK_OK(parley_free(pair.client));
    CHECK(now_ms() - begun < LIMIT_MS);
    CHECK_OK(parley_free(pair.server));
}

/* A reader that does not read its stream holds the sender back. */
static void slow_stream_reader(void) {
    parley_options options = loopback();
    parley_stream *stream;
    parley_rpc rpc;
    pair pair;
    uint64_t sent = 0, read = 0;
    int stuck = 0;
    options.send_high_water_bytes = 50000;
    pair = connected(&options, &options);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, 0, &stream));
    while (stuck < 10) {
        int code = parley_stream_write(stream, piece, sizeof piece, 5);
        if (code == PARLEY_OK) {
            sent += sizeof piece;
            stuck = 0;
        } else {
            CHECK_CODE(code, PARLEY_ETIMEDOUT);
            let_run(&pair);
            stuck += 1;
        }
    }
    CHECK_OK(parley_stream_finish(stream)); /* never blocks */
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    for (;;) {
        static uint8_t buffer[100000];
        int64_t count = parley_read(pair.server, pair.to_client, buffer, sizeof buffer, LIMIT_MS);
        CHECK(count >= 0);
        if (count == 0) break;
        read += (uint64_t)count;
    }
    CHECK_INT(read, sent);
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("above the high water mark");
    above_high_water();
    trying("an inbox of 16 RPCs");
    inbox(16, 0);
    trying("an inbox of 100,000 bytes");
    inbox(0, 100000);
    trying("closing while everything is full");
    closing_while_full();
    trying("a slow reader of a stream");
    slow_stream_reader();
    return 0;
}
