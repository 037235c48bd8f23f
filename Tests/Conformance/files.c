/* Files as streams: 256 MiB with the same checksum at the receiver, parts of files, and every failure. */
#include "check.h"

#include <fcntl.h>

typedef struct receiver {
    pair nodes;
    const char *path;
    uint64_t length;
    int64_t result;
    uint64_t last_progress;
    char error[256];
} receiver;

static void progressed(uint64_t bytes, void *argument) {
    uint64_t *last = (uint64_t *)argument;
    CHECK(bytes > *last);
    *last = bytes;
}

static void *receive(void *argument) {
    receiver *it = (receiver *)argument;
    it->result = parley_receive_file(
        it->nodes.server, it->nodes.to_client, it->path, it->length, progressed, &it->last_progress);
    snprintf(it->error, sizeof it->error, "%s", it->result < 0 ? parley_last_error() : "");
    return NULL;
}

static pthread_t start_receiving(receiver *it, pair pair, const char *path, uint64_t length) {
    it->nodes = pair;
    it->path = path;
    it->length = length;
    it->result = 0;
    it->last_progress = 0;
    return start_thread(receive, it);
}

static void expect_stream(pair pair, const char *header) {
    parley_rpc rpc;
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK(rpc.stream);
    CHECK_INT(rpc.length, strlen(header));
    CHECK(rpc.length == 0 || memcmp(rpc.payload, header, rpc.length) == 0);
    parley_rpc_release(&rpc);
}

/* FNV-1a over the file, in words of eight bytes. */
static uint64_t checksum(const char *path, uint64_t *length) {
    static uint64_t words[1 << 17];
    uint64_t sum = 14695981039346656037u;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count;
    CHECK(file >= 0);
    *length = 0;
    memset(words, 0, sizeof words);
    while ((count = read(file, words, sizeof words)) > 0) {
        ssize_t index;
        for (index = 0; index < (count + 7) / 8; index++) sum = (sum ^ words[index]) * 1099511628211u;
        *length += (uint64_t)count;
        memset(words, 0, sizeof words);
    }
    close(file);
    return sum;
}

static void make_file(const char *path, uint64_t length) {
    static uint8_t bytes[1 << 20];
    uint64_t written = 0;
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    while (written < length) {
        size_t count = length - written < sizeof bytes ? (size_t)(length - written) : sizeof bytes;
        /* Different content in each block, made cheaply. */
        if (written == 0) fill_content(bytes, sizeof bytes, 0);
        memcpy(bytes, &written, sizeof written);
        CHECK(fwrite(bytes, 1, count, file) == count);
        written += count;
    }
    CHECK(fclose(file) == 0);
}

static void whole(parley_codec codec, const char *from, uint64_t length, const char *folder) {
    parley_options options = loopback();
    char to[96];
    uint64_t sent = 0, sum, copy_length;
    receiver it;
    pthread_t receiving;
    pair pair;
    double begun;
    options.codec = codec;
    pair = connected(&options, &options);
    snprintf(to, sizeof to, "%s/to-%d", folder, codec);
    begun = now_ms();
    receiving = start_receiving(&it, pair, to, codec == PARLEY_CODEC_FRAMED ? UINT64_MAX : length);
    CHECK_INT(
        parley_send_file(pair.client, pair.to_server, from, NULL, 0, 0, UINT64_MAX, progressed, &sent),
        length);
    join(receiving);
    CHECK_INT(it.result, length);
    CHECK_INT(sent, length);
    CHECK_INT(it.last_progress, length);
    printf("    %.0f MiB in %.0f ms\n", (double)length / 1048576, now_ms() - begun);
    expect_stream(pair, "");
    sum = checksum(from, &copy_length);
    CHECK_INT(copy_length, length);
    CHECK(checksum(to, &copy_length) == sum);
    CHECK_INT(copy_length, length);
    CHECK(unlink(to) == 0);
    free_pair(pair);
}

static void parts(pair pair, const char *folder, const char *from, uint64_t length) {
    const uint64_t parts[][2] = {
        {0, 0}, {0, 1}, {1, 4095}, {length - 1, 1}, {length, 0}, {length / 2, UINT64_MAX}};
    char to[96];
    size_t index;
    for (index = 0; index < 6; index++) {
        uint64_t expected = parts[index][1] == UINT64_MAX ? length - parts[index][0] : parts[index][1];
        uint8_t sent[4096], arrived[4096];
        int file;
        snprintf(to, sizeof to, "%s/part-%zu", folder, index);
        CHECK_INT(
            parley_send_file(
                pair.client, pair.to_server, from, "part", 4, parts[index][0], parts[index][1], NULL, NULL),
                  expected);
        expect_stream(pair, "part");
        /* An argument that is refused leaves the stream open. */
        CHECK_INT(
            parley_receive_file(pair.server, pair.to_client, NULL, UINT64_MAX, NULL, NULL), PARLEY_EINVAL);
        CHECK_INT(
            parley_receive_file(pair.server, pair.to_client, to, UINT64_MAX - 1, NULL, NULL), PARLEY_EINVAL);
        CHECK_INT(parley_receive_file(pair.server, pair.to_client, to, UINT64_MAX, NULL, NULL), expected);
        file = open(from, O_RDONLY | O_CLOEXEC);
        CHECK(pread(file, sent, sizeof sent, (off_t)parts[index][0]) >= 0);
        close(file);
        file = open(to, O_RDONLY | O_CLOEXEC);
        CHECK_INT(read(file, arrived, sizeof arrived), expected < sizeof arrived ? expected : sizeof arrived);
        close(file);
        CHECK(memcmp(sent, arrived, expected < sizeof arrived ? (size_t)expected : sizeof arrived) == 0);
        CHECK(unlink(to) == 0);
    }
}

/* Failures before anything is sent: the connection and the stream are unchanged. */
static void not_sent(pair pair, const char *folder, const char *from, uint64_t length) {
    char path[96];
    parley_rpc rpc;
    snprintf(path, sizeof path, "%s/missing", folder);
    CHECK_INT(parley_send_file(pair.client, pair.to_server, path, NULL, 0, 0, 0, NULL, NULL), PARLEY_ENOENT);
    CHECK_CONTAINS(parley_last_error(), path);
    CHECK_INT(
        parley_send_file(pair.client, pair.to_server, folder, NULL, 0, 0, 0, NULL, NULL), PARLEY_EINVAL);
    CHECK_INT(
        parley_send_file(pair.client, pair.to_server, "/dev/zero", NULL, 0, 0, 10, NULL, NULL),
        PARLEY_EINVAL);
    CHECK_INT(parley_send_file(pair.client, pair.to_server, NULL, NULL, 0, 0, 0, NULL, NULL), PARLEY_EINVAL);
    CHECK_INT(
        parley_send_file(pair.client, pair.to_server, from, NULL, 0, length + 1, 0, NULL, NULL),
        PARLEY_EINVAL);
    CHECK_INT(
        parley_send_file(pair.client, pair.to_server, from, NULL, 0, 1, length, NULL, NULL), PARLEY_EINVAL);
    CHECK_INT(
        parley_send_file(pair.client, pair.to_server, from, NULL, 0, UINT64_MAX, UINT64_MAX, NULL, NULL),
              PARLEY_EINVAL);
    CHECK_INT(parley_send_file(pair.client, pair.to_server, from, NULL, 0, INT64_MAX, INT64_MAX, NULL, NULL),
              PARLEY_EINVAL);
    CHECK_INT(parley_send_file(pair.client, pair.to_server, from, NULL, 8, 0, 0, NULL, NULL), PARLEY_EINVAL);
    /* Opening a FIFO would block. */
    snprintf(path, sizeof path, "%s/fifo", folder);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_INT(parley_send_file(pair.client, pair.to_server, path, NULL, 0, 0, 0, NULL, NULL), PARLEY_EINVAL);
    CHECK(unlink(path) == 0);
    CHECK_CODE(parley_try_consume(pair.server, &rpc), PARLEY_EAGAIN);
}

static void not_received(pair pair, const char *folder, const char *from, uint64_t length) {
    char path[96];
    int before = count_files(folder, false);
    const struct {
        const char *name;
        uint64_t take;
        int expected;
    } cases[] = {{"/from", UINT64_MAX, PARLEY_EEXIST},
                 {"/no/such/folder", UINT64_MAX, PARLEY_ENOENT},
                 {"/short", length + 1, PARLEY_EOF},
                 {"", UINT64_MAX, PARLEY_EEXIST}};
    for (size_t index = 0; index < 4; index++) {
        snprintf(path, sizeof path, "%s%s", folder, cases[index].name);
        CHECK_INT(
            parley_send_file(pair.client, pair.to_server, from, NULL, 0, 0, UINT64_MAX, NULL, NULL), length);
        expect_stream(pair, "");
        CHECK_INT(parley_receive_file(pair.server, pair.to_client, path, cases[index].take, NULL, NULL),
                  cases[index].expected);
        /* No file is left, and the next message is decoded correctly. */
        CHECK_INT(count_files(folder, false), before);
        CHECK_OK(parley_send_message(pair.client, pair.to_server, "in step", 7, LIMIT_MS));
        parley_rpc rpc;
        CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
        CHECK(!rpc.stream && rpc.length == 7);
        parley_rpc_release(&rpc);
    }
    CHECK_INT(parley_receive_file(pair.server, pair.to_client, NULL, 0, NULL, NULL), PARLEY_EINVAL);
}

/* The sender aborts its stream in the middle. */
static void aborted(pair pair, const char *folder) {
    char path[96];
    parley_stream *stream;
    int before = count_files(folder, false);
    snprintf(path, sizeof path, "%s/aborted", folder);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
    CHECK_OK(parley_stream_write(stream, "half", 4, LIMIT_MS));
    parley_stream_abort(stream, 9, "disk on fire");
    expect_stream(pair, "");
    CHECK_INT(
        parley_receive_file(pair.server, pair.to_client, path, UINT64_MAX, NULL, NULL), PARLEY_EABORTED);
    CHECK_CONTAINS(parley_last_error(), "disk on fire");
    CHECK_INT(count_files(folder, false), before);
}

/* The connection ends in the middle of a transfer. */
static void cut_off(const char *folder, const char *from) {
    parley_options options = loopback();
    char path[96];
    receiver it;
    pthread_t receiving;
    int before = count_files(folder, false);
    parley_stream *stream;
    static uint8_t piece[300000];
    pair pair = connected(&options, &options);
    snprintf(path, sizeof path, "%s/cut", folder);
    receiving = start_receiving(&it, pair, path, UINT64_MAX);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
    CHECK_OK(parley_stream_write(stream, piece, sizeof piece, LIMIT_MS));
    CHECK_OK(parley_peer_close(pair.client, pair.to_server, LIMIT_MS));
    join(receiving);
    CHECK(it.result == PARLEY_ETRUNCATED || it.result == PARLEY_ECONNRESET);
    CHECK(parley_stream_finish(stream) < 0);
    CHECK_INT(count_files(folder, false), before);
    free_pair(pair);

    /* The sender, when its reader disconnects. */
    pair = connected(&options, &options);
    CHECK_OK(parley_peer_close(pair.server, pair.to_client, LIMIT_MS));
    /* Bytes that the system accepts before it knows of the end count as sent. */
    CHECK_EVENTUALLY(
        parley_send_file(pair.client, pair.to_server, from, NULL, 0, 0, UINT64_MAX, NULL, NULL) < 0);
    free_pair(pair);
}

/* The receiver may not create a file: it gets the code of the system's error. */
static void forbidden(pair pair, const char *folder, const char *from) {
    char path[96];
    if (geteuid() == 0) {
        CHECK(chmod(folder, 0700) == 0 && chmod(from, 0600) == 0);
        CHECK(seteuid(65534) == 0);
    } else {
        CHECK(chmod(folder, 0500) == 0 && chmod(from, 0) == 0);
    }
    CHECK_INT(
        parley_send_file(pair.client, pair.to_server, from, NULL, 0, 0, UINT64_MAX, NULL, NULL),
        PARLEY_EACCES);
    CHECK_CONTAINS(parley_last_error(), from);
    snprintf(path, sizeof path, "%s/forbidden", folder);
    {
        parley_stream *stream;
        CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
        CHECK_OK(parley_stream_finish(stream));
    }
    expect_stream(pair, "");
    CHECK_INT(parley_receive_file(pair.server, pair.to_client, path, UINT64_MAX, NULL, NULL), PARLEY_EACCES);
    if (geteuid() == 65534) CHECK(seteuid(0) == 0);
    CHECK(chmod(folder, 0700) == 0 && chmod(from, 0600) == 0);
}

/* A file between other bytes of a stream, and one that is replaced. */
static void joined_and_replaced(pair pair, const char *folder, const char *from, uint64_t length) {
    char path[96];
    uint8_t bytes[64], expected[64];
    uint64_t progress = 0;
    int file;
    int before = count_files(folder, false);
    parley_stream *stream;
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, NULL, 0, LIMIT_MS, &stream));
    CHECK_OK(parley_stream_write(stream, "<", 1, LIMIT_MS));
    CHECK_INT(parley_stream_write_file(stream, from, 1000, 30, progressed, &progress), 30);
    CHECK_INT(progress, 30);
    CHECK_CODE(parley_stream_write_file(stream, "/no/such", 0, UINT64_MAX, NULL, NULL), PARLEY_ENOENT);
    CHECK_CODE(parley_stream_write_file(stream, from, length, 1, NULL, NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_stream_write_file(NULL, from, 0, 1, NULL, NULL), PARLEY_EINVAL);
    CHECK_INT(parley_stream_write_file(stream, from, length, UINT64_MAX, NULL, NULL), 0);
    CHECK_OK(parley_stream_write(stream, ">", 1, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    expect_stream(pair, "");
    snprintf(path, sizeof path, "%s/replaced", folder);
    make_file(path, 1000);
    CHECK_INT(parley_replace_file(pair.server, pair.to_client, path, UINT64_MAX, NULL, NULL), 32);
    CHECK_INT(count_files(folder, false), before + 1);
    file = open(from, O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    CHECK_INT(pread(file, expected + 1, 30, 1000), 30);
    close(file);
    expected[0] = '<';
    expected[31] = '>';
    file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    CHECK_INT(read(file, bytes, sizeof bytes), 32);
    CHECK(memcmp(bytes, expected, 32) == 0);
    close(file);
    CHECK(unlink(path) == 0);
    CHECK_CODE(parley_replace_file(pair.server, pair.to_client, NULL, 0, NULL, NULL), PARLEY_EINVAL);
}

/* Another thread closes the stream that is received: nothing of the next one gets into the file. */
static void closed_meanwhile(const char *folder) {
    parley_options options = loopback();
    pair pair = connected(&options, &options);
    parley_stream *stream;
    receiver it;
    pthread_t thread;
    char path[96], bytes[2];
    snprintf(path, sizeof path, "%s/closed", folder);
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, "", 0, LIMIT_MS, &stream));
    CHECK_OK(parley_stream_write(stream, "11", 2, LIMIT_MS));
    expect_stream(pair, "");
    thread = start_receiving(&it, pair, path, UINT64_MAX);
    await_read(pair, 12);
    CHECK_OK(parley_peer_close_stream(pair.server, pair.to_client));
    CHECK_OK(parley_stream_finish(stream));
    CHECK_OK(parley_stream_open(pair.client, pair.to_server, "", 0, LIMIT_MS, &stream));
    CHECK_OK(parley_stream_write(stream, "22", 2, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    join(thread);
    CHECK_INT(it.result, PARLEY_ECLOSED);
    CHECK(access(path, F_OK) != 0);
    expect_stream(pair, "");
    CHECK_OK(parley_read_exactly(pair.server, pair.to_client, bytes, 2, LIMIT_MS));
    CHECK(memcmp(bytes, "22", 2) == 0);
    free_pair(pair);
}

typedef struct consumer {
    parley_transport *node;
    const char *path;
    event *reading; /* the threads that read a stream */
    int64_t received;
} consumer;

/* Answers messages, and reads a stream where it gets it. */
static void *consume(void *argument) {
    consumer *it = (consumer *)argument;
    for (;;) {
        parley_rpc rpc;
        int code = parley_consume(it->node, &rpc, PARLEY_FOREVER);
        if (code == PARLEY_ECLOSED) return NULL;
        CHECK_OK(code);
        if (rpc.stream) {
            event_add(it->reading, 1);
            it->received = parley_receive_file(it->node, rpc.peer, it->path, UINT64_MAX, NULL, NULL);
        } else {
            CHECK_OK(parley_send_message(it->node, rpc.peer, rpc.payload, rpc.length, LIMIT_MS));
        }
        parley_rpc_release(&rpc);
    }
}

/* Two threads consume: while one reads a stream that stalls, the other serves the other peers. */
static void stalled(const char *folder) {
    parley_options options = loopback();
    parley_transport *server = listening(&options), *slow = create(&options), *quick = create(&options);
    parley_peer to_server = dial(slow, server), peer = dial(quick, server);
    char path[96];
    event reading = EVENT_INIT;
    consumer consumers[2];
    pthread_t threads[2];
    parley_stream *stream;
    parley_rpc rpc;
    int index;
    snprintf(path, sizeof path, "%s/stalled", folder);
    for (index = 0; index < 2; index++) {
        consumer it = {server, path, &reading, -1};
        consumers[index] = it;
        threads[index] = start_thread(consume, &consumers[index]);
    }
    CHECK_OK(parley_stream_open(slow, to_server, NULL, 0, LIMIT_MS, &stream));
    CHECK_OK(parley_stream_write(stream, "half", 4, LIMIT_MS));
    CHECK_REACHES(&reading, 1);
    for (index = 0; index < 100; index++) {
        CHECK_OK(parley_send_message(quick, peer, &index, sizeof index, LIMIT_MS));
        CHECK_OK(parley_consume(quick, &rpc, LIMIT_MS));
        CHECK(rpc.length == sizeof index && memcmp(rpc.payload, &index, sizeof index) == 0);
        parley_rpc_release(&rpc);
    }
    CHECK_OK(parley_stream_write(stream, "rest", 4, LIMIT_MS));
    CHECK_OK(parley_stream_finish(stream));
    CHECK_OK(parley_send_message(slow, to_server, "behind", 6, LIMIT_MS));
    CHECK_OK(parley_consume(slow, &rpc, LIMIT_MS));
    CHECK_INT(rpc.length, 6);
    parley_rpc_release(&rpc);
    CHECK_OK(parley_close(server));
    for (index = 0; index < 2; index++) join(threads[index]);
    CHECK(consumers[0].received == 8 || consumers[1].received == 8);
    CHECK(unlink(path) == 0);
    CHECK_OK(parley_free(quick));
    CHECK_OK(parley_free(slow));
    CHECK_OK(parley_free(server));
}

/* Its size says nothing: a whole page, or 0. */
static void pseudo_file(pair pair, const char *folder, const char *pseudo) {
    char path[96];
    static uint8_t content[65536], copy[65536];
    ssize_t length;
    int file = open(pseudo, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    length = read(file, content, sizeof content);
    close(file);
    CHECK(length > 0 && length < (ssize_t)sizeof content);
    CHECK_INT(
        parley_send_file(pair.client, pair.to_server, pseudo, NULL, 0, 0, UINT64_MAX, NULL, NULL), length);
    expect_stream(pair, "");
    snprintf(path, sizeof path, "%s/pseudo", folder);
    CHECK_INT(parley_receive_file(pair.server, pair.to_client, path, UINT64_MAX, NULL, NULL), length);
    file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    CHECK_INT(read(file, copy, sizeof copy), length);
    CHECK(memcmp(content, copy, (size_t)length) == 0);
    close(file);
    CHECK(unlink(path) == 0);
}

int main(void) {
    parley_options options = loopback();
    char folder[64], from[96];
    const uint64_t length = scaled(256u << 20, 3u << 20);
    pair pair;
    begin(120);
    make_folder(folder);
    snprintf(from, sizeof from, "%s/from", folder);
    trying("a large file: framed");
    make_file(from, length);
    whole(PARLEY_CODEC_FRAMED, from, length, folder);
    trying("a large file: default");
    whole(PARLEY_CODEC_UNFRAMED, from, length, folder);
    trying("a large file: gob");
    whole(PARLEY_CODEC_GOB, from, length, folder);
    make_file(from, 100000);
    pair = connected(&options, &options);
    trying("parts");
    parts(pair, folder, from, 100000);
    trying("not sent");
    not_sent(pair, folder, from, 100000);
    trying("not received");
    not_received(pair, folder, from, 100000);
    trying("aborted");
    aborted(pair, folder);
    trying("joined and replaced");
    joined_and_replaced(pair, folder, from, 100000);
    trying("pseudo-files");
    pseudo_file(pair, folder, "/proc/self/limits");
    pseudo_file(pair, folder, "/sys/kernel/mm/transparent_hugepage/enabled");
    trying("forbidden");
    forbidden(pair, folder, from);
    free_pair(pair);
    trying("cut off");
    cut_off(folder, from);
    trying("closed meanwhile");
    closed_meanwhile(folder);
    trying("a stream that stalls");
    stalled(folder);
    count_files(folder, true);
    return 0;
}
