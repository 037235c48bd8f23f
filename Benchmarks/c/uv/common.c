#include "common.h"

#include <arpa/inet.h>
#include <sched.h>
#include <string.h>

enum { SPIN_NS = 50000 };

static uint64_t last_activity;

void check(int status, const char *what) {
    if (status < 0) bench_fail(what, -status);
}

void note_activity(void) { last_activity = 0; }

static void written(uv_write_t *request, int status) {
    struct outgoing *outgoing = request->data;
    check(status, "write");
    outgoing->is_writing = false;
    outgoing->done(outgoing);
}

bool write_now(uv_tcp_t *tcp, struct outgoing *outgoing, size_t count) {
    uv_buf_t buffer = uv_buf_init((char *)outgoing->bytes, (unsigned)count);
    int sent = uv_try_write((uv_stream_t *)tcp, &buffer, 1);
    if (sent < 0 && sent != UV_EAGAIN) check(sent, "try_write");
    if (sent > 0) buffer = uv_buf_init(buffer.base + sent, (unsigned)(count - (size_t)sent));
    if (buffer.len == 0) return true;
    outgoing->is_writing = true;
    outgoing->request.data = outgoing;
    check(uv_write(&outgoing->request, (uv_stream_t *)tcp, &buffer, 1, written), "write");
    return false;
}

void connect_to(const struct bench_options *options, unsigned n, uv_tcp_t *tcp, uv_connect_t *request,
                uv_connect_cb connected) {
    char host[16];
    struct sockaddr_in address;
    bench_host(options, n, host);
    uv_ip4_addr(host, options->port, &address);
    check(uv_tcp_init(uv_default_loop(), tcp), "init");
    check(uv_tcp_connect(request, tcp, (const struct sockaddr *)&address, connected), "connect");
    uv_tcp_nodelay(tcp, 1);
}

int listen_at(const struct bench_options *options, uv_tcp_t *listener, uv_connection_cb connected) {
    struct sockaddr_in address;
    uv_ip4_addr(options->hosts > 1 ? "0.0.0.0" : options->host, options->port, &address);
    check(uv_tcp_init(uv_default_loop(), listener), "init");
    check(uv_tcp_bind(listener, (const struct sockaddr *)&address, 0), "bind");
    check(uv_listen((uv_stream_t *)listener, 4096, connected), "listen");
    int length = sizeof address;
    uv_tcp_getsockname(listener, (struct sockaddr *)&address, &length);
    return ntohs(address.sin_port);
}

void run_loop(const struct bench_options *options) {
    if (strcmp(options->door, "spin") != 0) {
        for (;;) uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    }
    for (;;) {
        uv_run(uv_default_loop(), UV_RUN_NOWAIT);
        uint64_t now = bench_now();
        if (last_activity == 0) last_activity = now;
        if (now - last_activity < SPIN_NS) sched_yield();
        else uv_run(uv_default_loop(), UV_RUN_ONCE);
    }
}
