#include "raw.h"

#include <errno.h>
#include <string.h>

void ping(const struct bench_options *options) {
    static uint8_t message[FRAME_HEADER + FRAME_LIMIT], answer[FRAME_HEADER + FRAME_LIMIT];
    size_t count = raw_message(options, message, FRAME_ECHO);
    /* The reference's way back has the type byte too. */
    bool spins = strcmp(options->door, "spin") == 0;
    int fd = raw_connect(options, 0);
    bench_ready(0);
    for (;;) {
        uint64_t begun = bench_now();
        raw_write_all(fd, message, count);
        for (size_t have = 0; have < count;) {
            size_t got = raw_read(fd, answer + have, count - have, spins);
            if (got == 0) bench_fail("the server is gone", 0);
            have += got;
        }
        bench_round_trip(bench_now() - begun);
    }
}
