/*
 * Twelve threads call everything on two transports at once, until the transports are closed meanwhile. Every
 * call ends with a code that it may return, every promised callback comes exactly once, and freeing leaves
 * nothing.
 */
#include "check.h"

enum { transports = 2, threads = 12 };

static struct {
    parley_transport *nodes[transports];
    char addresses[transports][64];
    uint32_t seed;
    long opened, gone, promised, kept, posted, run;
    bool is_over;
} world;

static long get(long *count) { return __atomic_load_n(count, __ATOMIC_SEQ_CST); }
static void add(long *count) { __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST); }

static uint32_t next(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void check_not_over(void) { CHECK(!__atomic_load_n(&world.is_over, __ATOMIC_SEQ_CST)); }

/* ---- Callbacks ---- */

static int handshake(parley_transport *transport, parley_peer peer, void *userdata) {
    uint8_t byte = 'h';
    int code;
    (void)userdata;
    check_not_over();
    code = parley_send(transport, peer, &byte, 1, PARLEY_FOREVER);
    if (code == PARLEY_OK) code = parley_read_exactly(transport, peer, &byte, 1, PARLEY_FOREVER);
    check_not_over();
    return code;
}

static int on_peer(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)userdata;
    check_not_over();
    CHECK_OK(parley_peer_set_userdata(transport, peer, malloc(16)));
    add(&world.opened);
    /* Refuses some peers. */
    return peer % 16 == 7 ? -7777 : PARLEY_OK;
}

static void on_disconnect(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    void *kept = parley_peer_userdata(transport, peer);
    (void)userdata;
    check_not_over();
    CHECK(reason < 0 && message[0] != 0);
    if (kept != NULL) add(&world.gone);
    free(kept);
}

static void on_ready(parley_transport *transport, parley_peer peer, void *argument) {
    (void)transport;
    (void)peer;
    (void)argument;
    check_not_over();
    add(&world.kept);
}

static void on_dialed(parley_transport *transport, parley_peer peer, int error, void *argument) {
    (void)argument;
    check_not_over();
    CHECK((error == PARLEY_OK) == (peer != PARLEY_NO_PEER));
    if (error == PARLEY_OK) parley_send_message(transport, peer, "dialed", 6, 0);
    add(&world.kept);
}

static void on_post(void *argument) {
    (void)argument;
    check_not_over();
    add(&world.run);
}

/* ---- Threads ---- */

/* Checks that a code is one that a disconnect, a closed transport or a time-out may cause. */
static void expected(int code, int line) {
    switch (code) {
    case PARLEY_ETIMEDOUT:
    case PARLEY_EAGAIN:
    case PARLEY_ECLOSED:
    case PARLEY_ENOPEER:
    case PARLEY_EOF:
    case PARLEY_ECONNRESET:
    case PARLEY_EABORTED:
    case PARLEY_ETRUNCATED:
    case PARLEY_EREFUSED:
    case PARLEY_EHANDSHAKE:
    case PARLEY_ECONNREFUSED:
    case -7777: return;
    default:
        if (code < 0) check_code(__FILE__, line, "a call's code", code, PARLEY_OK);
    }
}
#define EXPECTED(call) expected((int)(call), __LINE__)

static parley_peer any_peer(parley_transport *node, uint32_t *random) {
    parley_peer peers[64];
    size_t count = parley_peers(node, peers, 64);
    if (count > 64) count = 64;
    /* Sometimes a number that never existed. */
    return count == 0 || next(random) % 32 == 0 ? next(random) : peers[next(random) % count];
}

static void promise(int code) {
    if (code == PARLEY_OK) add(&world.promised);
    else EXPECTED(code);
}

static void do_something(parley_transport *node, const char *address, uint32_t *random) {
    static uint8_t bytes[40000];
    uint8_t buffer[5000];
    char text[64];
    parley_rpc rpcs[8];
    parley_stream *stream;
    parley_peer peer = any_peer(node, random);
    size_t length = next(random) % sizeof bytes;
    int timeout = (int)(next(random) % 4) * 3, count, index;
    switch (next(random) % 24) {
    case 0:
    case 1: EXPECTED(parley_dial(node, address, 2000, &peer)); break;
    case 2: promise(parley_dial_async(node, address, on_dialed, NULL)); break;
    case 3:
        if (next(random) % 2) EXPECTED(parley_peer_close(node, peer, timeout));
        break;
    case 4: promise(parley_when_readable(node, peer, on_ready, NULL)); break;
    case 5: promise(parley_when_writable(node, peer, on_ready, NULL)); break;
    case 6:
        if (parley_post(node, on_post, NULL) == PARLEY_OK) add(&world.posted);
        break;
    case 7:
        if (parley_stream_open(node, peer, "header", 6, timeout, &stream) != PARLEY_OK) break;
        EXPECTED(parley_stream_write(stream, bytes, length, timeout));
        EXPECTED(parley_stream_write(stream, bytes, length, timeout));
        if (next(random) % 4 == 0) parley_stream_abort(stream, 3, "for a change");
        else EXPECTED(parley_stream_finish(stream));
        break;
    case 8: EXPECTED(parley_peer_close_stream(node, peer)); break;
    case 9: EXPECTED(parley_peer_set_deadline(node, peer, timeout)); break;
    case 10: EXPECTED(parley_peer_set_deadline(node, peer, PARLEY_FOREVER)); break;
    case 11: EXPECTED(parley_broadcast(node, bytes, length % 1000)); break;
    case 12: EXPECTED(parley_peer_remote_address(node, peer, text, sizeof text)); break;
    case 13: EXPECTED(parley_peer_is_outbound(node, peer)); break;
    case 14: EXPECTED(parley_fd(node)); break;
    case 15:
    case 16:
    case 17:
        count = parley_consume_batch(node, rpcs, 8, timeout);
        EXPECTED(count);
        for (index = 0; index < count; index++) {
            if (rpcs[index].stream) {
                EXPECTED(parley_read(node, rpcs[index].peer, buffer, sizeof buffer, timeout));
                EXPECTED(parley_peer_close_stream(node, rpcs[index].peer));
            }
            parley_rpc_release(&rpcs[index]);
        }
        break;
    default: EXPECTED(parley_send_message(node, peer, bytes, length, timeout)); break;
    }
}

typedef struct worker {
    int number;
    uint32_t random;
    bool *stop;
} worker;

static void *work(void *argument) {
    worker *it = (worker *)argument;
    int at = it->number % transports;
    while (!__atomic_load_n(it->stop, __ATOMIC_SEQ_CST))
        do_something(
            world.nodes[at], world.addresses[(at + it->random % transports) % transports], &it->random);
    return NULL;
}

static void one_life(uint32_t seed) {
    parley_options options = loopback();
    pthread_t running[threads];
    worker workers[threads];
    bool stop = false;
    int index;
    memset(&world, 0, sizeof world);
    options.on_peer = on_peer;
    options.on_disconnect = on_disconnect;
    options.inbox_capacity = 16;
    options.send_high_water_bytes = 30000;
    options.send_low_water_bytes = 5000;
    options.close_timeout_ms = 100;
    options.stream_idle_timeout_ms = 200;
    options.handshake_timeout_ms = 1000;
    if (seed % 2) options.handshake = handshake;
    for (index = 0; index < transports; index++) {
        world.nodes[index] = listening(&options);
        parley_address(world.nodes[index], world.addresses[index], 64);
    }
    for (index = 0; index < threads; index++) {
        worker it = {index, seed * 2654435761u + (uint32_t)index + 1, &stop};
        workers[index] = it;
        running[index] = start_thread(work, &workers[index]);
    }
    sleep_ms((int)(seed % 7) * 10 + 5);
    for (index = 0; index < transports; index++) CHECK_OK(parley_close(world.nodes[index]));
    __atomic_store_n(&world.is_over, true, __ATOMIC_SEQ_CST);
    /* All threads use the closed transports for a while. */
    sleep_ms(5);
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    for (index = 0; index < threads; index++) join(running[index]);
    for (index = 0; index < transports; index++) CHECK_OK(parley_free(world.nodes[index]));
    CHECK_INT(get(&world.run), get(&world.posted));
    CHECK_INT(get(&world.gone), get(&world.opened));
    CHECK_INT(get(&world.kept), get(&world.promised));
}

int main(void) {
    uint32_t seed;
    begin(120);
    for (seed = 1; seed <= scaled(40, 3); seed++) one_life(seed);
    return 0;
}
