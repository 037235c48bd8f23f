/* Identities: key pairs in files and in memory, ids, and connections that are secured. */
#include "check.h"

/* The key and id of libp2p's specification of peer ids. */
static const char known_key[] =
    "\x08\x01\x12\x40\x7e\x08\x30\x61\x7c\x4a\x7d\xe8\x39\x25\xdf\xb2\x69\x45\x56\xb1\x29\x36\xc4\x77\xa0\xe1"
    "\xfe\xb2\xe1\x48\xec\x9d\xa6\x0f\xee\x7d\x1e\xd1\xe8\xfa\xe2\xc4\xa1\x44\xb8\xbe\x8f\xd4\xb4\x7b\xf3\xd3"
    "\xb3\x4b\x87\x1c\x3c\xac\xf6\x01\x0f\x0e\x42\xd4\x74\xfc\xe2\x7e";
static const char known_id[] = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
static const char known_cid[] = "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6";

static parley_identity *generated(char id[PARLEY_ID_SIZE]) {
    parley_identity *identity = NULL;
    CHECK_OK(parley_identity_generate(&identity));
    CHECK_INT(parley_identity_id(identity, id, PARLEY_ID_SIZE), 52);
    CHECK(strncmp(id, "12D3KooW", 8) == 0);
    return identity;
}

/* ---- Keys ---- */

static void in_memory(void) {
    parley_identity *one = NULL, *other = NULL;
    char id[PARLEY_ID_SIZE], same[PARLEY_ID_SIZE], few[4];
    unsigned char key[68], changed[68];
    CHECK_OK(parley_identity_import(known_key, 68, &one));
    CHECK_INT(parley_identity_id(one, id, sizeof id), 52);
    CHECK(strcmp(id, known_id) == 0);
    CHECK_INT(parley_identity_id(one, few, sizeof few), 52);
    CHECK(memcmp(few, "12D", 4) == 0);
    CHECK_INT(parley_identity_export(one, key, sizeof key), 68);
    CHECK(memcmp(key, known_key, 68) == 0);
    CHECK_CODE(parley_identity_export(one, key, 67), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "size is 67");
    CHECK_CODE(parley_identity_export(one, key, SIZE_MAX), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "above PTRDIFF_MAX");
    parley_identity_free(one);
    parley_identity_free(NULL);

    one = generated(id);
    CHECK_INT(parley_identity_export(one, key, sizeof key), 68);
    CHECK_OK(parley_identity_import(key, 68, &other));
    CHECK_INT(parley_identity_id(other, same, sizeof same), 52);
    CHECK(strcmp(id, same) == 0);
    parley_identity_free(other);
    /* The public half does not belong to the private half. */
    memcpy(changed, key, 68);
    changed[67] ^= 1;
    other = one;
    CHECK_CODE(parley_identity_import(changed, 68, &other), PARLEY_EIDENTITY);
    CHECK(other == NULL);
    CHECK_CODE(parley_identity_import(key, 67, &other), PARLEY_EIDENTITY);
    CHECK_CODE(parley_identity_import(NULL, 0, &other), PARLEY_EIDENTITY);
    CHECK_CODE(parley_identity_import(NULL, 68, &other), PARLEY_EINVAL);
    CHECK_CODE(parley_identity_import(key, 68, NULL), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "out is NULL");
    CHECK_CODE(parley_identity_generate(NULL), PARLEY_EINVAL);
    CHECK_CODE(parley_identity_id(NULL, id, sizeof id), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "identity is NULL");
    CHECK_CODE(parley_identity_export(one, NULL, 68), PARLEY_EINVAL);
    parley_identity_free(one);
}

static void in_files(void) {
    char folder[64], path[96], id[PARLEY_ID_SIZE], same[PARLEY_ID_SIZE];
    parley_identity *one = NULL, *other = NULL;
    struct stat status;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/identity", folder);
    CHECK_CODE(parley_identity_load(path, &one), PARLEY_ENOENT);
    CHECK(one == NULL);
    CHECK_OK(parley_identity_load_or_create(path, &one));
    CHECK(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600 && status.st_size == 68);
    CHECK_OK(parley_identity_load(path, &other));
    CHECK(parley_identity_id(one, id, sizeof id) == 52 && parley_identity_id(other, same, sizeof same) == 52);
    CHECK(strcmp(id, same) == 0);
    parley_identity_free(other);
    CHECK_OK(parley_identity_load_or_create(path, &other));
    CHECK_INT(parley_identity_id(other, same, sizeof same), 52);
    CHECK(strcmp(id, same) == 0);
    parley_identity_free(other);
    CHECK_CODE(parley_identity_save(one, path), PARLEY_EEXIST);
    CHECK(chmod(path, 0640) == 0);
    CHECK_CODE(parley_identity_load(path, &other), PARLEY_EIDENTITY);
    CHECK_CONTAINS(parley_last_error(), "open to others");
    CHECK_CODE(parley_identity_load(NULL, &other), PARLEY_EINVAL);
    CHECK_CODE(parley_identity_save(NULL, path), PARLEY_EINVAL);
    CHECK_INT(count_files(folder, true), 1);
    CHECK_CODE(parley_identity_save(one, path), PARLEY_ENOENT);
    parley_identity_free(one);
}

static void texts(void) {
    char id[PARLEY_ID_SIZE];
    CHECK_INT(parley_id_parse(known_id, id, sizeof id), 52);
    CHECK(strcmp(id, known_id) == 0);
    CHECK_INT(parley_id_parse(known_cid, id, sizeof id), 52);
    CHECK(strcmp(id, known_id) == 0);
    CHECK_CODE(parley_id_parse("12D3KooWnobody", id, sizeof id), PARLEY_EADDRINVAL);
    CHECK_CODE(parley_id_parse("", id, sizeof id), PARLEY_EADDRINVAL);
    CHECK_CODE(parley_id_parse(NULL, id, sizeof id), PARLEY_EINVAL);
}

/* ---- Nodes ---- */

/* Two nodes that have not met: their options, their ids, and the ends of the server's peers. */
typedef struct strangers {
    parley_identity *server_identity, *client_identity;
    char server_id[PARLEY_ID_SIZE], client_id[PARLEY_ID_SIZE];
    parley_options server, client;
    end_record ended;
} strangers;

static void make_strangers(strangers *it) {
    static const end_record no_ends = {EVENT_INIT, 0};
    it->server_identity = generated(it->server_id);
    it->client_identity = generated(it->client_id);
    it->server = it->client = loopback();
    it->server.identity = it->server_identity;
    it->client.identity = it->client_identity;
    it->ended = no_ends;
    it->server.userdata = &it->ended;
    it->server.on_disconnect = note_end;
}

static void free_strangers(strangers *it) {
    parley_identity_free(it->server_identity);
    parley_identity_free(it->client_identity);
}

static void both_know_each_other(void) {
    char id[PARLEY_ID_SIZE];
    strangers they;
    parley_peer found = PARLEY_NO_PEER;
    parley_rpc rpc;
    pair pair;
    make_strangers(&they);
    pair.server = listening(&they.server);
    pair.client = create(&they.client);
    /* A transport has what it needs of its identity. */
    free_strangers(&they);
    pair.to_server = dial(pair.client, pair.server);
    pair.to_client = await_peers(pair.server, 1);

    CHECK_INT(parley_id(pair.server, id, sizeof id), 52);
    CHECK(strcmp(id, they.server_id) == 0);
    CHECK_INT(parley_peer_id(pair.client, pair.to_server, id, sizeof id), 52);
    CHECK(strcmp(id, they.server_id) == 0);
    CHECK_INT(parley_peer_id(pair.server, pair.to_client, id, sizeof id), 52);
    CHECK(strcmp(id, they.client_id) == 0);
    CHECK_CODE(parley_peer_id(pair.server, 4711, id, sizeof id), PARLEY_ENOPEER);
    CHECK_OK(parley_peer_with_id(pair.server, they.client_id, &found));
    CHECK(found == pair.to_client);
    CHECK_OK(parley_peer_with_id(pair.server, known_id, &found));
    CHECK(found == PARLEY_NO_PEER);
    CHECK_CODE(parley_peer_with_id(pair.server, "nobody", &found), PARLEY_EADDRINVAL);
    CHECK_CODE(parley_peer_with_id(pair.server, known_id, NULL), PARLEY_EINVAL);

    CHECK_OK(parley_send_message(pair.client, pair.to_server, "hello", 5, LIMIT_MS));
    CHECK_OK(parley_consume(pair.server, &rpc, LIMIT_MS));
    CHECK(rpc.length == 5 && memcmp(rpc.payload, "hello", 5) == 0);
    parley_rpc_release(&rpc);
    free_pair(pair);
}

/* Without an identity there are no ids, and no way to a node that has one. */
static void plain_nodes(void) {
    char id[PARLEY_ID_SIZE], address[64];
    parley_options plain = loopback(), secured = loopback();
    parley_identity *identity = generated(id);
    parley_transport *node, *other;
    parley_peer peer;
    pair pair = connected(&plain, &plain);
    CHECK_INT(parley_id(pair.server, id, sizeof id), 0);
    CHECK_INT(parley_peer_id(pair.client, pair.to_server, id, sizeof id), 0);
    CHECK(id[0] == 0);

    secured.identity = identity;
    secured.handshake_timeout_ms = 500;
    node = listening(&secured);
    other = create(&secured);
    parley_address(pair.server, address, sizeof address);
    CHECK(parley_dial(other, address, LIMIT_MS, &peer) < 0);
    CHECK(peer == PARLEY_NO_PEER);
    /* A plain node believes that it is connected, until the other one ends it. */
    parley_address(node, address, sizeof address);
    if (parley_dial(pair.client, address, LIMIT_MS, &peer) == PARLEY_OK) await_peers(pair.client, 1);
    CHECK_INT(await_peers(node, 0), PARLEY_NO_PEER);
    CHECK_OK(parley_free(other));
    CHECK_OK(parley_free(node));
    parley_identity_free(identity);
    free_pair(pair);
}

static void dialing_an_id(void) {
    char address[64], target[256];
    parley_peer_statistics statistics;
    strangers they;
    parley_transport *node, *dialer;
    parley_peer peer;
    make_strangers(&they);
    node = listening(&they.server);
    dialer = create(&they.client);
    parley_address(node, address, sizeof address);

    snprintf(target, sizeof target, "%s@%s", they.server_id, address);
    CHECK_OK(parley_dial(dialer, target, LIMIT_MS, &peer));
    CHECK_OK(parley_peer_get_statistics(dialer, peer, &statistics, sizeof statistics));
    /* The handshake of the link itself is on the wire, and nothing else. */
    CHECK_INT(statistics.traffic.bytes_sent, 0);
    CHECK(statistics.wire_bytes_sent > 100 && statistics.wire_bytes_received > 100);
    CHECK_OK(parley_peer_close(dialer, peer, LIMIT_MS));
    snprintf(
        target, sizeof target, "/ip4/127.0.0.1/tcp/%s/p2p/%s", strchr(address, ':') + 1, they.server_id);
    CHECK_OK(parley_dial(dialer, target, LIMIT_MS, &peer));
    CHECK_OK(parley_peer_close(dialer, peer, LIMIT_MS));
    CHECK_REACHES(&they.ended.gone, 2);

    snprintf(target, sizeof target, "%s@%s", known_id, address);
    CHECK_CODE(parley_dial(dialer, target, LIMIT_MS, &peer), PARLEY_EIDMISMATCH);
    CHECK_CONTAINS(parley_last_error(), known_id);
    CHECK_CONTAINS(parley_last_error(), they.server_id);
    CHECK_REACHES(&they.ended.gone, 3);

    snprintf(target, sizeof target, "%s@%s", they.server_id, address);
    CHECK_OK(parley_keep_connected_backoff(dialer, target, 10, 100, 100));
    CHECK(await_peers(node, 1) != PARLEY_NO_PEER);
    CHECK_OK(parley_stop_keeping_connected(dialer, target));
    CHECK_OK(parley_free(dialer));
    CHECK_OK(parley_free(node));
    free_strangers(&they);
}


static void one_connection(void) {
    strangers they;
    parley_transport *smaller, *larger;
    parley_peer peer;
    char address[64];
    make_strangers(&they);
    they.server.one_connection_per_id = they.client.one_connection_per_id = true;
    if (strcmp(they.server_id, they.client_id) < 0) {
        smaller = listening(&they.server);
        larger = listening(&they.client);
    } else {
        smaller = listening(&they.client);
        larger = listening(&they.server);
    }
    peer = dial(larger, smaller);
    CHECK(await_peers(smaller, 1) != PARLEY_NO_PEER);
    /* That of the smaller id takes its place, and keeps it. */
    dial(smaller, larger);
    CHECK_EVENTUALLY(await_peers(larger, 1) != peer);
    CHECK(parley_address(smaller, address, sizeof address) > 0);
    CHECK_CODE(parley_dial(larger, address, LIMIT_MS, &peer), PARLEY_EDUPLICATE);
    CHECK(await_peers(smaller, 1) != PARLEY_NO_PEER);
    CHECK(await_peers(larger, 1) != PARLEY_NO_PEER);
    CHECK_OK(parley_free(smaller));
    CHECK_OK(parley_free(larger));
    free_strangers(&they);
}

static void a_list_of_ids(void) {
    char of_server[PARLEY_ID_SIZE], of_friend[PARLEY_ID_SIZE], of_stranger[PARLEY_ID_SIZE], address[64];
    parley_identity *of_node = generated(of_server);
    parley_identity *friends = generated(of_friend), *strangers = generated(of_stranger);
    parley_options server = loopback(), client = loopback();
    end_record ends_of_server = {EVENT_INIT, 0};
    const char *ids[2];
    parley_transport *node, *dialer;
    parley_peer peer;
    ids[0] = known_cid;
    ids[1] = of_friend;
    server.identity = of_node;
    server.allowed_ids = ids;
    server.allowed_id_count = 2;
    server.userdata = &ends_of_server;
    server.on_disconnect = note_end;
    node = listening(&server);
    ids[1] = "the texts were copied";
    parley_address(node, address, sizeof address);

    client.identity = friends;
    dialer = create(&client);
    CHECK_OK(parley_dial(dialer, address, LIMIT_MS, &peer));
    CHECK(await_peers(node, 1) != PARLEY_NO_PEER);
    CHECK_OK(parley_free(dialer));
    CHECK_REACHES(&ends_of_server.gone, 1);

    client.identity = strangers;
    dialer = create(&client);
    /* The stranger learns nothing but the end: at once, or after its dial has succeeded. */
    if (parley_dial(dialer, address, LIMIT_MS, &peer) == PARLEY_OK) await_peers(dialer, 0);
    CHECK_REACHES(&ends_of_server.gone, 2);
    CHECK_CODE(ends_of_server.reason, PARLEY_EIDREFUSED);
    CHECK_OK(parley_free(dialer));

    /* It works for dials as well. */
    client.identity = friends;
    client.allowed_ids = ids;
    client.allowed_id_count = 1;
    dialer = create(&client);
    CHECK_CODE(parley_dial(dialer, address, LIMIT_MS, &peer), PARLEY_EIDREFUSED);
    CHECK_CONTAINS(parley_last_error(), of_server);
    CHECK_OK(parley_free(dialer));
    CHECK_OK(parley_free(node));
    parley_identity_free(of_node);
    parley_identity_free(friends);
    parley_identity_free(strangers);
}

typedef struct questions {
    event asked, answered;
    event *gate; /* each question waits for it */
    pthread_t loop;
    bool answer, was_outbound;
    char id[PARLEY_ID_SIZE];
} questions;

static const questions no_questions = {EVENT_INIT, EVENT_INIT, NULL, 0, false, false, ""};

static void note_loop(void *argument) { ((questions *)argument)->loop = pthread_self(); }

static bool ask(const char *id, bool is_outbound, void *userdata) {
    questions *it = (questions *)userdata;
    /* It may block, so it is no loop's thread. */
    CHECK(!pthread_equal(pthread_self(), it->loop));
    snprintf(it->id, sizeof it->id, "%s", id);
    it->was_outbound = is_outbound;
    event_add(&it->asked, 1);
    if (it->gate != NULL) CHECK(event_reaches(it->gate, 1, LIMIT_MS));
    event_add(&it->answered, 1);
    return it->answer;
}

static void a_question(void) {
    char address[64];
    strangers they;
    questions asked = no_questions, asked_by_client = no_questions;
    event gate = EVENT_INIT;
    parley_transport *node, *dialer;
    const char *listed = they.client_id;
    parley_peer peer;
    make_strangers(&they);
    they.server.on_disconnect = NULL;
    they.server.userdata = &asked;
    they.server.allow = ask;
    they.client.userdata = &asked_by_client;
    they.client.allow = ask;
    node = listening(&they.server);
    dialer = create(&they.client);
    parley_address(node, address, sizeof address);
    CHECK_OK(parley_post(node, note_loop, &asked));
    CHECK_OK(parley_post(dialer, note_loop, &asked_by_client));
    await_callbacks(node);
    await_callbacks(dialer);

    /* The dialer's own answer is no. */
    CHECK_CODE(parley_dial(dialer, address, LIMIT_MS, &peer), PARLEY_EIDREFUSED);
    CHECK(strcmp(asked_by_client.id, they.server_id) == 0 && asked_by_client.was_outbound);
    /* Both say yes; the listener takes its time. */
    asked_by_client.answer = asked.answer = true;
    asked.gate = &gate;
    CHECK_OK(parley_dial(dialer, address, LIMIT_MS, &peer));
    CHECK_REACHES(&asked.asked, 1);
    CHECK_INT(await_peers(node, 0), PARLEY_NO_PEER);
    event_add(&gate, 1);
    CHECK(await_peers(node, 1) != PARLEY_NO_PEER);
    CHECK(strcmp(asked.id, they.client_id) == 0 && !asked.was_outbound);
    CHECK_OK(parley_free(dialer));
    CHECK_OK(parley_free(node));

    /* Nobody asks about an id of the list. */
    asked = no_questions;
    they.server.allowed_ids = &listed;
    they.server.allowed_id_count = 1;
    they.client.allow = NULL;
    node = listening(&they.server);
    dialer = create(&they.client);
    dial(dialer, node);
    CHECK(await_peers(node, 1) != PARLEY_NO_PEER);
    CHECK_INT(event_count(&asked.asked), 0);
    CHECK_OK(parley_free(dialer));
    CHECK_OK(parley_free(node));
    free_strangers(&they);
}

static void bans(void) {
    char address[64];
    strangers they;
    parley_peer peer;
    pair pair;
    make_strangers(&they);
    pair = connected(&they.server, &they.client);
    parley_address(pair.server, address, sizeof address);
    CHECK_OK(parley_ban_id(pair.server, they.client_id, PARLEY_FOREVER));
    CHECK_REACHES(&they.ended.gone, 1);
    CHECK_CODE(they.ended.reason, PARLEY_EBANNED);
    await_peers(pair.client, 0);
    if (parley_dial(pair.client, address, LIMIT_MS, &peer) == PARLEY_OK) await_peers(pair.client, 0);
    CHECK_REACHES(&they.ended.gone, 2);
    CHECK_CODE(they.ended.reason, PARLEY_EBANNED);
    CHECK_OK(parley_unban_id(pair.server, they.client_id));
    dial(pair.client, pair.server);
    CHECK(await_peers(pair.server, 1) != PARLEY_NO_PEER);
    CHECK_CODE(parley_ban_id(pair.server, "nobody", 1), PARLEY_EADDRINVAL);
    CHECK_CODE(parley_ban_id(pair.server, they.client_id, -2), PARLEY_EINVAL);
    CHECK_CODE(parley_unban_id(pair.server, NULL), PARLEY_EINVAL);
    free_pair(pair);
    free_strangers(&they);
}

static void options_that_are_refused(void) {
    char id[PARLEY_ID_SIZE];
    parley_identity *identity = generated(id);
    const char *ids[2];
    parley_transport *node = NULL;
    parley_options options = loopback();
    ids[0] = id;
    ids[1] = NULL;
    options.allowed_ids = ids;
    options.allowed_id_count = 1;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "identity");
    options.allowed_ids = NULL;
    options.allowed_id_count = 0;
    options.allow = ask;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    options.allow = NULL;
    options.one_connection_per_id = true;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "one_connection_per_id needs identity");
    options.one_connection_per_id = false;
    options.identity = identity;
    options.allowed_id_count = 1;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "allowed_ids is NULL");
    options.allowed_ids = ids;
    options.allowed_id_count = 2;
    CHECK_CODE(parley_create(&options, &node), PARLEY_EINVAL);
    CHECK_CONTAINS(parley_last_error(), "allowed_ids[1] is NULL");
    ids[1] = "12D3KooWnobody";
    CHECK_CODE(parley_create(&options, &node), PARLEY_EADDRINVAL);
    CHECK_CONTAINS(parley_last_error(), "12D3KooWnobody");
    CHECK(node == NULL);
    parley_identity_free(identity);
}

int main(void) {
    begin(120);
    trying("identities in memory");
    in_memory();
    trying("identities in files");
    in_files();
    trying("the texts of ids");
    texts();
    trying("both sides know each other");
    both_know_each_other();
    trying("nodes without an identity");
    plain_nodes();
    trying("dialing an id");
    dialing_an_id();
    trying("one connection for an id");
    one_connection();
    trying("a list of allowed ids");
    a_list_of_ids();
    trying("a function that decides");
    a_question();
    trying("bans of ids");
    bans();
    trying("options that are refused");
    options_that_are_refused();
    return 0;
}
