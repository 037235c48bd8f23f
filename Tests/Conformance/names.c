/* Names whose server never answers: they hold back neither close nor the dials to other names. */
#include "network.h"

/* Far less than a look-up takes here, and enough for a slow machine. */
#define SOON_MS 20000

typedef struct dead_dial {
    event done;
    int error;
} dead_dial;

static void dialed(parley_transport *transport, parley_peer peer, int error, void *argument) {
    dead_dial *it = (dead_dial *)argument;
    (void)transport;
    (void)peer;
    it->error = error;
    event_add(&it->done, 1);
}

static parley_transport *dialer(int dial_timeout_ms) {
    parley_options options = loopback();
    options.dial_timeout_ms = dial_timeout_ms;
    options.close_timeout_ms = 1000;
    return create(&options);
}

/* The dial keeps its time-out, and close its own. */
static void close_after_a_dead_dial(void) {
    parley_transport *node = dialer(500);
    parley_peer peer;
    double began = now_ms();
    CHECK_CODE(parley_dial(node, "dead.test:1", PARLEY_FOREVER, &peer), PARLEY_ETIMEDOUT);
    CHECK_OK(parley_close(node));
    CHECK(now_ms() - began < SOON_MS);
    CHECK_OK(parley_free(node));
}

/* The same while the dial is under way. */
static void close_during_a_dead_dial(void) {
    dead_dial it = {EVENT_INIT, 0};
    parley_transport *node = dialer(0);
    double began = now_ms();
    CHECK_OK(parley_dial_async(node, "dead.test:1", dialed, &it));
    await_callbacks(node);
    CHECK_OK(parley_close(node));
    CHECK(now_ms() - began < SOON_MS);
    CHECK_INT(event_count(&it.done), 1);
    CHECK_CODE(it.error, PARLEY_ECLOSED);
    CHECK_OK(parley_free(node));
}

/* Dials names of this kind, and returns when the dials are under way. */
static void dial_dead_names(parley_transport *node, const char *kind, dead_dial *dead, int count) {
    char name[64];
    int index;
    for (index = 0; index < count; index++) {
        dead_dial fresh = {EVENT_INIT, 0};
        dead[index] = fresh;
        snprintf(name, sizeof name, "%s-%d.test:1", kind, index);
        CHECK_OK(parley_dial_async(node, name, dialed, &dead[index]));
    }
    await_callbacks(node);
}

/* More dead names than there are threads in any pool, and one that resolves. */
static void another_name(void) {
    enum { count = 20 };
    static dead_dial dead[count];
    parley_options options = loopback();
    parley_transport *server = listening(&options), *node = dialer(SOON_MS);
    parley_peer peer;
    char address[64], name[64];
    int index;
    dial_dead_names(node, "dead", dead, count);
    CHECK(parley_address(server, address, sizeof address) > 0);
    snprintf(name, sizeof name, "localhost%s", strrchr(address, ':'));
    CHECK_OK(parley_dial(node, name, PARLEY_FOREVER, &peer));
    CHECK_OK(parley_close(node));
    for (index = 0; index < count; index++) CHECK_CODE(dead[index].error, PARLEY_ECLOSED);
    CHECK_OK(parley_free(node));
    CHECK_OK(parley_free(server));
}

/* Offline, with addresses to stay connected to. */
static void close_while_kept(void) {
    parley_transport *node = dialer(0);
    double began = now_ms();
    CHECK_OK(parley_keep_connected(node, "kept-1.test:1"));
    CHECK_OK(parley_keep_connected(node, "kept-2.test:1"));
    await_callbacks(node);
    CHECK_OK(parley_free(node));
    CHECK(now_ms() - began < SOON_MS);
}

static void *listen_on_a_dead_name(void *argument) {
    CHECK_CODE(parley_listen((parley_transport *)argument), PARLEY_ECLOSED);
    return NULL;
}

static void close_while_listening(void) {
    parley_options options = loopback();
    parley_transport *node;
    pthread_t thread;
    double began = now_ms();
    int resolvers = count_threads("parley resolver");
    options.listen_address = "here.test:0";
    node = create(&options);
    thread = start_thread(listen_on_a_dead_name, node);
    while (count_threads("parley resolver") == resolvers) {
        CHECK(now_ms() - began < LIMIT_MS);
        sleep_ms(1);
    }
    began = now_ms();
    CHECK_OK(parley_close(node));
    join(thread);
    CHECK(now_ms() - began < SOON_MS);
    CHECK_OK(parley_free(node));
}

/* The number of threads has a bound. Dials that wait for one keep their time-out. */
static void many_names(void) {
    enum { count = 200 };
    static dead_dial dead[count];
    parley_transport *node = dialer(2000);
    int index;
    dial_dead_names(node, "many", dead, count);
    CHECK(count_threads("parley resolver") <= 64);
    check_threads();
    for (index = 0; index < count; index++) {
        CHECK_REACHES(&dead[index].done, 1);
        CHECK_CODE(dead[index].error, PARLEY_ETIMEDOUT);
    }
    CHECK_OK(parley_free(node));
}

int main(void) {
    begin(120);
    if (!enter_own_network()) return 0;
    use_silent_name_server();
    trying("close after a dead dial");
    close_after_a_dead_dial();
    trying("close during a dead dial");
    close_during_a_dead_dial();
    trying("another name");
    another_name();
    trying("close while staying connected");
    close_while_kept();
    trying("close while listening");
    close_while_listening();
    trying("many names");
    many_names();
    return 0;
}
