#define _GNU_SOURCE
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPIN_NS = 50000 };

static struct sockaddr_in address_of(const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

void raw_no_delay(int fd) { setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); }

void raw_set_blocking(int fd, bool blocking) {
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

int raw_listen(const struct bench_options *options, int *port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    struct sockaddr_in address = address_of(options->hosts > 1 ? "0.0.0.0" : options->host, options->port);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) bench_fail("bind", errno);
    if (listen(fd, SOMAXCONN) != 0) bench_fail("listen", errno);
    socklen_t length = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &length);
    *port = ntohs(address.sin_port);
    return fd;
}

int raw_connect(const struct bench_options *options, unsigned n) {
    char host[16];
    bench_host(options, n, host);
    struct sockaddr_in address = address_of(host, options->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) bench_fail("socket", errno);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) bench_fail("connect", errno);
    raw_no_delay(fd);
    return fd;
}

void raw_write_all(int fd, const void *data, size_t count) {
    const char *next = data;
    while (count > 0) {
        ssize_t written = send(fd, next, count, MSG_NOSIGNAL);
        if (written < 0) {
            if (errno == EINTR) continue;
            bench_fail("send", errno);
        }
        next += written;
        count -= (size_t)written;
    }
}

size_t raw_read(int fd, void *data, size_t count, bool spins) {
    if (spins) {
        uint64_t end = bench_now() + SPIN_NS;
        do {
            ssize_t got = recv(fd, data, count, MSG_DONTWAIT);
            if (got >= 0) return (size_t)got;
            if (errno != EAGAIN) return 0;
            sched_yield();
        } while (bench_now() < end);
    }
    for (;;) {
        ssize_t got = recv(fd, data, count, 0);
        if (got >= 0) return (size_t)got;
        if (errno != EINTR) return 0;
    }
}

size_t raw_message(const struct bench_options *options, uint8_t *at, uint8_t purpose) {
    return options->unframed ? frame_put_unframed(at, purpose, options->bytes)
                             : frame_put(at, purpose, options->bytes);
}
