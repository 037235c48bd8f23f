#ifndef PARLEY_CLIBUV_SHIM_H
#define PARLEY_CLIBUV_SHIM_H

#include <uv.h>

/* libuv's handle kinds are C "subclasses": Swift sees unrelated structs and macros it cannot call.
 * Upcasts only; there is no logic here. */

#ifdef __linux__
#include <fcntl.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* <sys/socket.h> shows it only to those who define _GNU_SOURCE before anything else. */
int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
/* The same in <pthread.h>. */
int pthread_setname_np(pthread_t thread, const char *name);
int pthread_getname_np(pthread_t thread, char *name, size_t size);
#ifdef __GLIBC__
/* The same in <semaphore.h>. */
int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline);
#endif

/* The same for O_PATH, by the name it has for everyone. */
#ifdef __O_PATH
static const int clibuv_O_PATH = __O_PATH;
#else
static const int clibuv_O_PATH = O_PATH;
#endif

/* renameat2(2) within a folder, with RENAME_NOREPLACE. Not every C library has it, and Swift cannot call
 * syscall(2). */
static inline int clibuv_rename_exclusively(int folder, const char *from, const char *to) {
    return (int)syscall(SYS_renameat2, folder, from, folder, to, 1u);
}
#endif

static inline uv_handle_t *clibuv_tcp_as_handle(uv_tcp_t *tcp) { return (uv_handle_t *)tcp; }
static inline uv_stream_t *clibuv_tcp_as_stream(uv_tcp_t *tcp) { return (uv_stream_t *)tcp; }
static inline uv_handle_t *clibuv_async_as_handle(uv_async_t *async) { return (uv_handle_t *)async; }
static inline uv_handle_t *clibuv_timer_as_handle(uv_timer_t *timer) { return (uv_handle_t *)timer; }
static inline uv_handle_t *clibuv_prepare_as_handle(uv_prepare_t *prepare) { return (uv_handle_t *)prepare; }
static inline uv_handle_t *clibuv_idle_as_handle(uv_idle_t *idle) { return (uv_handle_t *)idle; }
static inline uv_handle_t *clibuv_poll_as_handle(uv_poll_t *poll) { return (uv_handle_t *)poll; }

#endif
