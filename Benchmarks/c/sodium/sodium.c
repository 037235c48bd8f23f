/*
 * libsodium and nothing else, which is the limit of whoever seals with it: there is no wire between the two
 * ends. One seals or one opens, over and over: the largest messages of Noise (`bulk`, `bulk-serve`), or each
 * message by itself (`flood`, `serve`). `greet-serve` does what one side of a Noise handshake with signed
 * keys has to: make a key, agree three times, verify a signature.
 */
#include "bench.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 65519, TAG = crypto_aead_chacha20poly1305_ietf_ABYTES };

static const struct bench_options *options;
static unsigned char key[crypto_aead_chacha20poly1305_ietf_KEYBYTES];

static void count_up(unsigned char *nonce) {
    sodium_increment(nonce, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
}

static void seal(size_t bytes) {
    unsigned char nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
    unsigned char *buffer = calloc(1, bytes + TAG);
    bench_ready(1);
    for (;;) {
        crypto_aead_chacha20poly1305_ietf_encrypt(
            buffer, NULL, buffer, bytes, NULL, 0, NULL, nonce, key);
        count_up(nonce);
        bench_add(1, bytes);
    }
}

static void open_sealed(size_t bytes) {
    unsigned char nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
    unsigned char *sealed = calloc(1, bytes + TAG), *content = malloc(bytes);
    crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, sealed, bytes, NULL, 0, NULL, nonce, key);
    bench_ready(1);
    for (;;) {
        if (crypto_aead_chacha20poly1305_ietf_decrypt(
                content, NULL, NULL, sealed, bytes + TAG, NULL, 0, nonce, key) != 0)
            bench_fail("a wrong tag", 0);
        bench_add(1, bytes);
    }
}

static void shake_hands(void) {
    unsigned char own[crypto_scalarmult_SCALARBYTES], shown[crypto_scalarmult_BYTES];
    unsigned char other[crypto_scalarmult_BYTES], shared[crypto_scalarmult_BYTES];
    unsigned char signing[crypto_sign_SECRETKEYBYTES], identity[crypto_sign_PUBLICKEYBYTES];
    unsigned char signature[crypto_sign_BYTES], text[56] = "noise-libp2p-static-key:";
    randombytes_buf(own, sizeof own);
    crypto_scalarmult_base(other, own);
    crypto_sign_keypair(identity, signing);
    crypto_sign_detached(signature, NULL, text, sizeof text, signing);
    bench_ready(1);
    for (;;) {
        randombytes_buf(own, sizeof own);
        crypto_scalarmult_base(shown, own);
        for (int i = 0; i < 3; i++)
            if (crypto_scalarmult(shared, own, other) != 0) bench_fail("a key of low order", 0);
        if (crypto_sign_verify_detached(signature, text, sizeof text, identity) != 0)
            bench_fail("a wrong signature", 0);
        bench_add(1, 0);
    }
}

int main(int argc, char **argv) {
    options = bench_start(argc, argv);
    const char *role = options->role;
    if (sodium_init() < 0) bench_fail("libsodium has no random source", 0);
    if (strcmp(role, "bulk") == 0) seal(LARGEST);
    else if (strcmp(role, "bulk-serve") == 0) open_sealed(LARGEST);
    else if (strcmp(role, "flood") == 0) seal(options->bytes);
    else if (strcmp(role, "serve") == 0) open_sealed(options->bytes);
    else if (strcmp(role, "greet-serve") == 0) shake_hands();
    bench_fail("no such role", 0);
}
