/*
 * A C node, a Swift node and a Go node, each connected to the other two, in the wire form of the Go package.
 *
 *     PARLEY_TOOL     the `parley` tool, which is the Swift node
 *     PARLEY_GONODE   Tests/Interop/go's node: commands on its input, events on its output
 */
#include "check.h"

#include <sys/wait.h>

/* ---- The other two processes ---- */

typedef struct process {
    pid_t id;
    FILE *input, *output;
} process;

static process start(const char *const *arguments) {
    process process;
    int input[2], output[2];
    CHECK(pipe(input) == 0 && pipe(output) == 0);
    process.id = fork();
    CHECK(process.id >= 0);
    if (process.id == 0) {
        dup2(input[0], STDIN_FILENO);
        dup2(output[1], STDOUT_FILENO);
        close(input[0]), close(input[1]), close(output[0]), close(output[1]);
        /* The child ends when this program ends. */
        alarm(120);
        execv(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    close(input[0]);
    close(output[1]);
    process.input = fdopen(input[1], "w");
    process.output = fdopen(output[0], "r");
    CHECK(process.input != NULL && process.output != NULL);
    setvbuf(process.input, NULL, _IOLBF, 0);
    return process;
}

static void stop(process process) {
    int status;
    CHECK(kill(process.id, SIGTERM) == 0);
    CHECK(waitpid(process.id, &status, 0) == process.id);
    fclose(process.input);
    fclose(process.output);
}

/* Reads lines until one contains both texts. The caller frees it. */
static char *expect_line(process process, const char *first, const char *second) {
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, process.output) > 0) {
        if (strstr(line, first) != NULL && strstr(line, second) != NULL) {
            line[strcspn(line, "\n")] = 0;
            return line;
        }
    }
    check_failed(__FILE__, __LINE__, "the process ended before it said", first);
    return NULL;
}

static void expect(process process, const char *first, const char *second) {
    free(expect_line(process, first, second));
}

/* ---- The content that the Go node makes; see content.go ---- */

static void go_content(uint8_t *bytes, size_t length, uint64_t seed) {
    size_t at, index;
    uint64_t state = seed;
    for (at = 0; at < length; at += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        for (index = 0; index < 8 && at + index < length; index++)
            bytes[at + index] = (uint8_t)(state >> (8 * index));
    }
}

static void consume(parley_transport *node, parley_peer from, const void *bytes, size_t length) {
    parley_rpc rpc;
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK_INT(rpc.peer, from);
    CHECK(!rpc.stream);
    CHECK_INT(rpc.length, length);
    CHECK(memcmp(rpc.payload, bytes, length) == 0);
    parley_rpc_release(&rpc);
}

/* The peers of the C node, in the order in which they came. */
static struct {
    event count;
    parley_peer peers[8];
} arrivals = {EVENT_INIT, {0}};

static int arrived(parley_transport *transport, parley_peer peer, void *userdata) {
    (void)transport;
    (void)userdata;
    arrivals.peers[event_count(&arrivals.count)] = peer;
    event_add(&arrivals.count, 1);
    return PARLEY_OK;
}

int main(void) {
    const char *tool = getenv("PARLEY_TOOL"), *gonode = getenv("PARLEY_GONODE");
    const char *swift_arguments[] = {tool, "listen", "127.0.0.1:0", "--codec", "unframed", "--plain", NULL};
    const char *go_arguments[] = {gonode, NULL};
    enum { stream_bytes = 1 << 20 };
    static uint8_t content[stream_bytes], read[stream_bytes];
    char address[64], swift_address[64], text[128], *line;
    parley_options options = loopback();
    parley_transport *node;
    parley_peer to_swift, to_go;
    parley_stream *stream;
    parley_rpc rpc;
    process swift, go;
    begin(90);
    CHECK(tool != NULL && gonode != NULL);
    signal(SIGPIPE, SIG_IGN);
    /* Started before the library has threads. */
    swift = start(swift_arguments);
    go = start(go_arguments);

    trying("connect");
    options.codec = PARLEY_CODEC_UNFRAMED;
    options.on_peer = arrived;
    node = listening(&options);
    line = expect_line(swift, "listening on ", "");
    snprintf(
        swift_address, sizeof swift_address, "%s", strstr(line, "listening on ") + strlen("listening on "));
    free(line);
    CHECK_OK(parley_dial(node, swift_address, LIMIT_MS, &to_swift));
    parley_address(node, address, sizeof address);
    fprintf(go.input, "dial %s\n", address);
    expect(go, "peer ", address);
    CHECK_REACHES(&arrivals.count, 2);
    to_go = arrivals.peers[1];
    fprintf(go.input, "dial %s\n", swift_address);
    expect(go, "peer ", swift_address);

    trying("C to Swift, Swift to both, Go to both, C to both");
    CHECK_OK(parley_send_message(node, to_swift, "hello from C", 12, LIMIT_MS));
    parley_peer_local_address(node, to_swift, text, sizeof text);
    strcat(text, "> hello from C");
    expect(swift, text, "");
    /* The tool has received a message of the C node. It receives one of the Go node before it sends to it. */
    fprintf(go.input, "message %s 24 5\n", swift_address);
    expect(go, "sent ", swift_address);
    expect(swift, "> ", "");
    fputs("hello from Swift\n", swift.input);
    consume(node, to_swift, "hello from Swift", 16);
    expect(go, "message ", " 16 2289bb1b841d1c1d3b96d2817066e7fcff2ed325f6409872d2d45cc3fcd555f1");
    fprintf(go.input, "message * 1028 7\n");
    go_content(content, 1028, 7);
    consume(node, to_go, content, 1028);
    expect(swift, "> ", "");
    CHECK_INT(parley_broadcast(node, "hello from C", 12), 2);
    expect(swift, text, "");
    expect(go, "message ", " 12 177cf86cebf7bb97c701f5a0015b3501d907093e48e007dfb69fe11637fb3c7e");

    trying("streams between C and Go");
    fprintf(go.input, "expect %d\n", stream_bytes);
    expect(go, "expecting ", "");
    memset(content, 0, sizeof content);
    CHECK_OK(parley_stream_open(node, to_go, NULL, 0, LIMIT_MS, &stream));
    CHECK_OK(parley_stream_write(stream, content, sizeof content, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    expect(go, "streamed ", " 1048576 30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58");
    fprintf(go.input, "stream %s %d 11\n", address, stream_bytes);
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK(rpc.stream && rpc.peer == to_go);
    parley_rpc_release(&rpc);
    CHECK_OK(parley_read_exactly(node, to_go, read, sizeof read, LIMIT_MS));
    CHECK_OK(parley_peer_close_stream(node, to_go));
    go_content(content, sizeof content, 11);
    CHECK(memcmp(read, content, sizeof content) == 0);
    expect(go, "sent ", address);
    fprintf(go.input, "message %s 3 9\n", address);
    go_content(content, 3, 9);
    consume(node, to_go, content, 3);

    trying("disconnect");
    fputs("quit\n", go.input);
    await_peers(node, 1);
    stop(swift);
    await_peers(node, 0);
    CHECK(waitpid(go.id, NULL, 0) == go.id);
    fclose(go.input);
    fclose(go.output);
    CHECK_OK(parley_free(node));
    return 0;
}
