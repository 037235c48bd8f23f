/*
 * Yardstick of `make instructions`: C on libuv, one thread, one slab to read into, try_write before write.
 *
 * ROLE COUNT [PORT]: a listener prints READY and its port. The end of standard input ends the program.
 */
#include "frames.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { MESSAGE_BYTES = 64, BATCH_BYTES = 64 << 10 };

static uv_loop_t *loop;
static uv_pipe_t input;
static uv_tcp_t listener;
static size_t count;

static void check(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    exit(1);
}

static void release(uv_handle_t *handle) { free(handle); }

/* --- Messages: one connection -------------------------------------------------------------------------- */

static uint8_t in[FRAME_SLAB + FRAME_LIMIT + FRAME_HEADER];
static uint8_t out[FRAME_SLAB + FRAME_LIMIT + FRAME_HEADER];
/* Bytes of an unfinished frame at the front of `in`. */
static size_t unfinished;
static size_t received;

static void lend_slab(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)handle, (void)suggested;
    *buffer = uv_buf_init((char *)in + unfinished, FRAME_SLAB);
}

/* Returns the messages of one read; what is to be echoed is in `out`. */
static struct frames_taken take(uv_stream_t *stream, ssize_t got) {
    struct frames_taken taken = {0};
    if (got == 0) return taken;
    size_t all = unfinished + (size_t)(got > 0 ? got : 0);
    if (got < 0 || !frames_take(in, all, out, &taken)) {
        uv_close((uv_handle_t *)stream, release);
        return (struct frames_taken){0};
    }
    unfinished = all - taken.consumed;
    if (unfinished > 0) memmove(in, in + taken.consumed, unfinished);
    return taken;
}

/* For less than a socket takes. */
static void write_all(uv_stream_t *stream, size_t bytes) {
    uv_buf_t buffer = uv_buf_init((char *)out, (unsigned)bytes);
    if (uv_try_write(stream, &buffer, 1) != (int)bytes) check(UV_EAGAIN, "try_write");
}

static void echo(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)buffer;
    struct frames_taken taken = take(stream, got);
    if (taken.echoed > 0) write_all(stream, taken.echoed);
}

static void receive(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)buffer;
    struct frames_taken taken = take(stream, got);
    received += taken.messages;
    if (taken.messages > 0 && received == count) write_all(stream, frame_put(out, FRAME_SINK, MESSAGE_BYTES));
}

static void send_rest(uv_stream_t *stream);

static void written(uv_write_t *request, int status) {
    check(status, "write");
    send_rest(request->handle);
}

static void send_rest(uv_stream_t *stream) {
    static uv_write_t request;
    while (count > 0) {
        size_t used = 0;
        for (; used < BATCH_BYTES && count > 0; count--)
            used += frame_put(out + used, FRAME_SINK, MESSAGE_BYTES);
        uv_buf_t buffer = uv_buf_init((char *)out, (unsigned)used);
        int sent = uv_try_write(stream, &buffer, 1);
        if (sent == (int)used) continue;
        if (sent != UV_EAGAIN) check(sent, "try_write");
        size_t done = sent > 0 ? (size_t)sent : 0;
        buffer = uv_buf_init((char *)out + done, (unsigned)(used - done));
        check(uv_write(&request, stream, &buffer, 1, written), "write");
        return;
    }
}

static void begin_to_send(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)buffer;
    if (take(stream, got).messages > 0) send_rest(stream);
}

/* --- Connections: many, one after the other ------------------------------------------------------------ */

static char greeting[GREETING_BYTES] = "greeting";
static struct sockaddr_in address;

static void lend_greeting(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(greeting, sizeof greeting);
}

static void say_greeting(uv_stream_t *stream) {
    uv_buf_t buffer = uv_buf_init(greeting, sizeof greeting);
    if (uv_try_write(stream, &buffer, 1) != GREETING_BYTES) check(UV_EAGAIN, "greeting");
}

static void answer_greeting(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)buffer;
    if (got < 0) uv_close((uv_handle_t *)stream, release);
    else if (got == GREETING_BYTES) say_greeting(stream);
}

static void dial_next(uv_handle_t *last);

static void greeted(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)buffer;
    check((int)got, "greeting");
    if (got == GREETING_BYTES) uv_close((uv_handle_t *)stream, dial_next);
}

static void dialed(uv_connect_t *request, int status) {
    check(status, "connect");
    uv_tcp_nodelay((uv_tcp_t *)request->handle, 1);
    uv_read_start(request->handle, lend_greeting, greeted);
    say_greeting(request->handle);
}

static void dial_next(uv_handle_t *last) {
    static uv_connect_t request;
    free(last);
    if (count-- == 0) return;
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    uv_tcp_init(loop, tcp);
    check(uv_tcp_connect(&request, tcp, (struct sockaddr *)&address, dialed), "connect");
}

/* --- The program --------------------------------------------------------------------------------------- */

static uv_alloc_cb lend = lend_slab;
static uv_read_cb read_some;

static void accepted(uv_stream_t *server, int status) {
    check(status, "listen");
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    uv_tcp_init(loop, tcp);
    check(uv_accept(server, (uv_stream_t *)tcp), "accept");
    uv_tcp_nodelay(tcp, 1);
    uv_read_start((uv_stream_t *)tcp, lend, read_some);
}

static void listen_and_say_so(void) {
    int length = sizeof address;
    check(uv_tcp_init(loop, &listener), "init");
    check(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), "bind");
    check(uv_listen((uv_stream_t *)&listener, 128, accepted), "listen");
    check(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length), "getsockname");
    printf("READY %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void input_ended(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    (void)stream, (void)buffer;
    if (got < 0) exit(0);
}

int main(int argc, char **argv) {
    const char *role = argc > 2 ? argv[1] : "";
    count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    loop = uv_default_loop();
    uv_ip4_addr("127.0.0.1", argc > 3 ? atoi(argv[3]) : 0, &address);
    check(uv_pipe_init(loop, &input, 0), "init");
    check(uv_pipe_open(&input, 0), "standard input");
    check(uv_read_start((uv_stream_t *)&input, lend_slab, input_ended), "standard input");
    if (strcmp(role, "echo") == 0) read_some = echo;
    else if (strcmp(role, "receive") == 0) read_some = receive;
    else if (strcmp(role, "send") == 0) read_some = begin_to_send;
    else if (strcmp(role, "accept") == 0) lend = lend_greeting, read_some = answer_greeting;
    else if (strcmp(role, "dial") != 0) check(UV_EINVAL, "role");
    if (read_some) listen_and_say_so();
    else dial_next(NULL);
    return uv_run(loop, UV_RUN_DEFAULT);
}
