/* Link-local addresses keep their zone, without which they cannot be dialed. */
#include "network.h"

/* in6_ifreq of <linux/ipv6.h>, which does not go with <netinet/in.h>. It is as large as an ifreq, since
 * valgrind takes it for one. */
union in6_request {
    struct {
        struct in6_addr address;
        uint32_t prefix_length;
        int interface;
    } in6;
    struct ifreq request;
};

static bool can_bind(struct in6_addr address, int interface) {
    struct sockaddr_in6 name;
    int number = socket(AF_INET6, SOCK_STREAM, 0);
    int result;
    CHECK(number >= 0);
    memset(&name, 0, sizeof name);
    name.sin6_family = AF_INET6;
    name.sin6_addr = address;
    name.sin6_scope_id = (uint32_t)interface;
    result = bind(number, (struct sockaddr *)&name, sizeof name);
    CHECK(result == 0 || errno == EADDRNOTAVAIL);
    close(number);
    return result == 0;
}

/* The kernel looks for duplicates of a new address from a thread of its own, also on the loopback interface,
 * and nothing can be bound to the address before (RFC 4862, 5.4). */
static void add_address(const char *address, int prefix_length) {
    union in6_request request;
    int number = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK(number >= 0);
    memset(&request, 0, sizeof request);
    CHECK(inet_pton(AF_INET6, address, &request.in6.address) == 1);
    request.in6.prefix_length = (uint32_t)prefix_length;
    request.in6.interface = (int)if_nametoindex("lo");
    CHECK(ioctl(number, SIOCSIFADDR, &request) == 0);
    close(number);
    CHECK_EVENTUALLY(can_bind(request.in6.address, request.in6.interface));
}

static const char *only_peer_address(parley_transport *node, char *text, size_t size, bool is_local) {
    parley_peer peer = await_peers(node, 1);
    if (is_local) {
        CHECK(parley_peer_local_address(node, peer, text, size) > 0);
    } else {
        CHECK(parley_peer_remote_address(node, peer, text, size) > 0);
    }
    return text;
}

int main(void) {
    parley_options options = loopback();
    parley_transport *server, *client;
    parley_peer peer, again;
    char address[80], text[80];
    begin(60);
    if (!enter_own_network()) return 0;
    add_address("fe80::1", 64);

    trying("dial, and dial the peer's address");
    options.listen_address = "[fe80::1%lo]:0";
    server = listening(&options);
    client = create(&options);
    CHECK(parley_address(server, address, sizeof address) > 0);
    CHECK(strncmp(address, "[fe80::1%lo]:", 13) == 0);
    CHECK_OK(parley_dial(client, address, LIMIT_MS, &peer));
    CHECK(parley_peer_remote_address(client, peer, text, sizeof text) > 0);
    CHECK(strcmp(text, address) == 0);
    CHECK(strncmp(only_peer_address(server, text, sizeof text, true), "[fe80::1%lo]:", 13) == 0);
    CHECK(strncmp(only_peer_address(server, text, sizeof text, false), "[fe80::1%lo]:", 13) == 0);
    CHECK(parley_peer_remote_address(client, peer, text, sizeof text) > 0);
    CHECK_OK(parley_dial(client, text, LIMIT_MS, &again));

    trying("the interface's number");
    snprintf(text, sizeof text, "[fe80::1%%%u]%s", if_nametoindex("lo"), strrchr(address, ':'));
    CHECK_OK(parley_dial(client, text, LIMIT_MS, &again));
    CHECK_OK(parley_free(client));
    CHECK_OK(parley_free(server));

    trying("an unknown zone");
    client = create(NULL);
    CHECK_CODE(parley_dial(client, "[fe80::1%nosuch0]:4500", LIMIT_MS, &peer), PARLEY_EADDRNOTAVAIL);
    CHECK_CONTAINS(parley_last_error(), "nosuch0");
    CHECK_OK(parley_free(client));
    options.listen_address = "[fe80::1%nosuch0]:0";
    server = create(&options);
    CHECK_CODE(parley_listen(server), PARLEY_EADDRNOTAVAIL);
    CHECK_CONTAINS(parley_last_error(), "nosuch0");
    CHECK_OK(parley_free(server));
    return 0;
}
