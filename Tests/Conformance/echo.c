/* Two nodes: one echoes every message, in each wire form and at many sizes that it can carry. */
#include "check.h"

static void *answer(void *argument) {
    parley_transport *node = (parley_transport *)argument;
    parley_rpc rpc;
    int code;
    while ((code = parley_consume(node, &rpc, PARLEY_FOREVER)) == PARLEY_OK) {
        CHECK(!rpc.stream);
        CHECK_OK(parley_send_message(node, rpc.peer, rpc.payload, rpc.length, PARLEY_FOREVER));
        parley_rpc_release(&rpc);
        CHECK(rpc.owner == NULL && rpc.payload == NULL && rpc.length == 0 && rpc.peer == PARLEY_NO_PEER);
    }
    CHECK_CODE(code, PARLEY_ECLOSED);
    return NULL;
}

static void echo(parley_transport *node, parley_peer peer, size_t length) {
    uint8_t *message = (uint8_t *)malloc(length + 1);
    parley_rpc rpc;
    CHECK(message != NULL);
    fill_content(message, length, length);
    CHECK_OK(parley_send_message(node, peer, message, length, LIMIT_MS));
    /* The library has copied the bytes, so changing them has no effect. */
    memset(message, 0xee, length);
    CHECK_OK(parley_consume(node, &rpc, LIMIT_MS));
    CHECK(rpc.peer == peer);
    CHECK_INT(rpc.length, length);
    CHECK((rpc.payload == NULL) == (length == 0));
    CHECK(is_content(rpc.payload, length, length));
    parley_rpc_release(&rpc);
    free(message);
}

static void echo_in(parley_codec codec, const size_t *lengths, size_t count) {
    parley_options options = loopback();
    pair pair;
    pthread_t answering;
    size_t index;
    options.codec = codec;
    pair = connected(&options, &options);
    answering = start_thread(answer, pair.server);
    for (index = 0; index < count; index++) echo(pair.client, pair.to_server, lengths[index]);
    CHECK_OK(parley_close(pair.server));
    join(answering);
    free_pair(pair);
}

int main(void) {
    const size_t in_unframed[] = {1, 2, 1027, 1028};
    /* Around the 64 KiB of a read, the high water mark of 1 MiB, and the default limit. */
    const size_t in_framed[] = {0, 1, 5, 65530, 65531, 65536, 131072, 1048571, 1048576, 5000000, 16 << 20};
    const size_t in_gob[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20};
    begin(60);
    trying("unframed");
    echo_in(PARLEY_CODEC_UNFRAMED, in_unframed, 4);
    trying("framed");
    echo_in(PARLEY_CODEC_FRAMED, in_framed, scaled(11, 10));
    trying("gob");
    echo_in(PARLEY_CODEC_GOB, in_gob, 9);
    trying("gob, types once");
    echo_in(PARLEY_CODEC_GOB_ONCE, in_gob, 9);
    return 0;
}
