/* What the programs in this folder have in common: one node, its options, and round trips of messages. */
#ifndef NODE_H
#define NODE_H

#include "bench.h"

#include <parley.h>
#include <stdbool.h>

extern const struct bench_options *options;
extern parley_transport *transport;
/* Whom the node has dialed. */
extern parley_peer server;
/* As many bytes as the options say. */
extern uint8_t *message;
/* When the last round trip began. */
extern uint64_t begun;

/* Ends the program when `status` is an error. */
void check(int64_t status, const char *what);

/* Makes the node, with room for as many peers as are opened. */
void make_node(parley_options made);

void listen_and_say_so(void);
parley_peer dialed(unsigned n);
_Noreturn void sleep_for_ever(void);

/* Sends the message, and again whenever it has come back: on_rpcs is `answered`. On the loop's thread. */
void send_and_note(void *unused);
void answered(parley_transport *at, const parley_rpc *rpcs, size_t count, void *unused);

#endif
