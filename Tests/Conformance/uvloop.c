/* A program with its own libuv loop: it polls parley_fd() with uv_poll, and callbacks wake its loop with
 * uv_async. The two loops share nothing, although both use the same libuv. */
#include "check.h"

#include <uv.h>

typedef struct program {
    uv_loop_t loop;
    uv_poll_t arrivals;
    uv_async_t wake;
    uv_timer_t limit;
    parley_transport *server, *client;
    int received, rounds;
    event disconnects;
} program;

static void ran_out(uv_timer_t *timer) {
    (void)timer;
    CHECK(!"the loop waited too long");
}

static void arrived(uv_poll_t *poll, int status, int events) {
    program *it = (program *)poll->data;
    parley_rpc rpc;
    int code;
    CHECK(status == 0 && (events & UV_READABLE));
    while ((code = parley_try_consume(it->server, &rpc)) == PARLEY_OK) {
        int number;
        CHECK_INT(rpc.length, sizeof number);
        memcpy(&number, rpc.payload, sizeof number);
        CHECK_INT(number, it->received);
        it->received += 1;
        CHECK_OK(parley_send_message(it->server, rpc.peer, &number, sizeof number, 0));
        parley_rpc_release(&rpc);
    }
    CHECK_CODE(code, PARLEY_EAGAIN);
    if (it->received == it->rounds) uv_poll_stop(poll);
    /* Blocking is allowed here: this is the program's loop, not the transport's. */
}

static void answered(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata) {
    size_t index;
    for (index = 0; index < count; index++) {
        int number;
        memcpy(&number, rpcs[index].payload, sizeof number);
        number += 1;
        if (number < ((program *)userdata)->rounds)
            CHECK_OK(parley_send_message(transport, rpcs[index].peer, &number, sizeof number, 0));
    }
}

static void disconnected(
    parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata) {
    program *it = (program *)userdata;
    (void)transport;
    (void)peer;
    (void)message;
    CHECK_CODE(reason, PARLEY_EOF);
    event_add(&it->disconnects, 1);
    CHECK(uv_async_send(&it->wake) == 0);
}

static void woken(uv_async_t *wake) {
    program *it = (program *)wake->data;
    CHECK_INT(event_count(&it->disconnects), 1);
    uv_close((uv_handle_t *)&it->wake, NULL);
    uv_close((uv_handle_t *)&it->arrivals, NULL);
    uv_close((uv_handle_t *)&it->limit, NULL);
}

/* Runs on libuv's thread pool, which the library's work on files shares. */
static void dial_by_name(uv_work_t *request) {
    program *it = (program *)request->data;
    char address[64], name[64];
    parley_peer peer;
    int number = 0;
    parley_address(it->server, address, sizeof address);
    snprintf(name, sizeof name, "localhost%s", strrchr(address, ':'));
    CHECK_OK(parley_dial(it->client, name, LIMIT_MS, &peer));
    CHECK_OK(parley_send_message(it->client, peer, &number, sizeof number, LIMIT_MS));
}

static void dialed(uv_work_t *request, int status) {
    (void)request;
    CHECK(status == 0);
}

static void hang_up_when_done(uv_prepare_t *prepare) {
    program *it = (program *)prepare->data;
    if (it->received < it->rounds) return;
    uv_close((uv_handle_t *)prepare, NULL);
    CHECK_OK(parley_close(it->client));
}

int main(void) {
    program it;
    parley_options server = loopback(), client = loopback();
    uv_prepare_t done;
    uv_work_t work;
    begin(60);
    memset(&it, 0, sizeof it);
    pthread_mutex_init(&it.disconnects.lock, NULL);
    pthread_cond_init(&it.disconnects.changed, NULL);
    it.rounds = (int)scaled(5000, 100);
    server.userdata = client.userdata = &it;
    server.on_disconnect = disconnected;
    client.on_rpcs = answered;
    it.server = listening(&server);
    it.client = create(&client);

    CHECK(uv_loop_init(&it.loop) == 0);
    CHECK(uv_poll_init(&it.loop, &it.arrivals, parley_fd(it.server)) == 0);
    it.arrivals.data = it.wake.data = done.data = work.data = &it;
    CHECK(uv_poll_start(&it.arrivals, UV_READABLE, arrived) == 0);
    CHECK(uv_async_init(&it.loop, &it.wake, woken) == 0);
    CHECK(uv_timer_init(&it.loop, &it.limit) == 0);
    CHECK(uv_timer_start(&it.limit, ran_out, LIMIT_MS, 0) == 0);
    CHECK(uv_prepare_init(&it.loop, &done) == 0);
    CHECK(uv_prepare_start(&done, hang_up_when_done) == 0);
    CHECK(uv_queue_work(&it.loop, &work, dial_by_name, dialed) == 0);
    CHECK(uv_run(&it.loop, UV_RUN_DEFAULT) == 0);
    CHECK_INT(it.received, it.rounds);

    /* The other order: the program's loop is closed before the transports. */
    CHECK(uv_loop_close(&it.loop) == 0);
    CHECK_OK(parley_free(it.client));
    CHECK_OK(parley_free(it.server));
    return 0;
}
