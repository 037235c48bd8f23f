#define _GNU_SOURCE
#include "raw.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connects as many and leaves them be; each `go` sends one message over every one of them. */
void open_many(const struct bench_options *options) {
    static uint8_t message[FRAME_HEADER + FRAME_LIMIT];
    size_t count = raw_message(options, message, FRAME_SINK);
    int *fds = calloc(options->peers, sizeof *fds);
    for (unsigned i = 0; i < options->peers; i++) fds[i] = raw_connect(options, i);
    bench_ready(0);
    for (;;) {
        bench_wait_for_go();
        for (unsigned i = 0; i < options->peers; i++) raw_write_all(fds[i], message, count);
        bench_say("SENT");
    }
}

/* A message on its way over each of many connections all the time. */
void keep_many_busy(const struct bench_options *options) {
    static uint8_t message[FRAME_HEADER + FRAME_LIMIT], answer[FRAME_HEADER + FRAME_LIMIT];
    size_t count = raw_message(options, message, FRAME_ECHO);
    struct connection {
        int fd;
        size_t have;
    } *connections = calloc(options->peers, sizeof *connections);
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < options->peers; i++) {
        connections[i].fd = raw_connect(options, i);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, connections[i].fd, &event);
    }
    bench_ready(0);
    for (unsigned i = 0; i < options->peers; i++) raw_write_all(connections[i].fd, message, count);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll_fd, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            ssize_t got = recv(connection->fd, answer, count - connection->have, MSG_DONTWAIT);
            if (got <= 0) bench_fail("the server is gone", got < 0 ? errno : 0);
            connection->have += (size_t)got;
            if (connection->have < count) continue;
            connection->have = 0;
            bench_add(1, count);
            raw_write_all(connection->fd, message, count);
        }
    }
}
