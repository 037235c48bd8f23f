#ifndef RAW_H
#define RAW_H

/* Plain blocking sockets, or one epoll loop where there are many: the least that the kernel lets one pay. */

#include "bench.h"
#include "frames.h"

int raw_listen(const struct bench_options *options, int *port);
int raw_connect(const struct bench_options *options, unsigned n);
void raw_no_delay(int fd);
void raw_set_blocking(int fd, bool blocking);
void raw_write_all(int fd, const void *data, size_t count);
/* What recv returns, never an error; 0 at the end. With `spins` it asks again and again for a while before it
 * waits. */
size_t raw_read(int fd, void *data, size_t count, bool spins);
/* What one message takes, in the wire form of the options. */
size_t raw_message(const struct bench_options *options, uint8_t *at, uint8_t purpose);

void serve_with_threads(const struct bench_options *options);
void serve_with_epoll(const struct bench_options *options);
void ping(const struct bench_options *options);
void flood(const struct bench_options *options);
void open_many(const struct bench_options *options);
void keep_many_busy(const struct bench_options *options);
void bulk_serve(const struct bench_options *options);
void bulk(const struct bench_options *options);
void file_serve(const struct bench_options *options);
void file_send(const struct bench_options *options);
void greet_serve(const struct bench_options *options);
void greet(const struct bench_options *options);

#endif
