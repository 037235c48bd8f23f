#include "common.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_BYTES = 256 << 10, TURNS_WRITES = 4, HIGH_WATER = 1 << 20 };

static const struct bench_options *options;
static uv_tcp_t tcp;
static uv_connect_t connecting;
static struct outgoing outgoing;

/* --- On the loop: encode a batch, write it, and again -------------------------------------------------- */

static uv_idle_t idle;

static void write_batches(uv_idle_t *handle) {
    (void)handle;
    for (int i = 0; i < TURNS_WRITES; i++) {
        size_t used = 0, messages = 0;
        while (used < BATCH_BYTES) {
            used += frame_put(outgoing.bytes + used, FRAME_SINK, options->bytes);
            messages++;
        }
        bench_add(messages, used);
        if (!write_now(&tcp, &outgoing, used)) {
            uv_idle_stop(&idle);
            return;
        }
    }
}

static void go_on(struct outgoing *unused) {
    (void)unused;
    uv_idle_start(&idle, write_batches);
}

static void connected(uv_connect_t *request, int status) {
    (void)request;
    check(status, "connect");
    bench_ready(0);
    uv_idle_start(&idle, write_batches);
}

void flood(const struct bench_options *given) {
    options = given;
    outgoing = (struct outgoing){.bytes = malloc(BATCH_BYTES + FRAME_LIMIT + FRAME_HEADER), .done = go_on};
    uv_idle_init(uv_default_loop(), &idle);
    connect_to(options, 0, &tcp, &connecting, connected);
    run_loop(options);
}

/* --- From a thread: lock, append, wake the loop when there was nothing --------------------------------- */

static uv_async_t wakeup;
static uv_mutex_t lock;
static uv_cond_t has_room;
static uint8_t *filling;
static size_t filled;

static void write_filled(void) {
    while (!outgoing.is_writing) {
        uv_mutex_lock(&lock);
        size_t count = filled;
        uint8_t *bytes = filling;
        if (count > 0) {
            filling = outgoing.bytes;
            outgoing.bytes = bytes;
            filled = 0;
            uv_cond_signal(&has_room);
        }
        uv_mutex_unlock(&lock);
        if (count == 0) return;
        write_now(&tcp, &outgoing, count);
    }
}

static void wrote(struct outgoing *unused) {
    (void)unused;
    write_filled();
}

static void woken(uv_async_t *unused) {
    (void)unused;
    write_filled();
}

static void produce(void *unused) {
    (void)unused;
    for (;;) {
        uv_mutex_lock(&lock);
        while (filled >= HIGH_WATER) uv_cond_wait(&has_room, &lock);
        bool wakes = filled == 0;
        size_t count = frame_put(filling + filled, FRAME_SINK, options->bytes);
        filled += count;
        uv_mutex_unlock(&lock);
        if (wakes) uv_async_send(&wakeup);
        bench_add(1, count);
    }
}

static void connected_with_thread(uv_connect_t *request, int status) {
    static uv_thread_t thread;
    (void)request;
    check(status, "connect");
    bench_ready(0);
    check(uv_thread_create(&thread, produce, NULL), "thread");
}

void flood_from_thread(const struct bench_options *given) {
    options = given;
    outgoing = (struct outgoing){.bytes = malloc(HIGH_WATER + FRAME_LIMIT + FRAME_HEADER), .done = wrote};
    filling = malloc(HIGH_WATER + FRAME_LIMIT + FRAME_HEADER);
    uv_mutex_init(&lock);
    uv_cond_init(&has_room);
    uv_async_init(uv_default_loop(), &wakeup, woken);
    connect_to(options, 0, &tcp, &connecting, connected_with_thread);
    run_loop(options);
}
