/* Eight threads send and eight consume on the same two transports at once: every message arrives whole, once,
 * and in the order in which its thread sent it. */
#include "check.h"

#define THREADS 8

typedef struct work {
    parley_transport *node;
    parley_peer peer;
    int number, per_thread;
    long long received, sum;
    event *arrived;
} work;

typedef struct note {
    int thread, sequence;
    uint8_t padding[56];
} note;

static void *send_notes(void *argument) {
    work *it = (work *)argument;
    note note;
    int index;
    memset(&note, 0, sizeof note);
    note.thread = it->number;
    for (index = 0; index < it->per_thread; index++) {
        note.sequence = index;
        /* Different lengths, so that frames end at every position. */
        CHECK_OK(parley_send_message(
            it->node, it->peer, &note, 8 + (size_t)(index * 7 + it->number) % 56, PARLEY_FOREVER));
    }
    return NULL;
}

static void *consume_notes(void *argument) {
    work *it = (work *)argument;
    int last[THREADS], code;
    parley_rpc rpc;
    memset(last, 0xff, sizeof last);
    while ((code = parley_consume(it->node, &rpc, PARLEY_FOREVER)) == PARLEY_OK) {
        note note;
        CHECK(rpc.length >= 8 && rpc.length <= sizeof note);
        memcpy(&note, rpc.payload, 8);
        CHECK_INT(rpc.length, 8 + (size_t)(note.sequence * 7 + note.thread) % 56);
        /* One consumer sees the messages of one thread in order. */
        CHECK(note.thread >= 0 && note.thread < THREADS && note.sequence > last[note.thread]);
        last[note.thread] = note.sequence;
        it->sum += note.sequence;
        it->received += 1;
        parley_rpc_release(&rpc);
        event_add(it->arrived, 1);
    }
    CHECK_CODE(code, PARLEY_ECLOSED);
    return NULL;
}

static void exchange(parley_codec codec, int per_thread) {
    parley_options options = loopback();
    event at_server = EVENT_INIT, at_client = EVENT_INIT;
    work sending[2][THREADS], consuming[2][THREADS];
    pthread_t senders[2][THREADS], consumers[2][THREADS];
    long long received = 0, sum = 0;
    pair pair;
    int side, index;
    options.codec = codec;
    options.inbox_capacity = 64; /* so that the inbox is full at times */
    options.send_high_water_bytes = 4096;
    options.send_low_water_bytes = 1024;
    pair = connected(&options, &options);
    for (side = 0; side < 2; side++) {
        for (index = 0; index < THREADS; index++) {
            work it = {
                side ? pair.client : pair.server, side ? pair.to_server : pair.to_client,
                index, per_thread, 0, 0, side ? &at_client : &at_server};
            sending[side][index] = consuming[side][index] = it;
            consumers[side][index] = start_thread(consume_notes, &consuming[side][index]);
            senders[side][index] = start_thread(send_notes, &sending[side][index]);
        }
    }
    for (side = 0; side < 2; side++)
        for (index = 0; index < THREADS; index++) join(senders[side][index]);
    CHECK_REACHES(&at_server, (long)THREADS * per_thread);
    CHECK_REACHES(&at_client, (long)THREADS * per_thread);
    CHECK_OK(parley_close(pair.server));
    CHECK_OK(parley_close(pair.client));
    for (side = 0; side < 2; side++) {
        for (index = 0; index < THREADS; index++) {
            join(consumers[side][index]);
            received += consuming[side][index].received;
            sum += consuming[side][index].sum;
        }
    }
    CHECK_INT(received, 2LL * THREADS * per_thread);
    CHECK_INT(sum, (long long)THREADS * per_thread * (per_thread - 1));
    free_pair(pair);
}

/* Threads dial, exchange messages and close, all on one transport. */
static void *come_and_go(void *argument) {
    work *it = (work *)argument;
    char address[64];
    int index;
    parley_address(it->node, address, sizeof address);
    for (index = 0; index < it->per_thread; index++) {
        parley_peer peer;
        /* A node may dial itself. */
        CHECK_OK(parley_dial(it->node, address, LIMIT_MS, &peer));
        CHECK_OK(parley_send_message(it->node, peer, "hello", 5, LIMIT_MS));
        CHECK_OK(parley_peer_close(it->node, peer, index % 2 ? LIMIT_MS : 0));
    }
    return NULL;
}

static void everybody_dials(int per_thread) {
    parley_options options = loopback();
    parley_transport *node;
    work dialing[THREADS];
    pthread_t threads[THREADS];
    parley_rpc rpc;
    int index;
    /* Every message arrives, though its connection is closed behind it. */
    options.close_timeout_ms = LIMIT_MS;
    node = listening(&options);
    for (index = 0; index < THREADS; index++) {
        work it = {node, PARLEY_NO_PEER, index, per_thread, 0, 0, NULL};
        dialing[index] = it;
        threads[index] = start_thread(come_and_go, &dialing[index]);
    }
    for (index = 0; index < THREADS * per_thread; index++) {
        CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
        CHECK(rpc.length == 5 && memcmp(rpc.payload, "hello", 5) == 0);
        parley_rpc_release(&rpc);
    }
    for (index = 0; index < THREADS; index++) join(threads[index]);
    await_peers(node, 0);
    CHECK_CODE(parley_try_consume(node, &rpc), PARLEY_EAGAIN);
    CHECK_OK(parley_free(node));
}

/* Each thread has its own parley_last_error(). */
static void *fail_in_own_words(void *argument) {
    work *it = (work *)argument;
    char name[32];
    int index;
    CHECK(strcmp(parley_last_error(), "") == 0);
    snprintf(name, sizeof name, "not-an-address-%d", it->number);
    for (index = 0; index < it->per_thread; index++) {
        parley_peer peer;
        CHECK_CODE(parley_dial(it->node, name, PARLEY_FOREVER, &peer), PARLEY_EADDRINVAL);
        CHECK_CONTAINS(parley_last_error(), name);
    }
    return NULL;
}

static void errors_of_each_thread(void) {
    work failing[THREADS];
    pthread_t threads[THREADS];
    parley_transport *node = create(NULL);
    int index;
    for (index = 0; index < THREADS; index++) {
        work it = {node, PARLEY_NO_PEER, index, 200, 0, 0, NULL};
        failing[index] = it;
        threads[index] = start_thread(fail_in_own_words, &failing[index]);
    }
    for (index = 0; index < THREADS; index++) join(threads[index]);
    CHECK_OK(parley_free(node));
}

int main(void) {
    begin(60);
    trying("eight send, eight consume, both ways: framed");
    exchange(PARLEY_CODEC_FRAMED, (int)scaled(5000, 200));
    trying("gob");
    exchange(PARLEY_CODEC_GOB_ONCE, (int)scaled(2000, 50));
    trying("all threads dial");
    everybody_dials((int)scaled(100, 8));
    trying("errors of each thread");
    errors_of_each_thread();
    return 0;
}
