/* Several loops: each peer has one thread, and callbacks of different peers run at the same time. Also loops
 * that poll. */
#include "check.h"

enum { loops = 3, peers_in_all = 6 };

static parley_options many(void) {
    parley_options options = loopback();
    options.loops = loops;
    options.busy_poll_us = 50;
    return options;
}

/* ---- One thread for each peer ---- */

typedef struct seat {
    parley_peer peer;
    pthread_t thread;
    int next;
    bool is_gone;
} seat;

typedef struct hall {
    pthread_mutex_t lock;
    seat seats[peers_in_all];
    int taken;
    /* Counts callbacks that wait inside for those of other loops. */
    event inside, received, gone;
    int expected;
} hall;

static int join_hall(parley_transport *transport, parley_peer peer, void *userdata) {
    hall *it = (hall *)userdata;
    seat *own;
    pthread_mutex_lock(&it->lock);
    CHECK(it->taken < peers_in_all);
    own = &it->seats[it->taken++];
    pthread_mutex_unlock(&it->lock);
    own->peer = peer;
    own->thread = pthread_self();
    CHECK_OK(parley_peer_set_userdata(transport, peer, own));
    return 0;
}

static void take(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    hall *it = (hall *)userdata;
    size_t index;
    for (index = 0; index < count; index++) {
        seat *own = (seat *)parley_peer_userdata(transport, rpcs[index].peer);
        int number;
        CHECK(own != NULL && own->peer == rpcs[index].peer);
        CHECK(pthread_equal(own->thread, pthread_self()));
        CHECK_INT(rpcs[index].length, sizeof number);
        memcpy(&number, rpcs[index].payload, sizeof number);
        CHECK_INT(number, own->next);
        own->next += 1;
        CHECK_CODE(parley_close(transport), PARLEY_EDEADLK);
        CHECK_CODE(parley_peer_close(transport, rpcs[index].peer, LIMIT_MS), PARLEY_EDEADLK);
        if (number > 0) continue;
        /* The first callback of each loop waits until all loops are in theirs. */
        event_add(&it->inside, 1);
        CHECK_REACHES(&it->inside, loops);
    }
    event_add(&it->received, (long)count);
}

static void leave(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    hall *it = (hall *)userdata;
    seat *own = (seat *)parley_peer_userdata(transport, peer);
    CHECK(own != NULL && !own->is_gone && message != NULL && reason < 0);
    CHECK(pthread_equal(own->thread, pthread_self()));
    CHECK_INT(own->next, it->expected);
    own->is_gone = true;
    event_add(&it->gone, 1);
}

typedef struct posting {
    seat *to;
    event done;
} posting;

static void check_thread(void *argument) {
    posting *it = (posting *)argument;
    CHECK(pthread_equal(it->to->thread, pthread_self()));
    event_add(&it->done, 1);
}

static void callbacks(void) {
    hall it = {PTHREAD_MUTEX_INITIALIZER, {{PARLEY_NO_PEER, pthread_self(), 0, false}}, 0,
               EVENT_INIT, EVENT_INIT, EVENT_INIT, (int)scaled(1000, 100)};
    parley_options options = many();
    parley_transport *server, *client;
    parley_peer to_server[peers_in_all];
    int index, other, threads = 0, number;
    posting posted = {NULL, EVENT_INIT};
    options.userdata = &it;
    options.on_peer = join_hall;
    options.on_rpcs = take;
    options.on_disconnect = leave;
    server = listening(&options);
    options = many();
    client = create(&options);
    for (index = 0; index < peers_in_all; index++) to_server[index] = dial(client, server);
    await_peers(server, peers_in_all);
    for (number = 0; number < it.expected; number++)
        for (index = 0; index < peers_in_all; index++)
            CHECK_OK(parley_send_message(client, to_server[index], &number, sizeof number, LIMIT_MS));
    CHECK_REACHES(&it.received, (long)it.expected * peers_in_all);
    for (index = 0; index < peers_in_all; index++) {
        for (other = 0; other < index; other++)
            if (pthread_equal(it.seats[other].thread, it.seats[index].thread)) break;
        threads += other == index;
        posted.to = &it.seats[index];
        CHECK_OK(parley_peer_post(server, it.seats[index].peer, check_thread, &posted));
        CHECK_REACHES(&posted.done, index + 1);
    }
    CHECK_INT(threads, loops);
    CHECK_CODE(parley_peer_post(server, it.seats[0].peer, NULL, NULL), PARLEY_EINVAL);
    for (index = 0; index < peers_in_all / 2; index++)
        CHECK_OK(parley_peer_close(client, to_server[index], LIMIT_MS));
    CHECK_REACHES(&it.gone, peers_in_all / 2);
    CHECK_OK(parley_close(server));
    CHECK_INT(event_count(&it.gone), peers_in_all);
    CHECK_CODE(parley_peer_post(server, it.seats[0].peer, check_thread, &posted), PARLEY_ENOPEER);
    CHECK_OK(parley_free(server));
    CHECK_OK(parley_free(client));
}

/* ---- Consumers: each RPC is consumed once ---- */

typedef struct counter {
    parley_transport *server;
    event consumed;
    long long sum;
} counter;

static void *consume_until_closed(void *argument) {
    counter *it = (counter *)argument;
    parley_rpc rpc;
    int code;
    while ((code = parley_consume(it->server, &rpc, LIMIT_MS)) == PARLEY_OK) {
        int number;
        CHECK_INT(rpc.length, sizeof number);
        memcpy(&number, rpc.payload, sizeof number);
        __atomic_add_fetch(&it->sum, number, __ATOMIC_SEQ_CST);
        parley_rpc_release(&rpc);
        event_add(&it->consumed, 1);
    }
    CHECK_CODE(code, PARLEY_ECLOSED);
    return NULL;
}

static void consumers(void) {
    counter it = {NULL, EVENT_INIT, 0};
    parley_options options = many();
    parley_transport *client;
    parley_peer to_server[peers_in_all];
    pthread_t threads[2];
    long long sum = 0;
    int index, number, count = (int)scaled(2000, 200);
    options.inbox_capacity = 16;
    it.server = listening(&options);
    client = create(&options);
    for (index = 0; index < 2; index++) threads[index] = start_thread(consume_until_closed, &it);
    for (index = 0; index < peers_in_all; index++) to_server[index] = dial(client, it.server);
    for (number = 0; number < count; number++)
        for (index = 0; index < peers_in_all; index++) {
            CHECK_OK(parley_send_message(client, to_server[index], &number, sizeof number, LIMIT_MS));
            sum += number;
        }
    CHECK_REACHES(&it.consumed, (long)count * peers_in_all);
    CHECK_OK(parley_close(it.server));
    for (index = 0; index < 2; index++) join(threads[index]);
    CHECK_INT(it.sum, sum);
    CHECK_OK(parley_free(it.server));
    CHECK_OK(parley_free(client));
}

/* ---- Created and closed, with and without work in between ---- */

static void *dial_again_and_again(void *argument) {
    parley_transport **both = (parley_transport **)argument;
    char address[64];
    parley_peer peer;
    CHECK(parley_address(both[0], address, sizeof address) > 0);
    while (parley_dial(both[1], address, LIMIT_MS, &peer) != PARLEY_ECLOSED) {}
    return NULL;
}

static void create_and_close(void) {
    int round;
    for (round = 0; round < (int)scaled(20, 3); round++) {
        parley_options options = many();
        parley_transport *both[2];
        pthread_t threads[2];
        int index;
        CHECK_OK(parley_free(create(&options)));
        both[0] = listening(&options);
        both[1] = create(&options);
        for (index = 0; index < 2; index++) threads[index] = start_thread(dial_again_and_again, both);
        sleep_ms(round % 5);
        CHECK_OK(parley_close(both[round % 2]));
        CHECK_OK(parley_close(both[1 - round % 2]));
        for (index = 0; index < 2; index++) join(threads[index]);
        CHECK_OK(parley_free(both[0]));
        CHECK_OK(parley_free(both[1]));
    }
}

int main(void) {
    begin(180);
    trying("callbacks"), callbacks();
    trying("consumers"), consumers();
    trying("create_and_close"), create_and_close();
    return 0;
}
