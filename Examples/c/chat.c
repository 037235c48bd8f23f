/*
 * A chat: sends each line of standard input to all peers, and prints what they send.
 *
 *     chat :3000                             waits for peers
 *     chat :3001 localhost:3000              also dials a peer; more addresses may follow
 *
 * It receives in a callback on the loop's thread, which is the fastest way. The callback must not block: this
 * one only prints.
 */
#include <parley.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *program;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(EXIT_FAILURE);
}

/* Replaces control characters: a message may contain some, and must not control your terminal. In UTF-8
 * the byte 0xc2 and one from 0x80 to 0x9f are a control character, too. */
static void show(FILE *out, const uint8_t *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        bool is_c1 = i > 0 && text[i - 1] == 0xc2 && text[i] < 0xa0;
        putc(text[i] < ' ' || text[i] == 0x7f || is_c1 ? '?' : text[i], out);
    }
}

/* Keeps each peer's address in its userdata, so that no message needs a look-up. */
static int on_peer(parley_transport *node, parley_peer peer, void *userdata) {
    (void)userdata;
    char address[64];
    parley_peer_remote_address(node, peer, address, sizeof address);
    char *name = strdup(address);
    if (name == NULL) return -1001; /* refuses the peer with a code of this program */
    parley_peer_set_userdata(node, peer, name);
    printf("%s is here\n", name);
    return PARLEY_OK;
}

static void on_disconnect(
    parley_transport *node, parley_peer peer, int reason, const char *message, void *userdata) {
    (void)reason, (void)userdata;
    char *name = parley_peer_userdata(node, peer);
    if (name == NULL) return; /* on_peer was never called for it */
    printf("%s is gone: %s\n", name, message);
    free(name);
}

static void on_rpcs(parley_transport *node, const parley_rpc *rpcs, size_t count, void *userdata) {
    (void)userdata;
    for (size_t i = 0; i < count; i++) {
        if (rpcs[i].stream) {
            parley_peer_close_stream(node, rpcs[i].peer); /* this program does not use streams */
            continue;
        }
        printf("%s> ", (const char *)parley_peer_userdata(node, rpcs[i].peer));
        show(stdout, rpcs[i].payload, rpcs[i].length);
        putchar('\n');
    }
}

int main(int argc, char **argv) {
    program = argv[0];
    if (argc < 2) {
        fprintf(stderr, "usage: %s LISTEN-ADDRESS [PEER-ADDRESS ...]\n", program);
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);

    parley_options options = PARLEY_OPTIONS_INIT;
    options.listen_address = argv[1];
    options.on_peer = on_peer;
    options.on_disconnect = on_disconnect;
    options.on_rpcs = on_rpcs;

    parley_transport *node;
    if (parley_create(&options, &node) < 0 || parley_listen(node) < 0) fail(argv[1], parley_last_error());
    char address[64];
    parley_address(node, address, sizeof address);
    printf("listening on %s\n", address);

    for (int i = 2; i < argc; i++) {
        parley_peer peer;
        if (parley_dial(node, argv[i], PARLEY_FOREVER, &peer) < 0) fail(argv[i], parley_last_error());
    }

    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, stdin)) > 0) {
        if (line[length - 1] == '\n') length--;
        int sent = parley_broadcast(node, line, (size_t)length);
        if (sent < 0) fail("cannot send", parley_last_error());
        if (sent == 0) fprintf(stderr, "%s: no peer accepted the line\n", program);
    }
    free(line);
    if (ferror(stdin)) fail("standard input", strerror(errno));

    parley_free(node); /* writes out what was sent */
    return EXIT_SUCCESS;
}
