/*
 * Preloaded into a program, this lets its threads sleep at random around the calls by which they meet: locks,
 * writes, waits for events. What a test or the library takes to happen before something else, and does not
 * wait for, then comes out in a run or two rather than once in a hundred on somebody else's machine.
 *
 * A thread sleeps at one call in SHAKE_ONE_IN (default 5), mostly for less than a millisecond and sometimes
 * for up to SHAKE_LONGEST_US (default 8,000) microseconds, and then goes on undisturbed for as long again:
 * the work of millions of calls still comes to its end.
 *
 * Source: ld.so(8), LD_PRELOAD; dlsym(3), RTLD_NEXT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t one_in = 5, longest_us = 8000;

__attribute__((constructor)) static void read_settings(void) {
    const char *setting = getenv("SHAKE_ONE_IN");
    if (setting && atoi(setting) > 0) one_in = (uint64_t)atoi(setting);
    setting = getenv("SHAKE_LONGEST_US");
    if (setting && atoi(setting) > 0) longest_us = (uint64_t)atoi(setting);
}

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* xorshift64 (Marsaglia, 2003), seeded by thread and time. */
static uint64_t next_random(void) {
    static __thread uint64_t state;
    if (state == 0) state = (now_us() * 2654435761u ^ (uint64_t)syscall(SYS_gettid) << 32) | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 11;
}

static void maybe_sleep(void) {
    static __thread uint64_t undisturbed_until;
    uint64_t now = now_us();
    if (now < undisturbed_until || next_random() % one_in != 0) return;
    uint64_t us = next_random() % (next_random() % 10 == 0 ? longest_us : 1000);
    undisturbed_until = now + us + us / 2 + next_random() % 3000;
    int error = errno;
    /* The system call itself: nanosleep(3) may be one of the program's own. */
    syscall(SYS_nanosleep, &(struct timespec){us / 1000000, (long)(us % 1000000) * 1000}, NULL);
    errno = error;
}

/* Defines `name` as a call of the next one of that name, with a sleep before and after it. */
#define SHAKEN(result, name, parameters, arguments)                                  \
    result name parameters {                                                         \
        static result(*next) parameters;                                             \
        if (!next) next = (result(*) parameters)dlsym(RTLD_NEXT, #name);             \
        maybe_sleep();                                                               \
        result outcome = next arguments;                                             \
        maybe_sleep();                                                               \
        return outcome;                                                              \
    }

SHAKEN(int, pthread_mutex_unlock, (pthread_mutex_t *mutex), (mutex))
SHAKEN(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))
SHAKEN(ssize_t, send, (int file, const void *bytes, size_t count, int flags), (file, bytes, count, flags))
SHAKEN(ssize_t, sendmsg, (int file, const struct msghdr *message, int flags), (file, message, flags))
SHAKEN(int, close, (int file), (file))
SHAKEN(
    int, epoll_wait, (int file, struct epoll_event *events, int most, int timeout),
    (file, events, most, timeout))
SHAKEN(
    int, epoll_pwait, (int file, struct epoll_event *events, int most, int timeout, const sigset_t *signals),
       (file, events, most, timeout, signals))
