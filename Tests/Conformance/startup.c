/* Measures how long creating and freeing a transport takes. The time is printed, not judged. */
#include "check.h"

static int by_size(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return difference < 0 ? -1 : difference > 0;
}

static void measure(const char *what, bool listens) {
    enum { most = 500 };
    static double times[most];
    const size_t rounds = scaled(most, 20);
    parley_options options = loopback();
    size_t index;
    for (index = 0; index < rounds; index++) {
        double begun = now_ms();
        parley_transport *node = create(&options);
        if (listens) CHECK_OK(parley_listen(node));
        CHECK_OK(parley_free(node));
        times[index] = now_ms() - begun;
    }
    qsort(times, rounds, sizeof times[0], by_size);
    printf("  %s: median %.3f ms, longest %.3f ms\n", what, times[rounds / 2], times[rounds - 1]);
}

int main(void) {
    begin(60);
    measure("create and free", false);
    measure("create, listen and free", true);
    return 0;
}
