/* Custom wire forms with streams: one with delimited streams, one with streams that are raw until closed. */
#include "check.h"

/*
 * Delimited: each frame is a letter, a length of four bytes, and the payload.
 *     m message   o opening   d data   e end   a abort (the code's four bytes, then the reason)
 */
static struct {
    long created, destroyed;
} counts;

static void *make_state(void *userdata) {
    (void)userdata;
    __atomic_add_fetch(&counts.created, 1, __ATOMIC_SEQ_CST);
    return calloc(1, 2000);
}

static void destroy_state(void *state) {
    free(state);
    __atomic_add_fetch(&counts.destroyed, 1, __ATOMIC_SEQ_CST);
}

static void append_frame(parley_buffer *output, char type, const void *bytes, size_t length) {
    uint32_t size = (uint32_t)length;
    parley_buffer_append(output, &type, 1);
    parley_buffer_append(output, &size, 4);
    parley_buffer_append(output, bytes, length);
}

static int decode(void *state, const uint8_t *input, size_t length, parley_event *event) {
    uint32_t size;
    if (length < 5) return PARLEY_OK;
    memcpy(&size, input + 1, 4);
    if (size > (64u << 20)) {
        event->reason = "a frame above 64 MiB";
        return -1;
    }
    if (length < 5 + (size_t)size) {
        event->frame_length = 5 + (size_t)size;
        return PARLEY_OK;
    }
    event->consumed = 5 + (size_t)size;
    event->payload_offset = 5;
    event->payload_length = size;
    switch (input[0]) {
    case 'm': event->type = PARLEY_EVENT_MESSAGE; return PARLEY_OK;
    case 'o': event->type = PARLEY_EVENT_STREAM_OPENED; return PARLEY_OK;
    case 'd': event->type = PARLEY_EVENT_STREAM_BYTES; return PARLEY_OK;
    case 'e': event->type = PARLEY_EVENT_STREAM_ENDED; return PARLEY_OK;
    case 'a':
        event->type = PARLEY_EVENT_STREAM_ABORTED;
        if (size < 4) return -1;
        memcpy(&event->abort_code, input + 5, 4);
        /* Kept in the state, because it must be valid after the return. */
        snprintf((char *)state, 2000, "%.*s", (int)(size - 4), (const char *)input + 9);
        event->reason = (const char *)state;
        return PARLEY_OK;
    default: snprintf((char *)state, 2000, "no frame is called %c", input[0]); break;
    }
    event->reason = (const char *)state;
    return -1;
}

static int encode_message(void *state, const uint8_t *message, size_t length, parley_buffer *output) {
    (void)state;
    append_frame(output, 'm', message, length);
    return PARLEY_OK;
}

static int encode_opening(void *state, const uint8_t *header, size_t length, parley_buffer *output) {
    (void)state;
    append_frame(output, 'o', header, length);
    return length > 100 ? -3003 : PARLEY_OK;
}

static void encode_bytes(void *state, const uint8_t *bytes, size_t length, parley_buffer *output) {
    (void)state;
    append_frame(output, 'd', bytes, length);
}

static void encode_end(void *state, parley_buffer *output) {
    (void)state;
    append_frame(output, 'e', NULL, 0);
}

static void encode_abort(void *state, uint32_t code, const char *reason, parley_buffer *output) {
    char both[2000];
    (void)state;
    memcpy(both, &code, 4);
    snprintf(both + 4, sizeof both - 4, "%s", reason);
    append_frame(output, 'a', both, 4 + strlen(both + 4));
}

static parley_decoder delimited(void) {
    parley_decoder decoder;
    memset(&decoder, 0, sizeof decoder);
    decoder.size = sizeof decoder;
    decoder.name = "letters";
    decoder.stream_form = PARLEY_STREAMS_DELIMITED;
    decoder.create = make_state;
    decoder.destroy = destroy_state;
    decoder.decode = decode;
    decoder.encode_message = encode_message;
    decoder.encode_stream_opening = encode_opening;
    decoder.encode_stream_bytes = encode_bytes;
    decoder.encode_stream_end = encode_end;
    decoder.encode_stream_abort = encode_abort;
    return decoder;
}

static void expect(parley_transport *node, const char *text, bool stream) {
    parley_rpc rpc;
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, strlen(text));
    CHECK(rpc.length == 0 || memcmp(rpc.payload, text, rpc.length) == 0);
    CHECK(rpc.stream == stream);
    parley_rpc_release(&rpc);
}

static parley_stream *open_stream(pair pair, const char *header) {
    parley_stream *stream = NULL;
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, header, strlen(header), LIMIT_MS, &stream));
    CHECK(stream != NULL);
    return stream;
}

static void send_content(parley_stream *stream, uint64_t total) {
    uint8_t piece[50000];
    uint64_t sent = 0;
    while (sent < total) {
        size_t length = total - sent < sizeof piece ? (size_t)(total - sent) : sizeof piece;
        fill_content(piece, length, sent);
        CHECK_OK(parley_stream_write(stream, piece, length, LIMIT_MS));
        sent += length;
    }
}

typedef struct reading {
    parley_transport *node;
    parley_peer peer;
    uint64_t total;
} reading;

static void *read_content(void *argument) {
    reading *it = (reading *)argument;
    uint8_t piece[33333];
    uint64_t read = 0;
    int64_t count;
    while ((count = parley_read(it->node, it->peer, piece, sizeof piece, LIMIT_MS)) > 0) {
        CHECK(is_content(piece, (size_t)count, read));
        read += (uint64_t)count;
    }
    CHECK_INT(count, 0);
    CHECK_INT(read, it->total);
    return NULL;
}

static void delimited_streams(void) {
    parley_decoder decoder = delimited();
    parley_options options = loopback();
    parley_stream *stream;
    reading reading;
    pthread_t reader;
    uint8_t bytes[64];
    pair pair;
    options.decoder = &decoder;
    options.max_message_bytes = 32 << 20;
    pair = connected(&options, &options);

    trying("whole");
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "before", 6, LIMIT_MS));
    stream = open_stream(pair, "the header");
    reading.node = pair.server;
    reading.peer = pair.to_client;
    reading.total = scaled(32 << 20, 1 << 20);
    reader = start_thread(read_content, &reading);
    send_content(stream, reading.total);
    CHECK_OK(parley_stream_finish(stream));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "behind", 6, LIMIT_MS));
    join(reader);
    expect(pair.server, "before", false);
    expect(pair.server, "the header", true);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    expect(pair.server, "behind", false);

    trying("closed before its end");
    stream = open_stream(pair, "");
    send_content(stream, 200000);
    expect(pair.server, "", true);
    CHECK_OK(parley_read_exactly(pair.server, pair.to_client, bytes, sizeof bytes, LIMIT_MS));
    CHECK(is_content(bytes, sizeof bytes, 0));
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    send_content(stream, 200000);
    CHECK_OK(parley_stream_finish(stream));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "in step", 7, LIMIT_MS));
    expect(pair.server, "in step", false);

    trying("aborted");
    stream = open_stream(pair, "");
    CHECK_OK(parley_stream_write(stream, "abc", 3, LIMIT_MS));
    parley_stream_abort(stream, 0xfeedface, "no more of it");
    expect(pair.server, "", true);
    CHECK_OK(parley_read_exactly(pair.server, pair.to_client, bytes, 3, LIMIT_MS));
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, 3, LIMIT_MS), PARLEY_EABORTED);
    CHECK_CONTAINS(parley_last_error(), "no more of it");
    CHECK_CONTAINS(parley_last_error(), "4277009102");
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "in step", 7, LIMIT_MS));
    expect(pair.server, "in step", false);

    trying("an opening that the encoder refuses");
    memset(bytes, 'h', sizeof bytes);
    {
        char large[101];
        memset(large, 'h', sizeof large);
        stream = NULL;
        CHECK_CODE(
            parley_stream_open(pair.client, pair.to_server, large, sizeof large, LIMIT_MS, &stream), -3003);
        CHECK(stream == NULL);
    }
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "in step", 7, LIMIT_MS));
    expect(pair.server, "in step", false);

    trying("a file");
    {
        char folder[64], from[96], to[96];
        FILE *file;
        make_folder(folder);
        snprintf(from, sizeof from, "%s/from", folder);
        snprintf(to, sizeof to, "%s/to", folder);
        file = fopen(from, "wb");
        CHECK(file != NULL && fwrite("the file", 1, 8, file) == 8 && fclose(file) == 0);
        CHECK_INT(parley_send_file(pair.client, pair.to_server, from, "f", 1, 0, UINT64_MAX, NULL, NULL), 8);
        expect(pair.server, "f", true);
        CHECK_INT(parley_receive_file(pair.server, pair.to_client, to, UINT64_MAX, NULL, NULL), 8);
        CHECK_INT(count_files(folder, true), 2);
    }

    trying("large messages");
    {
        size_t length = scaled(20 << 20, 1 << 20);
        uint8_t *message = (uint8_t *)malloc(length);
        parley_rpc rpc;
        fill_content(message, length, 3);
        CHECK_OK(parley_send_message(pair.client, pair.to_server, message, length, LIMIT_MS));
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        CHECK(rpc.length == length && memcmp(rpc.payload, message, length) == 0);
        parley_rpc_release(&rpc);
        free(message);
        /* The limit also holds for custom wire forms. */
        length = (32 << 20) + 1;
        message = (uint8_t *)calloc(1, length);
        CHECK_CODE(parley_send_message(pair.client, pair.to_server, message, length, 0), PARLEY_EMSGSIZE);
        free(message);
    }
    free_pair(pair);
}

/* ---- Raw until closed: "M<length byte><bytes>" and "S" ---- */

static int decode_raw(void *state, const uint8_t *input, size_t length, parley_event *event) {
    (void)state;
    if (input[0] == 'S') {
        event->type = PARLEY_EVENT_STREAM_OPENED;
        event->consumed = 1;
        return PARLEY_OK;
    }
    if (input[0] != 'M') return -1;
    if (length < 2 || length < 2 + (size_t)input[1]) return PARLEY_OK;
    event->type = PARLEY_EVENT_MESSAGE;
    event->payload_offset = 2;
    event->payload_length = input[1];
    event->consumed = 2 + (size_t)input[1];
    return PARLEY_OK;
}

static int encode_raw_message(void *state, const uint8_t *message, size_t length, parley_buffer *output) {
    uint8_t size = (uint8_t)length;
    (void)state;
    if (length > 255) return PARLEY_EMSGSIZE;
    parley_buffer_append(output, "M", 1);
    parley_buffer_append(output, &size, 1);
    parley_buffer_append(output, message, length);
    return PARLEY_OK;
}

static int encode_raw_opening(void *state, const uint8_t *header, size_t length, parley_buffer *output) {
    (void)state;
    (void)header;
    if (length > 0) return PARLEY_ENOTSUP;
    parley_buffer_append(output, "S", 1);
    return PARLEY_OK;
}

static void gone(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    (void)transport;
    (void)peer;
    (void)reason;
    (void)message;
    event_add((event *)userdata, 1);
}

static void raw_streams(void) {
    parley_decoder decoder;
    parley_options options = loopback();
    event disconnects = EVENT_INIT;
    parley_stream *stream;
    uint8_t bytes[1000];
    pair pair;
    memset(&decoder, 0, sizeof decoder);
    decoder.size = sizeof decoder;
    decoder.name = "raw";
    decoder.stream_form = PARLEY_STREAMS_UNTIL_CLOSED;
    decoder.decode = decode_raw;
    decoder.encode_message = encode_raw_message;
    decoder.encode_stream_opening = encode_raw_opening;
    options.decoder = &decoder;
    options.userdata = &disconnects;
    options.on_disconnect = gone;
    pair = connected(&options, &options);

    stream = NULL;
    CHECK_CODE(parley_stream_open(pair.client, pair.to_server, "h", 1, 0, &stream), PARLEY_ENOTSUP);
    stream = open_stream(pair, "");
    send_content(stream, 1000);
    CHECK_OK(parley_stream_finish(stream));
    /* More bytes in the same segment: the reader must know the length of the stream. */
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "behind", 6, LIMIT_MS));
    expect(pair.server, "", true);
    CHECK_OK(parley_read_exactly(pair.server, pair.to_client, bytes, 1000, LIMIT_MS));
    CHECK(is_content(bytes, 1000, 0));
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    expect(pair.server, "behind", false);

    /* The wire form has no abort: the connection is closed instead. */
    stream = open_stream(pair, "");
    expect(pair.server, "", true);
    parley_stream_abort(stream, 1, NULL);
    CHECK_INT(parley_read(pair.server, pair.to_client, bytes, sizeof bytes, LIMIT_MS), PARLEY_ECONNRESET);
    CHECK_REACHES(&disconnects, 2);
    free_pair(pair);
}

int main(void) {
    begin(60);
    delimited_streams();
    trying("raw streams");
    raw_streams();
    CHECK_INT(counts.created, counts.destroyed);
    CHECK(counts.created > 0);
    return 0;
}
