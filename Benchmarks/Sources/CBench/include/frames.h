#ifndef FRAMES_H
#define FRAMES_H

/*
 * The wire form of all candidates that have none of their own: type u8 | length u32 big-endian | payload.
 * The first byte of a payload tells the server what to do with it.
 */

#include <stdint.h>
#include <string.h>

enum {
    FRAME_HEADER = 5,
    FRAME_MESSAGE = 1,
    /* Send it back. */
    FRAME_ECHO = 'E',
    /* Count it. */
    FRAME_SINK = 'S',
    GREETING_BYTES = 8,
    /* Longest frame the C programs take; and how much they read at once. */
    FRAME_LIMIT = 64 << 10,
    FRAME_SLAB = 256 << 10,
};

/* A payload whose first byte is `purpose`, at `at`; returns the bytes used with what goes before it. */
static inline size_t frame_put(uint8_t *at, uint8_t purpose, size_t bytes) {
    at[0] = FRAME_MESSAGE;
    at[1] = (uint8_t)(bytes >> 24);
    at[2] = (uint8_t)(bytes >> 16);
    at[3] = (uint8_t)(bytes >> 8);
    at[4] = (uint8_t)bytes;
    memset(at + FRAME_HEADER, 'x', bytes);
    if (bytes > 0) at[FRAME_HEADER] = purpose;
    return FRAME_HEADER + bytes;
}

/* The same in the reference's wire form. */
static inline size_t frame_put_unframed(uint8_t *at, uint8_t purpose, size_t bytes) {
    at[0] = FRAME_MESSAGE;
    memset(at + 1, 'x', bytes);
    if (bytes > 0) at[1] = purpose;
    return 1 + bytes;
}

static inline size_t frame_length(const uint8_t *header) {
    uint32_t length;
    memcpy(&length, header + 1, sizeof length);
    return __builtin_bswap32(length);
}

struct frames_taken {
    size_t consumed; /* bytes of whole frames */
    size_t messages;
    size_t echoed;   /* bytes appended to `echo` */
};

/*
 * Takes the whole frames off the front of `data`. Those to be sent back are appended to `echo`, as they are,
 * which has room for `count` bytes. Returns false when a frame is longer than FRAME_LIMIT.
 */
static inline int frames_take(const uint8_t *data, size_t count, uint8_t *echo, struct frames_taken *taken) {
    size_t at = 0, messages = 0, echoed = 0;
    int fits = 1;
    while (count - at >= FRAME_HEADER) {
        size_t length = frame_length(data + at);
        if (length > FRAME_LIMIT) {
            fits = 0;
            break;
        }
        if (count - at < FRAME_HEADER + length) break;
        if (length > 0 && data[at + FRAME_HEADER] == FRAME_ECHO) {
            memcpy(echo + echoed, data + at, FRAME_HEADER + length);
            echoed += FRAME_HEADER + length;
        }
        at += FRAME_HEADER + length;
        messages++;
    }
    *taken = (struct frames_taken){.consumed = at, .messages = messages, .echoed = echoed};
    return fits;
}

#endif
