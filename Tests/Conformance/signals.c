/* No signal goes to a thread of the library, except one that reports a fault of that thread. */
#include "process.h"

static event handshakes = EVENT_INIT, released = EVENT_INIT;

/* Holds its thread until the test has looked. */
static int hold(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)transport;
    (void)peer;
    (void)userdata;
    event_add(&handshakes, 1);
    return event_reaches(&released, 1, LIMIT_MS) ? PARLEY_OK : PARLEY_ETIMEDOUT;
}

static volatile sig_atomic_t traps;

static void trapped(int number) {
    (void)number;
    traps++;
}

static event raised = EVENT_INIT;

static void raise_trap(void *argument) {
    (void)argument;
    raise(SIGTRAP);
    event_add(&raised, 1);
}

int main(void) {
    parley_options options = loopback(), holding = loopback();
    pair pair;
    parley_transport *held, *dialing;
    parley_peer peer;
    char address[64], name[64], path[64], file[96];
    sigset_t signals;
    struct timespec limit = {LIMIT_MS / 1000, 0};
    int round, index;
    static const int sent[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPIPE, SIGPROF};
    begin(90);

    /* Every kind of thread runs before the program masks anything. */
    options.loops = 2;
    pair = connected(&options, &options);
    holding.handshake = hold;
    held = listening(&holding);
    dialing = create(&options);
    CHECK_OK(parley_keep_connected(dialing, "127.0.0.1:1"));
    parley_address(pair.server, address, sizeof address);
    snprintf(name, sizeof name, "localhost%s", strrchr(address, ':'));
    CHECK_OK(parley_dial(dialing, name, LIMIT_MS, &peer));
    make_folder(path);
    snprintf(file, sizeof file, "%s/file", path);
    {
        FILE *content = fopen(file, "w");
        CHECK(content != NULL && fputs("content", content) >= 0 && fclose(content) == 0);
    }
    CHECK_INT(parley_send_file(pair.client, pair.to_server, file, NULL, 0, 0, UINT64_MAX, NULL, NULL), 7);
    count_files(path, true);
    index = raw_dial(held);
    CHECK_REACHES(&handshakes, 1);

    trying("masks and names of the threads");
    check_threads();
    CHECK(count_threads("parley loop 0") >= 3);
    CHECK(count_threads("parley loop 1") >= 1);
    CHECK(count_threads("parley handshak") == 1);
    CHECK(count_threads("parley worker") >= 1);

    trying("signals that the program waits for");
    sigemptyset(&signals);
    for (round = 0; round < 7; round++) sigaddset(&signals, sent[round]);
    CHECK(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0);
    for (round = 0; round < 70; round++) {
        siginfo_t info;
        CHECK(kill(getpid(), sent[round % 7]) == 0);
        CHECK_INT(sigtimedwait(&signals, &info, &limit), sent[round % 7]);
    }

    trying("a fault on a loop");
    CHECK(signal(SIGTRAP, trapped) != SIG_ERR);
    CHECK_OK(parley_post(held, raise_trap, NULL));
    CHECK_REACHES(&raised, 1);
    CHECK_INT(traps, 1);

    event_add(&released, 1);
    close(index);
    CHECK_OK(parley_free(dialing));
    CHECK_OK(parley_free(held));
    free_pair(pair);
    return 0;
}
