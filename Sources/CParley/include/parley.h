/*
 * parley.h: a peer-to-peer transport over TCP, for C.
 *
 * A node listens, dials, greets its peers, and exchanges messages and byte streams with them.
 *
 *     parley_options options = PARLEY_OPTIONS_INIT;
 *     options.codec = PARLEY_CODEC_FRAMED;
 *     parley_transport *node;
 *     if (parley_create(&options, &node) == PARLEY_OK) {
 *         parley_peer peer;
 *         if (parley_dial(node, "localhost:3000", PARLEY_FOREVER, &peer) == PARLEY_OK)
 *             parley_send_message(node, peer, "hello", 5, PARLEY_FOREVER);
 *         parley_free(node);
 *     }
 *
 * Link with `pkg-config --cflags --libs parley`. C11 and C++17. This header is the authority on the interface.
 *
 * WHAT HOLDS EVERYWHERE
 *
 *   Threads      Any function may be called on any thread at any time, unless it says otherwise. Each transport has
 *                one thread of its own, "its loop". Callbacks run there, one at a time, with no lock held, and must
 *                not block; the handshake and the log callback are the two exceptions, and say so. The loop's thread
 *                blocks SIGPIPE; the signal dispositions of the process are left alone.
 *                With `loops` above 1 a transport has as many such threads, and each peer belongs to one of them from
 *                beginning to end: "the loop" is then that peer's, callbacks about one peer come one at a time and in order,
 *                those about different peers may come at the same time. What belongs to no peer is the first loop's.
 *   Blocking     Functions that may block take a timeout in milliseconds: PARLEY_FOREVER (-1) waits as long as it
 *                takes, 0 does not wait at all (PARLEY_EAGAIN). On a loop's thread, that is in a callback, none of them
 *                ever waits: where they would have to, they fail with PARLEY_EDEADLK (with a timeout of 0: as ever).
 *   Results      An int is PARLEY_OK (0), a count, or a negative parley_error. parley_strerror() describes a code,
 *                parley_last_error() has the details of the last failure on the calling thread.
 *   Memory       What you pass in is copied or finished with when the function returns, unless it says otherwise.
 *                What you get belongs to the transport, unless it says otherwise; there is a function to give it back.
 *   Texts        are UTF-8 and end with NUL. Functions that fill a buffer do as snprintf(3) does: they never write
 *                more than `size` bytes, end with NUL if size is not 0, and return the length that the whole text has.
 *   Signals      None of these functions may be called in a signal handler. After fork(2) a child may not use the
 *                transports of its parent, not even to free them.
 */
#ifndef PARLEY_H
#define PARLEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define PARLEY_CHECKED __attribute__((warn_unused_result))
#else
#define PARLEY_CHECKED
#endif

/* ---- Version --------------------------------------------------------------------------------------------------- */

#define PARLEY_VERSION_MAJOR 0
#define PARLEY_VERSION_MINOR 1
#define PARLEY_VERSION_PATCH 0
/* One number to compare: 0x000100 is 0.1.0. */
#define PARLEY_VERSION \
    ((PARLEY_VERSION_MAJOR << 16) | (PARLEY_VERSION_MINOR << 8) | PARLEY_VERSION_PATCH)

/* The version of the library that is loaded, in the form of PARLEY_VERSION; the header's may be another one. The two work
 * together as long as the soname (libparley.so.0) is the same. Never blocks. */
int parley_version(void);

/* The same as text: "0.1.0". Static; never blocks. */
const char *parley_version_string(void);

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

/* Stable numbers: none is ever reused. Expect new ones. Your own callbacks may return any code below -1000: it reaches
 * whoever waits for the outcome as it is. */
typedef enum parley_error {
    PARLEY_OK = 0,
    PARLEY_EADDRINVAL = -1,   /* the address is not of the form host:port */
    PARLEY_EINVAL = -2,       /* an argument is out of its range */
    PARLEY_ENOTSUP = -3,      /* the wire form in use cannot express what was asked for */
    PARLEY_EMSGSIZE = -4,     /* the message is longer than the wire form or the options allow */
    PARLEY_EALREADY = -5,     /* the transport is listening already */
    PARLEY_EADDRINUSE = -6,   /* another socket holds the address */
    PARLEY_EADDRNOTAVAIL = -7, /* the address belongs to no interface of this machine */
    PARLEY_ENONAME = -8,      /* the name has no address, or the resolver could not be reached */
    PARLEY_ECONNREFUSED = -9, /* nobody listens there */
    PARLEY_EUNREACH = -10,    /* no route leads there */
    PARLEY_ETIMEDOUT = -11,   /* a timeout or deadline passed */
    PARLEY_ECANCELED = -12,   /* the call was given up */
    PARLEY_ECLOSED = -13,     /* this side closed the peer or the transport */
    PARLEY_EOF = -14,         /* the remote side closed the connection in an orderly way */
    PARLEY_ECONNRESET = -15,  /* the remote side reset the connection */
    PARLEY_EPROTO = -16,      /* the bytes that arrived do not follow the wire form */
    PARLEY_ETRUNCATED = -17,  /* the connection, or a file, ended in the middle of something */
    PARLEY_EHANDSHAKE = -18,  /* the handshake failed */
    PARLEY_EREFUSED = -19,    /* on_peer refused the peer */
    PARLEY_EMFILE = -20,      /* the process or the system has no file descriptors left */
    PARLEY_EACCES = -21,      /* the operating system forbids it */
    PARLEY_EABORTED = -22,    /* the remote side gave up its stream before the end */
    PARLEY_ESYSTEM = -23,     /* any other failure that the system reported */
    PARLEY_EEXIST = -24,      /* there is a file of that name already */
    PARLEY_ENOENT = -25,      /* there is no such file or folder */
    PARLEY_EMAXPEERS = -26,   /* a limit of this node on peers is reached */
    PARLEY_EMAXADDRESS = -27, /* the remote address has as many connections as one may */
    PARLEY_ENOTALLOWED = -28, /* the gate does not let this address in */
    PARLEY_EBANNED = -29,     /* the address is banned */
    PARLEY_EIDLE = -30,       /* nothing went either way for idle_timeout_ms */
    PARLEY_ESTALLED = -31,    /* the other side took nothing of what was sent for write_stall_timeout_ms */
    PARLEY_EHEARTBEAT = -32,  /* the other side did not answer heartbeats */
    PARLEY_EBUFFERFULL = -33, /* the node holds as many unread bytes as it may */
    PARLEY_EDUPLICATE = -34,  /* another connection with the same node stays */
    PARLEY_ENOPEER = -64,     /* no peer has this number any more */
    PARLEY_EDEADLK = -65,     /* the call would block the thread whose work it waits for */
    PARLEY_EAGAIN = -66       /* the call may not wait, and would have to */
} parley_error;

/* One sentence about a code, for people. Static, never NULL; never blocks. */
const char *parley_strerror(int code);

/* The code's name, such as "PARLEY_ECLOSED", for logs; "PARLEY_EUNKNOWN" for an unknown one. Static; never blocks. */
const char *parley_err_name(int code);

/* What exactly went wrong in the last call on this thread that failed: a sentence with the addresses, sizes and bytes that
 * matter, such as `cannot connect to 127.0.0.1:3000: connection refused`. Empty when nothing has failed. Valid until the
 * next call of this library on this thread fails; never NULL, never blocks. */
const char *parley_last_error(void);

/* ---- Handles --------------------------------------------------------------------------------------------------- */

/* A node. Made by parley_create(), given back with parley_free(). */
typedef struct parley_transport parley_transport;

/* One connection, by number. A number is never zero and never used again in its transport, so it is safe to keep and to
 * use when the peer is long gone: functions then return PARLEY_ENOPEER. It is good from the handshake until on_disconnect
 * has returned. */
typedef uint64_t parley_peer;

#define PARLEY_NO_PEER ((parley_peer)0)
#define PARLEY_FOREVER (-1)

/* One thing that a peer sent: a whole message, or the news that a stream begins. */
typedef struct parley_rpc {
    parley_peer peer;
    const uint8_t *payload; /* the message, or the stream's header; NULL when it is empty */
    size_t length;          /* in bytes */
    bool stream;            /* a stream begins: read it with parley_read(), end it with parley_close_stream() */
    void *owner;            /* the library's own; see parley_rpc_release() */
} parley_rpc;

/* ---- A decoder of one's own ------------------------------------------------------------------------------------ */

/* Where an encoder appends its bytes; good during the call only. */
typedef struct parley_buffer parley_buffer;

/* Appends bytes; in an encoder's callback only. Never fails, never blocks. */
void parley_buffer_append(parley_buffer *buffer, const void *bytes, size_t length);

typedef enum parley_stream_form {
    PARLEY_STREAMS_NONE = 0,         /* there are no streams */
    PARLEY_STREAMS_UNTIL_CLOSED = 1, /* behind the opening everything is raw, until parley_close_stream() */
    PARLEY_STREAMS_DELIMITED = 2     /* a stream's bytes come in frames, and its end has one of its own */
} parley_stream_form;

typedef enum parley_event_type {
    PARLEY_EVENT_INCOMPLETE = 0, /* nothing whole yet */
    PARLEY_EVENT_MESSAGE = 1,
    PARLEY_EVENT_STREAM_OPENED = 2,
    PARLEY_EVENT_STREAM_BYTES = 3,   /* with PARLEY_STREAMS_DELIMITED only, as the next two */
    PARLEY_EVENT_STREAM_ENDED = 4,
    PARLEY_EVENT_STREAM_ABORTED = 5
} parley_event_type;

/* What a decoder found at the front of its input. Zeroed before the call. */
typedef struct parley_event {
    parley_event_type type;
    size_t consumed;       /* bytes of the input that are used up; at least 1 unless incomplete */
    size_t payload_offset; /* where in the input the payload begins (message, header, stream bytes) */
    size_t payload_length;
    size_t frame_length;   /* incomplete: how long the frame at the front is in all, if known, otherwise 0 */
    uint32_t abort_code;   /* aborted: the sender's code … */
    const char *reason;    /* … and reason; or, with a negative result, what is wrong. Read before the next call. */
} parley_event;

/*
 * A wire form: how messages and streams are written as bytes, and read back. Both ends must use the same one.
 *
 * Each connection makes two states of it, one that decodes and one that encodes. The calls on one state never overlap,
 * but may come from different threads; a lock of the connection is held, so they must not call this library except for
 * parley_buffer_append(), and must not block. Encoders return PARLEY_OK, or a negative code that the sender gets; then
 * nothing they appended is sent.
 */
typedef struct parley_decoder {
    size_t size;      /* sizeof(parley_decoder) */
    const char *name; /* for error messages */
    parley_stream_form stream_form;
    void *userdata;                         /* handed to `create` */
    void (*destroy_userdata)(void *userdata); /* called once when no transport or connection uses it; may be NULL */

    void *(*create)(void *userdata); /* a new state, NULL if it needs none; may be NULL */
    void (*destroy)(void *state);    /* gives a state back, also the NULL of one without `create`; may be NULL */

    /* Takes the next event from the front of `input`, which is never empty and begins with what the last call left. The
     * same bytes come again, with more behind them, after an incomplete event. A negative result drops the peer with
     * PARLEY_EPROTO and `event->reason`. Check every length before you use it. */
    int (*decode)(void *state, const uint8_t *input, size_t length, parley_event *event);

    int (*encode_message)(void *state, const uint8_t *message, size_t length, parley_buffer *output);

    /* For streams; each may be NULL without them. Bytes go out as they are where encode_stream_bytes is NULL, nothing is
     * appended where encode_stream_end is NULL, and aborting closes the connection where encode_stream_abort is NULL. */
    int (*encode_stream_opening)(void *state, const uint8_t *header, size_t length, parley_buffer *output);
    void (*encode_stream_bytes)(void *state, const uint8_t *bytes, size_t length, parley_buffer *output);
    void (*encode_stream_end)(void *state, parley_buffer *output);
    void (*encode_stream_abort)(void *state, uint32_t code, const char *reason, parley_buffer *output);
} parley_decoder;

/* ---- Options --------------------------------------------------------------------------------------------------- */

typedef enum parley_codec {
    PARLEY_CODEC_DEFAULT = 0,    /* the Go package's: a type byte, then what one read brings; 1 to 1,028 bytes */
    PARLEY_CODEC_FRAMED = 1,     /* what two Parley nodes should use: type, length, payload */
    PARLEY_CODEC_GOB = 2,        /* Go's encoding/gob, each message with its type definition */
    PARLEY_CODEC_GOB_ONCE = 3    /* the same, with the definition in front of the first message only */
} parley_codec;

typedef enum parley_log_level {
    PARLEY_LOG_TRACE = 0,
    PARLEY_LOG_DEBUG = 1,
    PARLEY_LOG_INFO = 2,
    PARLEY_LOG_NOTICE = 3,
    PARLEY_LOG_WARNING = 4,
    PARLEY_LOG_ERROR = 5,
    PARLEY_LOG_CRITICAL = 6
} parley_log_level;

/*
 * Everything that can be chosen about a transport. Begin with PARLEY_OPTIONS_INIT: every field is zero then, and zero is
 * the default that the comment names. PARLEY_FOREVER (-1) in a timeout means never. The struct and its texts are copied
 * by parley_create(); new fields are added at the end, and `size` tells the library which ones you know.
 */
typedef struct parley_options {
    size_t size; /* sizeof(parley_options) */

    /* Where to listen: "host:port". ":3000" is every interface, IPv6 and IPv4; port 0 takes a free one. NULL is ":0". */
    const char *listen_address;

    parley_codec codec;
    /* A wire form of one's own, instead of `codec`; copied. */
    const parley_decoder *decoder;
    /* The longest message or stream header (not with the default codec), up to UINT32_MAX; 0 is 16 MiB. */
    size_t max_message_bytes;

    /* Handed to the callbacks below. destroy_userdata is called once, when no callback will be called any more: in
     * parley_free(), or in parley_create() if that fails. It may be NULL. */
    void *userdata;
    void (*destroy_userdata)(void *userdata);

    /* Greets a new peer before any message is decoded, on both sides: it may read and send raw bytes, and block on that, since
     * it runs on a worker thread of its own. A negative result drops the peer, and is what parley_dial() returns. NULL accepts
     * everyone. */
    int (*handshake)(parley_transport *transport, parley_peer peer, void *userdata);

    /* A peer is greeted, nothing of it was delivered yet. A negative result refuses it. On the loop's thread. */
    int (*on_peer)(parley_transport *transport, parley_peer peer, void *userdata);

    /* Called exactly once for each peer that got as far as the handshake, when it is gone: PARLEY_EOF when the other side
     * closed, PARLEY_ECLOSED when this one did, or what went wrong. `message` says it in a sentence, and is good during the
     * call. On the loop's thread. */
    void (*on_disconnect)(parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata);

    /* Takes what arrives, in the order in which each peer sent it, in batches of one read; see "Receiving" below. The RPCs and
     * their payloads are good during the call. On the loop's thread. */
    void (*on_rpcs)(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata);

    /* Takes log lines at log_level or above: an event's name and ` key=value` pairs. On any thread, several at a time; it must
     * not call this library. NULL logs nothing. */
    void (*on_log)(parley_log_level level, const char *line, void *userdata);
    parley_log_level log_level;

    size_t inbox_capacity;         /* RPCs that may wait for a consumer, each loop has its part; 0 is 1,024 */
    size_t inbox_capacity_bytes;   /* bytes that may, likewise; one RPC of each may exceed it; 0 is 64 MiB */
    size_t send_high_water_bytes;  /* from so many unwritten bytes of a peer on, sends wait; 0 is 1 MiB */
    size_t send_low_water_bytes;   /* at so many they go on; 0 is 256 KiB */

    int dial_timeout_ms;           /* from looking up the name to the connection; 0 is 30 s */
    int handshake_timeout_ms;      /* handshake and on_peer together; 0 is 10 s */
    int stream_idle_timeout_ms;    /* how long an open stream may go without a byte being read; 0 is 60 s */
    int close_timeout_ms;          /* how long closing may take to write out what was sent; 0 is 5 s */

    int keepalive_idle_s;          /* silence before the first TCP keep-alive probe; 0 is 15 s, -1 turns it off */
    int keepalive_interval_s;      /* between probes; 0 is 15 s */
    int keepalive_count;           /* unanswered probes before the peer is given up; 0 is 9 */

    int idle_timeout_ms;           /* a peer to and from which nothing goes is dropped; 0 is never */
    int write_timeout_ms;          /* how long a send may find no room, whatever its own timeout; 0 is 60 s */
    int write_stall_timeout_ms;    /* a peer that acknowledges nothing is dropped; 0 is 120 s */
    int heartbeat_interval_ms;     /* asks each peer whether it is there (framed wire form); 0 is never */
    int heartbeat_max_missed;      /* questions without an answer before it is dropped; 0 is 3 */

    /* Who may connect at all: asked about a numeric address before anything else is spent on it. NULL lets everyone in. On
     * a loop's thread, with `loops` above 1 perhaps on two at once; it must not call this library. */
    bool (*gate)(const char *address, bool is_outbound, void *userdata);

    size_t max_peers;              /* connections in all; 0 is 4,096 */
    size_t max_inbound_peers;      /* that others make; further ones wait in the backlog; 0 is 3,584 */
    size_t max_outbound_peers;     /* that this node makes; 0 is 1,024 */
    size_t max_peers_per_ipv4;     /* from one IPv4 address, loopback excepted; 0 is 8 */
    size_t max_peers_per_ipv6_customer; /* from one IPv6 /56; 0 is 8 */
    size_t max_peers_per_ipv6_site; /* from one IPv6 /48; 0 is 64 */
    size_t max_handshakes;         /* connections of others that are not greeted yet; 0 is 256 */
    size_t accepts_per_second;     /* on average and in one go, loopback excepted; 0 is 1,000 */
    size_t send_buffer_bytes;      /* unwritten bytes of all peers; 0 is 64 MiB */
    size_t receive_buffer_bytes;   /* unread bytes of all peers; 0 is 256 MiB */
    size_t read_ahead_bytes;       /* how far one stream is read ahead of its reader; 0 is 256 KiB */

    /* How many loops, each with a thread, the peers are spread over: for many busy peers, one for each core; see "Threads"
     * above. The limits are the whole transport's, but for the inbox's, of which each loop has its part, at least one RPC. At
     * most 256; 0 is 1. */
    size_t loops;

    /* How long a loop polls without blocking after the last thing that has happened there, in microseconds. It trades a core
     * for time: waking a thread that sleeps takes longer than a whole round trip between two that do not. 50 are enough for
     * peers that answer at once; 0 blocks at once. */
    int busy_poll_us;
} parley_options;

#define PARLEY_OPTIONS_INIT \
    { sizeof(parley_options), NULL, PARLEY_CODEC_DEFAULT, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
      PARLEY_LOG_TRACE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* ---- A transport's life ---------------------------------------------------------------------------------------- */

/*
 * Makes a node that neither listens nor is connected. A thread starts when there is something to do for it.
 *
 * options  NULL for the defaults.
 * Returns  PARLEY_OK; PARLEY_EINVAL, when an option is out of its range or out is NULL. Never blocks.
 */
PARLEY_CHECKED int parley_create(const parley_options *options, parley_transport **out);

/*
 * Starts to listen; others can connect when it returns. Blocks while a name is looked up; not in callbacks.
 *
 * Returns  PARLEY_OK; PARLEY_EADDRINVAL, PARLEY_ENONAME, PARLEY_EADDRINUSE, PARLEY_EADDRNOTAVAIL, PARLEY_EACCES,
 *          PARLEY_EALREADY, PARLEY_EMFILE, PARLEY_ECLOSED, PARLEY_EDEADLK.
 */
PARLEY_CHECKED int parley_listen(parley_transport *transport);

/* The listening address as it was configured, and with its real port once it is bound; as snprintf(3). Never blocks. */
int parley_address(parley_transport *transport, char *buffer, size_t size);

/*
 * Stops listening, writes out what was sent (for at most close_timeout_ms), closes every peer, and returns when no socket
 * and no thread is left, and no callback will be called any more. What has arrived can still be consumed; everything
 * else then returns PARLEY_ECLOSED or PARLEY_ENOPEER. Idempotent, on several threads too. Blocks; not in callbacks.
 *
 * Returns  PARLEY_OK; PARLEY_EDEADLK.
 */
int parley_close(parley_transport *transport);

/*
 * Closes it if that has not happened, and gives it back. Wakes those who wait in parley_consume(); the caller has to see
 * to it that no other thread is inside, or enters, a function with this transport. NULL is fine. Blocks as
 * parley_close(); in a callback it does nothing but return PARLEY_EDEADLK.
 */
int parley_free(parley_transport *transport);

/* Runs `function` on the (first) loop's thread, behind what was posted before. Returns PARLEY_OK, and then it runs exactly once, or
 * PARLEY_ECLOSED or, where the thread cannot start, PARLEY_EMFILE. Never blocks. */
int parley_post(parley_transport *transport, void (*function)(void *argument), void *argument);

/* ---- Peers ----------------------------------------------------------------------------------------------------- */

/*
 * Connects to another node, greets it, and stores its number in *peer. Every address of the name is tried, the next one
 * 300 ms after the last (RFC 8305). ":5000" means this host.
 *
 * Returns  PARLEY_OK; PARLEY_EADDRINVAL, PARLEY_ENONAME, PARLEY_ECONNREFUSED, PARLEY_EUNREACH, PARLEY_ETIMEDOUT, what the
 *          handshake or on_peer returned, PARLEY_EOF or PARLEY_ECONNRESET when the other side ended it before it was
 *          greeted, PARLEY_EMFILE, PARLEY_ECLOSED, PARLEY_EDEADLK. Blocks; not in callbacks.
 */
PARLEY_CHECKED int parley_dial(parley_transport *transport, const char *address, int timeout_ms, parley_peer *peer);

/*
 * The same without blocking: `done` is called exactly once on the loop's thread, with the peer or with PARLEY_NO_PEER and
 * the error; parley_last_error() has its details there.
 *
 * Returns  PARLEY_OK; PARLEY_EADDRINVAL, PARLEY_EMFILE, PARLEY_ECLOSED, and `done` is not called then. Never blocks.
 */
PARLEY_CHECKED int parley_dial_async(
    parley_transport *transport, const char *address,
    void (*done)(parley_transport *transport, parley_peer peer, int error, void *argument), void *argument);

/* Stores the numbers of up to `capacity` greeted peers, in no particular order, and returns how many there are. Never
 * blocks. */
size_t parley_peers(parley_transport *transport, parley_peer *peers, size_t capacity);

/* Addresses of the two ends, numeric: "127.0.0.1:51514", "[::1]:3000". As snprintf(3), or PARLEY_ENOPEER. Never block. */
int parley_peer_remote_address(parley_transport *transport, parley_peer peer, char *buffer, size_t size);
int parley_peer_local_address(parley_transport *transport, parley_peer peer, char *buffer, size_t size);

/* 1 when this side dialed, 0 when the other one did, or PARLEY_ENOPEER. Never blocks. */
int parley_peer_is_outbound(parley_transport *transport, parley_peer peer);

/* A pointer of yours for each peer, NULL at first; for what you would otherwise look up by number. It is yours to free, in
 * on_disconnect. parley_peer_userdata() returns NULL for a peer that is gone. Never block. */
int parley_peer_set_userdata(parley_transport *transport, parley_peer peer, void *userdata);
void *parley_peer_userdata(parley_transport *transport, parley_peer peer);

/* Runs `function` on the thread of that peer's loop, between its callbacks and behind what was posted there before. Returns
 * PARLEY_OK, and then it runs exactly once, or PARLEY_ENOPEER. Never blocks. */
int parley_peer_post(
    parley_transport *transport, parley_peer peer, void (*function)(void *argument), void *argument);

/*
 * Begins to close a peer: what was sent is written out (for at most close_timeout_ms), then on_disconnect is called with
 * PARLEY_ECLOSED. With a timeout other than 0 it waits until the connection is closed.
 *
 * Returns  PARLEY_OK, also with a timeout of 0; PARLEY_ETIMEDOUT, PARLEY_ENOPEER, and PARLEY_EDEADLK in a callback
 *          unless the timeout is 0.
 */
int parley_peer_close(parley_transport *transport, parley_peer peer, int timeout_ms);

/* Reads, or sends, that have not finished so many milliseconds from now fail with PARLEY_ETIMEDOUT, those that wait now
 * included; PARLEY_FOREVER takes the deadline away. PARLEY_OK or PARLEY_ENOPEER. Never block. */
int parley_set_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);
int parley_set_read_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);
int parley_set_write_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);

/*
 * Stays connected to a node: dials it, and dials again when that fails or the connection ends, after waits that grow from a
 * second to five minutes with full jitter and begin anew after a stable minute. on_peer and on_disconnect tell what comes of
 * it. Ends with parley_disconnect() of the same address, and with the transport.
 *
 * Returns  PARLEY_OK; PARLEY_EADDRINVAL, PARLEY_EALREADY (it does so already), PARLEY_ECLOSED. Never blocks.
 */
int parley_keep_connected(parley_transport *transport, const char *address);

/* Takes parley_keep_connected() back: the connection that there may be is closed, as by parley_peer_close(). PARLEY_OK, or
 * PARLEY_EINVAL when there was nothing to take back. Never blocks. */
int parley_disconnect(parley_transport *transport, const char *address);

/* Shuts a numeric address (without a port) out for so long, or an IPv6 address with its /64: its connections end with
 * PARLEY_EBANNED, and none can be made from or to it. PARLEY_OK, or PARLEY_EADDRINVAL, PARLEY_EINVAL. Never blocks. */
int parley_ban(parley_transport *transport, const char *host, int duration_ms);

/* Takes a ban back. PARLEY_OK, also when there is none, or PARLEY_EADDRINVAL. Never blocks. */
int parley_unban(parley_transport *transport, const char *host);

/* ---- A view from outside --------------------------------------------------------------------------------------- */

/* What has gone each way. Every number only grows. */
typedef struct parley_traffic {
    uint64_t bytes_received, bytes_sent;
    uint64_t messages_received, messages_sent;
    uint64_t streams_received, streams_sent;
    uint64_t read_pauses; /* how often reading stopped because the inbox had no room */
    uint64_t send_waits;  /* how often a send had to wait, or would have had to */
} parley_traffic;

/* A transport at one moment. */
typedef struct parley_statistics {
    parley_traffic traffic; /* of connections that have ended too */
    uint64_t uptime_ms;
    uint64_t inbound_peers, outbound_peers; /* open now */
    uint64_t handshaking;    /* connections in the handshake, in on_peer, or closing */
    uint64_t dialing;        /* dials that have no connection yet */
    uint64_t paused_peers;   /* not read now, because the inbox is full */
    uint64_t inbox_rpcs, inbox_bytes;      /* that wait for a consumer */
    uint64_t unsent_bytes, unread_bytes;   /* of all peers */
    uint64_t accepted, dialed;             /* connections that got as far as the handshake */
    uint64_t dials_failed, handshakes_failed, peers_refused;
    uint64_t accept_pauses;  /* how often accepting has paused, because of a limit or a shortage */
    uint64_t shortages;      /* how often descriptors or memory have run out */
    uint64_t turned_away;    /* connections that ended before the handshake, because of a limit, the gate or a ban */
    uint64_t disconnects;    /* connections that got as far as the handshake and have ended */
} parley_statistics;

/* One peer at one moment. */
typedef struct parley_peer_statistics {
    parley_traffic traffic;
    uint64_t uptime_ms;
    uint64_t silence_ms;             /* how long nothing has arrived */
    uint64_t unsent_bytes, unread_bytes;
    uint64_t round_trip_us;          /* the last heartbeat's; 0 before the first */
    uint64_t unanswered_heartbeats;
    bool is_reading_paused;          /* the inbox is full */
} parley_peer_statistics;

/* Fills the first `size` bytes of *statistics; pass its sizeof: later versions know more numbers, at the end. PARLEY_OK, or
 * PARLEY_EINVAL. Never blocks, and costs a look at every peer. */
int parley_get_statistics(parley_transport *transport, parley_statistics *statistics, size_t size);

/* The same for one peer; or PARLEY_ENOPEER. Never blocks. */
int parley_get_peer_statistics(parley_transport *transport, parley_peer peer, parley_peer_statistics *statistics, size_t size);

/* ---- Sending --------------------------------------------------------------------------------------------------- */

/*
 * Sends one message in the transport's wire form. Returns when it is accepted: at once while less than
 * send_high_water_bytes of the peer are unwritten and no stream to it is unfinished, otherwise it waits. Calls of several
 * threads never interleave. What is sent from one callback leaves in one write.
 *
 * Returns  PARLEY_OK; PARLEY_EMSGSIZE or PARLEY_EINVAL when the wire form cannot carry it; PARLEY_EAGAIN, PARLEY_EDEADLK,
 *          PARLEY_ETIMEDOUT (nothing was accepted then), PARLEY_ENOPEER, or why the connection has ended.
 */
int parley_send_message(
    parley_transport *transport, parley_peer peer, const void *message, size_t length, int timeout_ms);

/* Sends raw bytes, behind everything sent before, alike: for handshakes, and for streams whose end the reader knows. */
int parley_send(parley_transport *transport, parley_peer peer, const void *bytes, size_t length, int timeout_ms);

/* The same as parley_send(), under the name it has in Go's net.Conn. */
int parley_write(parley_transport *transport, parley_peer peer, const void *bytes, size_t length, int timeout_ms);

/* Sends one message to every greeted peer without waiting for any, and returns how many have accepted it; those that would
 * have to wait, or cannot carry it, are left out. Never blocks. */
int parley_broadcast(parley_transport *transport, const void *message, size_t length);

/* Calls `function` once on the loop's thread, when a send to this peer that returned PARLEY_EAGAIN may be tried again, or the
 * peer is about to go. PARLEY_OK, or PARLEY_ENOPEER, and it is not called then. Never blocks. */
int parley_when_writable(
    parley_transport *transport, parley_peer peer,
    void (*function)(parley_transport *transport, parley_peer peer, void *argument), void *argument);

/* ---- Receiving ------------------------------------------------------------------------------------------------- */

/*
 * There are three ways; a transport has one of them.
 *
 *   on_rpcs           A callback on the loop's thread: the fastest, for programs whose answers are quick.
 *   parley_consume()  Blocks, on one thread or several: for programs whose work on a message takes time. While
 *                     inbox_capacity RPCs wait, the peers that send more are not read, and so are held back.
 *   parley_fd()       A descriptor for your own poll(2), epoll(7), libuv or GLib loop; when it is readable, call
 *                     parley_try_consume() until it returns PARLEY_EAGAIN.
 */

/*
 * Takes the oldest RPC, with `loops` above 1 that of one loop; waits for one. Each goes to one caller; several threads may
 * call. Give it back with parley_rpc_release().
 *
 * Returns  PARLEY_OK; PARLEY_ETIMEDOUT or PARLEY_EAGAIN, when none came in time; PARLEY_ECLOSED, when the transport is closed
 *          and everything was consumed; PARLEY_EDEADLK; PARLEY_EINVAL, when there is an on_rpcs.
 */
PARLEY_CHECKED int parley_consume(parley_transport *transport, parley_rpc *rpc, int timeout_ms);

/* The same for up to `capacity` RPCs of a loop at once, at least one: a lock and a wake-up for all of them together. Each is
 * given back with parley_rpc_release(); the memory of all goes with the last. Returns how many there are, or what
 * parley_consume() does. */
PARLEY_CHECKED int parley_consume_batch(
    parley_transport *transport, parley_rpc *rpcs, size_t capacity, int timeout_ms);

/* parley_consume() with a timeout of 0. Never blocks. */
PARLEY_CHECKED int parley_try_consume(parley_transport *transport, parley_rpc *rpc);

/* Gives back what parley_consume(), parley_consume_batch() or parley_try_consume() returned; afterwards it is zero, and
 * releasing it again does nothing. NULL, and RPCs of on_rpcs, are fine. Never blocks. */
void parley_rpc_release(parley_rpc *rpc);

/* The sender's address of an RPC that was not released, also when it is long gone; as snprintf(3). For RPCs of on_rpcs use
 * parley_peer_remote_address(). Never blocks. */
int parley_rpc_from(const parley_rpc *rpc, char *buffer, size_t size);

/* A descriptor that is readable while there is something to consume, or the end (level-triggered). It is the transport's: poll
 * it, but neither read nor close it, and stop before parley_free(). Or PARLEY_EMFILE; PARLEY_EINVAL, when there is an
 * on_rpcs. Never blocks. */
int parley_fd(parley_transport *transport);

/* ---- Streams, and the handshake's raw bytes -------------------------------------------------------------------- */

/* An open stream to a peer. One at a time: other streams and messages to that peer wait until it is finished. */
typedef struct parley_stream parley_stream;

/*
 * Announces a stream. header is your own description of it (NULL and 0 for none), for wire forms that can carry one.
 *
 * Returns  as parley_send_message(), and PARLEY_ENOTSUP. Every stream is ended exactly once, with parley_stream_finish() or
 *          parley_stream_abort(), also when its peer is gone.
 */
PARLEY_CHECKED int parley_stream_open(
    parley_transport *transport, parley_peer peer, const void *header, size_t length, int timeout_ms,
    parley_stream **out);

/* Sends bytes of the stream; waits and returns as parley_send() does. */
int parley_stream_write(parley_stream *stream, const void *bytes, size_t length, int timeout_ms);

/* Ends the stream and gives it back; lets waiting messages through. PARLEY_OK, or why the connection has ended: then the
 * reader may not have all of it. NULL is fine. Never blocks. */
int parley_stream_finish(parley_stream *stream);

/* Gives the stream up and back: its reader gets PARLEY_EABORTED with this code and reason (NULL for none, cut at 1,024
 * bytes). Where the wire form cannot say so, the connection is closed instead. NULL is fine. Never blocks. */
void parley_stream_abort(parley_stream *stream, uint32_t code, const char *reason);

/*
 * Reads raw bytes: in the handshake, or of the stream that the peer has opened; between streams it waits for the next one.
 * Bytes are taken from the network as they are read, and 256 KiB ahead, so that a slow reader holds the sender back. For one
 * thread at a time.
 *
 * Returns  how many bytes were read, 1 to size; 0 at the end of the stream or of the connection; PARLEY_EAGAIN,
 *          PARLEY_EDEADLK, PARLEY_ETIMEDOUT (no byte is lost then), PARLEY_EABORTED (parley_last_error() has the sender's
 *          reason), PARLEY_EINVAL for a size of 0, PARLEY_ENOPEER, or why the connection has ended.
 */
PARLEY_CHECKED int64_t parley_read(
    parley_transport *transport, parley_peer peer, void *buffer, size_t size, int timeout_ms);

/* Reads exactly `size` bytes. PARLEY_OK, or as parley_read(); PARLEY_EOF when fewer are left, and those are lost. After
 * PARLEY_EAGAIN, PARLEY_EDEADLK and PARLEY_ETIMEDOUT none is. */
PARLEY_CHECKED int parley_read_exactly(
    parley_transport *transport, parley_peer peer, void *buffer, size_t size, int timeout_ms);

/* Calls `function` once on the loop's thread, when a read of this peer that returned PARLEY_EAGAIN may be tried again, or the
 * peer is about to go; it may come for nothing. PARLEY_OK, or PARLEY_ENOPEER, and it is not called then. Never blocks. */
int parley_when_readable(
    parley_transport *transport, parley_peer peer,
    void (*function)(parley_transport *transport, parley_peer peer, void *argument), void *argument);

/* Done with the stream that the peer opened: messages go on with what has arrived behind it. With delimited wire forms the
 * rest of it is dropped. PARLEY_OK, also when there is none, or PARLEY_ENOPEER. Never blocks. */
int parley_close_stream(parley_transport *transport, parley_peer peer);

/* ---- Files as streams ------------------------------------------------------------------------------------------ */

/* How far a file has come, in bytes; on a thread of the library's, which it must not block. May be NULL. */
typedef void (*parley_progress)(uint64_t bytes, void *argument);

/*
 * Sends a file, or a part of it, as one stream; the kernel moves the bytes where it can (sendfile(2)). A failure behind the
 * opening aborts the stream. Blocks until everything is accepted; not in callbacks.
 *
 * offset, length  which part, in bytes; a length of UINT64_MAX means to the end.
 * Returns  how many bytes were sent; PARLEY_ENOENT, PARLEY_EACCES, PARLEY_EINVAL (not a regular file, or a part outside
 *          it), and as parley_stream_open().
 */
PARLEY_CHECKED int64_t parley_send_file(
    parley_transport *transport, parley_peer peer, const char *path, const void *header, size_t header_length,
    uint64_t offset, uint64_t length, parley_progress progress, void *argument);

/*
 * Reads the open stream into a new file, which has a temporary name beside it until it is whole and safe on disk, and closes
 * the stream, also on failure. Never replaces a file. Blocks; not in callbacks.
 *
 * length   how many bytes to take; UINT64_MAX takes all until the stream's end.
 * Returns  how many bytes were written; PARLEY_EEXIST, PARLEY_ENOENT (no such folder), PARLEY_EACCES, PARLEY_EOF when fewer
 *          bytes came, and as parley_read().
 */
PARLEY_CHECKED int64_t parley_receive_file(
    parley_transport *transport, parley_peer peer, const char *path, uint64_t length, parley_progress progress,
    void *argument);

#ifdef __cplusplus
}
#endif

#endif
