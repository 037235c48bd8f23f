/* Options: refused values, structs of older and newer programs, and working defaults. */
#include "check.h"

#include <stddef.h>

static event destroyed = EVENT_INIT;

static void destroy(void *userdata) {
    CHECK(userdata == &destroyed);
    event_add(&destroyed, 1);
}

static void refuses(parley_options options, const char *name) {
    parley_transport *node = NULL;
    long before = event_count(&destroyed);
    options.userdata = &destroyed;
    options.destroy_userdata = destroy;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), name);
    CHECK(node == NULL);
    /* Called once, also when parley_create() failed. */
    CHECK_INT(event_count(&destroyed), before + 1);
}

static void bad_values(void) {
    const parley_options good = PARLEY_OPTIONS_INIT;
    parley_options options;
    options = good, options.codec = (parley_codec)1, refuses(options, "codec");
    options = good, options.codec = (parley_codec)7, refuses(options, "codec");
    options = good, options.codec = (parley_codec)-1, refuses(options, "codec");
    options = good, options.codec = PARLEY_CODEC_LIBP2P;
    refuses(options, "identity is NULL, and PARLEY_CODEC_LIBP2P needs one");
    options = good, options.log_level = (parley_log_level)7;
    refuses(options, "log_level is 7, outside 0 to 6");
    options = good, options.log_level = (parley_log_level)-1;
    refuses(options, "log_level is -1, outside 0 to 6");
    options = good, options.codec = PARLEY_CODEC_FRAMED, options.max_message_bytes = (size_t)UINT32_MAX + 1;
    refuses(options, "max_message_bytes");
    options = good, options.inbox_capacity = SIZE_MAX, refuses(options, "inbox_capacity");
    options = good, options.inbox_capacity_bytes = SIZE_MAX, refuses(options, "inbox_capacity_bytes");
    options = good, options.send_high_water_bytes = SIZE_MAX, refuses(options, "send_high_water_bytes");
    options = good, options.send_low_water_bytes = SIZE_MAX, refuses(options, "send_low_water_bytes");
    options = good, options.dial_timeout_ms = -2, refuses(options, "dial_timeout_ms");
    options = good, options.handshake_timeout_ms = INT_MIN, refuses(options, "handshake_timeout_ms");
    options = good, options.stream_idle_timeout_ms = -2, refuses(options, "stream_idle_timeout_ms");
    options = good, options.close_timeout_ms = -2, refuses(options, "close_timeout_ms");
    options = good, options.keepalive_idle_s = -2, refuses(options, "keep");
    options = good, options.keepalive_interval_s = -1, refuses(options, "keep");
    options = good, options.keepalive_count = -1, refuses(options, "keep");
    options = good, options.loops = SIZE_MAX, refuses(options, "loops is 18446744073709551615, outside");
    options = good, options.loops = 257, refuses(options, "loops is 257, outside 0 to 256");
    options = good, options.send_low_water_bytes = 2 << 20;
    refuses(options, "send_low_water_bytes is 2097152, above send_high_water_bytes (1048576)");
    options = good, options.send_high_water_bytes = 10, options.send_low_water_bytes = 11;
    refuses(options, "send_low_water_bytes is 11, above send_high_water_bytes (10)");
    options = good, options.keepalive_idle_s = 32768;
    refuses(options, "keepalive_idle_s is 32768, outside -1 to 32767");
    options = good, options.keepalive_interval_s = 32768;
    refuses(options, "keepalive_interval_s is 32768, outside 0 to 32767");
    options = good, options.keepalive_count = 128;
    refuses(options, "keepalive_count is 128, outside 0 to 127");
    options = good, options.heartbeat_interval_ms = 9;
    refuses(options, "heartbeat_interval_ms is 9, outside 10 to");
    options = good, options.heartbeat_max_missed = -1, refuses(options, "heartbeat_max_missed is -1");
    options = good, options.max_peers = SIZE_MAX, refuses(options, "max_peers");
    options = good, options.busy_poll_us = -1, refuses(options, "busy_poll_us");
    options = good, options.frame_timeout_ms = -2, refuses(options, "frame_timeout_ms");
    options = good, options.least_bytes_per_second = -1, refuses(options, "least_bytes_per_second");
    /* NULL for the result. */
    options = good, options.userdata = &destroyed, options.destroy_userdata = destroy;
    CHECK_CODE(parley_create(&options, NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_create(NULL, NULL), PARLEY_EINVAL);
    /* A size of 0 means a struct that was not initialised: no other field is read. */
    long before = event_count(&destroyed);
    parley_transport *node = NULL;
    options.size = 0;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "PARLEY_OPTIONS_INIT");
    CHECK_INT(event_count(&destroyed), before);
}

/* Every option at its greatest value. */
static void extremes(void) {
    parley_options options = loopback();
    options.max_message_bytes = UINT32_MAX;
    options.inbox_capacity = PTRDIFF_MAX;
    options.inbox_capacity_bytes = PTRDIFF_MAX;
    options.send_high_water_bytes = PTRDIFF_MAX;
    options.send_low_water_bytes = PTRDIFF_MAX;
    options.dial_timeout_ms = options.handshake_timeout_ms = INT_MAX;
    options.stream_idle_timeout_ms = options.close_timeout_ms = PARLEY_FOREVER;
    options.keepalive_idle_s = 32767;
    options.keepalive_interval_s = 32767;
    options.keepalive_count = 127;
    options.loops = 256;
    options.busy_poll_us = INT_MAX;
    options.frame_timeout_ms = INT_MAX;
    options.least_bytes_per_second = INT_MAX;
    free_pair(connected(&options, &options));

    /* And at its least. */
    options = loopback();
    options.max_message_bytes = options.inbox_capacity = options.inbox_capacity_bytes = 1;
    options.send_high_water_bytes = options.send_low_water_bytes = 1;
    options.dial_timeout_ms = PARLEY_FOREVER;
    options.handshake_timeout_ms = PARLEY_FOREVER;
    options.keepalive_idle_s = -1;
    pair pair = connected(&options, &options);
    parley_rpc rpc;
    CHECK_CODE(parley_send_message(pair.client, pair.to_server, "ab", 2, LIMIT_MS), PARLEY_EMSGSIZE);
    for (int index = 0; index < 10; index++) {
        CHECK_OK(parley_send_message(pair.client, pair.to_server, "a", 1, LIMIT_MS));
        if (index % 2) continue;
        CHECK_OK(parley_send_message(pair.client, pair.to_server, "", 0, LIMIT_MS));
    }
    for (int index = 0; index < 15; index++) {
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        parley_rpc_release(&rpc);
    }
    free_pair(pair);
}

/* A program that was built with a header with fewer fields: memory after its struct is not read. */
static void older_struct(void) {
    /* A struct with pointers ends where the next of them could begin. */
    const size_t unit = sizeof(void *);
    const size_t ends[] = {
        sizeof(size_t), offsetof(parley_options, codec), offsetof(parley_options, userdata),
        offsetof(parley_options, inbox_capacity), offsetof(parley_options, keepalive_count),
        offsetof(parley_options, loops)};
    size_t sizes[sizeof ends / sizeof *ends];
    for (size_t index = 0; index < sizeof ends / sizeof *ends; index++)
        sizes[index] = (ends[index] + unit - 1) / unit * unit;
    for (size_t index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        parley_options options;
        parley_transport *node = NULL;
        char address[64];
        /* Exactly that large, so that a read beyond it is detected. */
        void *old = malloc(sizes[index]);
        memset(&options, 0xff, sizeof options);
        options.size = sizes[index];
        if (sizes[index] > offsetof(parley_options, listen_address)) {
            const parley_options init = PARLEY_OPTIONS_INIT;
            memcpy(&options, &init, sizes[index]);
            options.size = sizes[index];
            options.listen_address = "127.0.0.1:0";
        }
        memcpy(old, &options, sizes[index]);
        CHECK_OK(parley_create((const parley_options *)old, &node));
        free(old);
        CHECK(parley_address(node, address, sizeof address) > 0);
        CHECK(strcmp(address, index == 0 ? ":0" : "127.0.0.1:0") == 0);
        CHECK_OK(parley_listen(node));
        CHECK_OK(parley_free(node));
    }
}

/* A program that was built with a header with more fields. */
static void newer_struct(void) {
    struct {
        parley_options known;
        char unknown[64];
    } options;
    const parley_options init = PARLEY_OPTIONS_INIT;
    parley_transport *node = NULL;
    long before = event_count(&destroyed);
    memset(&options, 0, sizeof options);
    options.known = init;
    options.known.size = sizeof options;
    CHECK_OK(parley_create(&options.known, &node));
    CHECK_OK(parley_free(node));
    /* An option that this library does not know would be ignored. */
    options.unknown[63] = 1;
    options.known.userdata = &destroyed;
    options.known.destroy_userdata = destroy;
    node = NULL;
    CHECK_CODE(parley_create(&options.known, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "parley_options is set");
    CHECK(node == NULL);
    CHECK_INT(event_count(&destroyed), before + 1);
    /* A size that was never set. */
    options.known.size = offsetof(parley_options, listen_address) + sizeof(void *) / 2;
    CHECK_CODE(parley_create(&options.known, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "no multiple of ");
    options.known.size = SIZE_MAX / 2;
    CHECK_CODE(parley_create(&options.known, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "parley_options.size is");
    options.known.size = SIZE_MAX;
    CHECK_CODE(parley_create(&options.known, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "parley_options.size is 18446744073709551615, outside 8 to");
}

/* No byte of a struct with a size is padding that an initialiser may leave as it was: a later field may lie
 * there. */
static void reserved_bytes(void) {
    const parley_options good = PARLEY_OPTIONS_INIT;
    parley_options options;
    size_t index;
    CHECK_INT(offsetof(parley_options, reserved) + sizeof good.reserved, sizeof good);
    CHECK_INT(offsetof(parley_options, reserved), offsetof(parley_options, one_connection_per_id) + 1);
    CHECK_INT(
        offsetof(parley_decoder, encode_stream_abort) + sizeof good.decoder->encode_stream_abort,
        sizeof(parley_decoder));
    for (index = 0; index < sizeof good.reserved; index++) {
        CHECK_INT(good.reserved[index], 0);
        options = good, options.reserved[index] = 1, refuses(options, "parley_options is set");
    }
}

/* The struct and its texts are copied. */
static void copied(void) {
    parley_transport *node;
    char text[] = "127.0.0.1:0", address[64];
    parley_options options = loopback();
    options.listen_address = text;
    node = create(&options);
    memset(text, 'x', sizeof text);
    memset(&options, 0xee, sizeof options);
    CHECK_OK(parley_listen(node));
    CHECK_CONTAINS((parley_address(node, address, sizeof address), address), "127.0.0.1:");
    CHECK_OK(parley_free(node));
}

static void defaults(void) {
    parley_transport *server = create(NULL), *client = create(NULL);
    char address[64], dialed[80];
    const char long_message[2000] = {1};
    const size_t lengths[] = {1, 3, 0, sizeof long_message};
    parley_peer peer;
    parley_rpc rpc;
    CHECK_INT(parley_address(server, address, sizeof address), 2);
    CHECK(strcmp(address, ":0") == 0);
    CHECK_OK(parley_listen(server));
    CHECK(parley_address(server, address, sizeof address) > 2);
    CHECK(address[0] == ':' && atoi(address + 1) > 0);
    /* ":port" means this host, IPv6 or IPv4. */
    CHECK_OK(parley_dial(client, address, LIMIT_MS, &peer));
    snprintf(dialed, sizeof dialed, "127.0.0.1%s", address);
    CHECK_OK(parley_dial(client, dialed, LIMIT_MS, &peer));
    /* The framed wire form: messages that are sent together do not merge, and may be empty or long. */
    CHECK_INT(PARLEY_CODEC_FRAMED, 0);
    for (size_t index = 0; index < 4; index++)
        CHECK_OK(parley_send_message(client, peer, long_message, lengths[index], LIMIT_MS));
    for (size_t index = 0; index < 4; index++) {
        CHECK_OK(parley_consume(server, &rpc, LIMIT_MS));
        CHECK_INT(rpc.length, lengths[index]);
        parley_rpc_release(&rpc);
    }
    CHECK_OK(parley_free(client));
    CHECK_OK(parley_free(server));
}

static void versions(void) {
    char text[32];
    CHECK_INT(parley_version(), PARLEY_VERSION);
    snprintf(text, sizeof text, "%d.%d.%d", PARLEY_VERSION_MAJOR, PARLEY_VERSION_MINOR, PARLEY_VERSION_PATCH);
    CHECK(strcmp(parley_version_string(), text) == 0);
}

int main(void) {
    begin(60);
    trying("versions");
    versions();
    trying("bad values");
    bad_values();
    trying("extremes");
    extremes();
    trying("older and newer structs");
    older_struct();
    newer_struct();
    reserved_bytes();
    trying("copied");
    copied();
    trying("defaults");
    defaults();
    return 0;
}
