/* Keeping payloads without a copy. */
#include "check.h"

enum { kept_count = 200 };

/* What an on_rpcs has kept. */
typedef struct keeper {
    parley_rpc kept[kept_count];
    const uint8_t *where[kept_count];
    int count;
    bool releases_at_once;
    parley_rpc lent; /* one of on_rpcs, not retained */
    event received;
} keeper;

static void keep(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    keeper *it = (keeper *)userdata;
    size_t index;
    (void)transport;
    if (it->lent.owner != NULL) {
        /* It is of an earlier call. */
        parley_rpc late;
        char from[64];
        CHECK_CODE(parley_rpc_retain(&it->lent, &late), PARLEY_EINVAL);
        CHECK_INT(parley_rpc_from(&it->lent, from, sizeof from), 0);
    }
    for (index = 0; index < count; index++) {
        parley_rpc copy = rpcs[index], kept;
        char from[64], remote[64];
        /* Neither call touches an RPC of on_rpcs. */
        parley_rpc_release(&copy);
        CHECK(copy.payload == rpcs[index].payload && copy.length == rpcs[index].length);
        CHECK(parley_rpc_from(&rpcs[index], from, sizeof from) > 0);
        CHECK(parley_peer_remote_address(transport, rpcs[index].peer, remote, sizeof remote) > 0);
        CHECK(strcmp(from, remote) == 0);
        CHECK_OK(parley_rpc_retain(&rpcs[index], &kept));
        /* What comes over a secured connection is copied. */
        if (usual_identity() == NULL) CHECK(kept.payload == rpcs[index].payload);
        CHECK(kept.length == rpcs[index].length);
        CHECK(kept.length == 0 || memcmp(kept.payload, rpcs[index].payload, kept.length) == 0);
        CHECK(kept.peer == rpcs[index].peer && kept.stream == rpcs[index].stream);
        if (index == 0) it->lent = rpcs[index];
        if (it->releases_at_once) {
            parley_rpc_release(&kept);
            CHECK(kept.payload == NULL && kept.owner == NULL);
        } else {
            CHECK(it->count < kept_count);
            it->where[it->count] = kept.payload;
            it->kept[it->count++] = kept;
        }
    }
    event_add(&it->received, (long)count);
}

static void send_content(pair pair, size_t length, uint64_t position) {
    uint8_t *bytes = (uint8_t *)malloc(length + 1);
    fill_content(bytes, length, position);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, bytes, length, LIMIT_MS));
    free(bytes);
}

static size_t length_of(int index, size_t largest) {
    return index % 50 == 49 ? largest : (size_t)(index * 7);
}

static void *release_all(void *argument) {
    keeper *it = (keeper *)argument;
    int index;
    for (index = 0; index < it->count; index++) parley_rpc_release(&it->kept[index]);
    return NULL;
}

/* Small, empty and large messages stay where they are while further ones arrive, and after parley_free(). */
static void in_a_callback(void) {
    static keeper it;
    const size_t largest = scaled(3 << 20, 300 << 10);
    parley_options options = loopback(), server = loopback();
    pair pair;
    parley_rpc late;
    char from[64];
    int index;
    pthread_mutex_init(&it.received.lock, NULL);
    pthread_cond_init(&it.received.changed, NULL);
    server.on_rpcs = keep;
    server.userdata = &it;
    pair = connected(&server, &options);
    for (index = 0; index < kept_count; index++) {
        send_content(pair, length_of(index, largest), (uint64_t)index);
        /* Some arrive together, some alone. */
        if (index % 3 == 0) CHECK_REACHES(&it.received, index + 1);
    }
    CHECK_REACHES(&it.received, kept_count);
    await_callbacks(pair.server);
    CHECK_INT(it.count, kept_count);
    CHECK_CODE(parley_rpc_retain(&it.lent, &late), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "an on_rpcs that has returned");
    /* Further messages are read, and not into the kept ones. */
    it.releases_at_once = true;
    for (index = 0; index < 100; index++) send_content(pair, 1000, 1 << 20);
    CHECK_REACHES(&it.received, kept_count + 100);
    free_pair(pair);
    for (index = 0; index < kept_count; index++) {
        CHECK_INT(it.kept[index].length, length_of(index, largest));
        CHECK(it.kept[index].payload == it.where[index]);
        CHECK(is_content(it.kept[index].payload, it.kept[index].length, (uint64_t)index));
        CHECK(parley_rpc_from(&it.kept[index], from, sizeof from) > 0);
        CHECK_CONTAINS(from, "127.0.0.1:");
    }
    join(start_thread(release_all, &it));
    for (index = 0; index < kept_count; index++) CHECK(it.kept[index].owner == NULL);
}

/* RPCs that were consumed are retained as well: each has to be released. */
static void consumed(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_rpc rpc, second, third;
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "hello", 5, 0));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK_OK(parley_rpc_retain(&rpc, &second));
    CHECK(second.payload == rpc.payload && second.length == 5);
    parley_rpc_release(&rpc);
    CHECK_OK(parley_rpc_retain(&second, &third));
    parley_rpc_release(&second);
    parley_rpc_release(&second);
    CHECK(memcmp(third.payload, "hello", 5) == 0);
    CHECK_CODE(parley_rpc_retain(&rpc, &second), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "rpc is released");
    CHECK_CODE(parley_rpc_retain(NULL, &second), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "rpc is NULL");
    CHECK_CODE(parley_rpc_retain(&third, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "out is NULL");
    free_pair(pair);
    CHECK(memcmp(third.payload, "hello", 5) == 0);
    parley_rpc_release(&third);
}

/* The header of a stream. */
static void streams(void) {
    static keeper it;
    parley_options options = loopback(), server = loopback();
    parley_stream *stream;
    pair pair;
    pthread_mutex_init(&it.received.lock, NULL);
    pthread_cond_init(&it.received.changed, NULL);
    server.on_rpcs = keep;
    server.userdata = &it;
    pair = connected(&server, &options);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, "header", 6, 0, &stream));
    CHECK_OK(parley_stream_write(stream, "bytes", 5, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    CHECK_REACHES(&it.received, 1);
    await_callbacks(pair.server);
    CHECK(it.kept[0].stream && it.kept[0].length == 6 && memcmp(it.kept[0].payload, "header", 6) == 0);
    parley_rpc_release(&it.kept[0]);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("in a callback");
    in_a_callback();
    trying("consumed");
    consumed();
    trying("streams");
    streams();
    return 0;
}
