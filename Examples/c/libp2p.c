/*
 * An echo for libp2p nodes: programs in Go, Python, Rust or JavaScript can ask it, and it can ask theirs.
 *
 *     libp2p serve 0.0.0.0:4001            prints its address
 *     libp2p ask /ip4/192.168.1.7/tcp/4001/p2p/12D3KooW...       sends its input, and prints what comes back
 */
#include <parley.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL "/echo/1.0.0"
#define TIMEOUT_MS 10000

static parley_transport *node;

static void check(int64_t result) {
    if (result >= 0) return;
    fprintf(stderr, "libp2p: %s\n", parley_last_error());
    exit(EXIT_FAILURE);
}

/* Returns false when the other side is gone, or does not read in time. */
static bool write_all(parley_peer_stream stream, const char *bytes, size_t length) {
    while (length > 0) {
        int64_t count = parley_peer_stream_write(node, stream, bytes, length, TIMEOUT_MS);
        if (count < 0) return false;
        bytes += count;
        length -= (size_t)count;
    }
    return true;
}

static void *echo(void *argument) {
    parley_peer_stream *stream = argument;
    char bytes[16384];
    int64_t count;
    while ((count = parley_peer_stream_read(node, *stream, bytes, sizeof bytes, PARLEY_FOREVER)) > 0)
        if (!write_all(*stream, bytes, (size_t)count)) break;
    parley_peer_stream_close(node, *stream); /* also ends what this side sends */
    free(stream);
    return NULL;
}

/* Prints the address in the form that libp2p programs read. */
static void print_address(void) {
    char address[64], id[PARLEY_ID_SIZE];
    check(parley_address(node, address, sizeof address));
    check(parley_id(node, id, sizeof id));
    char *port = strrchr(address, ':');
    *port = '\0';
    bool is_ipv6 = address[0] == '[';
    if (is_ipv6) address[strlen(address) - 1] = '\0'; /* without the brackets */
    printf("/%s/%s/tcp/%s/p2p/%s\n", is_ipv6 ? "ip6" : "ip4", address + is_ipv6, port + 1, id);
    fflush(stdout);
}

static void serve(void) {
    check(parley_listen(node));
    print_address();
    for (;;) {
        parley_peer_stream *stream = malloc(sizeof *stream);
        pthread_t thread;
        if (stream == NULL) abort();
        check(parley_accept(node, PROTOCOL, PARLEY_FOREVER, stream));
        if (pthread_create(&thread, NULL, echo, stream) != 0) {
            parley_peer_stream_abort(node, *stream, 0);
            free(stream);
        } else pthread_detach(thread);
    }
}

static void ask(const char *address) {
    parley_peer peer;
    parley_peer_stream stream;
    char bytes[16384];
    size_t length;
    check(parley_dial(node, address, TIMEOUT_MS, &peer));
    check(parley_peer_stream_open(node, peer, PROTOCOL, TIMEOUT_MS, &stream));
    while ((length = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
        if (!write_all(stream, bytes, length)) check(-1);
        check(parley_peer_stream_read_exactly(node, stream, bytes, length, TIMEOUT_MS));
        fwrite(bytes, 1, length, stdout);
    }
    check(parley_peer_stream_close(node, stream));
}

int main(int argc, char **argv) {
    bool serves = argc == 3 && strcmp(argv[1], "serve") == 0;
    if (!serves && (argc != 3 || strcmp(argv[1], "ask") != 0)) {
        fprintf(stderr, "usage: libp2p serve ADDRESS | libp2p ask MULTIADDRESS\n");
        return 64;
    }
    parley_identity *identity;
    parley_options options = PARLEY_OPTIONS_INIT;
    check(parley_identity_generate(&identity)); /* parley_identity_load_or_create() keeps it in a file */
    options.identity = identity;
    options.codec = PARLEY_CODEC_LIBP2P;
    if (serves) options.listen_address = argv[2];
    check(parley_create(&options, &node));
    parley_identity_free(identity);
    if (serves) serve();
    ask(argv[2]);
    parley_free(node);
    return EXIT_SUCCESS;
}
