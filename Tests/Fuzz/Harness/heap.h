#pragma once
#include <stddef.h>

/// The bytes that the process has allocated and not freed.
size_t heap_bytes_in_use(void);

/// The most bytes asked for at once since the last call of this function.
size_t heap_take_largest_request(void);
