#include "raw.h"

#include <stdlib.h>
#include <string.h>

/* As much as one write takes. */
enum { BATCH_BYTES = 256 << 10 };

void flood(const struct bench_options *options) {
    uint8_t *batch = malloc(BATCH_BYTES + FRAME_LIMIT + FRAME_HEADER);
    int fd = raw_connect(options, 0);
    bench_ready(0);
    if (strcmp(options->door, "each") == 0) {
        size_t count = raw_message(options, batch, FRAME_SINK);
        for (;;) {
            raw_write_all(fd, batch, count);
            bench_add(1, count);
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
        bench_add(messages, used);
    }
}
