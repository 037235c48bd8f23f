/* The handshake: on a thread of its own, where it may block on reads and sends, on both sides at once. */
#include "check.h"

typedef struct script {
    const char *says, *expects;
    int refuses_with;
    event begun, ended, disconnects;
    event *gate; /* the handshake waits for it before it returns */
    int reason;
    char message[256];
} script;

static const script no_script = {NULL, NULL, 0, EVENT_INIT, EVENT_INIT, EVENT_INIT, NULL, 0, ""};

static int do_handshake(parley_transport *transport, parley_peer peer, void *userdata) {
    script *it = (script *)userdata;
    char heard[64];
    parley_peer peers[64];
    size_t index, count;
    int code = PARLEY_OK;
    event_add(&it->begun, 1);
    /* The peer can be used, but it is not open yet. */
    for (index = 0, count = parley_peers(transport, peers, 64); index < count; index++)
        CHECK(peers[index] != peer);
    CHECK(parley_peer_remote_address(transport, peer, heard, sizeof heard) > 0);
    if (it->says != NULL) code = parley_send(transport, peer, it->says, strlen(it->says), PARLEY_FOREVER);
    if (code == PARLEY_OK && it->expects != NULL) {
        code = parley_read_exactly(transport, peer, heard, strlen(it->expects), PARLEY_FOREVER);
        if (code == PARLEY_OK && memcmp(heard, it->expects, strlen(it->expects)) != 0)
            code = it->refuses_with;
    } else if (code == PARLEY_OK) {
        code = it->refuses_with;
    }
    if (it->gate != NULL) CHECK(event_reaches(it->gate, 1, LIMIT_MS));
    event_add(&it->ended, 1);
    return code;
}

static void gone(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    script *it = (script *)userdata;
    (void)transport;
    (void)peer;
    it->reason = reason;
    snprintf(it->message, sizeof it->message, "%s", message);
    event_add(&it->disconnects, 1);
}

static parley_options following(script *script) {
    parley_options options = loopback();
    options.userdata = script;
    options.handshake = do_handshake;
    options.on_disconnect = gone;
    return options;
}

/* Both sides send a name and read the other's. Bytes after that go to the decoder. */
static void both_sides(void) {
    script of_server = no_script, of_client = no_script;
    parley_options server = following(&of_server), client = following(&of_client);
    pair pair;
    parley_rpc rpc;
    of_server.says = of_client.expects = "I am the server";
    of_client.says = of_server.expects = "I am the client";
    pair = connected(&server, &client);
    CHECK_INT(event_count(&of_server.ended), 1);
    CHECK_INT(event_count(&of_client.ended), 1);
    CHECK_OK(parley_send_message(pair.client, pair.to_server, "a message", 9, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK(rpc.length == 9 && memcmp(rpc.payload, "a message", 9) == 0);
    parley_rpc_release(&rpc);
    free_pair(pair);
    CHECK_INT(event_count(&of_server.disconnects), 1);
    CHECK_INT(event_count(&of_client.disconnects), 1);
}

/* Handshake, message and the end of the connection in one segment: nothing is lost or read twice. */
static void all_in_one_segment(void) {
    script of_server = no_script;
    parley_options options = following(&of_server);
    parley_transport *node;
    parley_rpc rpc;
    int socket_fd;
    of_server.expects = "hello";
    options.codec = PARLEY_CODEC_FRAMED;
    node = listening(&options);
    socket_fd = raw_dial(node);
    raw_send(socket_fd, "hello\1\0\0\0\3abc\1\0\0\0\0", 18);
    close(socket_fd);
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK(rpc.length == 3 && memcmp(rpc.payload, "abc", 3) == 0);
    parley_rpc_release(&rpc);
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, 0);
    parley_rpc_release(&rpc);
    CHECK_REACHES(&of_server.disconnects, 1);
    CHECK_CODE(of_server.reason, PARLEY_EOF);
    CHECK_OK(parley_free(node));
}

/* The program's own code reaches the dialer, and on_disconnect reports that the handshake failed. */
static void refusals(void) {
    const int codes[] = {-1001, -4711, INT_MIN, PARLEY_EACCES};
    size_t index;
    for (index = 0; index < 4; index++) {
        script of_client = no_script;
        parley_options server = loopback(), client = following(&of_client);
        parley_transport *listener = listening(&server), *dialer;
        parley_peer peer = 77;
        char address[64];
        of_client.refuses_with = codes[index];
        dialer = create(&client);
        parley_address(listener, address, sizeof address);
        CHECK_CODE(parley_dial(dialer, address, LIMIT_MS, &peer), codes[index]);
        CHECK(peer == PARLEY_NO_PEER);
        CHECK_REACHES(&of_client.disconnects, 1);
        CHECK_CODE(of_client.reason, PARLEY_EHANDSHAKE);
        CHECK_OK(parley_free(dialer));
        CHECK_OK(parley_free(listener));
        CHECK_INT(event_count(&of_client.disconnects), 1);
    }
}

/* The acceptor refuses: the dialer's handshake waits for an answer and sees the connection end. */
static void refused_by_the_other_side(void) {
    script of_server = no_script, of_client = no_script;
    parley_options server = following(&of_server), client = following(&of_client);
    parley_transport *listener, *dialer;
    parley_peer peer;
    char address[64];
    of_server.expects = "password";
    of_server.refuses_with = -1001;
    of_client.says = "letmein!";
    of_client.expects = "welcome";
    listener = listening(&server);
    dialer = create(&client);
    parley_address(listener, address, sizeof address);
    CHECK_CODE(parley_dial(dialer, address, LIMIT_MS, &peer), PARLEY_EOF);
    CHECK_REACHES(&of_server.disconnects, 1);
    CHECK_CODE(of_server.reason, PARLEY_EHANDSHAKE);
    CHECK_CONTAINS(of_server.message, "-1001");
    CHECK_INT(parley_peers(listener, NULL, 0), 0);
    CHECK_OK(parley_free(dialer));
    CHECK_OK(parley_free(listener));
}

/* The other side does not answer: the transport's time-out or the dial's own ends the handshake. */
static void timeouts(void) {
    script of_server = no_script, of_client = no_script;
    parley_options server = following(&of_server), client = following(&of_client);
    parley_transport *listener, *dialer;
    parley_peer peer;
    char address[64];
    double begun;
    int socket_fd;
    of_server.expects = "never comes";
    of_client.expects = "never comes";
    server.handshake_timeout_ms = 1000;
    listener = listening(&server);
    parley_address(listener, address, sizeof address);
    socket_fd = raw_dial(listener);
    CHECK_REACHES(&of_server.disconnects, 1);
    CHECK_CODE(of_server.reason, PARLEY_ETIMEDOUT);
    /* On a slow machine its thread may begin too late. */
    if (event_count(&of_server.begun) > 0) CHECK_REACHES(&of_server.ended, 1);
    close(socket_fd);
    CHECK_OK(parley_free(listener));

    server = loopback();
    listener = listening(&server);
    parley_address(listener, address, sizeof address);
    client.handshake_timeout_ms = PARLEY_FOREVER;
    dialer = create(&client);
    begun = now_ms();
    CHECK_CODE(parley_dial(dialer, address, 1000, &peer), PARLEY_ETIMEDOUT);
    CHECK(now_ms() - begun >= 1000);
    if (event_count(&of_client.begun) > 0) CHECK_REACHES(&of_client.ended, 1);
    CHECK_OK(parley_free(dialer));
    CHECK_OK(parley_free(listener));
}

/* A slow handshake delays neither other peers nor the loop. */
static void many_at_once(void) {
    enum { peers = 40 };
    script of_server = no_script, of_client = no_script;
    parley_options server = following(&of_server), client = following(&of_client);
    parley_transport *listener, *dialer;
    event gate = EVENT_INIT;
    parley_peer peer;
    int index, sockets[peers];
    of_server.gate = &gate;
    listener = listening(&server);
    for (index = 0; index < peers; index++) sockets[index] = raw_dial(listener);
    CHECK_REACHES(&of_server.begun, peers);
    CHECK_INT(event_count(&of_server.ended), 0);
    dialer = create(&client);
    event_add(&gate, 1);
    peer = dial(dialer, listener);
    CHECK(peer != PARLEY_NO_PEER);
    await_peers(listener, peers + 1);
    for (index = 0; index < peers; index++) close(sockets[index]);
    CHECK_OK(parley_free(dialer));
    await_peers(listener, 0);
    CHECK_OK(parley_free(listener));
    CHECK_INT(event_count(&of_server.disconnects), peers + 1);
}

/* Silent peers keep a thread each, here without a time limit. The handshake of an honest one is done all the
 * same. */
static void silent_peers(void) {
    enum { most = 100 };
    const int peers = (int)scaled(most, 70);
    script of_server = no_script, of_client = no_script;
    parley_options server = following(&of_server), client = following(&of_client);
    parley_transport *listener, *dialer;
    int index, sockets[most];
    of_server.says = of_client.expects = "I am the server";
    of_client.says = of_server.expects = "I am the client";
    server.handshake_timeout_ms = client.handshake_timeout_ms = PARLEY_FOREVER;
    listener = listening(&server);
    dialer = create(&client);
    for (index = 0; index < peers; index++) sockets[index] = raw_dial(listener);
    CHECK_REACHES(&of_server.begun, peers);
    dial(dialer, listener);
    CHECK_INT(event_count(&of_server.begun), peers + 1);
    CHECK_INT(event_count(&of_server.disconnects), 0);
    for (index = 0; index < peers; index++) close(sockets[index]);
    CHECK_REACHES(&of_server.ended, peers + 1);
    CHECK_OK(parley_free(dialer));
    CHECK_OK(parley_free(listener));
}

/* The handshake of a dial has a thread of its own also when inbound peers have as many as they may. */
static void dials_apart(void) {
    script of_node = no_script, of_other = no_script;
    parley_options node_options = following(&of_node), other_options = following(&of_other);
    parley_transport *node, *other;
    int silent;
    of_node.says = of_other.expects = "I am the node";
    of_other.says = of_node.expects = "I am the other";
    node_options.max_handshakes = 1;
    node_options.handshake_timeout_ms = PARLEY_FOREVER;
    node = listening(&node_options);
    other = listening(&other_options);
    silent = raw_dial(node);
    CHECK_REACHES(&of_node.begun, 1);
    dial(node, other);
    CHECK_INT(event_count(&of_node.begun), 2);
    close(silent);
    CHECK_OK(parley_free(node));
    CHECK_OK(parley_free(other));
}

/* No handshake runs during the peer's on_disconnect, and none begins after it. */
static struct {
    event called;
    parley_peer running[64], gone[64];
    int running_count, gone_count;
    pthread_mutex_t lock;
    event gate;
} late = {EVENT_INIT, {0}, {0}, 0, 0, PTHREAD_MUTEX_INITIALIZER, EVENT_INIT};

static int begin_late(parley_transport *transport, parley_peer peer, void *userdata) {
    int index;
    (void)transport;
    (void)userdata;
    pthread_mutex_lock(&late.lock);
    for (index = 0; index < late.gone_count; index++) CHECK(late.gone[index] != peer);
    CHECK(late.running_count < 64);
    late.running[late.running_count++] = peer;
    pthread_mutex_unlock(&late.lock);
    event_add(&late.called, 1);
    CHECK_REACHES(&late.gate, 1);
    pthread_mutex_lock(&late.lock);
    for (index = 0; late.running[index] != peer; index++) {}
    late.running[index] = late.running[--late.running_count];
    pthread_mutex_unlock(&late.lock);
    return PARLEY_OK;
}

static void gone_early(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    int index;
    (void)transport;
    (void)reason;
    (void)message;
    (void)userdata;
    pthread_mutex_lock(&late.lock);
    for (index = 0; index < late.running_count; index++) CHECK(late.running[index] != peer);
    CHECK(late.gone_count < 64);
    late.gone[late.gone_count++] = peer;
    pthread_mutex_unlock(&late.lock);
}

static int disconnects_so_far(void) {
    int count;
    pthread_mutex_lock(&late.lock);
    count = late.gone_count;
    pthread_mutex_unlock(&late.lock);
    return count;
}

/* Returns false when the machine was too slow: a handshake has timed out before it could begin. */
static bool more_than_may_run(int timeout_ms) {
    enum { peers = 24, at_once = 8 };
    parley_options options = loopback();
    parley_transport *node;
    char byte;
    int index, sockets[peers];
    options.handshake = begin_late;
    options.on_disconnect = gone_early;
    options.handshake_timeout_ms = timeout_ms;
    options.max_handshakes = at_once;
    late.called.count = late.gate.count = 0;
    late.running_count = late.gone_count = 0;
    node = listening(&options);
    for (index = 0; index < peers; index++) sockets[index] = raw_dial(node);
    CHECK_EVENTUALLY(event_count(&late.called) >= at_once || disconnects_so_far() > 0);
    if (disconnects_so_far() > 0) {
        event_add(&late.gate, 1);
        CHECK_OK(parley_free(node));
        for (index = 0; index < peers; index++) close(sockets[index]);
        return false;
    }
    /* The time-out ends those whose handshake hangs. They keep their places, and the others wait. */
    for (index = 0; index < at_once; index++) CHECK(recv(sockets[index], &byte, 1, 0) <= 0);
    await_callbacks(node);
    CHECK_INT(disconnects_so_far(), 0);
    CHECK_INT(event_count(&late.called), at_once);
    event_add(&late.gate, 1);
    CHECK_EVENTUALLY(disconnects_so_far() >= at_once);
    CHECK_EVENTUALLY(statistics_of(node).accepted == peers);
    CHECK_OK(parley_free(node));
    for (index = 0; index < peers; index++) close(sockets[index]);
    CHECK_INT(disconnects_so_far(), peers);
    return true;
}

/* The peer disconnects while its handshake does not use it: the handshake's next call fails. */
static int peer_disconnects(parley_transport *transport, parley_peer peer, void *userdata) {
    event *gate = (event *)userdata;
    uint8_t byte;
    int code;
    event_add(gate, 1);
    CHECK_REACHES(gate, 2);
    /* The first read may still return the end of the connection. */
    code = parley_read_exactly(transport, peer, &byte, 1, PARLEY_FOREVER);
    CHECK(code == PARLEY_EOF || code == PARLEY_ECONNRESET || code == PARLEY_ENOPEER);
    event_add(gate, 10);
    return code;
}

static void peer_disconnects_meanwhile(void) {
    event gate = EVENT_INIT;
    parley_options options = loopback();
    parley_transport *node;
    int socket_fd;
    options.handshake = peer_disconnects;
    options.userdata = &gate;
    node = listening(&options);
    socket_fd = raw_dial(node);
    CHECK_REACHES(&gate, 1);
    raw_reset(socket_fd);
    event_add(&gate, 1);
    CHECK_REACHES(&gate, 12);
    CHECK_OK(parley_free(node));
}

/* The connection ends while its handshake waits for bytes. on_disconnect may free what the handshake uses. */
typedef struct session {
    event *gate;
    int uses;
} session;

static int use_session(parley_transport *transport, parley_peer peer, void *userdata) {
    session *it = (session *)malloc(sizeof *it);
    uint8_t byte;
    int code;
    CHECK(it != NULL);
    it->gate = (event *)userdata;
    it->uses = 1;
    CHECK_OK(parley_peer_set_userdata(transport, peer, it));
    event_add(it->gate, 1);
    code = parley_read_exactly(transport, peer, &byte, 1, PARLEY_FOREVER);
    CHECK(code == PARLEY_ECONNRESET || code == PARLEY_ECLOSED);
    /* The end waits for this callback, so this cannot wait for the end. */
    CHECK_CODE(parley_peer_close(transport, peer, LIMIT_MS), PARLEY_EDEADLK);
    CHECK_OK(parley_peer_close(transport, peer, 0));
    /* Two turns of the loop, in which the socket is closed. */
    await_callbacks(transport);
    await_callbacks(transport);
    CHECK(parley_peer_userdata(transport, peer) == it);
    it->uses += 1;
    event_add(it->gate, 10);
    return code;
}

static void free_session(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    session *it = (session *)parley_peer_userdata(transport, peer);
    (void)message;
    CHECK(reason == PARLEY_ECONNRESET || reason == PARLEY_ECLOSED);
    CHECK(it != NULL && it->gate == (event *)userdata);
    CHECK_INT(event_count(it->gate), 11);
    CHECK_INT(it->uses, 2);
    event_add(it->gate, 100);
    free(it);
}

static void ends_meanwhile(bool closes) {
    event gate = EVENT_INIT;
    parley_options options = loopback();
    parley_transport *node;
    int socket_fd;
    options.handshake = use_session;
    options.on_disconnect = free_session;
    options.userdata = &gate;
    node = listening(&options);
    socket_fd = raw_dial(node);
    CHECK_REACHES(&gate, 1);
    if (closes) {
        CHECK_OK(parley_close(node));
        close(socket_fd);
    } else {
        raw_reset(socket_fd);
    }
    CHECK_REACHES(&gate, 111);
    CHECK_INT(parley_peers(node, NULL, 0), 0);
    CHECK_OK(parley_free(node));
    CHECK_INT(event_count(&gate), 111);
}

int main(void) {
    begin(90);
    trying("both sides");
    both_sides();
    all_in_one_segment();
    trying("refusals");
    refusals();
    refused_by_the_other_side();
    trying("timeouts");
    timeouts();
    trying("many at once");
    many_at_once();
    trying("silent peers");
    silent_peers();
    trying("dials apart");
    dials_apart();
    trying("more than may run");
    CHECK(more_than_may_run(1000) || more_than_may_run(4000) || more_than_may_run(16000));
    trying("the peer disconnects meanwhile");
    peer_disconnects_meanwhile();
    trying("the connection ends meanwhile");
    ends_meanwhile(false);
    ends_meanwhile(true);
    return 0;
}
