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

int main(void) {
    parley_options options = PARLEY_OPTIONS_INIT;
    options.listen_address = "127.0.0.1:0"; /* any free port */

    parley_transport *server, *client;
    check(parley_create(&options, &server));
    check(parley_create(&options, &client));

    char address[64];
    check(parley_listen(server));
    check(parley_address(server, address, sizeof address));

    parley_peer peer;
    check(parley_dial(client, address, PARLEY_FOREVER, &peer));
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
