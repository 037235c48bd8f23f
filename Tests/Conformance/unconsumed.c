/* Streams that are read but not consumed: reading stops when the inbox is full, and the log says why. */
#include "check.h"

enum { capacity = 8 };

static struct {
    pthread_mutex_t lock;
    event lines;
    parley_log_level level;
    char line[256];
} log_of_server = {PTHREAD_MUTEX_INITIALIZER, EVENT_INIT, PARLEY_LOG_TRACE, ""};

static void on_log(parley_log_level level, const char *line, void *userdata) {
    (void)userdata;
    if (strstr(line, "inbox full") == NULL) return;
    pthread_mutex_lock(&log_of_server.lock);
    log_of_server.level = level;
    snprintf(log_of_server.line, sizeof log_of_server.line, "%s", line);
    pthread_mutex_unlock(&log_of_server.lock);
    event_add(&log_of_server.lines, 1);
}

static void *send_streams(void *argument) {
    pair *it = (pair *)argument;
    int index;
    for (index = 0; index < 2 * capacity; index++) {
        parley_stream *stream;
        CHECK_OK(parley_stream_open(it->client, it->to_server, NULL, 0, LIMIT_MS, &stream));
        CHECK_OK(parley_stream_write(stream, "bytes", 5, LIMIT_MS));
        CHECK_OK(parley_stream_finish(stream));
    }
    return NULL;
}

static void read_one(pair *it) {
    char bytes[6];
    CHECK_OK(parley_read_exactly(it->server, it->to_client, bytes, 5, LIMIT_MS));
    CHECK_INT(parley_read(it->server, it->to_client, bytes, 1, LIMIT_MS), 0);
    CHECK_OK(parley_peer_close_stream(it->server, it->to_client));
}

static void consume_one(pair *it) {
    parley_rpc rpc;
    CHECK_OK(parley_consume(it->server, &rpc, LIMIT_MS));
    CHECK(rpc.stream);
    parley_rpc_release(&rpc);
}

int main(void) {
    parley_options options = loopback(), server = loopback();
    pthread_t sender;
    pair it;
    int index, consumed;
    begin(60);
    server.inbox_capacity = capacity;
    server.on_log = on_log;
    it = connected(&server, &options);
    sender = start_thread(send_streams, &it);
    trying("read without consuming");
    /* The stream whose opening fills the inbox can still be read. The next opening has no place. */
    for (index = 0; index < capacity; index++) read_one(&it);
    CHECK_REACHES(&log_of_server.lines, 1);
    CHECK_INT(event_count(&log_of_server.lines), 1);
    CHECK_INT(log_of_server.level, PARLEY_LOG_WARNING);
    CHECK_CONTAINS(log_of_server.line, "inbox full");
    CHECK_CONTAINS(log_of_server.line, "consumed=never");
    CHECK_CONTAINS(log_of_server.line, "rpcs=8");
    trying("consume, and go on");
    for (consumed = 0; consumed < capacity; consumed++) consume_one(&it);
    for (; index < 2 * capacity; index++) {
        if (index >= consumed) consume_one(&it);
        read_one(&it);
    }
    join(sender);
    free_pair(it);
    return 0;
}
