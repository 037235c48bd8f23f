/* Files over two-way streams: sent from a file, received into a new one, and beside other bytes. */
#include "peer_streams.h"

static char folder[64], from[96], to[96];

static uint64_t length_of(const char *path) {
    struct stat found;
    CHECK(stat(path, &found) == 0);
    return (uint64_t)found.st_size;
}

static void make_file(uint64_t length) {
    FILE *file = fopen(from, "wb");
    uint64_t index;
    CHECK(file != NULL);
    for (index = 0; index < length; index++) putc(content(index), file);
    CHECK(fclose(file) == 0);
}

static void check_file(uint64_t offset, uint64_t length) {
    uint8_t *bytes = (uint8_t *)malloc((size_t)length + 1);
    FILE *file = fopen(to, "rb");
    CHECK(file != NULL && bytes != NULL);
    CHECK_INT(length_of(to), length);
    CHECK(fread(bytes, 1, (size_t)length, file) == (size_t)length);
    CHECK(is_content(bytes, (size_t)length, offset));
    fclose(file);
    free(bytes);
}

static void note(uint64_t bytes, void *argument) { *(uint64_t *)argument = bytes; }

typedef struct receiving {
    pair nodes;
    bool replaces;
    int64_t result;
} receiving;

static void *receive(void *argument) {
    receiving *it = (receiving *)argument;
    const parley_peer_stream stream = accept_stream(it->nodes.server, ECHO_NAME);
    expect_text(it->nodes.server, stream, "head");
    it->result = it->replaces
        ? parley_peer_stream_replace_file(it->nodes.server, stream, to, UINT64_MAX, NULL, NULL)
        : parley_peer_stream_receive_file(it->nodes.server, stream, to, UINT64_MAX, NULL, NULL);
    CHECK_OK(parley_peer_stream_close(it->nodes.server, stream));
    return NULL;
}

/* Sends a part of the file, unless it is empty, and returns the result of its receiver. */
static int64_t transfer(pair pair, bool replaces, uint64_t offset, uint64_t length) {
    receiving it = {pair, replaces, 0};
    const pthread_t receiver = start_thread(receive, &it);
    const parley_peer_stream stream = open_stream(pair.client, pair.to_server, ECHO_NAME);
    uint64_t reported = 0;
    write_text(pair.client, stream, "head");
    if (length > 0)
        CHECK_INT(
            parley_peer_stream_write_file(pair.client, stream, from, offset, length, note, &reported),
            length);
    CHECK_INT(reported, length);
    CHECK_OK(parley_peer_stream_finish(pair.client, stream));
    join(receiver);
    CHECK_OK(parley_peer_stream_close(pair.client, stream));
    return it.result;
}

/* What an exact read had got when it gave up is in the file. */
static void after_an_exact_read(pair pair) {
    parley_peer_stream sent, received;
    char bytes[8];
    FILE *file;
    speak(pair.server, "/exact/1");
    sent = open_stream(pair.client, pair.to_server, "/exact/1");
    write_text(pair.client, sent, "abc");
    received = accept_stream(pair.server, "/exact/1");
    CHECK_OK(parley_peer_stream_read_exactly(pair.server, received, bytes, 1, LIMIT_MS));
    CHECK_CODE(parley_peer_stream_read_exactly(pair.server, received, bytes, 8, 0), PARLEY_EAGAIN);
    write_text(pair.client, sent, "defgh");
    CHECK_OK(parley_peer_stream_finish(pair.client, sent));
    /* An argument that is refused leaves the stream open, and what was kept is not lost. */
    CHECK_CODE(
        parley_peer_stream_receive_file(pair.server, received, NULL, UINT64_MAX, NULL, NULL),
        PARLEY_EINVAL);
    CHECK_CODE(
        parley_peer_stream_receive_file(pair.server, received, to, UINT64_MAX - 1, NULL, NULL),
        PARLEY_EINVAL);
    CHECK_INT(
        parley_peer_stream_replace_file(pair.server, received, to, UINT64_MAX, NULL, NULL), 7);
    file = fopen(to, "rb");
    CHECK(file != NULL && fread(bytes, 1, 8, file) == 7 && memcmp(bytes, "bcdefgh", 7) == 0);
    fclose(file);
    CHECK_OK(parley_peer_stream_close(pair.server, received));
    CHECK_OK(parley_peer_stream_close(pair.client, sent));
}

int main(void) {
    const uint64_t length = scaled(5000000, 500000);
    pair pair;
    parley_peer_stream stream;
    begin(60);
    make_folder(folder);
    snprintf(from, sizeof from, "%s/from", folder);
    snprintf(to, sizeof to, "%s/to", folder);
    make_file(length);
    pair = multiplexed_pair();
    speak(pair.server, ECHO_NAME);
    trying("a whole file");
    CHECK_INT(transfer(pair, false, 0, length), length);
    check_file(0, length);
    trying("in place of a file");
    CHECK_INT(transfer(pair, true, 1000, 1000), 1000);
    check_file(1000, 1000);
    trying("what is refused");
    CHECK_INT(transfer(pair, false, 0, 0), PARLEY_EEXIST);
    check_file(1000, 1000);
    stream = open_stream(pair.client, pair.to_server, ECHO_NAME);
    CHECK_CODE(
        parley_peer_stream_write_file(pair.client, stream, to, 1001, 1, NULL, NULL), PARLEY_EINVAL);
    CHECK_CODE(
        parley_peer_stream_write_file(pair.client, stream, NULL, 0, 1, NULL, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "path is NULL");
    CHECK_OK(parley_peer_stream_close(pair.client, stream));
    CHECK_CODE(
        parley_peer_stream_write_file(pair.client, stream, from, 0, 1, NULL, NULL), PARLEY_ECLOSED);
    CHECK_CODE(
        parley_peer_stream_receive_file(pair.client, stream, from, 1, NULL, NULL), PARLEY_ECLOSED);
    trying("after an exact read that would have to wait");
    after_an_exact_read(pair);
    free_pair(pair);
    CHECK_INT(count_files(folder, true), 2);
    return 0;
}
