#ifndef PARLEY_CFILES_SHIM_H
#define PARLEY_CFILES_SHIM_H

/* What the tool needs of the system's files and Swift's own module of the C library leaves out: the headers
 * show it only to those who define _GNU_SOURCE before anything else, or as macros that Swift cannot read. */

#include <fcntl.h>
#include <sys/stat.h>
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

#endif
