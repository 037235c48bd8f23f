/* Every error code: its name, its text, and a real cause. */
#include "check.h"

#include <fcntl.h>
#include <sys/resource.h>

static const struct {
    int code;
    const char *name;
} all[] = {
#define CODE(name) {name, #name}
    CODE(PARLEY_OK),           CODE(PARLEY_EADDRINVAL),  CODE(PARLEY_EINVAL),       CODE(PARLEY_ENOTSUP),
    CODE(PARLEY_EMSGSIZE),     CODE(PARLEY_EALREADY),    CODE(PARLEY_EADDRINUSE),
    CODE(PARLEY_EADDRNOTAVAIL),
    CODE(PARLEY_ENONAME),      CODE(PARLEY_ECONNREFUSED), CODE(PARLEY_EUNREACH),    CODE(PARLEY_ETIMEDOUT),
    CODE(PARLEY_ECANCELED),    CODE(PARLEY_ECLOSED),     CODE(PARLEY_EOF),          CODE(PARLEY_ECONNRESET),
    CODE(PARLEY_EPROTO),       CODE(PARLEY_ETRUNCATED),  CODE(PARLEY_EHANDSHAKE),   CODE(PARLEY_EREFUSED),
    CODE(PARLEY_EMFILE),       CODE(PARLEY_EACCES),      CODE(PARLEY_EABORTED),     CODE(PARLEY_ESYSTEM),
    CODE(PARLEY_EMAXPEERS),    CODE(PARLEY_EMAXADDRESS), CODE(PARLEY_ENOTALLOWED),  CODE(PARLEY_EBANNED),
    CODE(PARLEY_EIDLE),        CODE(PARLEY_ESTALLED),    CODE(PARLEY_EHEARTBEAT),   CODE(PARLEY_EBUFFERFULL),
    CODE(PARLEY_EDUPLICATE),   CODE(PARLEY_ENOMEM),
    CODE(PARLEY_EEXIST),       CODE(PARLEY_ENOENT),      CODE(PARLEY_ENOPEER),      CODE(PARLEY_EDEADLK),
    CODE(PARLEY_EAGAIN),       CODE(PARLEY_EFORKED),
};
enum { codes = sizeof all / sizeof all[0] };

static bool was_reached[codes];

/* Checks that a call failed with this code and left a message. */
static void reached(int code, int expected, int line) {
    size_t index;
    check_code(__FILE__, line, "the cause's code", code, expected);
    for (index = 0; index < codes; index++)
        if (all[index].code == code) was_reached[index] = true;
}

#define FAILS(call, expected) \
    do { \
        reached((int)(call), expected, __LINE__); \
        CHECK(strlen(parley_last_error()) > 0); \
    } while (0)

static void names_and_texts(void) {
    size_t index, other;
    for (index = 0; index < codes; index++) {
        CHECK(strcmp(parley_err_name(all[index].code), all[index].name) == 0);
        CHECK(strlen(parley_strerror(all[index].code)) > 5);
        for (other = 0; other < index; other++)
            CHECK(strcmp(parley_strerror(all[index].code), parley_strerror(all[other].code)) != 0);
        /* Static: the same pointer each time. */
        CHECK(parley_strerror(all[index].code) == parley_strerror(all[index].code));
    }
    CHECK(strcmp(parley_err_name(1), "PARLEY_EUNKNOWN") == 0);
    CHECK(strcmp(parley_err_name(-1000), "PARLEY_EUNKNOWN") == 0);
    CHECK(strcmp(parley_err_name(INT_MIN), "PARLEY_EUNKNOWN") == 0);
    CHECK(strlen(parley_strerror(INT_MAX)) > 0);
    /* The codes of callbacks are below -1000. */
    CHECK_CONTAINS(parley_strerror(-1001), "callback");
    CHECK_CONTAINS(parley_strerror(INT_MIN), "callback");
    CHECK(strcmp(parley_strerror(-1000), parley_strerror(-1001)) != 0);
    CHECK(strcmp(parley_last_error(), "") == 0);
}

/* ---- Addresses ---- */

static void addresses(void) {
    parley_options options = loopback();
    parley_transport *node = create(&options), *other = listening(&options);
    char address[64], taken[64];
    parley_peer peer;
    FAILS(parley_dial(node, "nowhere", PARLEY_FOREVER, &peer), PARLEY_EADDRINVAL);
    CHECK_CONTAINS(parley_last_error(), "nowhere");
    FAILS(parley_dial(node, "127.0.0.1:65536", PARLEY_FOREVER, &peer), PARLEY_EADDRINVAL);
    FAILS(parley_dial(node, "127.0.0.1:0", PARLEY_FOREVER, &peer), PARLEY_EADDRINVAL);
    FAILS(parley_dial(node, "", PARLEY_FOREVER, &peer), PARLEY_EADDRINVAL);
    FAILS(parley_dial(node, "127.0.0.1:1", -2, &peer), PARLEY_EINVAL);
    FAILS(parley_dial(node, NULL, PARLEY_FOREVER, &peer), PARLEY_EINVAL);
    FAILS(parley_dial(node, "127.0.0.1:1", PARLEY_FOREVER, NULL), PARLEY_EINVAL);
    FAILS(parley_dial(node, "127.0.0.1:1", 0, &peer), PARLEY_EAGAIN);
    FAILS(parley_dial(node, "no-such-host.invalid:1", PARLEY_FOREVER, &peer), PARLEY_ENONAME);
    CHECK_CONTAINS(parley_last_error(), "no-such-host.invalid");
    FAILS(parley_dial(node, "224.0.0.1:9", PARLEY_FOREVER, &peer), PARLEY_EUNREACH);
    FAILS(parley_listen(other), PARLEY_EALREADY);
    parley_address(other, taken, sizeof taken);
    CHECK_OK(parley_free(node));
    options.listen_address = taken;
    node = create(&options);
    FAILS(parley_listen(node), PARLEY_EADDRINUSE);
    CHECK_CONTAINS(parley_last_error(), taken);
    parley_address(node, address, sizeof address);
    CHECK(strcmp(address, taken) == 0);
    CHECK_OK(parley_free(other));
    FAILS(parley_dial(node, taken, PARLEY_FOREVER, &peer), PARLEY_ECONNREFUSED);
    CHECK_CONTAINS(parley_last_error(), taken);
    /* A failed call may be repeated. */
    CHECK_OK(parley_listen(node));
    CHECK_OK(parley_free(node));
    options.listen_address = "192.0.2.1:0";
    node = create(&options);
    FAILS(parley_listen(node), PARLEY_EADDRNOTAVAIL);
    CHECK_OK(parley_free(node));
    options.listen_address = "no port";
    node = create(&options);
    FAILS(parley_listen(node), PARLEY_EADDRINVAL);
    CHECK_OK(parley_free(node));
}

/* ---- What is no text, what is over, and whose it is ---- */

static int raw_code;

/* The handshake is over: these bytes would be taken for a frame. */
static int send_raw(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)userdata;
    raw_code = parley_send(transport, peer, "raw", 3, 0);
    return 0;
}

static void boundaries(void) {
    parley_options options = loopback();
    parley_transport *closed;
    parley_identity *identity = NULL;
    parley_stream *stream = NULL;
    parley_peer_stream body;
    parley_peer peer;
    parley_rpc rpc;
    pair pair;
    options.on_peer = send_raw;
    pair = connected(&options, &options);
    FAILS(raw_code, PARLEY_ENOTSUP);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "hello", 5, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    parley_rpc_release(&rpc);

    memset(&rpc, 0xff, sizeof rpc);
    FAILS(parley_try_consume(pair.server, &rpc), PARLEY_EAGAIN);
    CHECK(rpc.owner == NULL && rpc.length == 0);
    parley_rpc_release(&rpc);

    FAILS(
        parley_send_file(pair.client, pair.to_server, "caf\xe9", NULL, 0, 0, UINT64_MAX, NULL, NULL),
        PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "not UTF-8");
    CHECK_OK(parley_identity_generate(&identity));
    FAILS(parley_identity_save(identity, "/tmp/caf\xe9"), PARLEY_EINVAL);
    parley_identity_free(identity);

    CHECK_OK(parley_stream_open(pair.client, pair.to_server, "header", 6, LIMIT_MS, &stream));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    FAILS(parley_rpc_body(pair.client, &rpc, &body), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "another transport");
    parley_rpc_release(&rpc);
    parley_stream_abort(stream, 0, NULL);
    free_pair(pair);

    options.on_peer = NULL;
    closed = create(&options);
    CHECK_OK(parley_close(closed));
    FAILS(parley_broadcast(closed, "x", 1), PARLEY_ECLOSED);
    FAILS(parley_ban(closed, "192.0.2.1", 1000), PARLEY_ECLOSED);
    FAILS(parley_dial(closed, "127.0.0.1:1", 0, &peer), PARLEY_ECLOSED);
    CHECK_OK(parley_free(closed));
}

/* ---- Messages and peers ---- */

static void in_callback(void *argument) {
    pair *it = (pair *)argument;
    reached(parley_close(it->client), PARLEY_EDEADLK, __LINE__);
    CHECK_OK(parley_peer_close(it->client, it->to_server, 0));
}

static void messages(void) {
    parley_options options = loopback();
    uint8_t large[1029];
    parley_stream *stream = NULL;
    parley_rpc rpc;
    pair pair;
    options.codec = PARLEY_CODEC_UNFRAMED;
    pair = connected(&options, &options);
    memset(large, 0, sizeof large);
    FAILS(
        parley_send_message(pair.client, pair.to_server, large, sizeof large, PARLEY_FOREVER),
        PARLEY_EMSGSIZE);
    FAILS(parley_send_message(pair.client, pair.to_server, large, 0, PARLEY_FOREVER), PARLEY_EINVAL);
    FAILS(parley_stream_open(pair.client, pair.to_server, "h", 1, PARLEY_FOREVER, &stream), PARLEY_ENOTSUP);
    FAILS(parley_consume(pair.server, &rpc, 0), PARLEY_EAGAIN);
    FAILS(parley_consume(pair.server, &rpc, 10), PARLEY_ETIMEDOUT);
    CHECK_OK(parley_post(pair.client, in_callback, &pair));
    await_peers(pair.client, 0);
    await_callbacks(pair.client);
    FAILS(parley_send_message(pair.client, pair.to_server, "x", 1, PARLEY_FOREVER), PARLEY_ENOPEER);
    CHECK_OK(parley_close(pair.client));
    FAILS(parley_consume(pair.client, &rpc, PARLEY_FOREVER), PARLEY_ECLOSED);
    FAILS(parley_dial(pair.client, "127.0.0.1:1", PARLEY_FOREVER, &pair.to_server), PARLEY_ECLOSED);
    free_pair(pair);
}

/* ---- Disconnects ---- */

static struct {
    event gone;
    int reason;
    char message[256];
} end = {EVENT_INIT, 0, ""};

static void gone(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    (void)transport;
    (void)peer;
    (void)userdata;
    end.reason = reason;
    snprintf(end.message, sizeof end.message, "%s", message);
    event_add(&end.gone, 1);
}

static int refuse(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)transport;
    (void)peer;
    return *(int *)userdata;
}

static void ends_with(parley_transport *node, const char *bytes, size_t length, bool reset, int reason) {
    long before = event_count(&end.gone);
    int socket_fd = raw_dial(node);
    raw_send(socket_fd, bytes, length);
    if (reset) {
        await_peers(node, 1);
        raw_reset(socket_fd);
    } else if (reason != PARLEY_EPROTO) {
        close(socket_fd);
    }
    CHECK(event_reaches(&end.gone, before + 1, LIMIT_MS));
    reached(end.reason, reason, __LINE__);
    CHECK(strlen(end.message) > 0);
    if (reason == PARLEY_EPROTO) close(socket_fd);
}

static void ends(void) {
    parley_options options = loopback();
    parley_transport *node, *dialer;
    parley_peer peer;
    char address[64];
    int code = -1717;
    options.on_disconnect = gone;
    options.max_message_bytes = 1000;
    node = listening(&options);
    ends_with(node, "", 0, false, PARLEY_EOF);
    ends_with(node, "\1\0\0\0\0", 5, false, PARLEY_EOF);
    ends_with(node, "\1\0\0", 3, false, PARLEY_ETRUNCATED);
    ends_with(node, "\1\0\0\0\2x", 6, false, PARLEY_ETRUNCATED);
    ends_with(node, "\1\0\0\0\0", 5, true, PARLEY_ECONNRESET);
    ends_with(node, "\13", 1, false, PARLEY_EPROTO);
    ends_with(node, "\1\0\0\3\351", 5, false, PARLEY_EPROTO); /* announces 1,001 bytes */
    ends_with(node, "GET / HTTP/1.1\r\n\r\n", 18, false, PARLEY_EPROTO);
    parley_address(node, address, sizeof address);

    options.userdata = &code;
    options.handshake = refuse;
    dialer = create(&options);
    long before = event_count(&end.gone);
    CHECK_CODE(parley_dial(dialer, address, PARLEY_FOREVER, &peer), -1717);
    CHECK_OK(parley_free(dialer));
    /* Both sides have an on_disconnect. That of the refusing side comes last or first. */
    CHECK(event_reaches(&end.gone, before + 2, LIMIT_MS));
    CHECK_OK(parley_free(node));

    /* Only the dialer has an on_disconnect. */
    parley_options plain = loopback();
    node = listening(&plain);
    parley_address(node, address, sizeof address);
    dialer = create(&options);
    before = event_count(&end.gone);
    CHECK_CODE(parley_dial(dialer, address, PARLEY_FOREVER, &peer), -1717);
    CHECK(event_reaches(&end.gone, before + 1, LIMIT_MS));
    reached(end.reason, PARLEY_EHANDSHAKE, __LINE__);
    CHECK_OK(parley_free(dialer));
    options.on_peer = options.handshake;
    options.handshake = NULL;
    dialer = create(&options);
    before = event_count(&end.gone);
    CHECK_CODE(parley_dial(dialer, address, PARLEY_FOREVER, &peer), -1717);
    CHECK(event_reaches(&end.gone, before + 1, LIMIT_MS));
    reached(end.reason, PARLEY_EREFUSED, __LINE__);
    CHECK_CONTAINS(end.message, "-1717");
    CHECK_OK(parley_free(dialer));
    CHECK_OK(parley_free(node));
}

/* ---- Streams and files ---- */

static void streams_and_files(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    char folder[64], path[96], too_long[5000];
    parley_stream *stream;
    uint8_t byte;
    int file;
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, PARLEY_FOREVER, &stream));
    parley_stream_abort(stream, 7, "a reason");
    FAILS(parley_read(pair.server, pair.to_client, &byte, 1, LIMIT_MS), PARLEY_EABORTED);
    CHECK_CONTAINS(parley_last_error(), "a reason");
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));

    make_folder(folder);
    snprintf(path, sizeof path, "%s/secret", folder);
    FAILS(
        parley_send_file(pair.client, pair.to_server, path, NULL, 0, 0, UINT64_MAX, NULL, NULL),
        PARLEY_ENOENT);
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(file >= 0 && write(file, "secret", 6) == 6 && close(file) == 0);
    if (geteuid() == 0) CHECK(seteuid(65534) == 0);
    else CHECK(chmod(path, 0) == 0);
    FAILS(
        parley_send_file(pair.client, pair.to_server, path, NULL, 0, 0, UINT64_MAX, NULL, NULL),
        PARLEY_EACCES);
    if (getuid() == 0) CHECK(seteuid(0) == 0);
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = 0;
    FAILS(
        parley_send_file(pair.client, pair.to_server, too_long, NULL, 0, 0, UINT64_MAX, NULL, NULL),
        PARLEY_ESYSTEM);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, PARLEY_FOREVER, &stream));
    CHECK_OK(parley_stream_finish(stream));
    FAILS(parley_receive_file(pair.server, pair.to_client, path, UINT64_MAX, NULL, NULL), PARLEY_EEXIST);
    CHECK_INT(count_files(folder, true), 1);
    free_pair(pair);
}

/* ---- No descriptors ---- */

static void never_called(parley_transport *transport, parley_peer peer, int error, void *argument) {
    (void)transport;
    (void)peer;
    (void)error;
    (void)argument;
    CHECK(!"called although dialing could not begin");
}

static void count_one(void *argument) { event_add((event *)argument, 1); }

static void descriptors(void) {
    parley_options options = loopback();
    parley_transport *node = create(&options), *running = listening(&options);
    event posted = EVENT_INIT;
    struct rlimit before, none;
    parley_peer peer;
    char address[64];
    parley_address(running, address, sizeof address);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    int listen = parley_listen(node), dialed = parley_dial(node, address, PARLEY_FOREVER, &peer),
        dialing = parley_dial_async(node, address, never_called, NULL), descriptor = parley_fd(node),
        also = parley_dial(running, address, PARLEY_FOREVER, &peer),
        post = parley_post(node, count_one, &posted);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    reached(listen, PARLEY_EMFILE, __LINE__);
    reached(dialed, PARLEY_EMFILE, __LINE__);
    reached(dialing, PARLEY_EMFILE, __LINE__);
    reached(descriptor, PARLEY_EMFILE, __LINE__);
    reached(also, PARLEY_EMFILE, __LINE__);
    reached(post, PARLEY_EMFILE, __LINE__);
    /* Everything works again afterwards. */
    CHECK_INT(event_count(&posted), 0);
    CHECK_OK(parley_post(node, count_one, &posted));
    CHECK_REACHES(&posted, 1);
    CHECK_OK(parley_listen(node));
    CHECK_OK(parley_dial(node, address, LIMIT_MS, &peer));
    CHECK(parley_fd(node) >= 0);
    CHECK_OK(parley_free(node));
    CHECK_OK(parley_free(running));
}

int main(void) {
    size_t index;
    begin(60);
    trying("names and texts");
    names_and_texts();
    trying("addresses");
    addresses();
    trying("boundaries");
    boundaries();
    trying("messages");
    messages();
    trying("disconnects");
    ends();
    trying("streams and files");
    streams_and_files();
    trying("descriptors");
    descriptors();
    for (index = 0; index < codes; index++) {
        /* PARLEY_OK is no error. In C, closing is the only way to cancel a call of another thread. */
        if (all[index].code == PARLEY_OK || all[index].code == PARLEY_ECANCELED) continue;
        /* limits.c covers the codes of limits. */
        if (all[index].code <= PARLEY_EMAXPEERS && all[index].code >= PARLEY_ENOMEM) continue;
        /* fork.c covers this one. */
        if (all[index].code == PARLEY_EFORKED) continue;
        if (!was_reached[index]) check_failed(__FILE__, __LINE__, "not reached", all[index].name);
    }
    return 0;
}
