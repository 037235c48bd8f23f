/* The log callback: its lines and levels, from any thread, and none after the end. */
#include "check.h"

typedef struct log {
    pthread_mutex_t lock;
    char lines[200][256];
    parley_log_level levels[200];
    int count, total;
    bool is_over;
} log_lines;

static void on_log(parley_log_level level, const char *line, void *userdata) {
    log_lines *it = (log_lines *)userdata;
    CHECK(level >= PARLEY_LOG_TRACE && level <= PARLEY_LOG_CRITICAL);
    CHECK(strlen(line) > 0 && strchr(line, '\n') == NULL);
    pthread_mutex_lock(&it->lock);
    CHECK(!it->is_over);
    if (it->count < 200) {
        snprintf(it->lines[it->count], 256, "%s", line);
        it->levels[it->count] = level;
        it->count += 1;
    }
    it->total += 1;
    pthread_mutex_unlock(&it->lock);
}

static void destroy(void *userdata) {
    log_lines *it = (log_lines *)userdata;
    pthread_mutex_lock(&it->lock);
    it->is_over = true;
    pthread_mutex_unlock(&it->lock);
}

/* The index of the first line that begins with the event and contains the pair. */
static int find(log_lines *it, const char *event, const char *pair) {
    int index, found = -1;
    pthread_mutex_lock(&it->lock);
    for (index = 0; index < it->count && found < 0; index++)
        if (strncmp(it->lines[index], event, strlen(event)) == 0 && strstr(it->lines[index], pair) != NULL)
            found = index;
    pthread_mutex_unlock(&it->lock);
    return found;
}

static log_lines *new_log(void) {
    log_lines *it = (log_lines *)calloc(1, sizeof *it);
    pthread_mutex_init(&it->lock, NULL);
    return it;
}

static parley_options logging(log_lines *it, parley_log_level level) {
    parley_options options = loopback();
    options.on_log = on_log;
    options.log_level = level;
    options.userdata = it;
    options.destroy_userdata = destroy;
    return options;
}

static void events(void) {
    log_lines *of_server = new_log(), *of_client = new_log();
    parley_options server = logging(of_server, PARLEY_LOG_TRACE);
    parley_options client = logging(of_client, PARLEY_LOG_INFO);
    pair pair = connected(&server, &client);
    char address[64], pair_text[80];
    int index;
    parley_address(pair.server, address, sizeof address);
    snprintf(pair_text, sizeof pair_text, " address=%s", address);
    CHECK(find(of_server, "listening", pair_text) >= 0);
    snprintf(pair_text, sizeof pair_text, " peer=%s", address);
    /* A peer may be known a moment before its line is written. */
    free_pair(pair);
    CHECK(find(of_client, "peer connected", pair_text) >= 0);
    CHECK(find(of_client, "peer connected", " outbound=true") >= 0);
    CHECK(find(of_server, "peer connected", " outbound=false") >= 0);
    CHECK(find(of_client, "peer disconnected", " reason=") > find(of_client, "peer connected", ""));
    CHECK(find(of_server, "peer disconnected", "") > find(of_server, "peer connected", ""));
    for (index = 0; index < of_client->count; index++) CHECK(of_client->levels[index] >= PARLEY_LOG_INFO);
    CHECK(of_server->is_over && of_client->is_over);
    free(of_server);
    free(of_client);
}

static void levels(void) {
    log_lines *it = new_log();
    parley_options options = logging(it, PARLEY_LOG_CRITICAL), plain = loopback();
    free_pair(connected(&options, &plain));
    CHECK_INT(it->total, 0);
    free(it);

    /* The line of a protocol violation names the reason. */
    it = new_log();
    options = logging(it, PARLEY_LOG_INFO);
    parley_transport *node = listening(&options);
    int socket_fd = raw_dial(node);
    raw_send(socket_fd, "GET / HTTP/1.1\r\n\r\n", 18);
    CHECK_EVENTUALLY(find(it, "peer disconnected", "reason=") >= 0);
    CHECK(
        find(it, "peer disconnected", "protocolViolation") >= 0
        || find(it, "peer disconnected", "PARLEY_EPROTO") >= 0);
    close(socket_fd);
    CHECK_OK(parley_free(node));
    free(it);
}

/* Peers connect and disconnect on eight threads with one log. */
static parley_transport *busy;

static void *come_and_go(void *argument) {
    int index, rounds = *(int *)argument;
    char address[64];
    parley_address(busy, address, sizeof address);
    for (index = 0; index < rounds; index++) {
        parley_peer peer;
        CHECK_OK(parley_dial(busy, address, LIMIT_MS, &peer));
        CHECK_OK(parley_peer_close(busy, peer, 0));
    }
    return NULL;
}

static void many_threads(void) {
    log_lines *it = new_log();
    parley_options options = logging(it, PARLEY_LOG_TRACE);
    pthread_t threads[8];
    int index, rounds = (int)scaled(50, 4);
    busy = listening(&options);
    for (index = 0; index < 8; index++) threads[index] = start_thread(come_and_go, &rounds);
    for (index = 0; index < 8; index++) join(threads[index]);
    CHECK_OK(parley_free(busy));
    CHECK(it->total >= 8 * rounds * 2);
    /* The library no longer calls the log. */
    free(it);
}

/* ---- The end waits for a line that is being written ---- */

typedef struct slow_log {
    event begun, over;
} slow_log;

static void on_log_slowly(parley_log_level level, const char *line, void *userdata) {
    slow_log *it = (slow_log *)userdata;
    int turn;
    (void)level;
    if (strncmp(line, "reconnecting", 12) != 0) return;
    event_add(&it->begun, 1);
    /* Meanwhile the transport is freed. */
    for (turn = 0; turn < 100; turn++) {
        CHECK_INT(event_count(&it->over), 0);
        sleep_ms(2);
    }
}

static void note_over(void *userdata) { event_add(&((slow_log *)userdata)->over, 1); }

static void freed_while_it_logs(void) {
    slow_log it = {EVENT_INIT, EVENT_INIT};
    parley_options options = loopback();
    parley_transport *node;
    options.on_log = on_log_slowly;
    options.log_level = PARLEY_LOG_INFO;
    options.userdata = &it;
    options.destroy_userdata = note_over;
    node = create(&options);
    CHECK_OK(parley_keep_connected(node, "127.0.0.1:1"));
    CHECK_REACHES(&it.begun, 1);
    CHECK_OK(parley_free(node));
    CHECK_INT(event_count(&it.over), 1);
}

int main(void) {
    begin(60);
    trying("events");
    events();
    trying("levels");
    levels();
    trying("many threads");
    many_threads();
    trying("freed while it logs");
    freed_while_it_logs();
    return 0;
}
