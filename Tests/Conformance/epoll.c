/* A program with its own epoll(7) loop: parley_fd() is readable exactly while there is an RPC to consume. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

static bool is_readable(int descriptor, int timeout_ms) {
    struct pollfd entry;
    entry.fd = descriptor;
    entry.events = POLLIN;
    entry.revents = 0;
    CHECK(poll(&entry, 1, timeout_ms) >= 0);
    return (entry.revents & POLLIN) != 0;
}

static void level_triggered(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_rpc first, second;
    int descriptor = parley_fd(pair.server);
    CHECK(descriptor >= 0);
    CHECK(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
    CHECK(!is_readable(descriptor, 0));
    CHECK_CODE(parley_try_consume(pair.server, &first), PARLEY_EAGAIN);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "1", 1, LIMIT_MS));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "2", 1, LIMIT_MS));
    CHECK(is_readable(descriptor, LIMIT_MS));
    CHECK(is_readable(descriptor, 0));
    CHECK_OK(parley_try_consume(pair.server, &first));
    CHECK_OK(parley_consume(pair.server, &second, LIMIT_MS));
    CHECK(first.payload[0] == '1' && second.payload[0] == '2');
    /* Consuming is enough: the RPC need not be released. */
    CHECK(!is_readable(descriptor, 0));
    parley_rpc_release(&first);
    parley_rpc_release(&second);

    /* Blocking and polling may be mixed; each RPC is consumed once. */
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "3", 1, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &first, LIMIT_MS));
    CHECK(!is_readable(descriptor, 0));
    parley_rpc_release(&first);

    /* After closing it stays readable. */
    CHECK_OK(parley_close(pair.server));
    CHECK(is_readable(descriptor, 0));
    CHECK_CODE(parley_try_consume(pair.server, &first), PARLEY_ECLOSED);
    CHECK(is_readable(descriptor, 0));
    free_pair(pair);
}

/* An RPC arrived before the first call of parley_fd(). */
static void asked_late(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_rpc rpc;
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "1", 1, LIMIT_MS));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "2", 1, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    CHECK(is_readable(parley_fd(pair.server), LIMIT_MS));
    CHECK_OK(parley_close(pair.server));
    CHECK(is_readable(parley_fd(pair.server), 0));
    free_pair(pair);
}

/* Three nodes in one epoll set, each answering the others, until every count is reached. */
static void one_loop_for_three(void) {
    enum { nodes = 3 };
    const int rounds = (int)scaled(2000, 50);
    parley_options options = loopback();
    parley_transport *transports[nodes];
    int received[nodes] = {0, 0, 0}, index, left = nodes, set = epoll_create1(EPOLL_CLOEXEC);
    CHECK(set >= 0);
    for (index = 0; index < nodes; index++) {
        struct epoll_event entry;
        transports[index] = listening(&options);
        memset(&entry, 0, sizeof entry);
        entry.events = EPOLLIN;
        entry.data.u32 = (uint32_t)index;
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, parley_fd(transports[index]), &entry) == 0);
    }
    for (index = 0; index < nodes; index++) {
        int number = 0;
        parley_peer next = dial(transports[index], transports[(index + 1) % nodes]);
        CHECK_OK(parley_send_message(transports[index], next, &number, sizeof number, 0));
    }
    while (left > 0) {
        struct epoll_event entries[nodes];
        int count = epoll_wait(set, entries, nodes, LIMIT_MS), entry, code;
        CHECK(count > 0);
        for (entry = 0; entry < count; entry++) {
            parley_transport *node = transports[entries[entry].data.u32];
            parley_rpc rpc;
            while ((code = parley_try_consume(node, &rpc)) == PARLEY_OK) {
                int number;
                memcpy(&number, rpc.payload, sizeof number);
                if (++received[entries[entry].data.u32] == rounds) left -= 1;
                number += 1;
                /* Each pair answers until it has reached its count. */
                if (number < 4 * rounds)
                    CHECK_OK(parley_send_message(node, rpc.peer, &number, sizeof number, 0));
                parley_rpc_release(&rpc);
            }
            CHECK_CODE(code, PARLEY_EAGAIN);
        }
    }
    close(set);
    for (index = 0; index < nodes; index++) CHECK_OK(parley_free(transports[index]));
}

/* The descriptor's state stays correct while producers and several consumers race. */
typedef struct race {
    parley_transport *node;
    parley_peer peer;
    int count;
    event *taken;
} race;

static void *produce(void *argument) {
    race *it = (race *)argument;
    for (int index = 0; index < it->count; index++)
        CHECK_OK(parley_send_message(it->node, it->peer, &index, sizeof index, LIMIT_MS));
    return NULL;
}

static void *poll_and_take(void *argument) {
    race *it = (race *)argument;
    int descriptor = parley_fd(it->node);
    for (;;) {
        parley_rpc rpc;
        int code;
        CHECK(is_readable(descriptor, LIMIT_MS));
        while ((code = parley_try_consume(it->node, &rpc)) == PARLEY_OK) {
            parley_rpc_release(&rpc);
            event_add(it->taken, 1);
        }
        if (code == PARLEY_ECLOSED) return NULL;
        CHECK_CODE(code, PARLEY_EAGAIN);
    }
}

static void several_pollers(void) {
    parley_options options = loopback();
    event taken = EVENT_INIT;
    race sending, taking;
    pthread_t threads[4];
    pair pair;
    int index;
    options.inbox_capacity = 4;
    pair = connected(&options, &options);
    sending.node = pair.client;
    sending.peer = pair.to_server;
    sending.count = (int)scaled(20000, 500);
    taking.node = pair.server;
    taking.taken = &taken;
    threads[0] = start_thread(produce, &sending);
    for (index = 1; index < 4; index++) threads[index] = start_thread(poll_and_take, &taking);
    join(threads[0]);
    CHECK_REACHES(&taken, sending.count);
    CHECK_OK(parley_close(pair.server));
    for (index = 1; index < 4; index++) join(threads[index]);
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("level-triggered");
    level_triggered();
    asked_late();
    trying("one loop for three nodes");
    one_loop_for_three();
    trying("several pollers");
    several_pollers();
    return 0;
}
