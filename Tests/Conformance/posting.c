/* parley_post(): in order, exactly once, and no accepted function is dropped at the end. */
#include "check.h"

typedef struct row {
    int next;
    event run;
} row;

typedef struct step {
    row *in;
    int number;
} step;

static void take_step(void *argument) {
    step *it = (step *)argument;
    CHECK_INT(it->in->next, it->number);
    it->in->next += 1;
    event_add(&it->in->run, 1);
}

static void posted_in_order(void) {
    enum { count = 1000 };
    row row = {0, EVENT_INIT};
    step steps[count];
    parley_transport *node = create(NULL);
    int index;
    for (index = 0; index < count; index++) {
        steps[index].in = &row;
        steps[index].number = index;
        CHECK_OK(parley_post(node, take_step, &steps[index]));
    }
    CHECK_REACHES(&row.run, count);
    CHECK_CODE(parley_post(node, NULL, NULL), PARLEY_EINVAL);
    CHECK_OK(parley_free(node));
}

typedef struct chain {
    parley_transport *transport;
    long accepted, run;
    event over;
} chain;

static void post_again(void *argument) {
    chain *it = (chain *)argument;
    int code;
    __atomic_add_fetch(&it->run, 1, __ATOMIC_SEQ_CST);
    code = parley_post(it->transport, post_again, it);
    if (code == PARLEY_OK) {
        __atomic_add_fetch(&it->accepted, 1, __ATOMIC_SEQ_CST);
    } else {
        CHECK_CODE(code, PARLEY_ECLOSED);
        event_add(&it->over, 1);
    }
}

static void count_run(void *argument) { __atomic_add_fetch(&((chain *)argument)->run, 1, __ATOMIC_SEQ_CST); }

static void *post_until_closed(void *argument) {
    chain *it = (chain *)argument;
    while (parley_post(it->transport, count_run, it) == PARLEY_OK)
        __atomic_add_fetch(&it->accepted, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Every accepted function runs exactly once, even directly before closing, also when the loop's own thread
 * posts it. */
static void every_post_runs(void) {
    int round, index;
    for (round = 0; round < (int)scaled(50, 5); round++) {
        chain it = {NULL, 0, 0, EVENT_INIT};
        pthread_t threads[2];
        it.transport = create(NULL);
        for (index = 0; index < 2; index++) threads[index] = start_thread(post_until_closed, &it);
        __atomic_add_fetch(&it.accepted, 1, __ATOMIC_SEQ_CST);
        CHECK_OK(parley_post(it.transport, post_again, &it));
        CHECK_OK(parley_close(it.transport));
        for (index = 0; index < 2; index++) join(threads[index]);
        CHECK_INT(it.run, it.accepted);
        CHECK_CODE(parley_post(it.transport, post_again, &it), PARLEY_ECLOSED);
        CHECK_OK(parley_free(it.transport));
        CHECK_INT(it.run, it.accepted);
    }
}

int main(void) {
    begin(60);
    trying("in order");
    posted_in_order();
    trying("at the end");
    every_post_runs();
    return 0;
}
