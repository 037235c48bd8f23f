// mallinfo2 and malloc_trim, which Swift's own module of the C library leaves out.
#if __has_include(<malloc.h>)
#include <malloc.h>
#endif
