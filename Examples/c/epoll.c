/*
 * One thread with one epoll loop: sends standard input to a peer in messages, and prints its messages.
 *
 *     epoll localhost:3000                   connects to `chat :3000`, for example
 *
 * It receives through parley_fd(), the way for programs with an event loop of their own. What happens to
 * the peer comes through the same descriptor (`peer_event_capacity`): no callback runs on another thread.
 * While the peer has no room, the program does not read standard input: nothing is dropped, and memory stays
 * bounded.
 */
#include <parley.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static parley_peer peer;
static int loop;
static bool gone;
static char chunk[65536];
static size_t unsent; /* bytes of `chunk` that wait to be sent */

static void fail(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

static void watch(int descriptor, int operation) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (epoll_ctl(loop, operation, descriptor, &event) < 0) fail("cannot wait for a descriptor");
}

/* Sends what was read. Standard input is watched only while there is room for more. */
static void send_chunk(parley_transport *node) {
    int result = parley_send_message(node, peer, chunk, unsent, 0);
    if (result == PARLEY_EAGAIN) {
        parley_when_writable(node, peer, NULL, NULL);
        return;
    }
    if (result < 0) fprintf(stderr, "epoll: %s\n", parley_last_error());
    unsent = 0;
    watch(STDIN_FILENO, EPOLL_CTL_ADD);
}

/* Returns false at the end of the input. */
static bool read_chunk(parley_transport *node) {
    ssize_t count = read(STDIN_FILENO, chunk, sizeof chunk);
    if (count < 0) fail("standard input");
    if (count == 0) return false;
    unsent = (size_t)count - (chunk[count - 1] == '\n'); /* without the newline at the end */
    if (unsent == 0) return true;
    watch(STDIN_FILENO, EPOLL_CTL_DEL);
    send_chunk(node);
    return true;
}

/* Replaces control characters: a message may contain some, and must not control your terminal. In UTF-8
 * the byte 0xc2 and one from 0x80 to 0x9f are a control character, too. */
static void show(FILE *out, const uint8_t *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        bool is_c1 = i > 0 && text[i - 1] == 0xc2 && text[i] < 0xa0;
        putc(text[i] < ' ' || text[i] == 0x7f || is_c1 ? '?' : text[i], out);
    }
}

/* Takes what has arrived: messages, and what happened to the peer. */
static void take_items(parley_transport *node) {
    parley_rpc rpc;
    while (parley_try_consume(node, &rpc) == PARLEY_OK) {
        switch (rpc.kind) {
        case PARLEY_RPC_RECEIVED:
            if (rpc.stream) parley_peer_close_stream(node, rpc.peer);
            else show(stdout, rpc.payload, rpc.length), putchar('\n');
            break;
        case PARLEY_RPC_WRITABLE:
            if (unsent != 0) send_chunk(node);
            break;
        case PARLEY_RPC_DISCONNECTED:
            if (rpc.reason != PARLEY_ECLOSED) fprintf(stderr, "epoll: %s\n", (const char *)rpc.payload);
            gone = true;
            break;
        }
        parley_rpc_release(&rpc);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: epoll ADDRESS\n");
        return 64;
    }
    if ((loop = epoll_create1(EPOLL_CLOEXEC)) < 0) fail("epoll");

    parley_options options = PARLEY_OPTIONS_INIT;
    options.peer_event_capacity = 16;
    parley_transport *node;
    if (parley_create(&options, &node) < 0 || parley_dial(node, argv[1], PARLEY_FOREVER, &peer) < 0) {
        fprintf(stderr, "epoll: %s\n", parley_last_error());
        return EXIT_FAILURE;
    }

    watch(STDIN_FILENO, EPOLL_CTL_ADD);
    watch(parley_fd(node), EPOLL_CTL_ADD);
    for (bool more = true; more && !gone;) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, -1) < 0) {
            if (errno == EINTR) continue;
            fail("epoll");
        }
        if (event.data.fd == STDIN_FILENO) more = read_chunk(node);
        else take_items(node);
    }
    take_items(node);
    parley_free(node); /* writes out what was sent */
    return EXIT_SUCCESS;
}
