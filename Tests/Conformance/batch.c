/* parley_consume_batch(): the number of RPCs, the order of release, and the address of a peer that is
 * gone. */
#include "check.h"

static void send_numbers(parley_transport *node, parley_peer peer, int from, int to) {
    for (; from < to; from++) CHECK_OK(parley_send_message(node, peer, &from, sizeof from, LIMIT_MS));
}

static void check_number(const parley_rpc *rpc, int expected) {
    int number;
    CHECK_INT(rpc->length, sizeof number);
    memcpy(&number, rpc->payload, sizeof number);
    CHECK_INT(number, expected);
}

/* Takes exactly `count` RPCs, in any number of batches. */
static void take(parley_transport *node, parley_rpc *rpcs, int count) {
    int taken = 0;
    while (taken < count) {
        int more = parley_consume_batch(node, rpcs + taken, (size_t)(count - taken), LIMIT_MS);
        CHECK(more > 0 && more <= count - taken);
        taken += more;
    }
}

static void in_every_order(pair pair) {
    parley_rpc rpcs[64], copy;
    int round, index;
    for (round = 0; round < 5; round++) {
        send_numbers(pair.client, pair.to_server, 0, 64);
        take(pair.server, rpcs, 64);
        for (index = 0; index < 64; index++) {
            check_number(&rpcs[index], index);
            CHECK(rpcs[index].peer == pair.to_client && rpcs[index].owner != NULL && !rpcs[index].stream);
        }
        for (index = 0; index < 64; index++) {
            int at = round == 0   ? index
                     : round == 1 ? 63 - index
                     : round == 2 ? (index % 2 ? 63 - index / 2 : index / 2)
                     : round == 3 ? (index * 37 + 11) % 64
                                  : (index + 32) % 64;
            /* RPCs that were not released stay valid. */
            check_number(&rpcs[at], at);
            parley_rpc_release(&rpcs[at]);
            CHECK(rpcs[at].owner == NULL && rpcs[at].payload == NULL);
            parley_rpc_release(&rpcs[at]);
        }
    }
    /* A struct may be copied: its content decides what is released. */
    send_numbers(pair.client, pair.to_server, 7, 8);
    take(pair.server, rpcs, 1);
    copy = rpcs[0];
    check_number(&copy, 7);
    parley_rpc_release(&copy);
    parley_rpc_release(NULL);
}

static void *release_backwards(void *argument) {
    parley_rpc *rpcs = (parley_rpc *)argument;
    int index;
    for (index = 31; index >= 0; index--) parley_rpc_release(&rpcs[index]);
    return NULL;
}

static void on_other_threads(pair pair) {
    parley_rpc rpcs[64];
    pthread_t threads[2];
    int index;
    send_numbers(pair.client, pair.to_server, 0, 64);
    take(pair.server, rpcs, 64);
    for (index = 0; index < 2; index++) threads[index] = start_thread(release_backwards, rpcs + 32 * index);
    for (index = 0; index < 2; index++) join(threads[index]);
}

static void limits(pair pair) {
    parley_rpc rpcs[8];
    double begun = now_ms();
    CHECK_CODE(parley_consume_batch(pair.server, rpcs, 8, 0), PARLEY_EAGAIN);
    CHECK_CODE(parley_consume_batch(pair.server, rpcs, 8, 50), PARLEY_ETIMEDOUT);
    CHECK(now_ms() - begun >= 50);
    CHECK_CODE(parley_consume_batch(pair.server, rpcs, 0, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_consume_batch(pair.server, NULL, 8, 0), PARLEY_EINVAL);
    CHECK_CODE(parley_consume_batch(pair.server, rpcs, 8, -2), PARLEY_EINVAL);
    send_numbers(pair.client, pair.to_server, 0, 3);
    /* One at a time, although three wait. */
    for (int index = 0; index < 3; index++) {
        CHECK_INT(parley_consume_batch(pair.server, rpcs, 1, LIMIT_MS), 1);
        check_number(&rpcs[0], index);
        parley_rpc_release(&rpcs[0]);
    }
}

/* RPCs of several peers in one batch, some of them gone: each still has its sender's address. */
static void several_peers(void) {
    enum { peers = 8 };
    parley_options options = loopback();
    parley_transport *server = listening(&options), *clients[peers];
    parley_rpc rpcs[peers];
    char addresses[peers][64];
    int index;
    for (index = 0; index < peers; index++) {
        parley_peer peer;
        clients[index] = create(&options);
        peer = dial(clients[index], server);
        parley_peer_local_address(clients[index], peer, addresses[index], sizeof addresses[index]);
        CHECK_OK(parley_send_message(clients[index], peer, &index, sizeof index, LIMIT_MS));
        if (index % 2) CHECK_OK(parley_peer_close(clients[index], peer, LIMIT_MS));
    }
    CHECK_EVENTUALLY(statistics_of(server).accepted == peers);
    await_peers(server, peers / 2);
    await_callbacks(server);
    take(server, rpcs, peers);
    for (index = 0; index < peers; index++) {
        char from[64], few[8];
        int number, length = parley_rpc_from(&rpcs[index], from, sizeof from);
        memcpy(&number, rpcs[index].payload, sizeof number);
        CHECK(strcmp(from, addresses[number]) == 0);
        CHECK_INT(length, strlen(from));
        CHECK_INT(parley_rpc_from(&rpcs[index], NULL, 0), length);
        CHECK_INT(parley_rpc_from(&rpcs[index], few, sizeof few), length);
        CHECK_INT(strlen(few), sizeof few - 1);
        CHECK_INT(strncmp(few, from, sizeof few - 1), 0);
        CHECK_INT(parley_peer_is_outbound(server, rpcs[index].peer), number % 2 ? PARLEY_ENOPEER : 0);
    }
    for (index = 0; index < peers; index++) parley_rpc_release(&rpcs[index]);
    CHECK_CODE(parley_rpc_from(&rpcs[0], NULL, 0), PARLEY_EINVAL);
    for (index = 0; index < peers; index++) CHECK_OK(parley_free(clients[index]));
    CHECK_OK(parley_free(server));
}

/* RPCs that a program holds outlive the transport. */
static void released_after_free(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_rpc rpcs[16];
    char from[64];
    int index;
    send_numbers(pair.client, pair.to_server, 0, 16);
    take(pair.server, rpcs, 16);
    free_pair(pair);
    for (index = 0; index < 16; index++) {
        check_number(&rpcs[index], index);
        CHECK(parley_rpc_from(&rpcs[index], from, sizeof from) > 0);
        parley_rpc_release(&rpcs[index]);
    }
}

int main(void) {
    parley_options options = loopback();
    pair pair;
    begin(60);
    pair = connected(&options, &options);
    trying("orders of release");
    in_every_order(pair);
    on_other_threads(pair);
    trying("limits");
    limits(pair);
    free_pair(pair);
    trying("several peers");
    several_peers();
    trying("released after the transport is freed");
    released_after_free();
    return 0;
}
