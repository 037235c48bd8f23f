/* Two nodes on this machine: one listens, the other one dials it, and they exchange messages. */
#include <parley.h>

#include <stdio.h>
#include <stdlib.h>

static void check(int result) {
    if (result >= 0) return;
    fprintf(stderr, "%s\n", parley_last_error());
    exit(EXIT_FAILURE);
}

/* Waits for a node's next message, prints it, and returns its sender. */
static parley_peer hear(parley_transport *node, const char *name) {
    parley_rpc rpc;
    check(parley_consume(node, &rpc, PARLEY_FOREVER));
    parley_peer sender = rpc.peer;
    printf("%s hears: %.*s\n", name, (int)rpc.length, (const char *)rpc.payload);
    parley_rpc_release(&rpc);
    return sender;
}

/* Makes a node with an identity of its own. Its connections are encrypted, and both sides know each other. */
static parley_transport *make_node(void) {
    parley_options options = PARLEY_OPTIONS_INIT;
    parley_identity *identity;
    parley_transport *node;
    check(parley_identity_generate(&identity)); /* parley_identity_load_or_create() keeps it in a file */
    options.identity = identity;
    options.listen_address = "127.0.0.1:0"; /* any free port */
    check(parley_create(&options, &node));
    parley_identity_free(identity);
    return node;
}

int main(void) {
    parley_transport *server = make_node(), *client = make_node();

    char id[PARLEY_ID_SIZE], address[64], target[160];
    check(parley_listen(server));
    check(parley_id(server, id, sizeof id));
    check(parley_address(server, address, sizeof address));

    /* The dial fails when any other node answers. */
    parley_peer peer;
    snprintf(target, sizeof target, "%s@%s", id, address);
    check(parley_dial(client, target, PARLEY_FOREVER, &peer));
    check(parley_send_message(client, peer, "hello", 5, PARLEY_FOREVER));
    check(parley_send_message(client, peer, "how are you?", 12, PARLEY_FOREVER));

    /* Answers go to the peer that a message came from. */
    hear(server, "the server");
    peer = hear(server, "the server");
    check(parley_send_message(server, peer, "fine, thank you", 15, PARLEY_FOREVER));
    hear(client, "the client");

    parley_free(client);
    parley_free(server);
}
