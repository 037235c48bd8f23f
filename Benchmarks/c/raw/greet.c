#define _GNU_SOURCE
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char greeting[GREETING_BYTES] = "greeting";

/* Eight bytes come, eight go back, and the other side closes. They come in one piece, but need not. */
struct guest {
    int fd;
    size_t have;
};

static void answer(struct guest *guest) {
    char bytes[GREETING_BYTES];
    ssize_t got = recv(guest->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        close(guest->fd);
        free(guest);
        return;
    }
    guest->have += (size_t)got;
    if (guest->have == GREETING_BYTES) {
        bench_add(1, GREETING_BYTES);
        raw_write_all(guest->fd, greeting, GREETING_BYTES);
    }
}

void greet_serve(const struct bench_options *options) {
    int port, listener = raw_listen(options, &port), poll_fd = epoll_create1(EPOLL_CLOEXEC);
    raw_set_blocking(listener, false);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
    bench_ready(port);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(poll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) {
                answer(events[i].data.ptr);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                raw_no_delay(fd);
                struct guest *guest = calloc(1, sizeof *guest);
                guest->fd = fd;
                event.data.ptr = guest;
                epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}

static void greet_in_turn(const struct bench_options *options) {
    for (unsigned n = 0;; n++) {
        char bytes[GREETING_BYTES];
        int fd = raw_connect(options, n);
        raw_write_all(fd, greeting, GREETING_BYTES);
        for (size_t have = 0; have < GREETING_BYTES;) {
            size_t got = raw_read(fd, bytes + have, GREETING_BYTES - have, false);
            if (got == 0) bench_fail("the server is gone", 0);
            have += got;
        }
        close(fd);
        bench_add(1, GREETING_BYTES);
    }
}

/* --- Many at once -------------------------------------------------------------------------------------- */

static void begin(const struct bench_options *options, struct guest *guest, int poll_fd) {
    static unsigned n;
    char host[16];
    bench_host(options, n++, host);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    guest->have = 0;
    guest->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    raw_no_delay(guest->fd);
    if (connect(guest->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        bench_fail("connect", errno);
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = guest};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, guest->fd, &event);
}

void greet(const struct bench_options *options) {
    bench_ready(0);
    if (options->peers <= 1) greet_in_turn(options);
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct guest *guests = calloc(options->peers, sizeof *guests);
    for (unsigned i = 0; i < options->peers; i++) begin(options, &guests[i], poll_fd);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(poll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct guest *guest = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                raw_write_all(guest->fd, greeting, GREETING_BYTES);
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = guest};
                epoll_ctl(poll_fd, EPOLL_CTL_MOD, guest->fd, &event);
                continue;
            }
            char bytes[GREETING_BYTES];
            ssize_t got = recv(guest->fd, bytes, sizeof bytes - guest->have, 0);
            if (got <= 0) bench_fail("the server is gone", got < 0 ? errno : 0);
            guest->have += (size_t)got;
            if (guest->have < GREETING_BYTES) continue;
            close(guest->fd);
            bench_add(1, GREETING_BYTES);
            begin(options, guest, poll_fd);
        }
    }
}
