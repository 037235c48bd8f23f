/* What the kernel tells of this process: its threads, their signals, and its descriptors. */
#ifndef PROCESS_H
#define PROCESS_H

#include "check.h"

/* Calls `body` with the name and the blocked signals of each thread but the calling one. */
static inline void each_other_thread(
    void (*body)(const char *name, unsigned long long blocked, void *argument), void *argument) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        char path[300], line[128], name[32] = "";
        unsigned long long blocked = 0;
        FILE *file;
        int found = 0;
        if (atoi(entry->d_name) == 0 || atoi(entry->d_name) == (int)gettid()) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        file = fopen(path, "r");
        /* It may end at any time. */
        if (file == NULL) continue;
        while (fgets(line, sizeof line, file) != NULL) {
            if (sscanf(line, "Name:\t%31[^\n]", name) == 1) found++;
            if (sscanf(line, "SigBlk:\t%llx", &blocked) == 1) found++;
        }
        fclose(file);
        if (found == 2) body(name, blocked, argument);
    }
    closedir(tasks);
}

typedef struct thread_count {
    const char *name;
    int count;
} thread_count;

static inline void count_thread(const char *name, unsigned long long blocked, void *argument) {
    thread_count *it = (thread_count *)argument;
    (void)blocked;
    if (strcmp(name, it->name) == 0) it->count++;
}

/* The number of threads with this name. */
static inline int count_threads(const char *name) {
    thread_count it = {name, 0};
    each_other_thread(count_thread, &it);
    return it.count;
}

static inline void check_thread(const char *name, unsigned long long blocked, void *argument) {
    int signal;
    (void)argument;
    /* Swift's pool names its threads by their quality of service. */
    if (strncmp(name, "parley ", 7) != 0 && strstr(name, "qos") == NULL
        && strstr(name, "overcommit") == NULL) {
        fprintf(stderr, "a thread is called \"%s\"\n", name);
        CHECK(!"every thread has a name of the library");
    }
    /* 64 is valgrind's own, which it never blocks. */
    for (signal = 1; signal < 64; signal++) {
        switch (signal) {
        case SIGKILL: case SIGSTOP: case 32: case 33: continue; /* cannot be blocked */
        case SIGSEGV: case SIGBUS: case SIGILL: case SIGFPE: case SIGTRAP: case SIGSYS: continue; /* faults */
        default: break;
        }
        if (blocked & 1ULL << (signal - 1)) continue;
        fprintf(stderr, "the thread \"%s\" takes signal %d\n", name, signal);
        CHECK(!"every thread blocks every signal");
    }
}

/* Checks that each thread but the calling one has a name, and blocks all signals that are not faults. */
static inline void check_threads(void) { each_other_thread(check_thread, NULL); }

#endif
