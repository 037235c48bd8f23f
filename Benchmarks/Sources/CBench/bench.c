#define _GNU_SOURCE
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct bench_counters bench_counters;

static struct bench_options options = {
    .role = "", .host = "127.0.0.1", .bytes = 64, .chunk = 256 << 10, .peers = 1, .streams = 1,
    .hosts = 1, .door = "", .path = "",
};
static sem_t gone_ahead;
static sem_t ready;

/* Of the library that counts allocations, when it is preloaded. */
extern uint64_t bench_allocations(void) __attribute__((weak));

/* --- The line of figures ------------------------------------------------------------------------------- */

static uint64_t cpu_us(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u
        + (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static long rss_kb(void) {
    long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm) {
        if (fscanf(statm, "%ld %ld", &pages, &resident) != 2) resident = 0;
        fclose(statm);
    }
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

struct bench_place bench_places[BENCH_PLACES] __attribute__((aligned(128)));
__thread struct bench_place *bench_place;

struct bench_place *bench_take_place(void) {
    static unsigned taken;
    return bench_place = &bench_places[__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED) % BENCH_PLACES];
}

static uint64_t middle_of(unsigned bucket) {
    if (bucket < BENCH_BUCKETS_PER_OCTAVE) return bucket;
    unsigned exponent = bucket / BENCH_BUCKETS_PER_OCTAVE + 5, part = bucket % BENCH_BUCKETS_PER_OCTAVE;
    uint64_t step = 1ull << (exponent - 6);
    return (BENCH_BUCKETS_PER_OCTAVE + part) * step + step / 2;
}

/* Of the round trips since the last mark; 0 when there are none. */
static uint64_t quantile(const uint64_t *since, uint64_t total, double part) {
    uint64_t wanted = (uint64_t)((double)total * part), seen = 0;
    for (unsigned bucket = 0; bucket < BENCH_BUCKETS; bucket++) {
        seen += since[bucket];
        if (seen > wanted) return middle_of(bucket);
    }
    return 0;
}

static void print_mark(void) {
    static uint64_t before[BENCH_BUCKETS], since[BENCH_BUCKETS];
    uint64_t ns = bench_now();
    uint64_t messages = __atomic_load_n(&bench_counters.messages, __ATOMIC_RELAXED);
    uint64_t bytes = __atomic_load_n(&bench_counters.bytes, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < BENCH_PLACES; i++) {
        messages += __atomic_load_n(&bench_places[i].messages, __ATOMIC_RELAXED);
        bytes += __atomic_load_n(&bench_places[i].bytes, __ATOMIC_RELAXED);
    }
    uint64_t cpu = cpu_us();
    long long allocations = bench_allocations ? (long long)bench_allocations() : -1;
    uint64_t total = 0;
    for (unsigned i = 0; i < BENCH_BUCKETS; i++) {
        uint64_t now = __atomic_load_n(&bench_counters.round_trips[i], __ATOMIC_RELAXED);
        since[i] = now - before[i];
        before[i] = now;
        total += since[i];
    }
    printf("MARK ns=%llu messages=%llu bytes=%llu cpu_us=%llu rss_kb=%ld allocations=%lld "
           "p50_ns=%llu p99_ns=%llu p999_ns=%llu\n",
           (unsigned long long)ns, (unsigned long long)messages, (unsigned long long)bytes,
           (unsigned long long)cpu,
           rss_kb(), allocations, (unsigned long long)quantile(since, total, 0.5),
           (unsigned long long)quantile(since, total, 0.99), (unsigned long long)quantile(
               since, total, 0.999));
    fflush(stdout);
}

/* --- Standard input ------------------------------------------------------------------------------------ */

/* Never returns: what a program holds is given back by its end, and a benchmark has nothing to finish. */
static void *listen_to_stdin(void *unused) {
    (void)unused;
    if (options.seconds > 0) {
        sem_wait(&ready);
        usleep(500000);
        print_mark();
        usleep((useconds_t)(options.seconds * 1e6));
        print_mark();
        _exit(0);
    }
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "mark\n") == 0) print_mark();
        else if (strcmp(line, "go\n") == 0) sem_post(&gone_ahead);
        else bench_fail("standard input wants mark or go", 0);
    }
    _exit(0);
}

void bench_wait_for_go(void) {
    while (sem_wait(&gone_ahead) != 0) {}
}

bool bench_was_told(void) { return sem_trywait(&gone_ahead) == 0; }

void bench_ready(int port) {
    printf("READY port=%d\n", port);
    fflush(stdout);
    sem_post(&ready);
}

void bench_say(const char *line) {
    puts(line);
    fflush(stdout);
}

void bench_fail(const char *what, int error) {
    fprintf(stderr, "%s: %s%s%s\n", options.role, what, error ? ": " : "", error ? strerror(error) : "");
    _exit(1);
}

/* --- The command line ---------------------------------------------------------------------------------- */

static void set_option(const char *name, const char *value) {
    if (strcmp(name, "--host") == 0) options.host = value;
    else if (strcmp(name, "--port") == 0) options.port = atoi(value);
    else if (strcmp(name, "--bytes") == 0) options.bytes = strtoul(value, NULL, 10);
    else if (strcmp(name, "--chunk") == 0) options.chunk = strtoul(value, NULL, 10);
    else if (strcmp(name, "--peers") == 0) options.peers = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--streams") == 0) options.streams = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--hosts") == 0) options.hosts = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--door") == 0) options.door = value;
    else if (strcmp(name, "--path") == 0) options.path = value;
    else if (strcmp(name, "--wire") == 0) options.unframed = strcmp(value, "reference") == 0;
    else if (strcmp(name, "--secured") == 0) options.secured = strcmp(value, "yes") == 0;
    else if (strcmp(name, "--seconds") == 0) options.seconds = atof(value);
    else bench_fail(name, EINVAL);
}

/* Each connection is a descriptor; root may lift the limit itself, others get what there is. */
static void lift_descriptor_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit wanted = {.rlim_cur = 65536, .rlim_max = 65536};
    if (limit.rlim_max > wanted.rlim_max) wanted.rlim_max = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

const struct bench_options *bench_start(int argc, char *const *argv) {
    options.role = argc > 1 ? argv[1] : "";
    for (int i = 2; i < argc; i += 2) set_option(argv[i], i + 1 < argc ? argv[i + 1] : "");
    if (options.hosts == 0) options.hosts = 1;
    lift_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    sem_init(&gone_ahead, 0, 0);
    sem_init(&ready, 0, 0);
    pthread_t thread;
    int status = pthread_create(&thread, NULL, listen_to_stdin, NULL);
    if (status != 0) bench_fail("no thread for standard input", status);
    pthread_detach(thread);
    return &options;
}

void bench_host(const struct bench_options *of, unsigned n, char *host) {
    if (of->hosts <= 1) snprintf(host, 16, "%s", of->host);
    else snprintf(host, 16, "127.0.0.%u", (unsigned)(uint8_t)(1 + n % of->hosts));
}
