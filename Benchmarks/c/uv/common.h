#ifndef UV_COMMON_H
#define UV_COMMON_H

/* libuv as its own documentation and benchmarks use it: one loop, one slab to read into, try_write before
 * write. */

#include "bench.h"
#include "frames.h"

#include <uv.h>

/* Fails with libuv's own words. */
void check(int status, const char *what);

/* Bytes on their way out: written at once as far as they go, the rest by libuv, and then `done`. */
struct outgoing {
    uv_write_t request;
    bool is_writing;
    uint8_t *bytes;
    size_t capacity;
    void (*done)(struct outgoing *);
    void *owner;
};

/* Writes `count` of outgoing->bytes; true when all of them went, otherwise `done` follows. */
bool write_now(uv_tcp_t *tcp, struct outgoing *outgoing, size_t count);

void connect_to(const struct bench_options *options, unsigned n, uv_tcp_t *tcp, uv_connect_t *request,
                uv_connect_cb connected);
/* Returns the port. */
int listen_at(const struct bench_options *options, uv_tcp_t *listener, uv_connection_cb connected);
/* Runs the loop for ever; with the door `spin` it asks again and again for a while before it waits. */
void run_loop(const struct bench_options *options) __attribute__((noreturn));
/* Something has happened, for a loop that spins. */
void note_activity(void);

void serve(const struct bench_options *options);
void ping(const struct bench_options *options);
void flood(const struct bench_options *options);
void flood_from_thread(const struct bench_options *options);
void bulk_serve(const struct bench_options *options);
void bulk(const struct bench_options *options);
void file_serve(const struct bench_options *options);
void file_send(const struct bench_options *options);
void greet_serve(const struct bench_options *options);
void greet(const struct bench_options *options);

#endif
