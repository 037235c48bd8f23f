// What Swift's own module of the C library leaves out: mallinfo2, malloc_trim, epoll and sched_setaffinity.
#if defined(__linux__)
#include <malloc.h>
#include <stddef.h>
#include <sys/epoll.h>
// sched.h shows it only to those who define _GNU_SOURCE before anything else.
int sched_setaffinity(int pid, size_t size, const void *cores);
#endif
