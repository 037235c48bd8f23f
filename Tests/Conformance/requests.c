/* Requests and their answers: blocking and with a callback, consumed and in on_rpcs, and how each ends. */
#include "check.h"

/* ---- A server that answers from its own thread ---- */

/* Replies with the bytes in reverse; refuses what begins with 'n'; leaves what begins with 'l' alone. */
static void *answer(void *argument) {
    parley_transport *node = (parley_transport *)argument;
    parley_rpc rpc;
    int code;
    while ((code = parley_consume(node, &rpc, PARLEY_FOREVER)) == PARLEY_OK) {
        const parley_peer peer = rpc.peer;
        const uint32_t request = rpc.request;
        const size_t length = rpc.length;
        const char first = length > 0 ? (char)rpc.payload[0] : 0;
        uint8_t *reversed = (uint8_t *)malloc(length + 1);
        size_t index;
        CHECK_INT(rpc.kind, PARLEY_RPC_REQUEST);
        CHECK(reversed != NULL && !rpc.stream);
        for (index = 0; index < length; index++) reversed[index] = rpc.payload[length - 1 - index];
        /* The number is enough for an answer. */
        parley_rpc_release(&rpc);
        if (first == 'n')
            CHECK_OK(parley_refuse(node, peer, request, 77, "no\nnever", LIMIT_MS));
        else if (first != 'l')
            CHECK_OK(parley_reply(node, peer, request, reversed, length, LIMIT_MS));
        free(reversed);
    }
    CHECK_CODE(code, PARLEY_ECLOSED);
    return NULL;
}

static void ask(pair pair, const char *text, size_t length) {
    parley_answer answer;
    size_t index;
    CHECK_OK(parley_request(pair.client, pair.to_server, text, length, LIMIT_MS, &answer));
    CHECK_INT(answer.result, PARLEY_OK);
    CHECK_INT(answer.code, 0);
    CHECK_INT(answer.length, length);
    CHECK((answer.payload == NULL) == (length == 0));
    for (index = 0; index < length; index++) {
        CHECK(answer.payload[index] == (uint8_t)text[length - 1 - index]);
    }
    parley_answer_release(&answer);
    CHECK(answer.owner == NULL && answer.payload == NULL);
    parley_answer_release(&answer);
}

static void blocking(void) {
    const size_t large = scaled(3000000, 70000);
    char *text = (char *)malloc(large);
    parley_options options = loopback();
    parley_answer answer_;
    parley_statistics statistics;
    parley_peer_statistics of_peer;
    pair pair = connected(&options, &options);
    pthread_t answering = start_thread(answer, pair.server);
    CHECK(text != NULL);
    fill_content((uint8_t *)text, large, 1);
    text[0] = 'x';
    ask(pair, "hello", 5);
    ask(pair, NULL, 0);
    ask(pair, text, large);

    CHECK_CODE(
        parley_request(pair.client, pair.to_server, "no", 2, LIMIT_MS, &answer_), PARLEY_EREQREFUSED);
    CHECK_INT(answer_.result, PARLEY_EREQREFUSED);
    CHECK_INT(answer_.code, 77);
    CHECK_CONTAINS((const char *)answer_.payload, "refused the request (code 77): no\\nnever");
    CHECK_INT(answer_.length, strlen((const char *)answer_.payload));
    CHECK(strcmp((const char *)answer_.payload, parley_last_error()) == 0);
    parley_answer_release(&answer_);

    CHECK_CODE(parley_request(pair.client, pair.to_server, "late", 4, 20, &answer_), PARLEY_ETIMEDOUT);
    CHECK_INT(answer_.result, PARLEY_ETIMEDOUT);
    parley_answer_release(&answer_);
    CHECK_CODE(parley_request(pair.client, pair.to_server, "x", 1, 0, &answer_), PARLEY_EAGAIN);
    parley_answer_release(&answer_);
    CHECK_CODE(parley_request(pair.client, 4711, "x", 1, LIMIT_MS, &answer_), PARLEY_ENOPEER);
    CHECK_INT(answer_.result, PARLEY_ENOPEER);
    parley_answer_release(&answer_);
    parley_answer_release(NULL);
    CHECK_CODE(parley_request(pair.client, pair.to_server, "x", 1, LIMIT_MS, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "answer is NULL");
    CHECK_CODE(parley_request(pair.client, pair.to_server, NULL, 1, LIMIT_MS, &answer_), PARLEY_EINVAL);
    parley_answer_release(&answer_);
    CHECK_CODE(
        parley_request(pair.client, pair.to_server, "x", (16 << 20) + 1, LIMIT_MS, &answer_),
        PARLEY_EMSGSIZE);
    parley_answer_release(&answer_);

    CHECK_OK(parley_get_statistics(pair.client, &statistics, sizeof statistics));
    CHECK_INT(statistics.requests_sent, 5);
    CHECK_INT(statistics.open_requests, 1);
    /* The last one may still be on its way, although its caller has given it up. */
    CHECK_EVENTUALLY(statistics_of(pair.server).requests_received == 5);
    CHECK_OK(parley_peer_get_statistics(pair.server, pair.to_client, &of_peer, sizeof of_peer));
    CHECK_INT(of_peer.requests_received, 5);
    CHECK_INT(of_peer.unanswered_requests, 1);
    CHECK_OK(parley_close(pair.server));
    join(answering);
    free_pair(pair);
    free(text);
}

/* ---- Several threads, and answers in another order ---- */

enum { askers = 8 };

typedef struct asking {
    pair nodes;
    int number;
} asking;

static void *ask_often(void *argument) {
    const asking *it = (const asking *)argument;
    int round;
    for (round = 0; round < (int)scaled(200, 20); round++) {
        char text[32];
        const int length = snprintf(text, sizeof text, "asker %d, round %d", it->number, round);
        ask(it->nodes, text, (size_t)length);
    }
    return NULL;
}

static void side_by_side(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    pthread_t answering[2], threads[askers];
    asking them[askers];
    int index;
    for (index = 0; index < 2; index++) answering[index] = start_thread(answer, pair.server);
    for (index = 0; index < askers; index++) {
        them[index].nodes = pair;
        them[index].number = index;
        threads[index] = start_thread(ask_often, &them[index]);
    }
    for (index = 0; index < askers; index++) join(threads[index]);
    CHECK_OK(parley_close(pair.server));
    for (index = 0; index < 2; index++) join(answering[index]);
    free_pair(pair);
}

/* ---- Callbacks ---- */

typedef struct outcome {
    event done;
    int result;
    uint32_t code;
    char text[128];
    size_t length;
} outcome;

static const outcome no_outcome = {EVENT_INIT, 1, 0, "", 0};

static void take(
    parley_transport *transport, parley_peer peer, const parley_answer *answer, void *argument) {
    outcome *it = (outcome *)argument;
    CHECK(transport != NULL && peer != PARLEY_NO_PEER);
    CHECK(answer->length < sizeof it->text);
    it->result = answer->result;
    it->code = answer->code;
    it->length = answer->length;
    if (answer->length > 0) memcpy(it->text, answer->payload, answer->length);
    event_add(&it->done, 1);
}

/* Answers on the loop, the last of four first. */
static void answer_on_loop(
    parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    static uint32_t waiting[4];
    static int waits;
    size_t index;
    (void)userdata;
    for (index = 0; index < count; index++) {
        CHECK_INT(rpcs[index].kind, PARLEY_RPC_REQUEST);
        waiting[waits++] = rpcs[index].request;
        if (waits < 4) continue;
        while (waits > 0) {
            char text[16];
            const uint32_t request = waiting[--waits];
            const int length = snprintf(text, sizeof text, "%u", (unsigned)request);
            CHECK_OK(parley_reply(transport, rpcs[index].peer, request, text, (size_t)length, 0));
            CHECK_CODE(
                parley_reply(transport, rpcs[index].peer, request, text, (size_t)length, 0), PARLEY_EINVAL);
        }
    }
}

static void callbacks(void) {
    parley_options server = loopback(), client = loopback();
    outcome outcomes[4];
    pair pair;
    int index;
    server.on_rpcs = answer_on_loop;
    pair = connected(&server, &client);
    for (index = 0; index < 4; index++) {
        outcomes[index] = no_outcome;
        CHECK_OK(parley_request_async(
            pair.client, pair.to_server, "?", 1, PARLEY_FOREVER, take, &outcomes[index]));
    }
    for (index = 0; index < 4; index++) {
        CHECK_REACHES(&outcomes[index].done, 1);
        CHECK_INT(outcomes[index].result, PARLEY_OK);
        CHECK_INT(atoi(outcomes[index].text), index + 1);
    }
    CHECK_CODE(
        parley_request_async(pair.client, pair.to_server, "?", 1, LIMIT_MS, NULL, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "done is NULL");
    CHECK_CODE(
        parley_request_async(pair.client, pair.to_server, "?", 1, -2, take, NULL), PARLEY_EINVAL);

    /* This one has no answer: its time passes. */
    outcomes[0] = no_outcome;
    CHECK_OK(parley_request_async(pair.client, pair.to_server, "?", 1, 20, take, &outcomes[0]));
    CHECK_REACHES(&outcomes[0].done, 1);
    CHECK_INT(outcomes[0].result, PARLEY_ETIMEDOUT);
    CHECK_CONTAINS(outcomes[0].text, "did not answer");
    /* This one neither: its connection ends. */
    outcomes[1] = no_outcome;
    CHECK_OK(
        parley_request_async(pair.client, pair.to_server, "?", 1, PARLEY_FOREVER, take, &outcomes[1]));
    CHECK_OK(parley_close(pair.server));
    CHECK_REACHES(&outcomes[1].done, 1);
    CHECK(outcomes[1].result == PARLEY_EOF || outcomes[1].result == PARLEY_ECONNRESET);
    free_pair(pair);
}

/* A callback may ask, but not wait for the answer. */
static void ask_on_loop(void *argument) {
    const pair *it = (const pair *)argument;
    parley_answer answer_;
    CHECK_CODE(parley_request(it->client, it->to_server, "?", 1, LIMIT_MS, &answer_), PARLEY_EDEADLK);
    parley_answer_release(&answer_);
}

static void note_writable(parley_transport *transport, parley_peer peer, void *argument) {
    (void)transport;
    (void)peer;
    event_add((event *)argument, 1);
}

static void limits(void) {
    parley_options options = loopback();
    event writable = EVENT_INIT;
    outcome outcomes[2];
    pair pair;
    parley_rpc rpc;
    options.max_open_requests = 4097;
    CHECK_CODE(parley_create(&options, &pair.client), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "max_open_requests is 4097");
    options.max_open_requests = 1;
    pair = connected(&options, &options);
    CHECK_OK(parley_peer_post(pair.client, pair.to_server, ask_on_loop, &pair));
    outcomes[0] = outcomes[1] = no_outcome;
    CHECK_OK(parley_request_async(
        pair.client, pair.to_server, "1", 1, PARLEY_FOREVER, take, &outcomes[0]));
    CHECK_CODE(
        parley_request_async(pair.client, pair.to_server, "2", 1, PARLEY_FOREVER, take, &outcomes[1]),
        PARLEY_EAGAIN);
    /* It waits for an answer to make a place. */
    CHECK_OK(parley_when_writable(pair.client, pair.to_server, note_writable, &writable));
    await_callbacks(pair.client);
    CHECK_INT(event_count(&writable), 0);
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK_OK(parley_reply(pair.server, rpc.peer, rpc.request, NULL, 0, LIMIT_MS));
    CHECK_REACHES(&outcomes[0].done, 1);
    CHECK_REACHES(&writable, 1);
    CHECK_INT(outcomes[0].length, 0);
    CHECK_OK(parley_request_async(
        pair.client, pair.to_server, "2", 1, PARLEY_FOREVER, take, &outcomes[1]));
    parley_rpc_release(&rpc);
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK_OK(parley_refuse(pair.server, rpc.peer, rpc.request, 5, NULL, LIMIT_MS));
    parley_rpc_release(&rpc);
    CHECK_REACHES(&outcomes[1].done, 1);
    CHECK_INT(outcomes[1].result, PARLEY_EREQREFUSED);
    CHECK_INT(outcomes[1].code, 5);
    await_callbacks(pair.client);
    free_pair(pair);
}

/* ---- The end ---- */

enum { unanswered = 1000 };

typedef struct last_calls {
    event answers, writable, ends;
    bool is_over;
} last_calls;

/* On the loop's thread, and never behind on_disconnect. */
static void note_answer(
    parley_transport *transport, parley_peer peer, const parley_answer *answer_, void *argument) {
    last_calls *it = (last_calls *)argument;
    char name[32] = "";
    (void)peer;
    CHECK(answer_->result != PARLEY_OK && !it->is_over);
    CHECK(pthread_getname_np(pthread_self(), name, sizeof name) == 0);
    CHECK_CONTAINS(name, "parley loop");
    CHECK_CODE(parley_close(transport), PARLEY_EDEADLK);
    event_add(&it->answers, 1);
}

static void note_last_writable(parley_transport *transport, parley_peer peer, void *argument) {
    last_calls *it = (last_calls *)argument;
    (void)transport;
    (void)peer;
    CHECK(!it->is_over);
    event_add(&it->writable, 1);
}

static void note_disconnect(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    last_calls *it = (last_calls *)userdata;
    (void)transport;
    (void)peer;
    (void)reason;
    (void)message;
    CHECK_INT(event_count(&it->answers), unanswered);
    CHECK_INT(event_count(&it->writable), 1);
    it->is_over = true;
    event_add(&it->ends, 1);
}

/* Whoever ends a connection: nothing about the peer is called behind on_disconnect. */
static void ends(int way) {
    last_calls it = {EVENT_INIT, EVENT_INIT, EVENT_INIT, false};
    parley_options server = loopback(), client = loopback();
    pair pair;
    int index;
    client.on_disconnect = note_disconnect;
    client.userdata = &it;
    client.max_open_requests = unanswered;
    pair = connected(&server, &client);
    for (index = 0; index < unanswered; index++) {
        CHECK_OK(parley_request_async(
            pair.client, pair.to_server, "?", 1, PARLEY_FOREVER, note_answer, &it));
    }
    /* There is no place for another one. */
    CHECK_CODE(
        parley_request_async(pair.client, pair.to_server, "?", 1, PARLEY_FOREVER, note_answer, &it),
        PARLEY_EAGAIN);
    CHECK_OK(parley_when_writable(pair.client, pair.to_server, note_last_writable, &it));
    switch (way) {
    case 0: CHECK_OK(parley_peer_close(pair.client, pair.to_server, 0)); break;
    case 1: CHECK_OK(parley_peer_close(pair.server, pair.to_client, 0)); break;
    case 2: CHECK_OK(parley_ban(pair.client, "127.0.0.1", 1)); break;
    default: CHECK_OK(parley_close(pair.client)); break;
    }
    CHECK_REACHES(&it.ends, 1);
    free_pair(pair);
    CHECK_INT(event_count(&it.answers), unanswered);
}

static void other_forms(void) {
    parley_options options = loopback();
    parley_answer answer_;
    pair pair;
    options.codec = PARLEY_CODEC_GOB;
    pair = connected(&options, &options);
    CHECK_CODE(
        parley_request(pair.client, pair.to_server, "x", 1, LIMIT_MS, &answer_), PARLEY_ENOTSUP);
    CHECK_CONTAINS((const char *)answer_.payload, "has no requests");
    parley_answer_release(&answer_);
    CHECK_CODE(parley_reply(pair.server, pair.to_client, 1, "x", 1, LIMIT_MS), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "answered already, or never came");
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("blocking");
    blocking();
    trying("side by side");
    side_by_side();
    trying("callbacks");
    callbacks();
    trying("limits");
    limits();
    trying("the end");
    for (int way = 0; way < 4; way++) ends(way);
    trying("other wire forms");
    other_forms();
    return 0;
}
