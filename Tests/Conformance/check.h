/*
 * Shared by the conformance programs: checks that name their line, a watchdog, events to wait for, and two
 * connected nodes. Every program compiles as C11 and as C++17.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <parley.h>

/* ---- Checks: the first failure ends the program ---- */

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition, NULL))

/* Checks that an integer has this value. */
#define CHECK_INT(expression, expected) \
    check_int(__FILE__, __LINE__, #expression, (long long)(expression), (long long)(expected))

/* Checks that a call returns this code. */
#define CHECK_CODE(call, expected) check_code(__FILE__, __LINE__, #call, (int)(call), (int)(expected))
#define CHECK_OK(call) CHECK_CODE(call, PARLEY_OK)

/* Checks that a text contains another one. */
#define CHECK_CONTAINS(text, part) check_contains(__FILE__, __LINE__, #text, text, part)

static inline void check_failed(const char *file, int line, const char *what, const char *details) {
    fprintf(stderr, "%s:%d: failed: %s%s%s\n", file, line, what, details ? ": " : "", details ? details : "");
    fflush(stderr);
    /* Not exit(): the library's threads still run, and a report of leaks would hide the failure. */
    _exit(1);
}

static inline void check_int(const char *file, int line, const char *what, long long is, long long expected) {
    char details[80];
    if (is == expected) return;
    snprintf(details, sizeof details, "is %lld, expected %lld", is, expected);
    check_failed(file, line, what, details);
}

static inline void check_code(const char *file, int line, const char *what, int code, int expected) {
    char details[512];
    if (code == expected) return;
    snprintf(
        details, sizeof details, "is %d (%s), expected %d (%s); last error: %s", code, parley_err_name(code),
             expected, parley_err_name(expected), parley_last_error());
    check_failed(file, line, what, details);
}

static inline void check_contains(
    const char *file, int line, const char *what, const char *text, const char *part) {
    char details[1024];
    if (text != NULL && strstr(text, part) != NULL) return;
    snprintf(details, sizeof details, "\"%s\" does not contain \"%s\"", text ? text : "(null)", part);
    check_failed(file, line, what, details);
}

/* ---- Start and watchdog ---- */

/* Valgrind is about thirty times slower: conformance.sh sets a variable, and payloads are smaller. */
static inline bool is_slow(void) { return getenv("PARLEY_CONFORMANCE_SLOW") != NULL; }

static inline size_t scaled(size_t usual, size_t slow) { return is_slow() ? slow : usual; }

/* The time limit for anything that must happen. */
#define LIMIT_MS (is_slow() ? 120000 : 60000)

static inline void watchdog(int number) {
    static const char message[] = "watchdog: the program hangs\n";
    ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
    (void)written;
    (void)number;
    _exit(2);
}

/* Ends a program that hangs: after twice this many seconds, so that a LIMIT_MS tells first what it waits for.
 * Also makes its output line-buffered. */
static inline void begin(int seconds) {
    signal(SIGALRM, watchdog);
    alarm((unsigned)(is_slow() ? 4 * seconds : 2 * seconds));
    setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Prints the next step, so that the last line shows where a program hangs. */
static inline void trying(const char *what) { printf("  %s\n", what); }

static inline double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static inline void sleep_ms(int ms) {
    struct timespec time;
    time.tv_sec = ms / 1000;
    time.tv_nsec = (long)(ms % 1000) * 1000000;
    nanosleep(&time, NULL);
}

/* Checks that a condition becomes true within LIMIT_MS. It is evaluated until then. */
#define CHECK_EVENTUALLY(condition) \
    do { \
        const double limit_ = now_ms() + LIMIT_MS; \
        while (!(condition)) { \
            if (now_ms() > limit_) check_failed(__FILE__, __LINE__, #condition, "still not true"); \
            sleep_ms(1); \
        } \
    } while (0)

/* ---- Events: a count that threads wait for ---- */

typedef struct event {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    long count;
} event;

#define EVENT_INIT { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

static inline void event_add(event *event, long count) {
    pthread_mutex_lock(&event->lock);
    event->count += count;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->lock);
}

static inline long event_count(event *event) {
    long count;
    pthread_mutex_lock(&event->lock);
    count = event->count;
    pthread_mutex_unlock(&event->lock);
    return count;
}

/* Where there is no pthread_cond_clockwait(), setting the clock changes how long a wait takes. */
#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 30)
#define EVENT_CLOCK CLOCK_MONOTONIC
#define event_wait(event, end) pthread_cond_clockwait(&(event)->changed, &(event)->lock, EVENT_CLOCK, end)
#endif
#endif
#ifndef EVENT_CLOCK
#define EVENT_CLOCK CLOCK_REALTIME
#define event_wait(event, end) pthread_cond_timedwait(&(event)->changed, &(event)->lock, end)
#endif

/* Waits until the count has reached `count`. Returns false when `ms` pass first. */
static inline bool event_reaches(event *event, long count, int ms) {
    struct timespec end;
    bool reached;
    clock_gettime(EVENT_CLOCK, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec += 1;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&event->lock);
    while (event->count < count && event_wait(event, &end) == 0) {}
    reached = event->count >= count;
    pthread_mutex_unlock(&event->lock);
    return reached;
}

#define CHECK_REACHES(event, count) CHECK(event_reaches(event, count, LIMIT_MS))

/* ---- Threads ---- */

static inline pthread_t start_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

static inline void join(pthread_t thread) { CHECK(pthread_join(thread, NULL) == 0); }

/* ---- Nodes ---- */

static parley_identity *shared_identity;

static inline void make_shared_identity(void) {
    if (parley_identity_generate(&shared_identity) != PARLEY_OK) _exit(3);
}

static inline const parley_identity *some_identity(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_shared_identity);
    return shared_identity;
}

/* conformance.sh sets a variable, and the nodes of a program secure their connections. */
static inline const parley_identity *usual_identity(void) {
    return getenv("PARLEY_CONFORMANCE_SECURED") == NULL ? NULL : some_identity();
}

/* Default options, on loopback. A machine that stands still for seconds ends no handshake. */
static inline parley_options loopback(void) {
    parley_options options = PARLEY_OPTIONS_INIT;
    options.listen_address = "127.0.0.1:0";
    options.identity = usual_identity();
    options.handshake_timeout_ms = LIMIT_MS;
    return options;
}

static inline parley_transport *create(const parley_options *options) {
    parley_transport *transport = NULL;
    CHECK_OK(parley_create(options, &transport));
    CHECK(transport != NULL);
    return transport;
}

static inline parley_transport *listening(const parley_options *options) {
    parley_transport *transport = create(options);
    CHECK_OK(parley_listen(transport));
    return transport;
}

/* Dials a node of this process. */
static inline parley_peer dial(parley_transport *from, parley_transport *to) {
    char address[64];
    parley_peer peer = PARLEY_NO_PEER;
    int length = parley_address(to, address, sizeof address);
    CHECK(length > 0 && (size_t)length < sizeof address);
    CHECK_OK(parley_dial(from, address, LIMIT_MS, &peer));
    CHECK(peer != PARLEY_NO_PEER);
    return peer;
}

/* Waits until a node has this many open peers, and returns the last one. Programs that test on_peer wait for
 * on_peer instead. */
static inline parley_peer await_peers(parley_transport *transport, size_t count) {
    parley_peer peers[256];
    CHECK(count <= 256);
    CHECK_EVENTUALLY(parley_peers(transport, peers, 256) == count);
    return count ? peers[count - 1] : PARLEY_NO_PEER;
}

static inline parley_statistics statistics_of(parley_transport *transport) {
    parley_statistics statistics;
    CHECK_OK(parley_get_statistics(transport, &statistics, sizeof statistics));
    return statistics;
}

static inline void passed_by(void *argument) { event_add((event *)argument, 1); }

/* Waits until the loop's current callback, if any, has returned. A peer's number is valid until then. */
static inline void await_callbacks(parley_transport *node) {
    event passed = EVENT_INIT;
    CHECK_OK(parley_post(node, passed_by, &passed));
    CHECK_REACHES(&passed, 1);
}

/* An on_disconnect that counts the ends, and keeps the last reason. The userdata is the record. */
typedef struct end_record {
    event gone;
    int reason;
} end_record;

static inline void note_end(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    end_record *it = (end_record *)userdata;
    (void)transport;
    (void)peer;
    (void)message;
    it->reason = reason;
    event_add(&it->gone, 1);
}

/* Two connected nodes, and the number that each has for the other. */
typedef struct pair {
    parley_transport *server, *client;
    parley_peer to_client, to_server;
} pair;

/* Waits until so many bytes of the client have come to the server, and a reader has taken them. */
static inline void await_read(pair pair, uint64_t bytes) {
    parley_peer_statistics statistics;
    CHECK_EVENTUALLY(
        parley_peer_get_statistics(
            pair.server, pair.to_client, &statistics, sizeof statistics) == PARLEY_OK &&
        statistics.traffic.bytes_received == bytes && statistics.unread_bytes == 0);
}

static inline pair connected(const parley_options *server, const parley_options *client) {
    pair pair;
    pair.server = listening(server);
    pair.client = create(client);
    pair.to_server = dial(pair.client, pair.server);
    pair.to_client = await_peers(pair.server, 1);
    return pair;
}

static inline void free_pair(pair pair) {
    CHECK_OK(parley_free(pair.client));
    CHECK_OK(parley_free(pair.server));
}

/* A plain socket that is connected to a node, for bytes that no node would send. */
static inline int raw_dial(parley_transport *to) {
    char address[64];
    struct sockaddr_in target;
    int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(socket_fd >= 0);
    parley_address(to, address, sizeof address);
    memset(&target, 0, sizeof target);
    target.sin_family = AF_INET;
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    CHECK(connect(socket_fd, (struct sockaddr *)&target, sizeof target) == 0);
    return socket_fd;
}

static inline void raw_send(int socket_fd, const void *bytes, size_t length) {
    CHECK(send(socket_fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
}

/* Closes the socket with a reset. */
static inline void raw_reset(int socket_fd) {
    struct linger linger;
    linger.l_onoff = 1;
    linger.l_linger = 0;
    CHECK(setsockopt(socket_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(socket_fd);
}

/* ---- Content ---- */

/* Bytes that differ by position, so that losses, duplicates and moves are detected. */
static inline uint8_t content(uint64_t position) { return (uint8_t)((position * 2654435761u) >> 13); }

static inline void fill_content(uint8_t *bytes, size_t length, uint64_t position) {
    size_t index;
    for (index = 0; index < length; index++) bytes[index] = content(position + index);
}

static inline bool is_content(const uint8_t *bytes, size_t length, uint64_t position) {
    size_t index;
    for (index = 0; index < length; index++)
        if (bytes[index] != content(position + index)) return false;
    return true;
}

/* Makes a new folder with a unique name. */
static inline void make_folder(char path[64]) {
    strcpy(path, "/tmp/parley-conformance-XXXXXX");
    CHECK(mkdtemp(path) != NULL);
}

/* Returns how many files a folder has. With `removes`, deletes them and the folder. */
static inline int count_files(const char *path, bool removes) {
    struct dirent *entry;
    int count = 0;
    DIR *folder = opendir(path);
    CHECK(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        count += 1;
        if (removes) CHECK(unlinkat(dirfd(folder), entry->d_name, 0) == 0);
    }
    closedir(folder);
    if (removes) CHECK(rmdir(path) == 0);
    return count;
}

#endif
