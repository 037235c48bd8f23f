/*
 * A network of the program's own (network_namespaces(7)), in which it may have any address, name server and
 * port range. Needs root, or user namespaces.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "process.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

static inline void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK(fclose(file) == 0);
}

/* Moves the program, which must have one thread, to a network with nothing but a loopback interface that is
 * up. Mounts are its own too. Returns false where that is not allowed. */
static inline bool enter_own_network(void) {
    struct ifreq request;
    int number;
    int own = CLONE_NEWNET | CLONE_NEWNS;
    if (unshare(own) != 0 && unshare(own | CLONE_NEWUSER) != 0) {
        printf("  skipped: no namespaces (%s)\n", strerror(errno));
        return false;
    }
    CHECK(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0);
    number = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(number >= 0);
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    CHECK(ioctl(number, SIOCSIFFLAGS, &request) == 0);
    close(number);
    return true;
}

/* Lets a local name server be the only one, and answer nothing. A look-up ends after two minutes. */
static inline void use_silent_name_server(void) {
    char path[] = "/tmp/parley-resolv-XXXXXX";
    struct sockaddr_in address;
    int number = mkstemp(path);
    CHECK(number >= 0);
    close(number);
    write_file(path, "nameserver 127.0.0.1\noptions timeout:30 attempts:4\n");
    CHECK(mount(path, "/etc/resolv.conf", "none", MS_BIND, NULL) == 0);
    CHECK(unlink(path) == 0);
    /* Stays open, and is never read. */
    number = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(number >= 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(number, (struct sockaddr *)&address, sizeof address) == 0);
}

#endif
