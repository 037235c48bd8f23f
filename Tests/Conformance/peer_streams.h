/* Shared by the programs about two-way streams. */
#ifndef PEER_STREAMS_H
#define PEER_STREAMS_H

#include "check.h"

#define ECHO_NAME "/echo/1.0.0"

static inline parley_options multiplexed(void) {
    parley_options options = loopback();
    options.codec = PARLEY_CODEC_MULTIPLEXED;
    return options;
}

static inline pair multiplexed_pair(void) {
    parley_options options = multiplexed();
    return connected(&options, &options);
}

static inline parley_peer_stream open_stream(parley_transport *node, parley_peer peer, const char *protocol) {
    parley_peer_stream stream = PARLEY_NO_PEER_STREAM;
    CHECK_OK(parley_peer_stream_open(node, peer, protocol, LIMIT_MS, &stream));
    CHECK(stream != PARLEY_NO_PEER_STREAM);
    return stream;
}

/* Begins to speak a protocol whose streams threads accept. */
static inline void speak(parley_transport *node, const char *protocol) {
    parley_peer_stream stream = 1;
    CHECK_CODE(parley_accept(node, protocol, 0, &stream), PARLEY_EAGAIN);
    CHECK(stream == PARLEY_NO_PEER_STREAM);
}

static inline parley_peer_stream accept_stream(parley_transport *node, const char *protocol) {
    parley_peer_stream stream = PARLEY_NO_PEER_STREAM;
    CHECK_OK(parley_accept(node, protocol, LIMIT_MS, &stream));
    CHECK(stream != PARLEY_NO_PEER_STREAM);
    return stream;
}

static inline void write_all(
    parley_transport *node, parley_peer_stream stream, const void *bytes, size_t length) {
    size_t written = 0;
    while (written < length) {
        const int64_t count = parley_peer_stream_write(
            node, stream, (const uint8_t *)bytes + written, length - written, LIMIT_MS);
        if (count < 0) CHECK_OK(count);
        CHECK(count > 0 && (size_t)count <= length - written);
        written += (size_t)count;
    }
}

static inline void write_text(parley_transport *node, parley_peer_stream stream, const char *text) {
    write_all(node, stream, text, strlen(text));
}

static inline void expect_text(parley_transport *node, parley_peer_stream stream, const char *text) {
    char bytes[256];
    const size_t length = strlen(text);
    CHECK(length <= sizeof bytes);
    CHECK_OK(parley_peer_stream_read_exactly(node, stream, bytes, length, LIMIT_MS));
    CHECK(memcmp(bytes, text, length) == 0);
}

/* The code that the next read returns. */
static inline int64_t read_code(parley_transport *node, parley_peer_stream stream, int timeout_ms) {
    uint8_t byte;
    return parley_peer_stream_read(node, stream, &byte, 1, timeout_ms);
}

/* Waits until a node counts so many open streams. */
static inline void await_open_streams(parley_transport *node, uint64_t count) {
    CHECK_EVENTUALLY(statistics_of(node).open_streams == count);
}

#endif
