/*
 * A socket that the kernel connects to itself, because nobody listens at the address and the port that the
 * kernel chooses for it is that of the address. It is never a peer.
 */
#include "network.h"

static const char ports[] = "/proc/sys/net/ipv4/ip_local_port_range";

static event peers = EVENT_INIT;

static int count_peer(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)transport;
    (void)peer;
    (void)userdata;
    event_add(&peers, 1);
    return PARLEY_OK;
}

static parley_options counting(int dial_timeout_ms) {
    parley_options options = loopback();
    options.on_peer = count_peer;
    options.dial_timeout_ms = dial_timeout_ms;
    return options;
}

/* The kernel gives this port, or its neighbour, to every socket that connects. */
static void few_ports(void) {
    parley_options options = counting(400);
    parley_transport *node = create(&options);
    parley_peer peer;
    write_file(ports, "50000 50001\n");
    CHECK_CODE(parley_dial(node, "127.0.0.1:50000", PARLEY_FOREVER, &peer), PARLEY_ETIMEDOUT);
    CHECK_INT(event_count(&peers), 0);
    CHECK_OK(parley_free(node));
}

/* With more ports a next try finds that nobody listens. */
static void more_ports(void) {
    parley_options options = counting(0);
    parley_transport *node = create(&options);
    parley_peer peer;
    char address[32];
    int round;
    write_file(ports, "50000 50031\n");
    for (round = 0; round < (int)scaled(200, 40); round++) {
        snprintf(address, sizeof address, "127.0.0.1:%d", 50000 + round % 32);
        CHECK_CODE(parley_dial(node, address, PARLEY_FOREVER, &peer), PARLEY_ECONNREFUSED);
    }
    CHECK_INT(event_count(&peers), 0);
    CHECK_OK(parley_free(node));
}

typedef struct attempt {
    char address[32];
    event done;
} attempt;

/* A listener that is bound and does not listen yet takes its port: the dialer's next socket is on the other
 * one, and is refused. */
static void dialed(parley_transport *transport, parley_peer peer, int error, void *argument) {
    attempt *it = (attempt *)argument;
    (void)peer;
    if (error == PARLEY_ECONNREFUSED) {
        CHECK_OK(parley_dial_async(transport, it->address, dialed, it));
        return;
    }
    CHECK_OK(error);
    event_add(&it->done, 1);
}

/* Whoever comes to listen there is connected to. */
static void listener_comes(bool stays_connected, int port) {
    parley_options options = counting(LIMIT_MS), other = loopback();
    parley_transport *node = create(&options), *server;
    attempt it = {"", EVENT_INIT};
    double began = now_ms();
    long before = event_count(&peers);
    int code;
    char range[32];
    snprintf(range, sizeof range, "%d %d\n", port, port + 1);
    write_file(ports, range);
    snprintf(it.address, sizeof it.address, "127.0.0.1:%d", port);
    if (stays_connected) {
        CHECK_OK(parley_keep_connected(node, it.address));
    } else {
        CHECK_OK(parley_dial_async(node, it.address, dialed, &it));
    }
    await_callbacks(node);
    /* Time for a few connections to itself. */
    sleep_ms(100);
    CHECK_INT(event_count(&peers), before);
    other.listen_address = it.address;
    server = create(&other);
    while ((code = parley_listen(server)) == PARLEY_EADDRINUSE) CHECK(now_ms() - began < LIMIT_MS);
    CHECK_OK(code);
    if (!stays_connected) CHECK_REACHES(&it.done, 1);
    CHECK_REACHES(&peers, before + 1);
    await_peers(server, 1);
    CHECK_OK(parley_free(node));
    CHECK_OK(parley_free(server));
}

int main(void) {
    begin(90);
    if (!enter_own_network()) return 0;
    trying("few ports");
    few_ports();
    trying("more ports");
    more_ports();
    trying("a listener comes");
    /* The port of a connection is not free at once: each has its own. */
    listener_comes(true, 51000);
    listener_comes(false, 52000);
    return 0;
}
