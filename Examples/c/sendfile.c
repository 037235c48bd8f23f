/*
 * Sends files from one machine to another, as streams.
 *
 *     sendfile receive :3000 FOLDER          stores files until it is interrupted
 *     sendfile send FILE localhost:3000      ends when the receiver has the whole file
 *
 * It receives with parley_consume(), which blocks: the way for programs that work on an RPC for some time.
 * One thread stores one file after the other. Several threads in take_files() would store several at once.
 */
#include <parley.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *what) {
    fprintf(stderr, "sendfile: %s: %s\n", what, parley_last_error());
    return EXIT_FAILURE;
}

/* Control characters must not reach your terminal. In UTF-8 the byte 0xc2 and one from 0x80 to 0x9f are one,
 * too. */
static bool is_control(const uint8_t *text, size_t i) {
    return text[i] < ' ' || text[i] == 0x7f || (i > 0 && text[i - 1] == 0xc2 && text[i] < 0xa0);
}

static void show(FILE *out, const uint8_t *text, size_t length) {
    for (size_t i = 0; i < length; i++) putc(is_control(text, i) ? '?' : text[i], out);
}

static void show_progress(uint64_t bytes, void *name) {
    if (bytes != 0) fprintf(stderr, "\r%s: %llu bytes", (const char *)name, (unsigned long long)bytes);
}

/* The sender chooses the name. Refuses names that lead to another folder or contain control characters. */
static bool is_file_name(const char *name, size_t length) {
    if (length == 0 || length > 255 || name[0] == '.') return false;
    for (size_t i = 0; i < length; i++)
        if (is_control((const uint8_t *)name, i) || name[i] == '/') return false;
    return true;
}

/* Stores one file and sends the result, for which the sender waits. */
static void take_file(parley_transport *node, const parley_rpc *rpc, const char *folder) {
    const char *answer = "stored", *header = (const char *)rpc->payload;
    char name[256], path[4096];
    if (!is_file_name(header, rpc->length)) {
        answer = "the name is not acceptable";
        parley_peer_close_stream(node, rpc->peer);
    } else {
        snprintf(name, sizeof name, "%.*s", (int)rpc->length, header);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        int64_t bytes = parley_receive_file(node, rpc->peer, path, UINT64_MAX, show_progress, name);
        if (bytes < 0) answer = parley_strerror((int)bytes);
        fprintf(stderr, "\r%s: %s\n", path, bytes < 0 ? parley_last_error() : "stored");
    }
    parley_send_message(node, rpc->peer, answer, strlen(answer), PARLEY_FOREVER);
}

static int take_files(parley_transport *node, const char *folder) {
    for (;;) {
        parley_rpc rpc;
        if (parley_consume(node, &rpc, PARLEY_FOREVER) < 0) return complain("cannot receive");
        if (rpc.stream) take_file(node, &rpc, folder);
        parley_rpc_release(&rpc);
    }
}

/* Waits for the answer while the peer is connected. */
static int wait_for_answer(parley_transport *node, parley_peer peer, parley_rpc *rpc) {
    int result;
    do result = parley_consume(node, rpc, 500);
    while (result == PARLEY_ETIMEDOUT && parley_peer_is_outbound(node, peer) != PARLEY_ENOPEER);
    return result;
}

static int send_one(parley_transport *node, char *path, const char *address) {
    char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    parley_peer peer;
    if (parley_dial(node, address, PARLEY_FOREVER, &peer) < 0) return complain("cannot connect");
    int64_t bytes = parley_send_file(
        node, peer, path, name, strlen(name), 0, UINT64_MAX, show_progress, name);
    if (bytes < 0) return complain(path);

    parley_rpc answer;
    if (wait_for_answer(node, peer, &answer) < 0) return complain("no answer");
    bool stored = answer.length == 6 && memcmp(answer.payload, "stored", 6) == 0;
    fprintf(stderr, "\r%s: ", name), show(stderr, answer.payload, answer.length), putc('\n', stderr);
    parley_rpc_release(&answer);
    return stored ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    bool receives = argc == 4 && strcmp(argv[1], "receive") == 0;
    if (!receives && (argc != 4 || strcmp(argv[1], "send") != 0)) {
        fprintf(
            stderr, "usage: sendfile receive LISTEN-ADDRESS FOLDER\n       sendfile send FILE ADDRESS\n");
        return 64;
    }
    parley_options options = PARLEY_OPTIONS_INIT;
    if (receives) options.listen_address = argv[2];

    parley_transport *node;
    if (parley_create(&options, &node) < 0) return complain("cannot begin");
    int status = EXIT_FAILURE;
    if (!receives) {
        status = send_one(node, argv[2], argv[3]);
    } else if (parley_listen(node) < 0) {
        complain("cannot listen");
    } else {
        char address[64];
        parley_address(node, address, sizeof address);
        fprintf(stderr, "listening on %s\n", address);
        status = take_files(node, argv[3]);
    }
    parley_free(node);
    return status;
}
