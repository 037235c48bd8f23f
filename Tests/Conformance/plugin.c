/* A program that loads the library, uses it on a thread, and unloads it before the thread ends. It is not
 * linked with the library. */
#include "check.h"

#include <dlfcn.h>

typedef int (*create_function)(const parley_options *, parley_transport **);
typedef int (*transport_function)(parley_transport *);

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (found == NULL) check_failed(__FILE__, __LINE__, name, dlerror());
    return found;
}

static void *use(void *argument) {
    void *library = dlopen("libparley.so.0", RTLD_NOW | RTLD_LOCAL);
    create_function create_it;
    transport_function listen_it, close_it, free_it;
    parley_options options = PARLEY_OPTIONS_INIT;
    parley_transport *node = NULL;
    (void)argument;
    if (library == NULL) check_failed(__FILE__, __LINE__, "dlopen", dlerror());
    *(void **)&create_it = symbol(library, "parley_create");
    *(void **)&listen_it = symbol(library, "parley_listen");
    *(void **)&close_it = symbol(library, "parley_close");
    *(void **)&free_it = symbol(library, "parley_free");
    options.listen_address = "127.0.0.1:0";
    CHECK(create_it(&options, &node) == PARLEY_OK);
    CHECK(listen_it(node) == PARLEY_OK);
    /* A call that fails leaves its message with the thread. */
    CHECK(listen_it(node) == PARLEY_EALREADY);
    CHECK(close_it(node) == PARLEY_OK);
    CHECK(free_it(node) == PARLEY_OK);
    CHECK(dlclose(library) == 0);
    return NULL;
}

int main(void) {
    int round;
    begin(60);
    for (round = 0; round < (int)scaled(20, 5); round++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, use, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        /* It stays where it is: its threads may still be on their way out. */
        CHECK(dlopen("libparley.so.0", RTLD_NOW | RTLD_NOLOAD) != NULL);
    }
    return 0;
}
