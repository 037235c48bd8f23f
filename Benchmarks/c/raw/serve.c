#define _GNU_SOURCE
#include "raw.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection owns what it has of an unfinished frame, and nothing while it has none. */
struct connection {
    int fd;
    uint8_t *rest;
    size_t rest_count;
};

/* One for each thread that reads. */
struct slab {
    uint8_t in[FRAME_SLAB + FRAME_LIMIT + FRAME_HEADER];
    uint8_t out[FRAME_SLAB + FRAME_LIMIT + FRAME_HEADER];
};

static const struct bench_options *options;

static void keep_rest(struct connection *connection, const uint8_t *data, size_t count) {
    if (count > 0) {
        connection->rest = realloc(connection->rest, FRAME_LIMIT + FRAME_HEADER);
        memcpy(connection->rest, data, count);
    } else if (connection->rest) {
        free(connection->rest);
        connection->rest = NULL;
    }
    connection->rest_count = count;
}

/* A reply finds room at once unless the other side does not read; then this server waits, having nothing
 * better. */
static void reply(int fd, const uint8_t *data, size_t count) {
    while (count > 0) {
        ssize_t written = send(fd, data, count, MSG_NOSIGNAL);
        if (written < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else if (written < 0) {
            return;
        } else {
            data += written;
            count -= (size_t)written;
        }
    }
}

/* What was read into the slab behind the rest of the connection; false when the connection is to end. */
static bool handle(struct connection *connection, struct slab *slab, size_t got) {
    if (options->unframed) {
        /* The wire does not say where a message ends: its length is known here. */
        size_t all = connection->rest_count + got, message = 1 + options->bytes;
        if (slab->in[1] == FRAME_ECHO) reply(connection->fd, slab->in, got);
        bench_add_shared(all / message, got);
        connection->rest_count = all % message;
        return true;
    }
    struct frames_taken taken;
    size_t all = connection->rest_count + got;
    if (!frames_take(slab->in, all, slab->out, &taken)) return false;
    keep_rest(connection, slab->in + taken.consumed, all - taken.consumed);
    bench_add_shared(taken.messages, got);
    if (taken.echoed > 0) reply(connection->fd, slab->out, taken.echoed);
    return true;
}

static uint8_t *place_to_read(struct connection *connection, struct slab *slab) {
    if (options->unframed || connection->rest_count == 0) return slab->in;
    memcpy(slab->in, connection->rest, connection->rest_count);
    return slab->in + connection->rest_count;
}

/* --- A thread for each connection ---------------------------------------------------------------------- */

static void *serve_one(void *argument) {
    struct connection connection = {.fd = (int)(intptr_t)argument};
    struct slab *slab = malloc(sizeof *slab);
    bool spins = strcmp(options->door, "spin") == 0;
    for (;;) {
        size_t got = raw_read(connection.fd, place_to_read(&connection, slab), FRAME_SLAB, spins);
        if (got == 0 || !handle(&connection, slab, got)) break;
    }
    close(connection.fd);
    keep_rest(&connection, NULL, 0);
    free(slab);
    return NULL;
}

void serve_with_threads(const struct bench_options *given) {
    options = given;
    int port, listener = raw_listen(options, &port);
    bench_ready(port);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) bench_fail("accept", errno);
        raw_no_delay(fd);
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) != 0) bench_fail("thread", EAGAIN);
        pthread_detach(thread);
    }
}

/* --- One loop for all ---------------------------------------------------------------------------------- */

static void accept_all(int listener, int poll_fd) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        raw_no_delay(fd);
        struct connection *connection = calloc(1, sizeof *connection);
        connection->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

void serve_with_epoll(const struct bench_options *given) {
    options = given;
    static struct slab slab;
    int port, listener = raw_listen(options, &port), poll_fd = epoll_create1(EPOLL_CLOEXEC);
    raw_set_blocking(listener, false);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
    bench_ready(port);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(poll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection) {
                accept_all(listener, poll_fd);
                continue;
            }
            ssize_t got = recv(connection->fd, place_to_read(connection, &slab), FRAME_SLAB, 0);
            if (got < 0 && errno == EAGAIN) continue;
            if (got > 0 && handle(connection, &slab, (size_t)got)) continue;
            close(connection->fd);
            keep_rest(connection, NULL, 0);
            free(connection);
        }
    }
}
