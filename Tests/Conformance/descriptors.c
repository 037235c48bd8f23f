/* The descriptors 0 to 2 belong to the program, also when it has closed them: nothing of the library lives
 * there, and closing them at any time harms no node. */
#include "process.h"

#include <fcntl.h>
#include <sys/wait.h>

/* What the library may leave on a standard descriptor that was closed: nothing, or /dev/null. The kernel
 * gives a connection that was just accepted the lowest number; the node's thread moves it at once. */
static void check_standard(int line) {
    double deadline = now_ms() + LIMIT_MS;
    int number;
    for (number = 0; number <= 2; number++) {
        char path[64], target[256];
        snprintf(path, sizeof path, "/proc/self/fd/%d", number);
        for (;;) {
            ssize_t length = readlink(path, target, sizeof target - 1);
            if (length < 0) break;
            target[length] = 0;
            if (strcmp(target, "/dev/null") == 0) break;
            if (now_ms() > deadline) check_failed(__FILE__, line, path, target);
            sleep_ms(1);
        }
    }
}

#define CHECK_STANDARD() check_standard(__LINE__)

static void close_standard(int first, int last) {
    int number;
    for (number = first; number <= last; number++) close(number);
}

static void exchange(pair *pair) {
    parley_rpc rpc;
    CHECK_OK(parley_send_message(pair->client, pair->to_server, "hello", 5, LIMIT_MS));
    CHECK_OK(parley_consume(pair->server, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, 5);
    parley_rpc_release(&rpc);
    CHECK_STANDARD();
}

/* Sends a file to a new file, as a stream. */
static void exchange_file(pair *pair) {
    char folder[64], from[96], to[96];
    parley_rpc rpc;
    FILE *file;
    make_folder(folder);
    snprintf(from, sizeof from, "%s/from", folder);
    snprintf(to, sizeof to, "%s/to", folder);
    file = fopen(from, "w");
    CHECK(file != NULL && fputs("content", file) >= 0 && fclose(file) == 0);
    CHECK_INT(parley_send_file(pair->client, pair->to_server, from, NULL, 0, 0, UINT64_MAX, NULL, NULL), 7);
    CHECK_OK(parley_consume(pair->server, &rpc, LIMIT_MS));
    CHECK(rpc.stream);
    parley_rpc_release(&rpc);
    CHECK_INT(parley_receive_file(pair->server, pair->to_client, to, UINT64_MAX, NULL, NULL), 7);
    CHECK_STANDARD();
    CHECK_INT(count_files(folder, true), 2);
}

/* Another peer of the same nodes, and its end. */
static void another_peer(pair *pair) {
    parley_peer peer = dial(pair->client, pair->server);
    int number = raw_dial(pair->server);
    /* The program's own socket may be anywhere. */
    if (number <= 2) close(number);
    CHECK_STANDARD();
    if (number > 2) close(number);
    CHECK_OK(parley_peer_close(pair->client, peer, LIMIT_MS));
    await_peers(pair->server, 1);
}

static pair whole_life(void) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    CHECK(parley_fd(pair.server) > 2);
    CHECK_STANDARD();
    exchange(&pair);
    exchange_file(&pair);
    another_peer(&pair);
    return pair;
}

/* ---- Orders ---- */

static void closed_before(int first, int last) {
    pair pair;
    close_standard(first, last);
    pair = whole_life();
    free_pair(pair);
    CHECK_STANDARD();
}

static void closed_after_create(int first, int last) {
    parley_options options = loopback();
    pair pair;
    pair.server = create(&options);
    pair.client = create(&options);
    close_standard(first, last);
    CHECK_OK(parley_listen(pair.server));
    pair.to_server = dial(pair.client, pair.server);
    pair.to_client = await_peers(pair.server, 1);
    exchange(&pair);
    exchange_file(&pair);
    another_peer(&pair);
    free_pair(pair);
    CHECK_STANDARD();
}

static void closed_while_connected(int first, int last) {
    pair pair = whole_life(), other;
    close_standard(first, last);
    exchange(&pair);
    another_peer(&pair);
    exchange_file(&pair);
    close_standard(first, last);
    other = whole_life();
    free_pair(other);
    close_standard(first, last);
    exchange(&pair);
    free_pair(pair);
    CHECK_STANDARD();
}

/* The program puts files of its own there. */
static void opened_again(int first, int last) {
    int own, number;
    pair pair;
    close_standard(first, last);
    pair = whole_life();
    own = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(own > 2);
    for (number = first; number <= last; number++) CHECK(dup2(own, number) == number);
    exchange(&pair);
    for (number = first; number <= last; number++) CHECK(close(number) == 0);
    another_peer(&pair);
    exchange(&pair);
    free_pair(pair);
    CHECK_STANDARD();
}

/* Runs one order in a process of its own. This one never uses the library. */
static void in_child(void (*order)(int first, int last), int first, int last, const char *what) {
    int status;
    pid_t child;
    printf("  %s: %d to %d\n", what, first, last);
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* Failures are told where the program was told to. */
        int copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100), number, nothing = open("/dev/null", O_RDWR);
        CHECK(copy > 2 && nothing > 2);
        stderr = fdopen(copy, "w");
        for (number = 0; number <= 2; number++) CHECK(dup2(nothing, number) == number);
        close(nothing);
        begin(60);
        order(first, last);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

int main(void) {
    int number;
    begin(400);
    for (number = 0; number <= 2; number++) in_child(closed_before, number, number, "closed before");
    in_child(closed_before, 0, 2, "closed before");
    in_child(closed_after_create, 0, 2, "closed after parley_create");
    in_child(closed_while_connected, 0, 2, "closed while connected");
    in_child(closed_while_connected, 0, 0, "closed while connected");
    in_child(opened_again, 0, 2, "opened again");
    return 0;
}
