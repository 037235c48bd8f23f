#ifndef PARLEY_CFILES_SHIM_H
#define PARLEY_CFILES_SHIM_H

/* What the tool needs of the system's files and Swift's own module of the C library leaves out: the headers
 * show it only to those who define _GNU_SOURCE before anything else, or as macros that Swift cannot read. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For utimensat(2). */
static const long cfiles_UTIME_NOW = UTIME_NOW;

#ifdef __linux__
int syncfs(int descriptor);
static const int cfiles_SEEK_DATA = 3;
#ifdef __O_PATH
static const int cfiles_O_PATH = __O_PATH;
#else
static const int cfiles_O_PATH = O_PATH;
#endif
#else
static const int cfiles_SEEK_DATA = SEEK_DATA;
#endif

/* Gives another name to what is in a folder, unless something has that name (EEXIST). EINVAL, ENOSYS or
 * ENOTSUP where the system or the file system cannot do that in one step. */
static inline int cfiles_rename_new(int folder, const char *name, const char *new_name)
{
#ifdef __linux__
#ifdef SYS_renameat2
    /* 1: RENAME_NOREPLACE */
    return (int)syscall(SYS_renameat2, folder, name, folder, new_name, 1);
#else
    errno = ENOSYS;
    return -1;
#endif
#else
    return renameatx_np(folder, name, folder, new_name, RENAME_EXCL);
#endif
}

#endif
