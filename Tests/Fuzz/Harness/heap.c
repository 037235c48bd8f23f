// Watches the heap of the fuzzers: libFuzzer itself sees only memory that has been written to, and a buffer
// that is made because of a length that the other side claims never is.

#include "heap.h"

#include <malloc.h>

extern void *__libc_malloc(size_t size);

static size_t largest_request;

/// Takes the place of libc's for the whole process; Swift allocates everything with it.
void *malloc(size_t size) {
    if (size > largest_request) largest_request = size;
    return __libc_malloc(size);
}

size_t heap_bytes_in_use(void) {
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

size_t heap_take_largest_request(void) {
    size_t largest = largest_request;
    largest_request = 0;
    return largest;
}
