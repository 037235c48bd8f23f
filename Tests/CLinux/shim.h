// What Swift's own module of the C library leaves out: mallinfo2, malloc_trim, epoll, sched_setaffinity, and
// what <spawn.h> shows only to those who define _GNU_SOURCE. And fork(2), which Swift hides.
#if defined(__linux__)
#include <malloc.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>
// sched.h shows it only to those who define _GNU_SOURCE before anything else.
int sched_setaffinity(int pid, size_t size, const void *cores);
// stdlib.h shows these only to those who define _XOPEN_SOURCE.
int posix_openpt(int flags);
int grantpt(int descriptor);
int unlockpt(int descriptor);
int ptsname_r(int descriptor, char *name, size_t size);
// POSIX_SPAWN_SETSID: the child leads a session of its own.
enum { clinux_spawn_setsid = 0x80 };
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);
static inline int clinux_fork(void) { return fork(); }
#endif
