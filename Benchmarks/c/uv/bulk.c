#include "common.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 1 << 20, FILE_BYTES = 256 << 10 };

static const struct bench_options *options;
static uv_tcp_t listener, tcp;
static uv_connect_t connecting;
static uint8_t *buffer;
static struct outgoing outgoing;

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *lent) {
    (void)handle, (void)suggested;
    *lent = uv_buf_init((char *)buffer, READ_BYTES);
}

static void accept_and_read(uv_stream_t *server, uv_read_cb read) {
    uv_tcp_init(server->loop, &tcp);
    check(uv_accept(server, (uv_stream_t *)&tcp), "accept");
    uv_tcp_nodelay(&tcp, 1);
    uv_read_start((uv_stream_t *)&tcp, lend, read);
}

static void listen_with(const struct bench_options *given, uv_connection_cb connected) {
    options = given;
    buffer = malloc(READ_BYTES);
    bench_ready(listen_at(options, &listener, connected));
    run_loop(options);
}

/* --- A stream without an end --------------------------------------------------------------------------- */

static void count_bytes(uv_stream_t *stream, ssize_t got, const uv_buf_t *lent) {
    (void)lent;
    if (got < 0) uv_read_stop(stream);
    else bench_add(1, (uint64_t)got);
}

static void bulk_connected(uv_stream_t *server, int status) {
    check(status, "listen");
    accept_and_read(server, count_bytes);
}

void bulk_serve(const struct bench_options *given) { listen_with(given, bulk_connected); }

static uv_idle_t idle;

static void write_chunk(uv_idle_t *unused) {
    (void)unused;
    bench_add(1, options->chunk);
    if (!write_now(&tcp, &outgoing, options->chunk)) uv_idle_stop(&idle);
}

static void go_on(struct outgoing *unused) {
    (void)unused;
    uv_idle_start(&idle, write_chunk);
}

static void connected(uv_connect_t *request, int status) {
    (void)request;
    check(status, "connect");
    bench_ready(0);
    uv_idle_start(&idle, write_chunk);
}

void bulk(const struct bench_options *given) {
    options = given;
    outgoing = (struct outgoing){.bytes = calloc(1, options->chunk), .done = go_on};
    uv_idle_init(uv_default_loop(), &idle);
    connect_to(options, 0, &tcp, &connecting, connected);
    run_loop(options);
}

/* --- Files: eight bytes of length, the file, and one byte back when it is written ---------------------- */

static uint64_t left;
static unsigned files;
static char path[4096];
static uv_file file = -1;
static uint8_t length[8];
static size_t length_have;

static void write_file(const uint8_t *bytes, size_t count) {
    uv_fs_t request;
    uv_buf_t piece = uv_buf_init((char *)bytes, (unsigned)count);
    check(uv_fs_write(NULL, &request, file, &piece, 1, -1, NULL), "write");
    uv_fs_req_cleanup(&request);
    bench_add(0, count);
    left -= count;
    if (left > 0) return;
    uv_fs_close(NULL, &request, file, NULL);
    file = -1;
    length_have = 0;
    bench_add(1, 0);
    uv_buf_t answer = uv_buf_init("!", 1);
    check(uv_try_write((uv_stream_t *)&tcp, &answer, 1), "answer");
    uv_fs_unlink(NULL, &request, path, NULL);
}

static void take_file(uv_stream_t *stream, ssize_t got, const uv_buf_t *lent) {
    if (got < 0) {
        uv_read_stop(stream);
        return;
    }
    const uint8_t *bytes = (const uint8_t *)lent->base;
    size_t count = (size_t)got;
    while (count > 0 && length_have < sizeof length) {
        length[length_have++] = *bytes++;
        count--;
        if (length_have < sizeof length) continue;
        uv_fs_t request;
        memcpy(&left, length, sizeof left);
        snprintf(path, sizeof path, "%s/received-%u", options->path, files++);
        file = uv_fs_open(NULL, &request, path, UV_FS_O_WRONLY | UV_FS_O_CREAT | UV_FS_O_EXCL, 0644, NULL);
        check(file, path);
    }
    if (count > 0) write_file(bytes, count);
}

static void file_connected(uv_stream_t *server, int status) {
    check(status, "listen");
    accept_and_read(server, take_file);
}

void file_serve(const struct bench_options *given) { listen_with(given, file_connected); }

static uv_file sending;
static int64_t offset;
static uint64_t size;

/* From the page cache a read is a copy: no worker thread is asked for it. */
static void send_piece(uv_idle_t *unused) {
    (void)unused;
    uv_fs_t request;
    uv_buf_t piece = uv_buf_init((char *)outgoing.bytes, FILE_BYTES);
    int got = uv_fs_read(NULL, &request, sending, &piece, 1, offset, NULL);
    check(got, "read");
    offset += got;
    if (got == 0) {
        uv_idle_stop(&idle);
        return;
    }
    if (!write_now(&tcp, &outgoing, (size_t)got)) uv_idle_stop(&idle);
}

static void go_on_with_file(struct outgoing *unused) {
    (void)unused;
    uv_idle_start(&idle, send_piece);
}

static void begin_file(void) {
    offset = 0;
    memcpy(outgoing.bytes, &size, sizeof size);
    if (write_now(&tcp, &outgoing, sizeof size)) go_on_with_file(NULL);
}

static void file_answered(uv_stream_t *stream, ssize_t got, const uv_buf_t *lent) {
    (void)stream, (void)lent;
    if (got == 0) return;
    check((int)got, "answer");
    bench_add(1, size);
    begin_file();
}

static void file_ready(uv_connect_t *request, int status) {
    (void)request;
    check(status, "connect");
    uv_read_start((uv_stream_t *)&tcp, lend, file_answered);
    bench_ready(0);
    begin_file();
}

void file_send(const struct bench_options *given) {
    uv_fs_t request;
    options = given;
    buffer = malloc(READ_BYTES);
    sending = uv_fs_open(NULL, &request, options->path, UV_FS_O_RDONLY, 0, NULL);
    check(sending, options->path);
    check(uv_fs_fstat(NULL, &request, sending, NULL), "stat");
    size = request.statbuf.st_size;
    outgoing = (struct outgoing){.bytes = malloc(FILE_BYTES), .done = go_on_with_file};
    uv_idle_init(uv_default_loop(), &idle);
    connect_to(options, 0, &tcp, &connecting, file_ready);
    run_loop(options);
}
