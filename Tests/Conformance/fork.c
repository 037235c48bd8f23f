/* In a forked child of a process that has used the library every call fails at once. The parent goes on. */
#include "process.h"

#include <sys/wait.h>

/* Runs `body` in a child, and checks how it ends. Checkers of leaks miss the stacks of the threads that the
 * child has not got: they get no chance to look. */
static void in_child(void (*body)(void *argument), void *argument, bool exits) {
    int status;
    pid_t child;
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        begin(20);
        body(argument);
        if (is_slow()) kill(getpid(), SIGKILL);
#ifndef __SANITIZE_ADDRESS__
        if (exits) exit(0);
#endif
        (void)exits;
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, is_slow() ? SIGKILL : 0);
}

static void never_called(void *argument) {
    (void)argument;
    CHECK(!"called in a forked child");
}

static void never_dialed(parley_transport *transport, parley_peer peer, int error, void *argument) {
    (void)transport;
    (void)peer;
    (void)error;
    never_called(argument);
}

static void never_answered(
    parley_transport *transport, parley_peer peer, const parley_answer *answer, void *argument) {
    (void)transport;
    (void)peer;
    (void)answer;
    never_called(argument);
}

static void never_ready(parley_transport *transport, parley_peer peer, void *argument) {
    (void)transport;
    (void)peer;
    never_called(argument);
}

static void never_taken(parley_transport *transport, parley_peer_stream stream, void *argument) {
    (void)transport;
    (void)stream;
    never_called(argument);
}

static void destroyed(void *userdata) { event_add((event *)userdata, 1); }

#define FAILS(call) CHECK_CODE(call, PARLEY_EFORKED)

static void create_fails(void *argument) {
    parley_options options = loopback();
    parley_transport *node = NULL;
    event gone = EVENT_INIT;
    (void)argument;
    FAILS(parley_create(NULL, &node));
    CHECK(node == NULL);
    CHECK_CONTAINS(parley_last_error(), "forked child");
    /* The library is done with the program's data, as after every failure. */
    options.userdata = &gone;
    options.destroy_userdata = destroyed;
    FAILS(parley_create(&options, &node));
    CHECK_INT(event_count(&gone), 1);
}

typedef struct conversation {
    pair ends;
    parley_stream *stream;
    parley_rpc rpc;
} conversation;

static void every_call_fails(void *argument) {
    conversation *it = (conversation *)argument;
    parley_transport *node = it->ends.client;
    parley_peer peer = it->ends.to_server, other;
    parley_peer_stream two_way;
    parley_stream *stream;
    parley_rpc rpc;
    parley_answer answer;
    parley_statistics statistics;
    parley_peer_statistics peer_statistics;
    char text[64];
    const parley_slice slice = {"x", 1};
    create_fails(NULL);
    FAILS(parley_listen(node));
    FAILS(parley_stop_listening(node));
    FAILS(parley_address(node, text, sizeof text));
    FAILS(parley_dial(node, "127.0.0.1:1", PARLEY_FOREVER, &other));
    FAILS(parley_dial_async(node, "127.0.0.1:1", never_dialed, NULL));
    FAILS(parley_keep_connected(node, "127.0.0.1:1"));
    FAILS(parley_stop_keeping_connected(node, "127.0.0.1:1"));
    FAILS(parley_post(node, never_called, NULL));
    FAILS(parley_peer_post(node, peer, never_called, NULL));
    FAILS(parley_ban(node, "192.0.2.1", 1000));
    FAILS(parley_unban(node, "192.0.2.1"));
    FAILS(parley_send_message(node, peer, "x", 1, PARLEY_FOREVER));
    FAILS(parley_send(node, peer, "x", 1, PARLEY_FOREVER));
    FAILS(parley_write(node, peer, "x", 1, 0));
    FAILS(parley_broadcast(node, "x", 1));
    memset(&answer, 0xee, sizeof answer);
    FAILS(parley_request(node, peer, "x", 1, PARLEY_FOREVER, &answer));
    CHECK_CODE(answer.result, PARLEY_EFORKED);
    CHECK_CONTAINS((const char *)answer.payload, "forked child");
    CHECK_INT(answer.length, strlen((const char *)answer.payload));
    parley_answer_release(&answer);
    FAILS(parley_request_async(node, peer, "x", 1, PARLEY_FOREVER, never_answered, NULL));
    FAILS(parley_reply(node, peer, 1, "x", 1, PARLEY_FOREVER));
    FAILS(parley_refuse(node, peer, 1, 1, NULL, PARLEY_FOREVER));
    FAILS(parley_send_messagev(node, peer, &slice, 1, PARLEY_FOREVER));
    FAILS(parley_sendv(node, peer, &slice, 1, PARLEY_FOREVER));
    FAILS(parley_broadcastv(node, &slice, 1));
    FAILS(parley_stream_writev(it->stream, &slice, 1, PARLEY_FOREVER));
    FAILS(parley_stream_open(node, peer, NULL, 0, PARLEY_FOREVER, &stream));
    FAILS(parley_stream_write(it->stream, "x", 1, PARLEY_FOREVER));
    FAILS(parley_stream_finish(it->stream));
    FAILS((int)parley_read(node, peer, text, 1, PARLEY_FOREVER));
    FAILS(parley_read_exactly(node, peer, text, 1, PARLEY_FOREVER));
    FAILS(parley_peer_close_stream(node, peer));
    FAILS(parley_peer_stream_open(node, peer, "/x/1", PARLEY_FOREVER, &two_way));
    FAILS(parley_peer_stream_announce(node, peer, NULL, 0, PARLEY_FOREVER, &two_way));
    FAILS(parley_rpc_body(node, &it->rpc, &two_way));
    FAILS(parley_accept(node, "/x/1", PARLEY_FOREVER, &two_way));
    FAILS(parley_accept_streams(node, "/x/1", never_taken, NULL));
    FAILS(parley_stop_accepting(node, "/x/1"));
    FAILS((int)parley_peer_stream_read(node, 1, text, 1, PARLEY_FOREVER));
    FAILS(parley_peer_stream_read_exactly(node, 1, text, 1, PARLEY_FOREVER));
    FAILS((int)parley_peer_stream_write(node, 1, "x", 1, PARLEY_FOREVER));
    FAILS(parley_peer_stream_when_readable(node, 1, never_taken, NULL));
    FAILS(parley_peer_stream_when_writable(node, 1, never_taken, NULL));
    FAILS(parley_peer_stream_finish(node, 1));
    FAILS(parley_peer_stream_close(node, 1));
    FAILS(parley_peer_stream_abort(node, 1, 1));
    FAILS(parley_peer_stream_protocol(node, 1, text, sizeof text));
    FAILS(parley_peer_stream_set_userdata(node, 1, text));
    CHECK(parley_peer_stream_userdata(node, 1) == NULL);
    CHECK(parley_peer_stream_peer(node, 1) == PARLEY_NO_PEER);
    FAILS((int)parley_send_file(node, peer, "/etc/passwd", NULL, 0, 0, 1, NULL, NULL));
    FAILS((int)parley_receive_file(node, peer, "/tmp/never", 1, NULL, NULL));
    FAILS(parley_when_readable(node, peer, never_ready, NULL));
    FAILS(parley_when_writable(node, peer, never_ready, NULL));
    FAILS(parley_peer_set_deadline(node, peer, 1));
    FAILS(parley_peer_set_read_deadline(node, peer, 1));
    FAILS(parley_peer_set_write_deadline(node, peer, 1));
    FAILS(parley_peer_remote_address(node, peer, text, sizeof text));
    FAILS(parley_peer_local_address(node, peer, text, sizeof text));
    FAILS(parley_peer_is_outbound(node, peer));
    FAILS(parley_peer_set_userdata(node, peer, text));
    CHECK(parley_peer_userdata(node, peer) == NULL);
    CHECK_INT(parley_peers(node, &other, 1), 0);
    FAILS(parley_get_statistics(node, &statistics, sizeof statistics));
    FAILS(parley_peer_get_statistics(node, peer, &peer_statistics, sizeof peer_statistics));
    memset(&rpc, 0xee, sizeof rpc);
    FAILS(parley_consume(node, &rpc, PARLEY_FOREVER));
    CHECK(rpc.payload == NULL && rpc.length == 0 && rpc.peer == PARLEY_NO_PEER);
    memset(&rpc, 0xee, sizeof rpc);
    FAILS(parley_consume_batch(node, &rpc, 1, PARLEY_FOREVER));
    FAILS(parley_try_consume(node, &rpc));
    CHECK(rpc.payload == NULL && rpc.length == 0 && rpc.peer == PARLEY_NO_PEER);
    FAILS(parley_fd(node));
    FAILS(parley_rpc_from(&it->rpc, text, sizeof text));
    FAILS(parley_rpc_retain(&it->rpc, &rpc));
    CHECK(parley_rpc_userdata(&it->rpc) == NULL);
    parley_rpc_release(&it->rpc);
    CHECK(it->rpc.owner == NULL);
    FAILS(parley_peer_close(node, peer, PARLEY_FOREVER));
    FAILS(parley_close(node));
    FAILS(parley_free(node));
    FAILS(parley_free(it->ends.server));
    CHECK_OK(parley_free(NULL));
    CHECK(strcmp(parley_err_name(PARLEY_EFORKED), "PARLEY_EFORKED") == 0);
    CHECK(strlen(parley_version_string()) > 0);
}

static void abort_stream(void *argument) {
    parley_stream_abort(((conversation *)argument)->stream, 1, "never said");
}

static void lives(void *argument) {
    parley_options options = loopback();
    (void)argument;
    free_pair(connected(&options, &options));
}

/* Its child's calls fail too. */
static void fork_again(void *argument) { in_child(create_fails, argument, true); }

int main(void) {
    conversation it;
    parley_options options = loopback();
    uint8_t byte;
    int round;
    begin(90);

    trying("before the library is used");
    in_child(lives, NULL, false);

    trying("after a node is made and freed");
    lives(NULL);
    in_child(create_fails, NULL, true);
    in_child(fork_again, NULL, false);

    trying("while nodes are connected");
    it.ends = connected(&options, &options);
    CHECK_OK(parley_send_message(it.ends.server, it.ends.to_client, "first", 5, LIMIT_MS));
    CHECK_OK(parley_consume(it.ends.client, &it.rpc, LIMIT_MS));
    CHECK_OK(parley_stream_open(it.ends.client, it.ends.to_server, NULL, 0, LIMIT_MS, &it.stream));
    for (round = 0; round < 4; round++) {
        in_child(every_call_fails, &it, round % 2 == 0);
        in_child(abort_stream, &it, round % 2 == 0);
    }

    trying("the parent goes on");
    CHECK(memcmp(it.rpc.payload, "first", 5) == 0);
    parley_rpc_release(&it.rpc);
    CHECK_OK(parley_stream_write(it.stream, "x", 1, LIMIT_MS));
    CHECK_OK(parley_stream_finish(it.stream));
    CHECK_OK(parley_consume(it.ends.server, &it.rpc, LIMIT_MS));
    CHECK(it.rpc.stream);
    parley_rpc_release(&it.rpc);
    CHECK_OK(parley_read_exactly(it.ends.server, it.ends.to_client, &byte, 1, LIMIT_MS));
    CHECK_INT(byte, 'x');
    CHECK_INT(parley_read(it.ends.server, it.ends.to_client, &byte, 1, LIMIT_MS), 0);
    CHECK_OK(parley_peer_close_stream(it.ends.server, it.ends.to_client));
    CHECK_OK(parley_send_message(it.ends.client, it.ends.to_server, "last", 4, LIMIT_MS));
    CHECK_OK(parley_consume(it.ends.server, &it.rpc, LIMIT_MS));
    CHECK_INT(it.rpc.length, 4);
    parley_rpc_release(&it.rpc);
    free_pair(it.ends);
    return 0;
}
