/* Lengths are checked before anything is copied or reserved; large writes are accepted in pieces; and memory
 * that cannot be had is an error. */
#include "check.h"

#include <sys/mman.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER true
#else
#define HAS_SANITIZER false
#endif

#define HUGE_BYTES ((size_t)3 << 30)

/* A number of /proc/self/status in KiB. */
static long status_kib(const char *name) {
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) value = atol(line + strlen(name) + 1);
    fclose(file);
    CHECK(value >= 0);
    return value;
}

/* 3 GiB of zeros that take no memory until they are copied. */
static void *huge(void) {
    void *bytes = mmap(NULL, HUGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(bytes != MAP_FAILED);
    return bytes;
}

static void too_long(void) {
    parley_options options = loopback(), raw = loopback();
    pair pair = connected(&options, &options);
    parley_stream *stream = NULL;
    parley_rpc rpc;
    void *bytes = huge();
    long before = status_kib("VmHWM:");
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, bytes, HUGE_BYTES, 0), PARLEY_EMSGSIZE);
    CHECK_CONTAINS(parley_last_error(), "3221225472");
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, bytes, PTRDIFF_MAX, 0), PARLEY_EMSGSIZE);
    CHECK_CODE(parley_broadcast(pair.client, bytes, HUGE_BYTES), PARLEY_EMSGSIZE);
    CHECK_CODE(parley_broadcast(pair.client, bytes, PTRDIFF_MAX), PARLEY_EMSGSIZE);
    CHECK_CODE(
        parley_stream_open(pair.client, pair.to_server, bytes, HUGE_BYTES, 0, &stream), PARLEY_EMSGSIZE);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
    /* It would have to wait, and may not. */
    CHECK_CODE(parley_stream_write(stream, bytes, HUGE_BYTES, 0), PARLEY_EMSGSIZE);
    CHECK_CODE(parley_stream_write(stream, bytes, PTRDIFF_MAX, 0), PARLEY_EMSGSIZE);
    CHECK_CODE(parley_stream_write(stream, bytes, (1 << 20) + 1, 0), PARLEY_EMSGSIZE);
    CHECK_OK(parley_stream_write(stream, bytes, 1, 0));
    CHECK_OK(parley_stream_finish(stream));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK(rpc.stream);
    parley_rpc_release(&rpc);
    free_pair(pair);

    raw.codec = PARLEY_CODEC_UNFRAMED;
    pair = connected(&raw, &raw);
    CHECK_CODE(parley_send(pair.client, pair.to_server, bytes, HUGE_BYTES, LIMIT_MS), PARLEY_EMSGSIZE);
    CHECK_CODE(parley_write(pair.client, pair.to_server, bytes, PTRDIFF_MAX, 0), PARLEY_EMSGSIZE);
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, bytes, 1029, 0), PARLEY_EMSGSIZE);
    free_pair(pair);
    /* Nothing of it was copied. */
    CHECK(status_kib("VmHWM:") - before < 256 << 10);
    munmap(bytes, HUGE_BYTES);
}

static void *write_all(void *argument) {
    static uint8_t bytes[5000001];
    fill_content(bytes, sizeof bytes, 0);
    CHECK_OK(parley_stream_write((parley_stream *)argument, bytes, sizeof bytes, LIMIT_MS));
    CHECK_OK(parley_stream_finish((parley_stream *)argument));
    return NULL;
}

/* A write of any length arrives whole when it may wait. */
static void in_pieces(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_stream *stream = NULL;
    parley_peer_statistics statistics;
    parley_rpc rpc;
    uint8_t piece[65536];
    uint64_t read = 0;
    int64_t count;
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
    pthread_t writer = start_thread(write_all, stream);
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    while ((count = parley_read(pair.server, pair.to_client, piece, sizeof piece, LIMIT_MS)) > 0) {
        CHECK(is_content(piece, (size_t)count, read));
        read += (uint64_t)count;
    }
    CHECK_INT(count, 0);
    CHECK_INT(read, 5000001);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    join(writer);

    /* Nobody reads: the write stays under the marks, times out after a piece, and the stream is aborted. */
    void *bytes = huge();
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
    CHECK_CODE(parley_stream_write(stream, bytes, HUGE_BYTES, 200), PARLEY_ETIMEDOUT);
    CHECK_OK(parley_peer_get_statistics(pair.client, pair.to_server, &statistics, sizeof statistics));
    CHECK(statistics.unsent_bytes <= (2 << 20) + 1024);
    CHECK_CODE(parley_stream_write(stream, "x", 1, LIMIT_MS), PARLEY_ECLOSED);
    CHECK_CODE(parley_stream_finish(stream), PARLEY_EABORTED);
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);
    while ((count = parley_read(pair.server, pair.to_client, piece, sizeof piece, LIMIT_MS)) > 0) {}
    CHECK_INT(count, PARLEY_EABORTED);
    CHECK_CONTAINS(parley_last_error(), "a write of 3221225472 bytes ended after");
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "in step", 7, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, 7);
    parley_rpc_release(&rpc);
    munmap(bytes, HUGE_BYTES);
    free_pair(pair);
}

static event disconnects = EVENT_INIT;
static int last_reason;

static void ended(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    (void)transport;
    (void)peer;
    (void)userdata;
    CHECK_CONTAINS(message, "memory");
    last_reason = reason;
    event_add(&disconnects, 1);
}

/* The process may have 256 MiB more than now. */
static void short_of_memory(void) {
    const size_t length = (size_t)1 << 30;
    struct rlimit unlimited, tight;
    parley_options options = loopback();
    parley_stream *stream = NULL;
    parley_rpc rpc;
    options.max_message_bytes = (size_t)2 << 30;
    pair pair = connected(&options, &options);
    options.on_disconnect = ended;
    parley_transport *attacked = listening(&options);
    int socket_fd = raw_dial(attacked);
    void *bytes = huge();
    await_peers(attacked, 1);
    CHECK(getrlimit(RLIMIT_AS, &unlimited) == 0);
    tight = unlimited;
    tight.rlim_cur = ((rlim_t)status_kib("VmSize:") << 10) + (256 << 20);
    CHECK(setrlimit(RLIMIT_AS, &tight) == 0);

    CHECK_CODE(parley_send_message(pair.client, pair.to_server, bytes, length, LIMIT_MS), PARLEY_ENOMEM);
    CHECK_CONTAINS(parley_last_error(), "1073741824");
    CHECK_CODE(parley_broadcast(pair.client, bytes, length), PARLEY_ENOMEM);
    CHECK_CODE(
        parley_stream_open(pair.client, pair.to_server, bytes, length, LIMIT_MS, &stream), PARLEY_ENOMEM);
    CHECK(stream == NULL);
    /* A peer announces a message of 1 GiB. */
    raw_send(socket_fd, "\1\100\0\0\0abc", 8);
    CHECK_REACHES(&disconnects, 1);
    CHECK_INT(last_reason, PARLEY_ENOMEM);
    /* Everything else goes on. */
    CHECK_OK(parley_send_message(pair.client, pair.to_server, bytes, 4 << 20, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, 4 << 20);
    parley_rpc_release(&rpc);

    CHECK(setrlimit(RLIMIT_AS, &unlimited) == 0);
    close(socket_fd);
    munmap(bytes, HUGE_BYTES);
    CHECK_OK(parley_free(attacked));
    free_pair(pair);
}

int main(void) {
    begin(120);
    trying("too long");
    too_long();
    trying("in pieces");
    in_pieces();
    trying("short of memory");
    /* AddressSanitizer and valgrind need address space of their own. */
    if (!HAS_SANITIZER && getenv("PARLEY_CONFORMANCE_SLOW") == NULL) short_of_memory();
    return 0;
}
