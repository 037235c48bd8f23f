#include "common.h"

#include <stdlib.h>
#include <string.h>

static const struct bench_options *options;
static uv_tcp_t listener;
static char bytes[GREETING_BYTES];
static unsigned dialed;

struct guest {
    uv_tcp_t tcp;
    uv_connect_t connecting;
    size_t have;
};

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void say_greeting(uv_stream_t *stream) {
    uv_buf_t greeting = uv_buf_init("greeting", GREETING_BYTES);
    check(uv_try_write(stream, &greeting, 1), "greeting");
}

/* --- The server ---------------------------------------------------------------------------------------- */

static void let_go(uv_handle_t *handle) { free(handle); }

static void answer(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)buffer;
    struct guest *guest = (struct guest *)stream;
    if (got < 0) {
        uv_close((uv_handle_t *)stream, let_go);
        return;
    }
    guest->have += (size_t)got;
    if (guest->have < GREETING_BYTES || got == 0) return;
    bench_add(1, GREETING_BYTES);
    say_greeting(stream);
}

static void accepted(uv_stream_t *server, int status) {
    check(status, "listen");
    struct guest *guest = calloc(1, sizeof *guest);
    uv_tcp_init(server->loop, &guest->tcp);
    check(uv_accept(server, (uv_stream_t *)&guest->tcp), "accept");
    uv_tcp_nodelay(&guest->tcp, 1);
    uv_read_start((uv_stream_t *)&guest->tcp, lend, answer);
}

void greet_serve(const struct bench_options *given) {
    options = given;
    bench_ready(listen_at(options, &listener, accepted));
    run_loop(options);
}

/* --- Those who greet ----------------------------------------------------------------------------------- */

static void begin(struct guest *guest);

static void again(uv_handle_t *handle) { begin((struct guest *)handle); }

static void greeted(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)buffer;
    struct guest *guest = (struct guest *)stream;
    if (got == 0) return;
    check((int)got, "answer");
    guest->have += (size_t)got;
    if (guest->have < GREETING_BYTES) return;
    bench_add(1, GREETING_BYTES);
    uv_close((uv_handle_t *)stream, again);
}

static void connected(uv_connect_t *request, int status) {
    check(status, "connect");
    say_greeting(request->handle);
    uv_read_start(request->handle, lend, greeted);
}

static void begin(struct guest *guest) {
    guest->have = 0;
    connect_to(options, dialed++, &guest->tcp, &guest->connecting, connected);
}

void greet(const struct bench_options *given) {
    options = given;
    bench_ready(0);
    struct guest *guests = calloc(options->peers, sizeof *guests);
    for (unsigned i = 0; i < options->peers; i++) begin(&guests[i]);
    run_loop(options);
}
