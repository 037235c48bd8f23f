/* A peer that ends its sending and still reads gets the answers to what it sent. */
#include "check.h"

static const char frame[6] = {1, 0, 0, 0, 1, 'q'};

/* Reads up to the end. Returns how many bytes came, or -1 for a reset. */
static int read_all(int socket_fd, char *bytes, int size) {
    int length = 0;
    for (;;) {
        ssize_t count = recv(socket_fd, bytes + length, (size_t)(size - length), 0);
        if (count < 0) return -1;
        if (count == 0) return length;
        length += (int)count;
        CHECK(length < size);
    }
}

static int half_closed(parley_transport *node, int messages) {
    int socket_fd = raw_dial(node), index;
    for (index = 0; index < messages; index++) raw_send(socket_fd, frame, sizeof frame);
    CHECK(shutdown(socket_fd, SHUT_WR) == 0);
    return socket_fd;
}

/* A node that reports its ends to `it`, and has had a consumer. */
static parley_transport *consumed_node(parley_options *options, end_record *it, int close_timeout_ms) {
    parley_transport *node;
    parley_rpc none;
    options->on_disconnect = note_end;
    options->userdata = it;
    options->close_timeout_ms = close_timeout_ms;
    node = listening(options);
    CHECK_CODE(parley_try_consume(node, &none), PARLEY_EAGAIN);
    return node;
}

/* Answers each message after the end of input has arrived: a read says so. */
static void *answer_all(void *argument) {
    parley_transport *node = (parley_transport *)argument;
    parley_rpc rpcs[3];
    int count, index;
    uint8_t byte;
    while ((count = parley_consume_batch(node, rpcs, 3, PARLEY_FOREVER)) > 0) {
        for (index = 0; index < count; index++) {
            CHECK_INT(parley_read(node, rpcs[index].peer, &byte, 1, LIMIT_MS), 0);
            CHECK_OK(parley_send_message(node, rpcs[index].peer, "a", 1, LIMIT_MS));
            parley_rpc_release(&rpcs[index]);
        }
    }
    CHECK_CODE(count, PARLEY_ECLOSED);
    return NULL;
}

/* Many clients at once, one consumer or several: each gets every answer. */
static void answers_arrive(int threads, size_t loops) {
    enum { most = 200 };
    const int clients = (int)scaled(most, 40), messages = 2;
    static end_record it = {EVENT_INIT, 0};
    parley_options options = loopback();
    parley_transport *node;
    pthread_t consumers[4];
    int sockets[most], index, answered = 0;
    long before = event_count(&it.gone);
    options.loops = loops;
    /* Valgrind is slow: nobody is cut off early there. */
    node = consumed_node(&options, &it, LIMIT_MS);
    for (index = 0; index < threads; index++) consumers[index] = start_thread(answer_all, node);
    for (index = 0; index < clients; index++) sockets[index] = half_closed(node, messages);
    for (index = 0; index < clients; index++) {
        char bytes[64];
        if (read_all(sockets[index], bytes, sizeof bytes) == messages * 6) answered += 1;
        close(sockets[index]);
    }
    CHECK_INT(answered, clients);
    CHECK_REACHES(&it.gone, before + clients);
    CHECK_CODE(it.reason, PARLEY_EOF);
    CHECK_OK(parley_close(node));
    for (index = 0; index < threads; index++) join(consumers[index]);
    CHECK_OK(parley_free(node));
}

/* The peer is open until its last RPC is released; then its end follows at once. */
static void open_until_released(void) {
    static end_record it = {EVENT_INIT, 0};
    parley_options options = loopback();
    parley_transport *node;
    parley_rpc first, second, kept;
    uint8_t byte;
    char bytes[64];
    int socket_fd;
    node = consumed_node(&options, &it, 600000);
    socket_fd = half_closed(node, 2);
    CHECK_OK(parley_consume(node, &first, LIMIT_MS));
    CHECK_OK(parley_consume(node, &second, LIMIT_MS));
    CHECK_OK(parley_rpc_retain(&second, &kept));
    /* The end of input has arrived when a read says so. */
    CHECK_INT(parley_read(node, first.peer, &byte, 1, LIMIT_MS), 0);
    parley_rpc_release(&first);
    parley_rpc_release(&second);
    await_callbacks(node);
    CHECK_INT(event_count(&it.gone), 0);
    CHECK_INT(parley_peers(node, NULL, 0), 1);
    CHECK_OK(parley_send_message(node, kept.peer, "a", 1, LIMIT_MS));
    parley_rpc_release(&kept);
    CHECK_INT(read_all(socket_fd, bytes, sizeof bytes), 6);
    CHECK_REACHES(&it.gone, 1);
    CHECK_CODE(it.reason, PARLEY_EOF);
    close(socket_fd);
    CHECK_OK(parley_free(node));
}

/* It is also closed by this side, by the transport's end, and after close_timeout_ms. */
static void other_ends(void) {
    static end_record it = {EVENT_INIT, 0};
    parley_options options = loopback();
    int way;
    for (way = 0; way < 3; way++) {
        parley_transport *node;
        parley_rpc rpc;
        uint8_t byte;
        char bytes[64];
        int socket_fd, code;
        int64_t count;
        node = consumed_node(&options, &it, way == 2 ? 2000 : 600000);
        socket_fd = half_closed(node, 1);
        CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
        count = parley_read(node, rpc.peer, &byte, 1, LIMIT_MS);
        code = parley_send_message(node, rpc.peer, "a", 1, LIMIT_MS);
        /* On a slow machine close_timeout_ms may be over by then. */
        if (way != 2) {
            CHECK_INT(count, 0);
            CHECK_OK(code);
        }
        if (way == 0) CHECK_OK(parley_peer_close(node, rpc.peer, LIMIT_MS));
        if (way == 1) CHECK_OK(parley_close(node));
        CHECK_REACHES(&it.gone, way + 1);
        CHECK_CODE(it.reason, PARLEY_EOF);
        CHECK_INT(read_all(socket_fd, bytes, sizeof bytes), code == PARLEY_OK ? 6 : 0);
        close(socket_fd);
        parley_rpc_release(&rpc);
        CHECK_OK(parley_free(node));
    }
}

/* A peer that has closed both directions is gone when its RPCs are released; a reset ends it at once. */
static void closed_and_reset(void) {
    static end_record it = {EVENT_INIT, 0};
    parley_options options = loopback();
    parley_transport *node;
    parley_rpc rpc;
    int socket_fd;
    node = consumed_node(&options, &it, 600000);
    socket_fd = raw_dial(node);
    raw_send(socket_fd, frame, sizeof frame);
    close(socket_fd);
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    CHECK_REACHES(&it.gone, 1);
    CHECK_CODE(it.reason, PARLEY_EOF);

    socket_fd = raw_dial(node);
    raw_send(socket_fd, frame, sizeof frame);
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    raw_reset(socket_fd);
    CHECK_REACHES(&it.gone, 2);
    CHECK_CODE(it.reason, PARLEY_ECONNRESET);
    parley_rpc_release(&rpc);
    CHECK_OK(parley_free(node));
}

/* A program that never consumes waits for a second at most. */
static void nobody_consumes(void) {
    static end_record it = {EVENT_INIT, 0};
    parley_options options = loopback();
    parley_transport *node;
    int socket_fd;
    options.on_disconnect = note_end;
    options.userdata = &it;
    options.close_timeout_ms = 600000;
    node = listening(&options);
    socket_fd = half_closed(node, 3);
    CHECK_REACHES(&it.gone, 1);
    CHECK_CODE(it.reason, PARLEY_EOF);
    close(socket_fd);
    CHECK_OK(parley_free(node));
}

/* With a callback the answer is on its way when it returns. */
static void answer(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    size_t index;
    (void)userdata;
    for (index = 0; index < count; index++)
        CHECK_OK(parley_send_message(transport, rpcs[index].peer, "a", 1, 0));
}

static void callbacks(void) {
    parley_options options = loopback();
    parley_transport *node;
    int index;
    options.on_rpcs = answer;
    node = listening(&options);
    for (index = 0; index < 20; index++) {
        char bytes[64];
        int socket_fd = half_closed(node, 2);
        CHECK_INT(read_all(socket_fd, bytes, sizeof bytes), 12);
        close(socket_fd);
    }
    CHECK_OK(parley_free(node));
}

int main(void) {
    begin(120);
    trying("answers arrive");
    answers_arrive(1, 1);
    answers_arrive(4, 1);
    answers_arrive(4, 2);
    trying("open until released");
    open_until_released();
    trying("other ends");
    other_ends();
    trying("closed and reset");
    closed_and_reset();
    trying("nobody consumes");
    nobody_consumes();
    trying("callbacks");
    callbacks();
    return 0;
}
