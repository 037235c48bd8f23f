#define _GNU_SOURCE
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

static int accept_one(const struct bench_options *options) {
    int port, listener = raw_listen(options, &port);
    bench_ready(port);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) bench_fail("accept", errno);
    raw_no_delay(fd);
    return fd;
}

void bulk_serve(const struct bench_options *options) {
    uint8_t *buffer = malloc(READ_BYTES);
    int fd = accept_one(options);
    for (;;) {
        size_t got = raw_read(fd, buffer, READ_BYTES, false);
        if (got == 0) pause();
        bench_add(1, got);
    }
}

void bulk(const struct bench_options *options) {
    uint8_t *chunk = calloc(1, options->chunk);
    int fd = raw_connect(options, 0);
    bench_ready(0);
    for (;;) {
        raw_write_all(fd, chunk, options->chunk);
        bench_add(1, options->chunk);
    }
}

/* --- Files: eight bytes of length, the file, and one byte back when it is written ---------------------- */

static void read_exactly(int fd, void *data, size_t count) {
    for (size_t have = 0; have < count;) {
        size_t got = raw_read(fd, (char *)data + have, count - have, false);
        if (got == 0) pause();
        have += got;
    }
}

void file_serve(const struct bench_options *options) {
    uint8_t *buffer = malloc(READ_BYTES);
    int fd = accept_one(options);
    for (unsigned n = 0;; n++) {
        char path[4096];
        uint64_t left;
        read_exactly(fd, &left, sizeof left);
        snprintf(path, sizeof path, "%s/received-%u", options->path, n);
        int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (file < 0) bench_fail(path, errno);
        while (left > 0) {
            size_t got = raw_read(fd, buffer, left < READ_BYTES ? left : READ_BYTES, false);
            if (got == 0) pause();
            if (write(file, buffer, got) != (ssize_t)got) bench_fail("write", errno);
            left -= got;
            bench_add(0, got);
        }
        close(file);
        bench_add(1, 0);
        raw_write_all(fd, "!", 1);
        unlink(path);
    }
}

void file_send(const struct bench_options *options) {
    int fd = raw_connect(options, 0);
    int file = open(options->path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) bench_fail(options->path, errno);
    bench_ready(0);
    for (;;) {
        uint64_t left = (uint64_t)status.st_size;
        off_t offset = 0;
        raw_write_all(fd, &left, sizeof left);
        while (left > 0) {
            ssize_t sent = sendfile(fd, file, &offset, left);
            if (sent <= 0) bench_fail("sendfile", errno);
            left -= (uint64_t)sent;
        }
        char answer;
        read_exactly(fd, &answer, 1);
        bench_add(1, (uint64_t)status.st_size);
    }
}
