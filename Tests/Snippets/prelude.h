/* The names that code in C on the pages uses without saying where they come from. */
#include <parley.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern parley_transport *transport;
extern parley_peer peer;
extern parley_options options;
