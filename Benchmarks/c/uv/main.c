#include "common.h"

#include <string.h>

int main(int argc, char **argv) {
    const struct bench_options *options = bench_start(argc, argv);
    const struct {
        const char *role;
        void (*run)(const struct bench_options *);
    } roles[] = {
        {"serve", serve}, {"ping", ping},
        {"flood", strcmp(options->door, "thread") == 0 ? flood_from_thread : flood},
        {"bulk-serve", bulk_serve}, {"bulk", bulk},
        {"file-serve", file_serve}, {"file", file_send},
        {"greet-serve", greet_serve}, {"greet", greet},
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(options->role, roles[i].role) == 0) roles[i].run(options);
    bench_fail("no such role", 0);
}
