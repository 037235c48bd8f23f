/*
 * One thread with one epoll loop: sends standard input to a peer in messages, and prints its messages.
 *
 *     epoll localhost:3000                   connects to `chat :3000`, for example
 *
 * It receives through parley_fd(), the way for programs with an event loop of their own. While the peer has
 * no room, the program does not read standard input: nothing is dropped, and memory stays bounded.
 */
#include <parley.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static parley_peer peer;
static int loop, wake;
static atomic_bool gone;
static char chunk[65536];
static size_t unsent; /* bytes of `chunk` that wait to be sent */

static void fail(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

/* Parley's callbacks run on Parley's thread. Here they only wake this program's loop. */
static void wake_up(void) {
    if (eventfd_write(wake, 1) < 0) perror("eventfd");
}

static void on_disconnect(
    parley_transport *node, parley_peer which, int reason, const char *message, void *userdata) {
    (void)node, (void)which, (void)userdata;
    if (reason != PARLEY_ECLOSED) fprintf(stderr, "epoll: %s\n", message);
    atomic_store(&gone, true);
    wake_up();
}

static void on_writable(parley_transport *node, parley_peer which, void *argument) {
    (void)node, (void)which, (void)argument;
    wake_up();
}

static void watch(int descriptor, int operation) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (epoll_ctl(loop, operation, descriptor, &event) < 0) fail("cannot wait for a descriptor");
}

/* Sends what was read. Standard input is watched only while there is room for more. */
static void send_chunk(parley_transport *node) {
    int result = parley_send_message(node, peer, chunk, unsent, 0);
    if (result == PARLEY_EAGAIN) {
        parley_when_writable(node, peer, on_writable, NULL);
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

static void print_messages(parley_transport *node) {
    parley_rpc rpc;
    while (parley_try_consume(node, &rpc) == PARLEY_OK) {
        if (rpc.stream) parley_close_stream(node, rpc.peer);
        else fwrite(rpc.payload, 1, rpc.length, stdout), putchar('\n');
        parley_rpc_release(&rpc);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: epoll ADDRESS\n");
        return 64;
    }
    if ((loop = epoll_create1(EPOLL_CLOEXEC)) < 0 || (wake = eventfd(0, EFD_CLOEXEC)) < 0) fail("epoll");

    parley_options options = PARLEY_OPTIONS_INIT;
    options.on_disconnect = on_disconnect;
    parley_transport *node;
    if (parley_create(&options, &node) < 0 || parley_dial(node, argv[1], PARLEY_FOREVER, &peer) < 0) {
        fprintf(stderr, "epoll: %s\n", parley_last_error());
        return EXIT_FAILURE;
    }

    watch(STDIN_FILENO, EPOLL_CTL_ADD);
    watch(parley_fd(node), EPOLL_CTL_ADD);
    watch(wake, EPOLL_CTL_ADD);
    for (bool more = true; more && !atomic_load(&gone);) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, -1) < 0) {
            if (errno == EINTR) continue;
            fail("epoll");
        }
        if (event.data.fd == STDIN_FILENO) more = read_chunk(node);
        else if (event.data.fd == parley_fd(node)) print_messages(node);
        else if (eventfd_read(wake, &(eventfd_t){0}) == 0 && unsent != 0) send_chunk(node);
    }
    print_messages(node);
    parley_free(node); /* writes out what was sent */
    return EXIT_SUCCESS;
}
