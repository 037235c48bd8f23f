#include "raw.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As much as one write takes. */
enum { BATCH_BYTES = 256 << 10 };

static const struct bench_options *options;

static void *flood_one(void *connection) {
    uint8_t *batch = malloc(BATCH_BYTES + FRAME_LIMIT + FRAME_HEADER);
    int fd = (int)(intptr_t)connection;
    if (strcmp(options->door, "each") == 0) {
        size_t count = raw_message(options, batch, FRAME_SINK);
        for (;;) {
            raw_write_all(fd, batch, count);
            bench_add_shared(1, count);
        }
    }
    /* "load": encoded once and sent again and again, the most that any receiver can be given. */
    bool once = strcmp(options->door, "load") == 0;
    size_t used = 0, messages = 0;
    for (;;) {
        if (!once || used == 0) {
            used = messages = 0;
            while (used < BATCH_BYTES) {
                used += raw_message(options, batch + used, FRAME_SINK);
                messages++;
            }
        }
        raw_write_all(fd, batch, used);
        bench_add_shared(messages, used);
    }
    return NULL;
}

/* A thread for each connection. */
void flood(const struct bench_options *given) {
    options = given;
    int fd = raw_connect(options, 0);
    for (unsigned i = 1; i < options->peers; i++) {
        pthread_t thread;
        int status = pthread_create(&thread, NULL, flood_one, (void *)(intptr_t)raw_connect(options, i));
        if (status != 0) bench_fail("thread", status);
    }
    bench_ready(0);
    flood_one((void *)(intptr_t)fd);
}
