/* A custom wire form without streams: each message is a line. */
#include "check.h"

/* Counters: everything that is created is destroyed, and each callback gets its own state. */
static struct {
    long created, destroyed, userdata_destroyed;
} counts;

static void reset_counts(void) { memset(&counts, 0, sizeof counts); }

static long get(long *count) { return __atomic_load_n(count, __ATOMIC_SEQ_CST); }

static void add(long *count) { __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST); }

typedef struct lines {
    long decoded, encoded;
} lines;

static void *make_lines(void *userdata) {
    CHECK(userdata == &counts);
    add(&counts.created);
    return calloc(1, sizeof(lines));
}

static void destroy_lines(void *state) {
    CHECK(state != NULL);
    /* A state is used to decode or to encode, never for both. */
    CHECK(((lines *)state)->decoded == 0 || ((lines *)state)->encoded == 0);
    free(state);
    add(&counts.destroyed);
}

static void destroy_userdata(void *userdata) {
    CHECK(userdata == &counts);
    add(&counts.userdata_destroyed);
}

static int decode_line(void *state, const uint8_t *input, size_t length, parley_event *event) {
    const uint8_t *end;
    CHECK(length > 0);
    CHECK(event->type == PARLEY_EVENT_INCOMPLETE && event->consumed == 0 && event->reason == NULL);
    ((lines *)state)->decoded += 1;
    if (input[0] == '!') {
        event->reason = "a line may not begin with an exclamation mark";
        return -1;
    }
    if (input[0] == '?') return -1; /* without a reason */
    end = (const uint8_t *)memchr(input, '\n', length);
    if (end == NULL) return PARLEY_OK;
    event->type = PARLEY_EVENT_MESSAGE;
    event->payload_length = (size_t)(end - input);
    event->consumed = event->payload_length + 1;
    /* Faults of a decoder. */
    if (input[0] == '0') event->consumed = 0;
    if (input[0] == '+') event->consumed = length + 1;
    if (input[0] == '>') event->payload_length = length + 1;
    if (input[0] == '<') event->payload_offset = SIZE_MAX;
    if (input[0] == '#') event->type = (parley_event_type)77;
    if (input[0] == 's') event->type = PARLEY_EVENT_STREAM_BYTES;
    return PARLEY_OK;
}

static int encode_line(void *state, const uint8_t *message, size_t length, parley_buffer *output) {
    ((lines *)state)->encoded += 1;
    parley_buffer_append(output, message, length / 2);
    parley_buffer_append(output, NULL, 0);
    if (length > 1000) return PARLEY_EMSGSIZE;
    if (length > 0 && memchr(message, '\n', length) != NULL) return -2002;
    parley_buffer_append(output, message + length / 2, length - length / 2);
    parley_buffer_append(output, "\n", 1);
    return PARLEY_OK;
}

static parley_decoder line_decoder(void) {
    parley_decoder decoder;
    memset(&decoder, 0, sizeof decoder);
    decoder.size = sizeof decoder;
    decoder.name = "lines";
    decoder.userdata = &counts;
    decoder.destroy_userdata = destroy_userdata;
    decoder.create = make_lines;
    decoder.destroy = destroy_lines;
    decoder.decode = decode_line;
    decoder.encode_message = encode_line;
    return decoder;
}

typedef struct end {
    event gone;
    int reason;
    char message[256];
} end;

static void disconnected(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    end *it = (end *)userdata;
    (void)transport;
    (void)peer;
    it->reason = reason;
    snprintf(it->message, sizeof it->message, "%s", message);
    event_add(&it->gone, 1);
}

/* Everything is destroyed when parley_free() has returned. */
static void check_counts(long nodes) {
    CHECK_INT(get(&counts.userdata_destroyed), nodes);
    CHECK_INT(get(&counts.destroyed), get(&counts.created));
    reset_counts();
}

static parley_options speaking_lines(parley_decoder *decoder, end *end) {
    parley_options options = loopback();
    *decoder = line_decoder();
    options.decoder = decoder;
    options.codec = (parley_codec)99; /* ignored */
    options.userdata = end;
    options.on_disconnect = disconnected;
    return options;
}

static void expect(parley_transport *node, const char *text) {
    parley_rpc rpc;
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, strlen(text));
    CHECK(rpc.length == 0 || memcmp(rpc.payload, text, rpc.length) == 0);
    CHECK(!rpc.stream);
    parley_rpc_release(&rpc);
}

static void talk(void) {
    end of_server = {EVENT_INIT, 0, ""}, of_client = {EVENT_INIT, 0, ""};
    parley_decoder decoder;
    parley_options server = speaking_lines(&decoder, &of_server), client = server;
    parley_stream *stream = NULL;
    pair pair;
    char large[2000];
    client.userdata = &of_client;
    pair = connected(&server, &client);
    /* The library has copied the struct. */
    memset(&decoder, 0xee, sizeof decoder);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "first", 5, LIMIT_MS));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "", 0, LIMIT_MS));
    /* When an encoder fails, nothing is sent, and its code is returned unchanged. */
    memset(large, 'x', sizeof large);
    CHECK_CODE(
        parley_send_message(pair.client, pair.to_server, large, sizeof large, LIMIT_MS), PARLEY_EMSGSIZE);
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "a\nb", 3, LIMIT_MS), -2002);
    CHECK_CONTAINS(parley_last_error(), "lines");
    CHECK_INT(parley_broadcast(pair.client, "a\nb", 3), 0);
    CHECK_CODE(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream), PARLEY_ENOTSUP);
    CHECK(stream == NULL);
    CHECK_INT(parley_broadcast(pair.client, "last", 4), 1);
    expect(pair.server, "first");
    expect(pair.server, "");
    expect(pair.server, "last");
    CHECK_OK(parley_send_message(pair.server, pair.to_client, "answer", 6, LIMIT_MS));
    expect(pair.client, "answer");
    free_pair(pair);
    check_counts(2);
}

/* Lines that arrive byte by byte, and many lines in one segment. */
static void pieces(void) {
    end end = {EVENT_INIT, 0, ""};
    parley_decoder decoder;
    parley_options options = speaking_lines(&decoder, &end);
    parley_transport *node = listening(&options);
    int socket_fd = raw_dial(node);
    size_t index;
    const char *bytes = "one\ntwo\n\nthree\n";
    for (index = 0; index < strlen(bytes); index++) {
        raw_send(socket_fd, bytes + index, 1);
        sleep_ms(1);
    }
    raw_send(socket_fd, bytes, strlen(bytes));
    for (index = 0; index < 2; index++) {
        expect(node, "one");
        expect(node, "two");
        expect(node, "");
        expect(node, "three");
    }
    /* The connection ends in the middle of a line. */
    raw_send(socket_fd, "fou", 3);
    close(socket_fd);
    CHECK_REACHES(&end.gone, 1);
    CHECK_CODE(end.reason, PARLEY_ETRUNCATED);
    CHECK_CONTAINS(end.message, "lines");
    CHECK_OK(parley_free(node));
    check_counts(1);
}

/* Invalid bytes, or an invalid result of the decoder, close that peer and no other. */
static void violations(void) {
    const char *const bytes[] = {"!\n", "?\n", "0\n", "+\n", ">\n", "<\n", "#\n", "s\n"};
    const char *const reasons[] = {
        "a line may not begin with an exclamation mark", "lines", "without consuming bytes", "lines",
        "outside its input", "outside its input", "77", "stream"};
    end end = {EVENT_INIT, 0, ""};
    parley_decoder decoder;
    parley_options options = speaking_lines(&decoder, &end);
    parley_transport *node = listening(&options);
    int index, healthy = raw_dial(node);
    for (index = 0; index < 8; index++) {
        char byte;
        int socket_fd = raw_dial(node);
        raw_send(socket_fd, "fine\n", 5);
        expect(node, "fine");
        raw_send(socket_fd, bytes[index], strlen(bytes[index]));
        CHECK_REACHES(&end.gone, index + 1);
        CHECK_CODE(end.reason, PARLEY_EPROTO);
        CHECK_CONTAINS(end.message, reasons[index]);
        CHECK(recv(socket_fd, &byte, 1, 0) <= 0);
        close(socket_fd);
    }
    raw_send(healthy, "here\n", 5);
    expect(node, "here");
    close(healthy);
    CHECK_REACHES(&end.gone, 9);
    CHECK_CODE(end.reason, PARLEY_EOF);
    CHECK_OK(parley_free(node));
    check_counts(1);
}

/* Invalid structs are refused, and their userdata is destroyed all the same. */
static void refused(void) {
    parley_decoder decoder = line_decoder();
    parley_options options = loopback();
    parley_transport *node = NULL;
    struct {
        parley_options known;
        char unknown[64];
    } newer;
    memset(&newer, 0, sizeof newer);
    options.decoder = &decoder;
    decoder.decode = NULL;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    check_counts(1);
    decoder = line_decoder();
    decoder.encode_message = NULL;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    check_counts(1);
    decoder = line_decoder();
    decoder.stream_form = (parley_stream_form)3;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    check_counts(1);
    decoder = line_decoder();
    options.dial_timeout_ms = -7;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    check_counts(1);
    options.dial_timeout_ms = 0;
    CHECK_CODE(parley_create(&options, NULL), PARLEY_EINVAL);
    check_counts(1);
    /* Options with a field that the library does not know. */
    newer.known = options;
    newer.known.size = sizeof newer;
    newer.unknown[63] = 1;
    CHECK_CODE(parley_create(&newer.known, &node), PARLEY_EINVAL);
    check_counts(1);
    decoder.decode = NULL;
    CHECK_CODE(parley_create(&newer.known, &node), PARLEY_EINVAL);
    check_counts(1);
    decoder = line_decoder();
    /* Without a size, no other field is read. */
    decoder.size = 0;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    check_counts(0);
    CHECK(node == NULL);
}

/* The minimal wire form: two functions and no state. */
static int decode_byte(void *state, const uint8_t *input, size_t length, parley_event *event) {
    CHECK(state == NULL && input != NULL && length > 0);
    event->type = PARLEY_EVENT_MESSAGE;
    event->consumed = event->payload_length = 1;
    return PARLEY_OK;
}

static int encode_byte(void *state, const uint8_t *message, size_t length, parley_buffer *output) {
    CHECK(state == NULL);
    if (length != 1) return PARLEY_EINVAL;
    parley_buffer_append(output, message, 1);
    return PARLEY_OK;
}

static void minimal_form(void) {
    parley_decoder decoder;
    parley_options options = loopback();
    pair pair;
    memset(&decoder, 0, sizeof decoder);
    decoder.size = sizeof decoder;
    decoder.decode = decode_byte;
    decoder.encode_message = encode_byte;
    options.decoder = &decoder;
    pair = connected(&options, &options);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "a", 1, LIMIT_MS));
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "b", 1, LIMIT_MS));
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "", 0, LIMIT_MS), PARLEY_EINVAL);
    expect(pair.server, "a");
    expect(pair.server, "b");
    free_pair(pair);
}

int main(void) {
    begin(60);
    trying("messages");
    talk();
    trying("pieces");
    pieces();
    trying("violations");
    violations();
    trying("refused");
    refused();
    trying("the minimal_form");
    minimal_form();
    return 0;
}
