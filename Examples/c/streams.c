/*
 * Many streams at once over one connection: a server that shouts what it gets.
 *
 *     streams serve localhost:3000
 *     streams ask localhost:3000 good morning      one stream for each word, all at once
 *
 * The server has a thread for each stream. A client that is slow with one stream holds up no other one.
 */
#include <parley.h>

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL "/shout/1.0.0"
#define TIMEOUT_MS 10000

static parley_transport *node;

static void check(int result) {
    if (result >= 0) return;
    fprintf(stderr, "streams: %s\n", parley_last_error());
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

static void *shout(void *argument) {
    parley_peer_stream *stream = argument;
    char bytes[4096];
    int64_t count;
    while ((count = parley_peer_stream_read(node, *stream, bytes, sizeof bytes, PARLEY_FOREVER)) > 0) {
        for (int64_t index = 0; index < count; index++)
            bytes[index] = (char)toupper((unsigned char)bytes[index]);
        if (!write_all(*stream, bytes, (size_t)count)) break;
    }
    parley_peer_stream_close(node, *stream); /* also ends what this side sends */
    free(stream);
    return NULL;
}

static void serve(void) {
    char address[64];
    check(parley_listen(node));
    check(parley_address(node, address, sizeof address));
    printf("listening on %s\n", address);
    fflush(stdout);
    for (;;) {
        parley_peer_stream *stream = malloc(sizeof *stream);
        pthread_t thread;
        if (stream == NULL) abort();
        check(parley_accept(node, PROTOCOL, PARLEY_FOREVER, stream));
        if (pthread_create(&thread, NULL, shout, stream) != 0) {
            parley_peer_stream_abort(node, *stream, 0);
            free(stream);
        } else pthread_detach(thread);
    }
}

static void ask(const char *address, char **words, int count) {
    parley_peer_stream *streams = calloc((size_t)count, sizeof *streams);
    parley_peer peer;
    if (streams == NULL) abort();
    check(parley_dial(node, address, TIMEOUT_MS, &peer));
    for (int index = 0; index < count; index++) {
        check(parley_peer_stream_open(node, peer, PROTOCOL, TIMEOUT_MS, &streams[index]));
        if (!write_all(streams[index], words[index], strlen(words[index]))) check(-1);
        check(parley_peer_stream_finish(node, streams[index]));
    }
    for (int index = 0; index < count; index++) {
        char bytes[4096];
        int64_t length;
        while ((length = parley_peer_stream_read(node, streams[index], bytes, sizeof bytes, TIMEOUT_MS)) > 0)
            fwrite(bytes, 1, (size_t)length, stdout);
        check((int)length);
        putchar('\n');
        parley_peer_stream_close(node, streams[index]);
    }
    free(streams);
}

int main(int argc, char **argv) {
    bool serves = argc == 3 && strcmp(argv[1], "serve") == 0;
    if (!serves && (argc < 4 || strcmp(argv[1], "ask") != 0)) {
        fprintf(stderr, "usage: streams serve ADDRESS | streams ask ADDRESS WORD...\n");
        return 64;
    }
    parley_options options = PARLEY_OPTIONS_INIT;
    options.codec = PARLEY_CODEC_MULTIPLEXED;
    if (serves) options.listen_address = argv[2];
    check(parley_create(&options, &node));
    if (serves) serve();
    ask(argv[2], argv + 3, argc - 3);
    parley_free(node);
    return EXIT_SUCCESS;
}
