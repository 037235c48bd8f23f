/*
 * parley.h: a peer-to-peer transport over TCP, for C.
 *
 * A node listens, dials, performs a handshake with its peers, and exchanges messages and byte streams with
 * them.
 *
 *     parley_options options = PARLEY_OPTIONS_INIT;
 *     parley_transport *node;
 *     if (parley_create(&options, &node) == PARLEY_OK) {
 *         parley_peer peer;
 *         if (parley_dial(node, "localhost:3000", PARLEY_FOREVER, &peer) == PARLEY_OK) {
 *             parley_send_message(node, peer, "hello", 5, PARLEY_FOREVER);
 *             parley_send_message(node, peer, "goodbye", 7, PARLEY_FOREVER);
 *         }
 *         parley_free(node);
 *     }
 *
 * Link with `pkg-config --cflags --libs parley`. C11 and C++17. This header is the authority on the
 * interface. Under valgrind use --suppressions=$(pkg-config --variable=valgrind_suppressions parley).
 *
 * WHAT HOLDS EVERYWHERE
 *
 *   Threads      Any function may be called on any thread at any time, unless it says otherwise. Each
 *                transport has a thread of its own, called its loop. Callbacks run on the loop, one at a time
 *                and with no lock held, and must not block. These say where they run: handshake, allow,
 *                on_log, destroy_userdata, parley_progress and the functions of a parley_decoder.
 *   Loops        With `loops` above 1 a transport has that many threads. Each peer belongs to one loop for
 *                its whole life, and "the loop" means that one. Callbacks about one peer run one at a time
 *                and in order; callbacks about different peers may run at the same time. Work that belongs to
 *                no peer runs on the first loop.
 *   Blocking     Functions that may wait take a time-out in milliseconds. PARLEY_FOREVER (-1) waits without a
 *                limit. 0 does not wait: the function returns PARLEY_EAGAIN. On a loop's thread, which
 *                includes every callback there, no function ever waits: where it would have to, it returns
 *                PARLEY_EDEADLK, or PARLEY_EAGAIN when the time-out is 0.
 *   Results      An int is PARLEY_OK (0), a count, or a negative parley_error. parley_strerror() describes a
 *                code. parley_last_error() returns the details of the last failure on the calling thread.
 *                NULL for a parameter that needs a value, and a size above PTRDIFF_MAX, are PARLEY_EINVAL;
 *                the details then name the parameter as it is called here: "transport is NULL".
 *   Memory       The library has copied your arguments, or no longer needs them, when a function returns,
 *                unless it says otherwise. What you get belongs to the transport, unless it says otherwise;
 *                then a function to give it back is named.
 *   Shortage     Lengths are checked before anything is copied or reserved. A buffer of 1 MiB or more, for
 *                what you send or for a message that arrives, is tried before it is made. When it cannot be
 *                had, the call returns PARLEY_ENOMEM and nothing was accepted, or the peer is closed with
 *                PARLEY_ENOMEM. Smaller memory, memory that another thread takes just after the trial, and
 *                memory that a kernel promised but does not have cannot be handled: the process ends
 *                (SIGABRT, SIGILL, SIGTRAP or SIGKILL), since the language's runtime knows no other way. The
 *                limits in the options bound what peers can use.
 *   Texts        Texts are UTF-8 and end with NUL. Functions that fill a buffer behave like snprintf(3): they
 *                write at most `size` bytes, end the text with NUL if size is not 0, and return the length of
 *                the whole text.
 *   Cancelling   A thread in a function that blocks must not be cancelled (pthread_cancel(3)): what it waits
 *                for could be handed to it, and be lost. End its wait with a deadline, or with
 *                parley_close(). A thread that calls the library needs 64 KiB of stack.
 *   Signals      No function may be called in a signal handler. The library's threads block every signal but
 *                those that report a fault of the thread itself, such as SIGSEGV. So your threads alone get
 *                signals. The library changes no signal's disposition. Its threads have names:
 *                "parley loop 0", "parley resolver", "parley worker", "parley handshak" (Linux keeps 15
 *                bytes); Swift's pool names its own.
 *   Descriptors  The library's are above 2 and close-on-exec. When a transport is made, and when its threads
 *                start, the library opens /dev/null on those of 0 to 2 that are closed. You may close these
 *                or put something else there at any time.
 *   Names        They are looked up in threads of their own, at most 64 in the process, that nothing waits
 *                for: a name whose server does not answer delays neither parley_close() nor another name.
 *                Such a thread may outlive its transport until the system's resolver gives up.
 *   fork         In a child of fork(2), of a process that has made a transport, every function that returns
 *                a code returns PARLEY_EFORKED at once, parley_create() and parley_free() too: the library's
 *                threads are gone there. The others do nothing. What the parent has is not touched. A child
 *                may use the library when its parent has not, or after execve(2).
 *   Unloading    The shared library stays loaded after dlclose(3). A plugin that contains libparley.a must be
 *                linked with `-z nodelete`, or never be unloaded: threads, and the data of threads that have
 *                called it, point into its code.
 *   Peers        A peer is in its handshake first. It is open when the handshake and on_peer have succeeded.
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
#define PARLEY_DEPRECATED(advice) __attribute__((deprecated(advice)))
#else
#define PARLEY_CHECKED
#define PARLEY_DEPRECATED(advice)
#endif

/* ---- Version ------------------------------------------------------------------------------------------- */

#define PARLEY_VERSION_MAJOR 0
#define PARLEY_VERSION_MINOR 1
#define PARLEY_VERSION_PATCH 0
/* One number to compare: 0x000100 is 0.1.0. */
#define PARLEY_VERSION \
    ((PARLEY_VERSION_MAJOR << 16) | (PARLEY_VERSION_MINOR << 8) | PARLEY_VERSION_PATCH)

/* The version of the loaded library, in the form of PARLEY_VERSION. It may differ from the header's; the two
 * work together as long as the soname (libparley.so.0) is the same. Never blocks. */
int parley_version(void);

/* The same as text: "0.1.0". Static; never blocks. */
const char *parley_version_string(void);

/* ---- Errors -------------------------------------------------------------------------------------------- */

/* The numbers are stable: none is ever reused. New ones may be added. Your own callbacks may return any code
 * below -1000; it is passed unchanged to the caller that waits for the result. */
typedef enum parley_error {
    PARLEY_OK = 0,
    PARLEY_EADDRINVAL = -1,   /* the address is not of the form host:port, or the id is malformed */
    PARLEY_EINVAL = -2,       /* an argument is out of its range */
    PARLEY_ENOTSUP = -3,      /* the wire form in use cannot express the request */
    PARLEY_EMSGSIZE = -4,     /* the message is longer than the wire form or the options allow */
    PARLEY_EALREADY = -5,     /* the transport is listening already */
    PARLEY_EADDRINUSE = -6,   /* another socket holds the address */
    PARLEY_EADDRNOTAVAIL = -7, /* the address belongs to no interface of this machine */
    PARLEY_ENONAME = -8,      /* the name has no address, or the resolver could not be reached */
    PARLEY_ECONNREFUSED = -9, /* nothing listens at the address */
    PARLEY_EUNREACH = -10,    /* there is no route to the address */
    PARLEY_ETIMEDOUT = -11,   /* a time-out or deadline passed */
    PARLEY_ECANCELED = -12,   /* the call was cancelled */
    PARLEY_ECLOSED = -13,     /* this side closed the peer, the stream or the transport */
    PARLEY_EOF = -14,         /* the remote side closed the connection in an orderly way */
    PARLEY_ECONNRESET = -15,  /* the remote side reset the connection */
    PARLEY_EPROTO = -16,      /* the bytes that arrived do not follow the wire form */
    PARLEY_ETRUNCATED = -17,  /* the connection or file ended in the middle of a frame, stream or read */
    PARLEY_EHANDSHAKE = -18,  /* the handshake failed */
    PARLEY_EREFUSED = -19,    /* on_peer refused the peer */
    PARLEY_EMFILE = -20,      /* the process or the system has no file descriptors left */
    PARLEY_EACCES = -21,      /* the operating system forbids it */
    PARLEY_EABORTED = -22,    /* a side aborted the stream */
    PARLEY_ESYSTEM = -23,     /* any other failure that the system reported */
    PARLEY_EEXIST = -24,      /* a file of that name exists already */
    PARLEY_ENOENT = -25,      /* there is no such file or folder */
    PARLEY_EMAXPEERS = -26,   /* this node's limit on peers is reached */
    PARLEY_EMAXADDRESS = -27, /* the limit on connections of one remote address is reached */
    PARLEY_ENOTALLOWED = -28, /* the gate refused the address */
    PARLEY_EBANNED = -29,     /* the address or the id is banned */
    PARLEY_EIDLE = -30,       /* no byte was received or sent for idle_timeout_ms */
    PARLEY_ESTALLED = -31,    /* the remote side acknowledged too little for write_stall_timeout_ms */
    PARLEY_EHEARTBEAT = -32,  /* the remote side did not answer heartbeats */
    PARLEY_EBUFFERFULL = -33, /* this node's limit on unread bytes is reached */
    PARLEY_EDUPLICATE = -34,  /* another connection to the same node was kept instead */
    PARLEY_ENOMEM = -35,      /* there is no memory for a large buffer */
    PARLEY_EREQREFUSED = -36, /* the other side refused the request */
    PARLEY_ESECURITY = -40,   /* the secured connection failed: something altered, forged or out of order */
    PARLEY_EIDENTITY = -41,   /* the file or the bytes hold no usable identity */
    PARLEY_EIDMISMATCH = -42, /* another node answered than the one whose id was dialed */
    PARLEY_EIDREFUSED = -43,  /* this node does not allow the id */
    PARLEY_ENOPEER = -64,     /* no peer has this number any more */
    PARLEY_EDEADLK = -65,     /* the call would block the thread that it waits for */
    PARLEY_EAGAIN = -66,      /* the call would have to wait, and its time-out is 0 */
    PARLEY_EFORKED = -67      /* this process is a forked child of one that had used the library */
} parley_error;

/* One sentence that describes a code. Static, never NULL; never blocks. */
const char *parley_strerror(int code);

/* The code's name for logs, such as "PARLEY_ECLOSED"; "PARLEY_EUNKNOWN" for an unknown code. Static, never
 * NULL; never blocks. */
const char *parley_err_name(int code);

/* Describes the last failed call on this thread in a sentence with the addresses, sizes and bytes concerned,
 * such as `cannot connect to 127.0.0.1:3000: connection refused`. Empty when no call has failed. Control
 * characters are escaped (\n, \x1b, \u{202e}), since parts of it may be text that a peer chose. Valid until
 * the next call on this thread fails. Never NULL; never blocks. */
const char *parley_last_error(void);

/* The number with which the other side refused the request, or aborted the stream, of the last failed call on
 * this thread; 0 for any other failure. Never blocks. */
uint32_t parley_last_remote_code(void);

/* ---- Handles ------------------------------------------------------------------------------------------- */

/* A node. parley_create() makes one, parley_free() frees it. */
typedef struct parley_transport parley_transport;

/* The number of one connection. It is never zero and never reused by its transport, so it is safe to keep
 * after the peer is gone: functions then return PARLEY_ENOPEER. It is valid from the start of the handshake
 * until on_disconnect has returned. */
typedef uint64_t parley_peer;

/* The number of one two-way stream; see "Two-way streams" below. It is never zero and never reused by its
 * transport, so it is safe to keep after the stream is closed: functions then return PARLEY_ECLOSED. */
typedef uint64_t parley_peer_stream;

#define PARLEY_NO_PEER ((parley_peer)0)
#define PARLEY_NO_PEER_STREAM ((parley_peer_stream)0)
#define PARLEY_FOREVER (-1)

/* What an item of the inbox is. Only `peer_event_capacity` makes those from 1 to 4 and from 6 to 8. */
typedef enum parley_rpc_kind {
    PARLEY_RPC_RECEIVED = 0,    /* the peer sent it */
    PARLEY_RPC_CONNECTED = 1,   /* the peer is open now; comes before everything that it sent */
    PARLEY_RPC_DISCONNECTED = 2, /* its connection has ended; the last item of this peer, but for those behind
                                    a stream that is open then: they follow when it is closed */
    PARLEY_RPC_WRITABLE = 3,    /* parley_when_writable() without a function */
    PARLEY_RPC_READABLE = 4,    /* parley_when_readable() without a function */
    PARLEY_RPC_REQUEST = 5,     /* the peer sent it and waits for parley_reply() or parley_refuse() */
    PARLEY_RPC_STREAM_ACCEPTED = 6, /* parley_accept_streams() without a function */
    PARLEY_RPC_STREAM_WRITABLE = 7, /* parley_peer_stream_when_writable() without a function */
    PARLEY_RPC_STREAM_READABLE = 8  /* parley_peer_stream_when_readable() without a function */
} parley_rpc_kind;

/* One item that a peer sent: a whole message, a request, or the beginning of a stream. Or what happened to
 * the peer. */
typedef struct parley_rpc {
    parley_peer peer;
    /* The message, or the stream's header; NULL when it is empty. For PARLEY_RPC_DISCONNECTED a sentence that
     * describes the reason, for PARLEY_RPC_STREAM_ACCEPTED the protocol's name; a NUL follows these. */
    const uint8_t *payload;
    size_t length;          /* in bytes */
    /* A stream begins: read parley_rpc_body(). Where a peer has one stream at a time, parley_read() and then
     * parley_peer_close_stream() do the same. */
    bool stream;
    uint8_t kind;           /* a parley_rpc_kind */
    int reason;             /* PARLEY_RPC_DISCONNECTED: why, as for on_disconnect; otherwise 0 */
    uint32_t request;       /* PARLEY_RPC_REQUEST: its number, for parley_reply(); otherwise the library's */
    parley_peer_stream peer_stream; /* PARLEY_RPC_STREAM_...: which stream; otherwise 0 */
    void *owner;            /* used by the library alone; see parley_rpc_retain() */
} parley_rpc;

/* ---- Custom wire forms --------------------------------------------------------------------------------- */

/* The buffer to which an encoder appends its bytes; valid during the call only. */
typedef struct parley_buffer parley_buffer;

/* Appends bytes. May be called in an encoder only. Never fails, never blocks. */
void parley_buffer_append(parley_buffer *buffer, const void *bytes, size_t length);

typedef enum parley_stream_form {
    PARLEY_STREAMS_NONE = 0,         /* the wire form has no streams */
    /* All bytes after the opening are raw, until parley_peer_close_stream(). */
    PARLEY_STREAMS_UNTIL_CLOSED = 1,
    PARLEY_STREAMS_DELIMITED = 2     /* the bytes of a stream and its end come as events */
} parley_stream_form;

typedef enum parley_event_type {
    PARLEY_EVENT_INCOMPLETE = 0, /* the frame at the front is not whole yet */
    PARLEY_EVENT_MESSAGE = 1,
    PARLEY_EVENT_STREAM_OPENED = 2,
    PARLEY_EVENT_STREAM_BYTES = 3,   /* this and the next two with PARLEY_STREAMS_DELIMITED only */
    PARLEY_EVENT_STREAM_ENDED = 4,
    PARLEY_EVENT_STREAM_ABORTED = 5
} parley_event_type;

/* The event that a decoder found at the front of its input. The library zeroes it before the call. */
typedef struct parley_event {
    parley_event_type type;
    size_t consumed;       /* how many bytes of the input the event takes; at least 1 unless incomplete */
    size_t payload_offset; /* where the payload begins in the input (message, header or stream bytes) */
    size_t payload_length;
    size_t frame_length;   /* incomplete: the length of the whole frame at the front; 0 when unknown */
    uint32_t abort_code;   /* aborted: the sender's code */
    /* Aborted: the sender's reason. With a negative result: what is wrong. Must be valid until the next
     * call. */
    const char *reason;
} parley_event;

/*
 * A wire form: how messages and streams are encoded as bytes and decoded. Both ends must use the same one.
 *
 * Each connection creates two states, one to decode and one to encode. Calls on one state never overlap, but
 * may come from different threads. A lock of the connection is held during a call, so it must not block, and
 * must not call this library except for parley_buffer_append(). Encoders return PARLEY_OK or a negative code.
 * A negative code is returned to the sender, and nothing that the encoder appended is sent.
 */
typedef struct parley_decoder {
    size_t size;      /* sizeof(parley_decoder) */
    const char *name; /* for error messages */
    parley_stream_form stream_form;
    void *userdata;   /* passed to `create` */
    /* Called once, when nothing uses the wire form any more. That may be after parley_free(), on any thread,
     * when an RPC or a stream of a peer is released after that; `destroy` too. May be NULL. */
    void (*destroy_userdata)(void *userdata);

    void *(*create)(void *userdata); /* returns a new state, or NULL if it needs none; may be NULL */
    void (*destroy)(void *state);    /* frees a state; called with NULL where there is none; may be NULL */

    /* Takes the next event from the front of `input`. The input is never empty; it begins with the bytes that
     * the last call did not consume. After an incomplete event the same bytes are passed again, followed by
     * more. A negative result closes the peer with PARLEY_EPROTO and `event->reason`. Check every length
     * before you use it. */
    int (*decode)(void *state, const uint8_t *input, size_t length, parley_event *event);

    int (*encode_message)(void *state, const uint8_t *message, size_t length, parley_buffer *output);

    /* For streams; a wire form without streams leaves them NULL. When encode_stream_bytes is NULL, bytes are
     * sent unchanged. When encode_stream_end is NULL, nothing marks the end. When encode_stream_abort is
     * NULL, an abort closes the connection. */
    int (*encode_stream_opening)(void *state, const uint8_t *header, size_t length, parley_buffer *output);
    void (*encode_stream_bytes)(void *state, const uint8_t *bytes, size_t length, parley_buffer *output);
    void (*encode_stream_end)(void *state, parley_buffer *output);
    void (*encode_stream_abort)(void *state, uint32_t code, const char *reason, parley_buffer *output);
} parley_decoder;

/* ---- Identities ---------------------------------------------------------------------------------------- */

/*
 * With an identity in its options a node proves who it is, and every connection is secured, over every road
 * and from its first byte. The form is the Noise handshake of libp2p (Noise_XX_25519_ChaChaPoly_SHA256). Both
 * nodes need an identity: a node without one can neither be reached nor reach this one.
 *
 * An id is the text of a node's public key, such as "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq".
 * parley_dial("ID@host:port") fails with PARLEY_EIDMISMATCH when another node answers there, and that node
 * does not learn who dialed. parley_peer_id() says who a peer is.
 *
 * What is protected:
 *
 *   Content      Nobody on the way reads it. What is altered, replayed, reordered or left out ends the
 *                connection with PARLEY_ESECURITY, and none of it reaches the program. An attacker on the way
 *                can end the connection: the program sees the end, but not who caused it.
 *   Identity     Each side proves that it holds the private key of its id before anything else is done with
 *                the connection. Nobody on the way sees the ids. A node that answers a dial without an id
 *                learns the dialer's id. A node that dials learns the listener's id.
 *   The past     A private key that is stolen later opens nothing that was recorded before (forward
 *                secrecy). The thief can pose as this node until others no longer allow its id.
 *
 * What is not protected: those on the way see the addresses of both ends, and when and how much they send.
 * There is no anonymity. An id proves who a node is, not that you want it: decide that with `allowed_ids` and
 * `allow`.
 */

/* A node's key pair. Its memory is wiped when the last user is gone. */
typedef struct parley_identity parley_identity;

/* Enough for the text of an id and its NUL. */
#define PARLEY_ID_SIZE 64

/* Makes a new identity, and nothing else: save it to be the same node again after a restart. Free it with
 * parley_identity_free(). Returns PARLEY_OK or PARLEY_EINVAL. Never blocks. */
PARLEY_CHECKED int parley_identity_generate(parley_identity **out);

/*
 * Reads an identity from a file. Free it with parley_identity_free(). Blocks on the disk.
 *
 * Returns  PARLEY_OK; PARLEY_ENOENT; PARLEY_EIDENTITY when the file holds no identity, or when the group or
 *          others have any access to it; PARLEY_EINVAL for a folder; PARLEY_EACCES, PARLEY_EMFILE,
 *          PARLEY_ESYSTEM.
 */
PARLEY_CHECKED int parley_identity_load(const char *path, parley_identity **out);

/* The same; makes an identity and saves it when there is no such file. Of several processes that do so at
 * once, all get the same identity. Also returns what parley_identity_save() returns. */
PARLEY_CHECKED int parley_identity_load_or_create(const char *path, parley_identity **out);

/* Reads an identity from memory, in the form of parley_identity_export(). Your bytes are not changed: wipe
 * them. Free the identity with parley_identity_free(). Returns PARLEY_OK, PARLEY_EIDENTITY or PARLEY_EINVAL.
 * Never blocks. */
PARLEY_CHECKED int parley_identity_import(const void *bytes, size_t length, parley_identity **out);

/*
 * Writes an identity to a new file that only its owner may read. The file appears whole or not at all. Blocks
 * on the disk.
 *
 * Returns  PARLEY_OK; PARLEY_EEXIST, because no file is ever overwritten; PARLEY_ENOENT when there is no such
 *          folder; PARLEY_EACCES, PARLEY_EMFILE, PARLEY_ESYSTEM.
 */
PARLEY_CHECKED int parley_identity_save(const parley_identity *identity, const char *path);

/* Writes the private key to `buffer`, in libp2p's form (the protobuf of a private key): 68 bytes. Wipe them
 * after use: with them anybody can pose as this node. Returns the number of bytes; PARLEY_EINVAL when `size`
 * is less. Never blocks. */
PARLEY_CHECKED int parley_identity_export(const parley_identity *identity, void *buffer, size_t size);

/* The id. Fills the buffer like snprintf(3). Never blocks. */
int parley_identity_id(const parley_identity *identity, char *buffer, size_t size);

/* Frees an identity. Transports that use it keep what they need. NULL is allowed. Never blocks. */
void parley_identity_free(parley_identity *identity);

/* Reads the text of an id in any form that libp2p writes ("12D3KooW...", "bafz..."), and fills the buffer
 * with the usual form, like snprintf(3). Compare ids in that form. Returns PARLEY_EADDRINVAL when the text is
 * no id. Never blocks. */
int parley_id_parse(const char *text, char *buffer, size_t size);

/* ---- Options ------------------------------------------------------------------------------------------- */

typedef enum parley_codec {
    PARLEY_CODEC_FRAMED = 0,   /* the default: type, length, payload; the form for two Parley nodes */
    PARLEY_CODEC_GOB = 2,      /* Go's encoding/gob; each message carries its type definition */
    PARLEY_CODEC_GOB_ONCE = 3, /* Go's encoding/gob; the definition comes once, before the first message */
    /*
     * The Go package's form, for its nodes: a type byte, then the rest of one read; 1 to 1,028 bytes. Nothing
     * marks the end of a message, so what one read of the receiver brings is one message:
     *
     * - Two messages that travel in one segment arrive as one. A message may also arrive in pieces.
     * - A message that is directly followed by a stream's opening swallows the opening.
     * - A Go handler that reads the connection itself after a message gets only what arrives in a later
     *   segment: pause after such a message.
     * - A payload of exactly 1,028 bytes is where a read ended. An error right after one says that messages
     *   have probably merged.
     *
     * So wait for an answer after each message, and before a stream.
     */
    PARLEY_CODEC_UNFRAMED = 4,
    /* Any number of two-way streams beside the messages, none of which waits for another; for two Parley
     * nodes that both use it. See "Two-way streams" below. */
    PARLEY_CODEC_MULTIPLEXED = 5,
    /*
     * What libp2p nodes speak over TCP: a program written with go-libp2p, py-libp2p or rust-libp2p is a peer.
     * It is PARLEY_CODEC_MULTIPLEXED with libp2p's beginning of a connection, and needs an identity. Two-way
     * streams reach every libp2p node; messages and requests reach nodes with this library, and are
     * PARLEY_ENOTSUP with others. The node itself answers pings and who it is.
     */
    PARLEY_CODEC_LIBP2P = 6
    /* 1 is not used: it was PARLEY_CODEC_FRAMED when 0 was the unframed form. It is refused. */
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
 * The options of a transport. Begin with PARLEY_OPTIONS_INIT, which zeroes every field; zero means the
 * default that the comment names. PARLEY_FOREVER (-1) in a time-out means never. parley_create() copies the
 * struct and its texts. New fields are added at the end; `size` tells the library which fields you know. A
 * library that is older than your header refuses fields that it does not know, unless they are zero. Values
 * out of their range are refused too: PARLEY_EINVAL, and parley_last_error() names the option and its range.
 */
typedef struct parley_options {
    size_t size; /* sizeof(parley_options) */

    /* The address to listen on, "host:port". ":3000" means every interface, IPv6 and IPv4. Port 0 takes a
     * free port. NULL is ":0". */
    const char *listen_address;

    parley_codec codec; /* 0 is PARLEY_CODEC_FRAMED */
    /* A custom wire form, used instead of `codec`; copied. NULL uses `codec`. */
    const parley_decoder *decoder;
    /* The longest message or stream header in bytes, at most UINT32_MAX; 0 is 16 MiB.
     * PARLEY_CODEC_UNFRAMED ignores it. */
    size_t max_message_bytes;

    /* Passed to the callbacks below. destroy_userdata is called once, after the last callback, by the thread
     * that is in parley_free(), or in parley_create() if that fails (unless `size` is out of its range: no
     * other field is read then). It may be NULL. */
    void *userdata;
    void (*destroy_userdata)(void *userdata);

    /* The handshake with a new peer, before any message is decoded; called on both sides. It runs on a thread
     * of its own, so it may block; it may read and send raw bytes. There are as many such threads as
     * handshakes under way, so silent peers delay nobody; when the system has no thread left the handshake
     * fails with PARLEY_EMFILE. When the connection ends meanwhile, its reads and sends fail; on_disconnect
     * waits until it has returned, and the peer counts as one in its handshake until then. parley_close()
     * waits for it too, and wakes consumers only after that: it must not wait for them. A negative result
     * closes the peer, and parley_dial() returns it. NULL accepts every peer. */
    int (*handshake)(parley_transport *transport, parley_peer peer, void *userdata);

    /* Called after the handshake and before anything of the peer is delivered. A negative result refuses the
     * peer. On the loop's thread. */
    int (*on_peer)(parley_transport *transport, parley_peer peer, void *userdata);

    /* Called exactly once for each connection that passed the gates by address, also when it failed before
     * on_peer: when it has ended and `handshake` does not run any more. `reason` is PARLEY_EOF when the
     * remote side closed it, PARLEY_ECLOSED when this side did, or the error. A side that still sends while
     * the remote side closes in an orderly way gets everything that was sent to it, but the reason may be
     * PARLEY_ECONNRESET, and what it has not read of a stream is then read through parley_rpc_body() alone:
     * the number of the peer is gone. It is the last callback about the peer, but for those of streams that
     * live on, and of functions that other threads pass while it ends. `message` describes the reason in a
     * sentence, escaped as in parley_last_error(); valid during the call. On the loop's thread. */
    void (*on_disconnect)(
        parley_transport *transport, parley_peer peer, int reason, const char *message, void *userdata);

    /* Called with the RPCs of one read, in the order in which the peer sent them; see "Receiving" below. The
     * RPCs and their payloads are valid during the call. On the loop's thread. */
    void (*on_rpcs)(parley_transport *transport, const parley_rpc *rpcs, size_t count, void *userdata);

    /* Called with each log line at log_level or above: the event's name, then ` key=value` pairs. Control
     * characters are escaped as in parley_last_error(), so it is one line. On any thread, and on several at
     * the same time. It must not call this library. NULL logs nothing. */
    void (*on_log)(parley_log_level level, const char *line, void *userdata);
    parley_log_level log_level;

    /* How many RPCs may wait for a consumer; several loops share it in equal parts. 0 is 1,024. */
    size_t inbox_capacity;
    /* How many bytes of RPCs may wait for a consumer; several loops share it in equal parts. One RPC of each
     * loop may exceed it. 0 is 64 MiB. */
    size_t inbox_capacity_bytes;
    /* Sends to a peer wait once it has this many unwritten bytes; 0 is 1 MiB. */
    size_t send_high_water_bytes;
    /* Waiting sends continue when it has no more unwritten bytes than this; at most send_high_water_bytes. 0
     * is 256 KiB, or a quarter of send_high_water_bytes if that is less. */
    size_t send_low_water_bytes;

    int dial_timeout_ms;           /* for name look-up and connecting together; 0 is 30 s */
    int handshake_timeout_ms;      /* for handshake and on_peer together; 0 is 10 s */
    int stream_idle_timeout_ms;    /* closes a peer of whose open stream no byte is read for this long, also
                                    * when it has sent none; resets a two-way stream alone, whose bytes
                                    * nobody reads; 0 is 60 s */
    int close_timeout_ms;          /* for writing out accepted bytes when closing; with many streams also
                                    * until the other side's library has read them; 0 is 5 s */

    /* At most the kernel's 32,767 s and 127 probes. */
    int keepalive_idle_s;          /* silence before the first TCP keep-alive probe; 0 is 15 s, -1 is off */
    int keepalive_interval_s;      /* time between probes; 0 is 15 s */
    int keepalive_count;           /* unanswered probes after which the peer is closed; 0 is 9 */

    int idle_timeout_ms;           /* closes a peer without a byte either way for this long; 0 is never */
    int write_timeout_ms;          /* for a send that waits for room, whatever its own time-out; 0 is 60 s */
    int write_stall_timeout_ms;    /* closes a peer that acknowledges too little for this long; 0 is 120 s */
    /* A healthy peer may take a second to give a sign of life: one that does not read, since its inbox is
     * full, gives one at most each second. So the two together should be more than that. */
    int heartbeat_interval_ms;     /* between heartbeats (framed, multiplexed, libp2p), from 10; 0 is never */
    int heartbeat_max_missed;      /* unanswered heartbeats after which the peer is closed; 0 is 3 */

    /* Decides whether a connection from or to a numeric address is allowed. It is called before anything else
     * is spent on the connection. NULL allows every address. On a loop's thread; with `loops` above 1 it may
     * be called on two at the same time. It must not call this library. */
    bool (*gate)(const char *address, bool is_outbound, void *userdata);

    size_t max_peers;              /* connections in all; 0 is 4,096 */
    size_t max_inbound_peers;      /* accepted connections; further ones wait in the backlog; 0 is 3,584 */
    size_t max_outbound_peers;     /* dialed connections; 0 is 1,024 */
    size_t max_peers_per_ipv4;     /* from one IPv4 address, except loopback; 0 is 8 */
    size_t max_peers_per_ipv6_customer; /* from one IPv6 /56; 0 is 8 */
    size_t max_peers_per_ipv6_site; /* from one IPv6 /48; 0 is 64 */
    size_t max_handshakes;         /* accepted connections that are not open yet; 0 is 256 */
    size_t accepts_per_second;     /* average rate and largest burst, except loopback; 0 is 1,000 */
    size_t send_buffer_bytes;      /* unwritten bytes of all peers; 0 is 64 MiB */
    size_t receive_buffer_bytes;   /* unread bytes of all peers; 0 is 256 MiB */
    size_t read_ahead_bytes;       /* unread bytes of one stream; 0 is 512 KiB */

    /* The number of loops, each with a thread, that share the peers; see "Loops" above. Use one for each
     * core when many peers are busy. The limits hold for the whole transport, except the inbox's: each loop
     * has an equal part of it, at least one RPC. At most 256; 0 is 1. */
    size_t loops;

    /* How long a loop polls without blocking after its last event, in microseconds. It trades a core for
     * latency: waking a sleeping thread takes longer than a round trip between two threads that are awake. 50
     * is enough for peers that answer at once; 0 blocks at once. */
    int busy_poll_us;

    /* Closes a peer (PARLEY_ETIMEDOUT) when an incomplete frame, or an incomplete header of a stream, grows
     * by less than `least_bytes_per_second` for this long. Time in which the peer is not read does not count.
     * 0 is 30 s. */
    int frame_timeout_ms;

    /* The progress that an unfinished frame, and what is sent, have to make within `frame_timeout_ms` and
     * `write_stall_timeout_ms`, on average; 0 is 128. */
    int least_bytes_per_second;

    /* Peers that come and go are items of the inbox too, so that a program with a loop of its own hears of
     * them through the descriptor of parley_fd(), and needs no callback and no eventfd(2) for them: see
     * parley_rpc_kind. on_peer and on_disconnect are called all the same. These items wait in the inbox
     * without regard to its capacity. When this many wait, new peers are refused (PARLEY_EBUFFERFULL), and
     * streams that are to be accepted without a function are reset; each open peer may add one more. Items
     * that you have asked for (PARLEY_RPC_WRITABLE, ..._READABLE) do not count. With several loops each has
     * as many. 0 puts none into the inbox. Not with on_rpcs. */
    size_t peer_event_capacity;

    /* Who this node is; see "Identities" above. It secures every connection. parley_create() takes what it
     * needs, so you may free it then. NULL: connections are not secured, and peers have no ids. */
    const parley_identity *identity;

    /* The ids of the only nodes that may connect or be dialed: `allowed_id_count` texts, copied. NULL, and no
     * `allow`: every node that proves its id. Needs `identity`. */
    const char *const *allowed_ids;
    size_t allowed_id_count;

    /* Decides about the nodes whose ids are not in `allowed_ids`. Called when the node has proven its id,
     * before `handshake`; handshake_timeout_ms covers both. It runs on a thread of its own, as `handshake`
     * does, so it may block: look the id up where you like. When the system has no thread left the node is
     * refused. NULL refuses these nodes. Needs `identity`. */
    bool (*allow)(const char *id, bool is_outbound, void *userdata);

    /* Requests to one peer that have no answer, including those that timed out; further ones wait. At most
     * 4,096, which is what 0 means. */
    size_t max_open_requests;

    /* Two-way streams. What exceeds a limit is reset. */
    size_t max_streams_per_peer;   /* that one peer has opened; 0 is 1,024 */
    size_t max_streams;            /* that all peers have opened, one for the messages of each included; 0 is
                                    * 65,536 */
    size_t streams_per_second;     /* average rate and largest burst of one peer, which is closed at twice the
                                    * rate (PARLEY_EPROTO); 0 is 10,000 */
    /* Bytes that one peer's streams may have received and unread, and may still send before they are read. A
     * stream takes 256 KiB, and up to 16 MiB where the round trip needs it. The messages of each side have
     * 256 KiB beside that. It is never more than the limit on unread bytes. 0 is 256 MiB. */
    size_t stream_bytes_per_peer;

    /* Of several connections with one node, by its id, one stays: that which the node with the smaller id has
     * dialed. The others end with PARLEY_EDUPLICATE, and what was sent on them may be lost; a dial that loses
     * returns it. So two nodes that dial each other at once keep the same one, if both set this. Of two dials
     * of this node at the same time, the other side ends one. Needs `identity`. */
    bool one_connection_per_id;

    uint8_t reserved[7]; /* must be 0 */
} parley_options;

#define PARLEY_OPTIONS_INIT \
    { sizeof(parley_options), NULL, PARLEY_CODEC_FRAMED, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
      PARLEY_LOG_TRACE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, \
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, NULL, 0, 0, 0, 0, 0, \
      false, { 0 } }

/* ---- Transports ---------------------------------------------------------------------------------------- */

/*
 * Makes a node that does not listen and has no connections. Its thread starts with the first work for it.
 *
 * options  NULL for the defaults.
 * Returns  PARLEY_OK; PARLEY_EINVAL when an option is out of its range (parley_last_error() names both), or
 *          when out is NULL; PARLEY_EADDRINVAL when a text of `allowed_ids` is no id. Never blocks.
 */
PARLEY_CHECKED int parley_create(const parley_options *options, parley_transport **out);

/* The transport's own id; an empty text when it has no identity. Fills the buffer like snprintf(3). Never
 * blocks. */
int parley_id(const parley_transport *transport, char *buffer, size_t size);

/*
 * Starts to listen. Other nodes can connect when it returns. Blocks while a name is looked up; not in
 * callbacks.
 *
 * Returns  PARLEY_OK; PARLEY_EADDRINVAL, PARLEY_ENONAME, PARLEY_EADDRINUSE, PARLEY_EADDRNOTAVAIL,
 *          PARLEY_EACCES, PARLEY_EALREADY, PARLEY_EMFILE, PARLEY_ECANCELED, PARLEY_ECLOSED, PARLEY_EDEADLK.
 */
PARLEY_CHECKED int parley_listen(parley_transport *transport);

/*
 * Stops listening: no further connection is accepted, and the port is free when it returns. Peers stay,
 * handshakes that are under way go on, and others can still be dialed. parley_listen() may follow, with
 * another port where the configured one is 0. A parley_listen() that is under way in another thread is not
 * waited for: it closes what it has bound, and returns PARLEY_ECANCELED. Does nothing when it does not
 * listen. Not in callbacks.
 *
 * Returns  PARLEY_OK; PARLEY_EDEADLK.
 */
int parley_stop_listening(parley_transport *transport);

/* The listening address: as configured, or with its real port once it is bound. Fills the buffer like
 * snprintf(3). Never blocks. */
int parley_address(const parley_transport *transport, char *buffer, size_t size);

/*
 * Stops listening, writes out accepted bytes (for at most close_timeout_ms), and closes every peer. It waits
 * until each `handshake` that runs has returned, and wakes threads in parley_consume() after that. When it
 * returns, no socket is left, the threads of the loops are at their end, and no callback is called any more.
 * Threads that look up a name go on until that ends. The few that all transports of the process share, for
 * files and for the Swift runtime, stay. RPCs that are in the inbox can still be consumed; what waited for
 * room there is dropped. Functions that listen, dial, send, ask or ban return PARLEY_ECLOSED or
 * PARLEY_ENOPEER from then on; the statistics stay as they are. Idempotent; several threads may call it.
 * Blocks; not in callbacks.
 *
 * Returns  PARLEY_OK; PARLEY_EDEADLK.
 */
int parley_close(parley_transport *transport);

/*
 * Closes the transport if it is not closed yet, and frees it. Closing wakes threads that wait in
 * parley_consume(). No other thread may be inside or enter a function with this transport; the caller ensures
 * that. NULL is allowed. Blocks as parley_close() does; in a callback it only returns PARLEY_EDEADLK.
 */
int parley_free(parley_transport *transport);

/* Runs `function` on the first loop's thread, after everything posted there before. Returns PARLEY_OK, and
 * then it runs exactly once; PARLEY_ECLOSED; or PARLEY_EMFILE when the thread cannot start. Never blocks. */
int parley_post(parley_transport *transport, void (*function)(void *argument), void *argument);

/* ---- Peers --------------------------------------------------------------------------------------------- */

/*
 * Connects to another node, does the handshake, and stores the peer's number in *peer. Tries every address of
 * the name, each 300 ms after the one before (RFC 8305). ":5000" means this host. A link-local address needs
 * its zone: "[fe80::1%eth0]:5000". A socket that the kernel has connected to itself, because nobody listens
 * at the address, is no peer: the address is tried again.
 *
 * With an identity the address may name the node that has to answer: "ID@host:port", or libp2p's
 * "/ip4/192.0.2.1/tcp/4500/p2p/ID". Without an id any allowed node may answer, and parley_peer_id() returns
 * the id of the one that did. "/ip6" and "/dns" are read too; "/dns4" and "/dns6" try only the IPv4 or the
 * IPv6 addresses of the name.
 *
 * Returns  PARLEY_OK; PARLEY_EADDRINVAL, PARLEY_ENONAME, PARLEY_ECONNREFUSED, PARLEY_EUNREACH, PARLEY_EINVAL
 *          for an id when this node has no identity, PARLEY_EMAXPEERS, PARLEY_ENOTALLOWED, PARLEY_EBANNED,
 *          PARLEY_EDUPLICATE, PARLEY_EIDMISMATCH when another node answers, PARLEY_EIDREFUSED when this node
 *          does not allow the one that answers, PARLEY_ESECURITY when it forges one (a node that has none
 *          just ends the connection), PARLEY_ETIMEDOUT, PARLEY_EADDRNOTAVAIL for an unknown zone, the
 *          negative result of the handshake or of on_peer, PARLEY_EOF or PARLEY_ECONNRESET when the remote
 *          side ended the connection before it was open, PARLEY_EMFILE, PARLEY_ECLOSED, PARLEY_EDEADLK.
 *          Blocks; not in callbacks.
 */
PARLEY_CHECKED int parley_dial(
    parley_transport *transport, const char *address, int timeout_ms, parley_peer *peer);

/*
 * Dials like parley_dial(), without blocking. `done` is called exactly once on the loop's thread, with the
 * peer or with PARLEY_NO_PEER and the error. parley_last_error() has the details there.
 *
 * Returns  PARLEY_OK; or PARLEY_EADDRINVAL, PARLEY_EINVAL, PARLEY_EMFILE, PARLEY_ECLOSED, and then `done` is
 *          not called. Never blocks.
 */
PARLEY_CHECKED int parley_dial_async(
    parley_transport *transport, const char *address,
    void (*done)(parley_transport *transport, parley_peer peer, int error, void *argument), void *argument);

/* Stores the numbers of up to `capacity` peers that are open, or closing after that, in no particular order.
 * Returns how many there are. Never blocks. */
size_t parley_peers(const parley_transport *transport, parley_peer *peers, size_t capacity);

/* The numeric addresses of the two ends: "127.0.0.1:51514", "[::1]:3000", with a zone where it needs one:
 * "[fe80::1%eth0]:3000". They fill the buffer like snprintf(3), or return PARLEY_ENOPEER. Never block. */
int parley_peer_remote_address(
    const parley_transport *transport, parley_peer peer, char *buffer, size_t size);
int parley_peer_local_address(
    const parley_transport *transport, parley_peer peer, char *buffer, size_t size);

/* The id that the peer has proven; an empty text when connections are not secured. Fills the buffer like
 * snprintf(3), or returns PARLEY_ENOPEER. Never blocks. */
int parley_peer_id(const parley_transport *transport, parley_peer peer, char *buffer, size_t size);

/* Stores the open peer that has this id in *peer; of several any, and PARLEY_NO_PEER when there is none.
 * Returns PARLEY_OK, PARLEY_EADDRINVAL when the text is no id, or PARLEY_EINVAL. Never blocks; its cost grows
 * with the number of peers. */
int parley_peer_with_id(const parley_transport *transport, const char *id, parley_peer *peer);

/* Returns 1 when this side dialed, 0 when the remote side did, or PARLEY_ENOPEER. Never blocks. */
int parley_peer_is_outbound(const parley_transport *transport, parley_peer peer);

/* Your own pointer for each peer, NULL at first; it replaces a look-up by number. Free it in on_disconnect.
 * parley_peer_userdata() returns NULL for a peer that is gone. Never block. */
int parley_peer_set_userdata(parley_transport *transport, parley_peer peer, void *userdata);
void *parley_peer_userdata(const parley_transport *transport, parley_peer peer);

/* Runs `function` on the thread of the peer's loop, between callbacks and after everything posted there
 * before. Returns PARLEY_OK, and then it runs exactly once, or PARLEY_ENOPEER. Never blocks. */
int parley_peer_post(
    parley_transport *transport, parley_peer peer, void (*function)(void *argument), void *argument);

/*
 * Begins to close a peer: writes out accepted bytes (for at most close_timeout_ms), then calls on_disconnect
 * with PARLEY_ECLOSED. What has arrived and is not in the inbox is dropped. With a time-out other than 0 it
 * waits until the connection is closed and on_disconnect has returned.
 *
 * The reader of an open stream gets PARLEY_ETRUNCATED behind what was accepted. In PARLEY_CODEC_UNFRAMED and
 * PARLEY_CODEC_GOB, whose streams have no end mark, it gets the end, unless a file or a write of more than
 * 1 MiB is under way: then the connection is reset behind what was accepted.
 *
 * Returns  PARLEY_OK, also with a time-out of 0; PARLEY_ETIMEDOUT; PARLEY_ENOPEER; PARLEY_EDEADLK in a
 *          callback, unless the time-out is 0. In `handshake` that holds for peers that are in theirs.
 */
int parley_peer_close(parley_transport *transport, parley_peer peer, int timeout_ms);

/* Reads, sends or both fail with PARLEY_ETIMEDOUT when they have not finished by the deadline, in
 * milliseconds from now. That includes calls that wait already. PARLEY_FOREVER removes the deadline. Not for
 * the streams of PARLEY_CODEC_MULTIPLEXED and PARLEY_CODEC_LIBP2P: their calls have time-outs. Return
 * PARLEY_OK or PARLEY_ENOPEER. Never block. */
int parley_peer_set_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);
int parley_peer_set_read_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);
int parley_peer_set_write_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);

/*
 * Stays connected to a node: dials it, and dials again when the dial fails or the connection ends. The wait
 * before a retry is random (full jitter); its upper bound doubles from one second to five minutes, and starts
 * over after a connection that lasted a minute. on_peer and on_disconnect report the connections. It ends
 * with parley_stop_keeping_connected() of the same address, or with the transport.
 *
 * An address with an id is not dialed while there is another connection with that node, if
 * one_connection_per_id is set.
 *
 * Returns  PARLEY_OK; PARLEY_EADDRINVAL, PARLEY_EALREADY (the transport stays connected to the address
 *          already), PARLEY_EINVAL (the id is this node's own), PARLEY_ECLOSED. Never blocks.
 */
int parley_keep_connected(parley_transport *transport, const char *address);

/* parley_keep_connected() with other waits: the upper bound doubles from initial_ms to longest_ms, and starts
 * over after a connection that lasted stable_ms. 0 takes the value that parley_keep_connected() has. For the
 * nodes of one local network 100, 5000 and 5000 are good: a node that restarts is back within seconds. Also
 * returns PARLEY_EINVAL for a negative value. */
int parley_keep_connected_backoff(
    parley_transport *transport, const char *address, int initial_ms, int longest_ms, int stable_ms);

/* Ends parley_keep_connected() of this address, and closes the connection that it has dialed, if there is
 * one, as parley_peer_close() does. Returns PARLEY_OK, or PARLEY_EINVAL when the transport does not stay
 * connected to the address. Never blocks. */
int parley_stop_keeping_connected(parley_transport *transport, const char *address);

/* Bans a numeric address (without a port) for a time; an IPv6 address with its whole /64. PARLEY_FOREVER bans
 * it without end. Its connections end with PARLEY_EBANNED, and no new one can be made from or to it. Returns
 * PARLEY_OK, PARLEY_EADDRINVAL, PARLEY_EINVAL or PARLEY_ECLOSED. Never blocks. */
int parley_ban(parley_transport *transport, const char *host, int duration_ms);

/* Removes a ban. Returns PARLEY_OK, also when there is none, PARLEY_EADDRINVAL or PARLEY_ECLOSED. Never
 * blocks. */
int parley_unban(parley_transport *transport, const char *host);

/* Ban a node by its id, at any address, and end that ban. Return as those two do; PARLEY_EADDRINVAL when the
 * text is no id. */
int parley_ban_id(parley_transport *transport, const char *id, int duration_ms);
int parley_unban_id(parley_transport *transport, const char *id);

/* ---- Statistics ---------------------------------------------------------------------------------------- */

/* Counts of received and sent data. They only grow. */
typedef struct parley_traffic {
    uint64_t bytes_received, bytes_sent; /* on a secured connection, without what security adds */
    uint64_t messages_received, messages_sent; /* with requests and answers */
    uint64_t streams_received, streams_sent; /* also the one of its messages, where a peer has many streams */
    uint64_t read_pauses; /* how often reading paused because the inbox was full */
    uint64_t send_waits;  /* how often a send waited for room, or failed because it was not allowed to wait */
} parley_traffic;

/* A snapshot of a transport. */
typedef struct parley_statistics {
    parley_traffic traffic;  /* of all connections, including those that have ended */
    uint64_t uptime_ms;
    uint64_t inbound_peers, outbound_peers; /* open now, or closing after that */
    uint64_t handshaking;    /* connections in the handshake or in on_peer, or closing that were never open */
    uint64_t dialing;        /* dials that have no connection yet */
    uint64_t paused_peers;   /* peers that are not read now because the inbox is full */
    uint64_t inbox_rpcs, inbox_bytes;      /* waiting for a consumer */
    uint64_t unsent_bytes, unread_bytes;   /* of all peers */
    uint64_t accepted, dialed;             /* connections whose handshake began */
    uint64_t dials_failed, handshakes_failed, peers_refused;
    uint64_t accept_pauses;  /* how often accepting paused because of a limit or a shortage */
    uint64_t shortages;      /* how often descriptors or memory ran out */
    /* Connections refused before `handshake` by a limit, the gate, a ban or their id. Those by id are also
     * counted in disconnects and handshakes_failed. */
    uint64_t turned_away;
    uint64_t disconnects;    /* connections whose handshake began and that have ended */
    uint64_t undelivered_dropped; /* ended connections whose last messages exceeded receive_buffer_bytes */
    uint64_t requests_received, requests_sent; /* of all connections, including those that have ended */
    uint64_t late_answers;   /* answers to requests that had timed out or were cancelled */
    uint64_t open_requests;  /* sent by this node, and without an answer */
    uint64_t unanswered_requests; /* sent by other nodes, and not answered by this one */
    uint64_t wire_bytes_received, wire_bytes_sent; /* with what security adds; see parley_traffic */
    uint64_t open_streams;   /* two-way streams, of both sides */
    uint64_t refused_streams; /* that peers opened and were reset for a limit, or as nobody takes them */
} parley_statistics;

/* A snapshot of one peer. */
typedef struct parley_peer_statistics {
    parley_traffic traffic;
    uint64_t uptime_ms;
    uint64_t silence_ms;             /* time since the last byte arrived */
    uint64_t unsent_bytes, unread_bytes;
    uint64_t round_trip_us;          /* of the last heartbeat; with many streams, without them too */
    uint64_t unanswered_heartbeats;
    bool is_reading_paused;          /* because the inbox is full */
    uint64_t requests_received, requests_sent, late_answers; /* as in parley_statistics */
    uint64_t open_requests, unanswered_requests;
    uint64_t wire_bytes_received, wire_bytes_sent;
    uint64_t open_streams, refused_streams;
} parley_peer_statistics;

/* Fills the first `size` bytes of *statistics. Pass sizeof(parley_statistics): later versions add fields at
 * the end. A library that is older than your header fills those that it does not know with zeros. Returns
 * PARLEY_OK or PARLEY_EINVAL. Never blocks; its cost grows with the number of peers. */
int parley_get_statistics(const parley_transport *transport, parley_statistics *statistics, size_t size);

/* The same for one peer. Also returns PARLEY_ENOPEER. Never blocks. */
int parley_peer_get_statistics(
    const parley_transport *transport, parley_peer peer, parley_peer_statistics *statistics, size_t size);

/* ---- Sending ------------------------------------------------------------------------------------------- */

/*
 * Sends one message in the transport's wire form. Returns when the library has accepted it. That is at once
 * while the peer has fewer than send_high_water_bytes unwritten and no unfinished stream to it; otherwise it
 * waits. Messages of several threads never interleave. Messages sent in one callback leave in one write.
 *
 * Returns  PARLEY_OK; PARLEY_EMSGSIZE or PARLEY_EINVAL when the wire form cannot carry it; PARLEY_ENOMEM,
 *          PARLEY_EAGAIN, PARLEY_EDEADLK or PARLEY_ETIMEDOUT, and then nothing was accepted; PARLEY_ENOPEER;
 *          or the reason why the connection has ended.
 */
int parley_send_message(
    parley_transport *transport, parley_peer peer, const void *message, size_t length, int timeout_ms);

/* Sends raw bytes after everything sent before. For handshakes, and for wire forms with raw streams. After
 * the handshake it returns PARLEY_ENOTSUP in a wire form that frames every byte: in PARLEY_CODEC_FRAMED,
 * PARLEY_CODEC_MULTIPLEXED and PARLEY_CODEC_LIBP2P, and in custom ones with PARLEY_STREAMS_DELIMITED. More
 * than send_buffer_bytes is PARLEY_EMSGSIZE: send it in parts. Otherwise it waits and returns as
 * parley_send_message() does. */
int parley_send(
    parley_transport *transport, parley_peer peer, const void *bytes, size_t length, int timeout_ms);

/* parley_send() under the name that it has in Go's net.Conn. */
int parley_write(
    parley_transport *transport, parley_peer peer, const void *bytes, size_t length, int timeout_ms);

/* Sends one message to every open peer, without waiting for any. Peers for which it would have to wait, or
 * that cannot carry the message, are left out. Returns how many accepted it; PARLEY_EMSGSIZE when it is over
 * the limit of every peer; PARLEY_ECLOSED. Never blocks. */
int parley_broadcast(parley_transport *transport, const void *message, size_t length);

/* parley_broadcast() that waits, for room or behind an open stream, for all those peers side by side. Returns
 * how many peers accepted the message by the end of the time-out; PARLEY_EMSGSIZE and PARLEY_ECLOSED as
 * parley_broadcast(); PARLEY_EDEADLK in a callback, unless the time-out is 0. */
int parley_broadcast_wait(
    parley_transport *transport, const void *message, size_t length, int timeout_ms);

/* A part of what is sent. It has the layout of struct iovec where that is a pointer and a size_t. */
typedef struct parley_slice {
    const void *bytes; /* may be NULL when the length is 0 */
    size_t length;
} parley_slice;

/* The same as parley_send_message(), parley_send() and parley_broadcast() with bytes that lie in several
 * places: `count` slices, which are sent one after the other as one message or one piece. They spare a buffer
 * in which you would join a header and a body. They wait and return as those functions do. */
int parley_send_messagev(
    parley_transport *transport, parley_peer peer, const parley_slice *slices, size_t count, int timeout_ms);
int parley_sendv(
    parley_transport *transport, parley_peer peer, const parley_slice *slices, size_t count, int timeout_ms);
int parley_broadcastv(parley_transport *transport, const parley_slice *slices, size_t count);

/* Calls `function` once on the loop's thread, when a send to this peer that returned PARLEY_EAGAIN may be
 * tried again, or when the connection is ending. With peer_event_capacity, `function` may be NULL: then a
 * PARLEY_RPC_WRITABLE of the peer comes through the inbox, unless its PARLEY_RPC_DISCONNECTED comes first.
 * Returns PARLEY_OK; or PARLEY_ENOPEER, and then it is not called. Never blocks. */
int parley_when_writable(
    parley_transport *transport, parley_peer peer,
    void (*function)(parley_transport *transport, parley_peer peer, void *argument), void *argument);

/* ---- Requests ------------------------------------------------------------------------------------------ */

/*
 * A request is a message that gets an answer: a reply or a refusal. Any number of threads may ask one peer at
 * the same time, and answers may come in any order. The other side gets an RPC of the kind PARLEY_RPC_REQUEST
 * in on_rpcs or from parley_consume(), and answers it from any thread and at any time. Only in
 * PARLEY_CODEC_FRAMED and PARLEY_CODEC_MULTIPLEXED, and in PARLEY_CODEC_LIBP2P between two Parley nodes.
 *
 * An answer comes behind what its sender had sent before. So a thread that waits for one must not be the only
 * one that makes room in the inbox for that.
 */

/* The answer to a request. */
typedef struct parley_answer {
    /* PARLEY_OK for a reply; PARLEY_EREQREFUSED for a refusal; otherwise why there is no answer. */
    int result;
    uint32_t code;          /* of a refusal: the other side's; otherwise 0 */
    /* The reply, NULL when it is empty. Otherwise a sentence that describes the result, escaped as in
     * parley_last_error(); a NUL follows it. */
    const uint8_t *payload;
    size_t length;          /* in bytes */
    void *owner;            /* used by the library alone; see parley_answer_release() */
} parley_answer;

/*
 * Sends a request and waits for its answer. The time-out is for both. Fills *answer in any case, also when it
 * fails; free it with parley_answer_release().
 *
 * Returns  answer->result: PARLEY_OK; PARLEY_EREQREFUSED; PARLEY_ENOTSUP in another wire form;
 *          PARLEY_EAGAIN, PARLEY_EDEADLK and PARLEY_EMSGSIZE, and then nothing was sent; PARLEY_ETIMEDOUT,
 *          and then the other side may have got the request, and its answer is dropped; PARLEY_ENOPEER; or
 *          the reason why the connection ended. PARLEY_EINVAL when answer is NULL.
 */
PARLEY_CHECKED int parley_request(
    parley_transport *transport, parley_peer peer, const void *message, size_t length, int timeout_ms,
    parley_answer *answer);

/*
 * Sends a request without blocking. `done` is called exactly once with the answer, on the loop's thread. The
 * answer is valid during the call, and must not be released. The time-out is for the answer: PARLEY_FOREVER
 * waits as long as the connection lasts, and with 0 `done` gets PARLEY_ETIMEDOUT though the request was sent.
 *
 * Returns  PARLEY_OK; or, and then `done` is not called: PARLEY_EAGAIN when the request would have to wait
 *          (see parley_when_writable()), PARLEY_ENOTSUP, PARLEY_EMSGSIZE, PARLEY_EINVAL, PARLEY_ENOPEER, or
 *          the reason why the connection ended. Never blocks.
 */
PARLEY_CHECKED int parley_request_async(
    parley_transport *transport, parley_peer peer, const void *message, size_t length, int timeout_ms,
    void (*done)(
        parley_transport *transport, parley_peer peer, const parley_answer *answer, void *argument),
    void *argument);

/* Frees an answer of parley_request(), and zeroes the struct, so that a second release does nothing. NULL is
 * allowed. Never blocks. */
void parley_answer_release(parley_answer *answer);

/*
 * Answers a request: `peer` and `request` are those of its RPC, which may be released by then.
 *
 * Returns  as parley_send_message(); PARLEY_EINVAL when the request is answered already, or never came. When
 *          it fails otherwise, the request can be answered again.
 */
int parley_reply(
    parley_transport *transport, parley_peer peer, uint32_t request, const void *message, size_t length,
    int timeout_ms);

/* Refuses a request: its sender gets PARLEY_EREQREFUSED with this code and reason. NULL is no reason, and a
 * reason is cut at 1,024 bytes. Waits and returns as parley_reply() does. */
int parley_refuse(
    parley_transport *transport, parley_peer peer, uint32_t request, uint32_t code, const char *reason,
    int timeout_ms);

/* ---- Receiving ----------------------------------------------------------------------------------------- */

/*
 * There are three ways to receive. A transport uses one of them.
 *
 *   on_rpcs           A callback on the loop's thread. The fastest way, for programs that answer quickly.
 *   parley_consume()  Blocks, on one thread or several. For programs that work on a message for some time.
 *                     While inbox_capacity RPCs wait, peers that send more are not read, which holds them
 *                     back.
 *   parley_fd()       A descriptor for your own poll(2), epoll(7), libuv or GLib loop. When it is readable,
 *                     call parley_try_consume() until it returns PARLEY_EAGAIN. With peer_event_capacity,
 *                     peers that come and go are among the RPCs.
 *
 * A stream that is read where RPCs are consumed (parley_read(), parley_receive_file()) holds the RPCs of all
 * other peers up until it is over, for up to stream_idle_timeout_ms when its sender stalls. So read streams
 * elsewhere. There are two ways:
 *
 *   parley_consume()  on several threads, one more than streams may be read at a time. The thread that got
 *                     the stream reads it; the others go on with the other peers. Nothing that the peer sent
 *                     behind the stream is delivered before parley_peer_close_stream(), so it stays in order.
 *   on_rpcs           passes each stream to a thread of your own, which reads and closes it, or reads it
 *                     piece by piece with parley_when_readable().
 *
 * The openings of streams are RPCs too. A program without on_rpcs has to consume them even when it knows from
 * elsewhere which peer to read: when inbox_capacity of them wait, peers that send more are not read, and
 * parley_read() waits for ever. on_log then says `inbox full`.
 *
 * Half-close: a peer may end its sending (shutdown(2) with SHUT_WR) and still read. It gets the answers to
 * what it sent: the library closes the connection when on_rpcs has returned, or when each RPC of the peer is
 * consumed and released, and for a request when it is answered too, from any thread; in any case after
 * close_timeout_ms. Until then the peer is open, and sends to it are accepted. So an RPC that is kept for
 * long delays on_disconnect of a peer that is gone by up to close_timeout_ms; by a second at most while
 * nobody has ever called a function that consumes. The library itself never half-closes: parley_peer_close()
 * ends both directions.
 */

/*
 * Takes the oldest RPC, or waits for one. With `loops` above 1 it is the oldest of one loop. Several threads
 * may call; each RPC goes to one of them. Free it with parley_rpc_release(). On an error *rpc is all zero.
 *
 * Returns  PARLEY_OK; PARLEY_ETIMEDOUT or PARLEY_EAGAIN when none came in time; PARLEY_ECLOSED when the
 *          transport is closed and every RPC was consumed; PARLEY_EDEADLK; PARLEY_EINVAL when the transport
 *          has an on_rpcs.
 */
PARLEY_CHECKED int parley_consume(parley_transport *transport, parley_rpc *rpc, int timeout_ms);

/* Takes up to `capacity` RPCs of one loop, at least one, with one lock and one wake-up for all of them. Free
 * each with parley_rpc_release(); their memory is freed with the last. Returns how many it took, or the
 * errors of parley_consume(). */
PARLEY_CHECKED int parley_consume_batch(
    parley_transport *transport, parley_rpc *rpcs, size_t capacity, int timeout_ms);

/* parley_consume() with a time-out of 0. Never blocks. */
PARLEY_CHECKED int parley_try_consume(parley_transport *transport, parley_rpc *rpc);

/*
 * Keeps an RPC: fills *out with a second one of the same payload, which stays valid until its own
 * parley_rpc_release(), on any thread and also after parley_free(). In on_rpcs it is the way to keep a
 * payload after the call: nothing is copied, and *out has the same payload pointer. What came over a secured
 * connection is copied, and out->payload points elsewhere. RPCs that were consumed can be retained as well.
 *
 * A kept payload that is not copied keeps the whole block of memory in which it arrived: at most 320 KiB, or
 * the message's own size when that is larger. Copy small messages that you keep for long instead.
 *
 * Returns  PARLEY_OK; PARLEY_EINVAL for a released RPC, and for one of on_rpcs outside of that call. Never
 *          blocks.
 */
PARLEY_CHECKED int parley_rpc_retain(const parley_rpc *rpc, parley_rpc *out);

/* Frees an RPC of parley_consume(), parley_consume_batch(), parley_try_consume() or parley_rpc_retain(), and
 * zeroes the struct, so that a second release does nothing. NULL is allowed. An RPC of on_rpcs is left as it
 * is. Never blocks. */
void parley_rpc_release(parley_rpc *rpc);

/* The sender's address of an RPC that was not released, even when the peer is gone. Fills the buffer like
 * snprintf(3). Never blocks. */
int parley_rpc_from(const parley_rpc *rpc, char *buffer, size_t size);

/* The userdata of the peer of an RPC that was not released, even when the peer is gone: the place to free it
 * is the PARLEY_RPC_DISCONNECTED of the peer, once no stream of it is open. NULL when there is none. Never
 * blocks. */
void *parley_rpc_userdata(const parley_rpc *rpc);

/* Returns a descriptor that is readable (level-triggered) while an RPC waits, and after the transport is
 * closed. It belongs to the transport: poll it, but do not read or close it, and stop polling before
 * parley_free(). Also returns PARLEY_EMFILE; PARLEY_EINVAL when the transport has an on_rpcs. Never
 * blocks. */
int parley_fd(parley_transport *transport);

/* ---- Streams and raw reads ----------------------------------------------------------------------------- */

/* An open stream to a peer. A peer has one at a time: other streams and messages to it wait until it is
 * finished. In PARLEY_CODEC_MULTIPLEXED and PARLEY_CODEC_LIBP2P none can be opened (PARLEY_ENOTSUP): there
 * are two-way streams instead. */
typedef struct parley_stream parley_stream;

/*
 * Opens a stream to a peer. header is your own description of it, for wire forms that can carry one; NULL and
 * 0 for none. End every stream exactly once, with parley_stream_finish() or parley_stream_abort(), even when
 * its peer is gone.
 *
 * Returns  as parley_send_message(), or PARLEY_ENOTSUP.
 */
PARLEY_CHECKED int parley_stream_open(
    parley_transport *transport, parley_peer peer, const void *header, size_t length, int timeout_ms,
    parley_stream **out);

/*
 * Sends bytes of the stream. More than 1 MiB is accepted in pieces of 1 MiB, each when there is room for it,
 * so that it may have to wait more than once; the time-out is for all of it together.
 *
 * Returns  as parley_send_message(). More than 1 MiB also returns PARLEY_EMSGSIZE when the time-out is 0, and
 *          PARLEY_EDEADLK in a callback; then nothing was accepted. When it fails after its first piece, for
 *          example with PARLEY_ETIMEDOUT, the stream is aborted: end it with parley_stream_abort().
 */
int parley_stream_write(parley_stream *stream, const void *bytes, size_t length, int timeout_ms);

/* The same with bytes that lie in several places; see parley_slice. */
int parley_stream_writev(
    parley_stream *stream, const parley_slice *slices, size_t count, int timeout_ms);

/* Reports how many bytes of a file were moved so far. Called on a thread of the library, which it must not
 * block. May be NULL. */
typedef void (*parley_progress)(uint64_t bytes, void *argument);

/* Sends a file or a part of it as the next bytes of the stream, between others: see parley_send_file(), which
 * has the same arguments and results. The stream stays open, also after a failure; but a file that gets
 * shorter meanwhile ends the connection. Blocks; not in callbacks. */
PARLEY_CHECKED int64_t parley_stream_write_file(
    parley_stream *stream, const char *path, uint64_t offset, uint64_t length, parley_progress progress,
    void *argument);

/* Ends the stream and frees it. Messages that waited for its end are sent. Returns PARLEY_OK;
 * PARLEY_EABORTED when a write failed after a part of it; or the reason why the connection has ended: the
 * reader may then lack a part of the stream. NULL is allowed. Never blocks. */
int parley_stream_finish(parley_stream *stream);

/* Aborts the stream and frees it. Its reader gets PARLEY_EABORTED with this code and reason; NULL is no
 * reason, and a reason is cut at 1,024 bytes. Where the wire form has no abort, the connection is closed
 * instead: what was accepted is written out, for at most close_timeout_ms, and then the connection is reset;
 * what has arrived and is not in the inbox is dropped. A NULL stream is allowed. Never blocks. */
void parley_stream_abort(parley_stream *stream, uint32_t code, const char *reason);

/*
 * Reads raw bytes: in the handshake, or of the stream that the peer opened. Between streams it waits for the
 * next one. The library reads at most read_ahead_bytes ahead of the reader, so a slow reader holds the sender
 * back. One thread at a time may read a peer.
 *
 * Returns  how many bytes were read, 1 to size; 0 at the end of the stream or of the connection;
 *          PARLEY_EAGAIN, PARLEY_EDEADLK or PARLEY_ETIMEDOUT, and then no byte is lost; PARLEY_EABORTED
 *          (parley_last_error() has the sender's reason); PARLEY_EINVAL for a size of 0; PARLEY_ENOTSUP in
 *          PARLEY_CODEC_MULTIPLEXED and PARLEY_CODEC_LIBP2P after the handshake: read parley_rpc_body();
 *          PARLEY_ENOPEER; or the reason why the connection has ended.
 */
PARLEY_CHECKED int64_t parley_read(
    parley_transport *transport, parley_peer peer, void *buffer, size_t size, int timeout_ms);

/* Reads exactly `size` bytes, all of one stream. Returns PARLEY_OK; PARLEY_EOF when fewer were left, and
 * PARLEY_ECLOSED when parley_peer_close_stream() is called meanwhile, and what had come is lost; or the
 * errors of parley_read(). After PARLEY_EAGAIN, PARLEY_EDEADLK and PARLEY_ETIMEDOUT no byte is lost. */
PARLEY_CHECKED int parley_read_exactly(
    parley_transport *transport, parley_peer peer, void *buffer, size_t size, int timeout_ms);

/* Calls `function` once on the loop's thread, when a read of this peer that returned PARLEY_EAGAIN may be
 * tried again, or when the connection is ending. The call may be spurious: the next read may return
 * PARLEY_EAGAIN again. With peer_event_capacity, `function` may be NULL, as for parley_when_writable(): then
 * a PARLEY_RPC_READABLE comes. Returns PARLEY_OK; or PARLEY_ENOPEER, and then it is not called. Never
 * blocks. */
int parley_when_readable(
    parley_transport *transport, parley_peer peer,
    void (*function)(parley_transport *transport, parley_peer peer, void *argument), void *argument);

/* Closes the stream that the peer opened. Decoding resumes with the bytes after it. Wire forms that delimit
 * streams discard the unread rest first. Returns PARLEY_OK, also when no stream is open, or PARLEY_ENOPEER.
 * Never blocks. */
int parley_peer_close_stream(parley_transport *transport, parley_peer peer);

/* ---- Two-way streams ----------------------------------------------------------------------------------- */

/*
 * In PARLEY_CODEC_MULTIPLEXED and PARLEY_CODEC_LIBP2P a connection carries any number of streams beside its
 * messages. Each is written by both sides, and waits for itself alone. A stream has a protocol: one side says
 * that it speaks it, with parley_accept_streams() or parley_accept(), and the other one opens streams for it.
 * Or it is announced: the other side gets an RPC with its header.
 *
 * parley_rpc_body() is the stream that an RPC has announced in every wire form. Where a peer has one stream
 * at a time it can only be read, and stands for parley_read() and parley_peer_close_stream().
 *
 * Each direction ends by itself: parley_peer_stream_finish() ends what this side sends, and the other side's
 * reads then return 0. A stream is yours from the call, callback or item that brought its number: end every
 * one with parley_peer_stream_close() or parley_peer_stream_abort(), also when its peer is gone.
 * parley_free() ends those that are left. Nothing of a stream is in order with messages or other streams.
 *
 * One thread at a time may read a stream, and one may write it. parley_peer_stream_close(),
 * parley_peer_stream_abort() and parley_close() wake those that wait.
 */

/*
 * Opens a stream for a protocol: 1 to 1,023 bytes of UTF-8 without a newline, such as "/echo/1.0.0". It
 * takes no round trip; a side that does not speak the protocol says so to the first read, and a stream that
 * is only written and closed does not tell. Waits while the other side has to acknowledge 256 streams of this
 * one, while the streams of both sides use stream_bytes_per_peer up (about 1,024 with the defaults), and in
 * PARLEY_CODEC_LIBP2P while 512 are open.
 *
 * Returns  PARLEY_OK; PARLEY_EAGAIN, PARLEY_EDEADLK or PARLEY_ETIMEDOUT; PARLEY_ENOTSUP in another wire
 *          form; PARLEY_EINVAL; PARLEY_ENOPEER; or the reason why the connection has ended.
 */
PARLEY_CHECKED int parley_peer_stream_open(
    parley_transport *transport, parley_peer peer, const char *protocol, int timeout_ms,
    parley_peer_stream *stream);

/* Opens a stream that the other side gets as an RPC whose `stream` is true, with your own header; NULL and 0
 * for none. Waits and returns as parley_peer_stream_open() does, or PARLEY_EMSGSIZE, or PARLEY_EABORTED when
 * the other side resets it meanwhile, for example because it has too many. A header of more than 255 KiB may
 * have to wait for room: it also returns PARLEY_EMSGSIZE when the time-out is 0, and PARLEY_EDEADLK in a
 * callback; then no stream was opened. */
PARLEY_CHECKED int parley_peer_stream_announce(
    parley_transport *transport, parley_peer peer, const void *header, size_t length, int timeout_ms,
    parley_peer_stream *stream);

/* The stream that an RPC, which is not released, has announced. Call it once for an RPC, on any thread; in
 * on_rpcs during the call. Returns PARLEY_OK, also for a stream that has ended: its functions then say why;
 * or PARLEY_EINVAL when the RPC has announced none. Never blocks. */
PARLEY_CHECKED int parley_rpc_body(
    parley_transport *transport, const parley_rpc *rpc, parley_peer_stream *stream);

/*
 * Takes the streams that peers open for a protocol: calls `on_stream` with each, on the loop's thread of its
 * peer. With peer_event_capacity, `on_stream` may be NULL: then a PARLEY_RPC_STREAM_ACCEPTED comes through
 * the inbox for each stream; a stream for which the inbox has no room is reset. A later call for the same
 * protocol replaces an earlier one. Streams are handed out once their peer is open.
 *
 * A function that was replaced, or taken away with parley_stop_accepting(), may still be running or about to
 * be called. Free its `argument` when a function that you posted after that has run: with parley_post(), or
 * with `loops` above 1 with parley_peer_post() for each peer of parley_peers(). Or free it after
 * parley_close().
 *
 * Returns  PARLEY_OK; PARLEY_ENOTSUP in another wire form; PARLEY_EINVAL; PARLEY_ECLOSED. Never blocks.
 */
int parley_accept_streams(
    parley_transport *transport, const char *protocol,
    void (*on_stream)(parley_transport *transport, parley_peer_stream stream, void *argument),
    void *argument);

/*
 * Takes the oldest stream that a peer has opened for a protocol, or waits for one. Several threads may call;
 * each stream goes to one of them. The node speaks the protocol from the first call on, which may have a
 * time-out of 0. Up to 128 streams wait for a call; when there are more, one of the peer that has opened most
 * of them is reset.
 *
 * Returns  PARLEY_OK; PARLEY_ETIMEDOUT or PARLEY_EAGAIN when none came in time; PARLEY_EDEADLK;
 *          PARLEY_ENOTSUP in another wire form; PARLEY_EINVAL, also when parley_accept_streams() takes them;
 *          PARLEY_ECANCELED when that or parley_stop_accepting() is called meanwhile; PARLEY_ECLOSED.
 */
PARLEY_CHECKED int parley_accept(
    parley_transport *transport, const char *protocol, int timeout_ms, parley_peer_stream *stream);

/* The node no longer speaks a protocol. Streams that were handed out are not affected.
 * parley_accept_streams() says when the `argument` of a function can be freed, and what this returns. Never
 * blocks. */
int parley_stop_accepting(parley_transport *transport, const char *protocol);

/* The other side of a stream, also when it is gone. Returns PARLEY_NO_PEER for a stream that is closed. Never
 * blocks. */
parley_peer parley_peer_stream_peer(const parley_transport *transport, parley_peer_stream stream);

/* The protocol of a stream; an empty text for one that was announced. Fills the buffer like snprintf(3), or
 * returns PARLEY_ECLOSED. Never blocks. */
int parley_peer_stream_protocol(
    const parley_transport *transport, parley_peer_stream stream, char *buffer, size_t size);

/* Your own pointer for each stream, NULL at first. parley_peer_stream_userdata() returns NULL for a stream
 * that is closed. Never block. */
int parley_peer_stream_set_userdata(
    parley_transport *transport, parley_peer_stream stream, void *userdata);
void *parley_peer_stream_userdata(const parley_transport *transport, parley_peer_stream stream);

/*
 * Reads what has arrived, or waits for it.
 *
 * Returns  how many bytes were read, 1 to size; 0 when the other side has ended its direction;
 *          PARLEY_EAGAIN, PARLEY_EDEADLK or PARLEY_ETIMEDOUT, and then no byte is lost; PARLEY_EABORTED (see
 *          parley_last_remote_code()); PARLEY_ENOTSUP when the other side does not speak the protocol;
 *          PARLEY_ETRUNCATED when the connection ended inside the stream; PARLEY_ETIMEDOUT also when the
 *          stream was reset because of stream_idle_timeout_ms; PARLEY_EINVAL for a size of 0;
 *          PARLEY_ECLOSED; or the reason why the connection has ended.
 */
PARLEY_CHECKED int64_t parley_peer_stream_read(
    parley_transport *transport, parley_peer_stream stream, void *buffer, size_t size, int timeout_ms);

/* Reads exactly `size` bytes. Returns PARLEY_OK; PARLEY_EOF when fewer were left, and those are lost; or the
 * errors of parley_peer_stream_read(). After PARLEY_EAGAIN, PARLEY_EDEADLK and PARLEY_ETIMEDOUT no byte is
 * lost: the next read begins with those that had arrived. */
PARLEY_CHECKED int parley_peer_stream_read_exactly(
    parley_transport *transport, parley_peer_stream stream, void *buffer, size_t size, int timeout_ms);

/*
 * Writes bytes, or those for which there is room by the end of the time-out, as write(2) does. There is room
 * for 256 KiB of each stream, within send_buffer_bytes. With a time-out of 0, and in callbacks, it writes
 * what there is room for now.
 *
 * Returns  how many bytes from the front were accepted, 1 to length; 0 when length is 0; PARLEY_EAGAIN,
 *          PARLEY_EDEADLK or PARLEY_ETIMEDOUT, and then nothing was accepted; PARLEY_EABORTED,
 *          PARLEY_ENOTSUP and PARLEY_ECLOSED as for a read; PARLEY_ENOTSUP also for a stream that can only be
 *          read, and PARLEY_ECLOSED after parley_peer_stream_finish(); PARLEY_EINVAL; or the reason why the
 *          connection has ended.
 */
PARLEY_CHECKED int64_t parley_peer_stream_write(
    parley_transport *transport, parley_peer_stream stream, const void *bytes, size_t length, int timeout_ms);

/*
 * Calls `function` once on the loop's thread, when a read of this stream that returned PARLEY_EAGAIN may be
 * tried again, or when the stream has ended. The call may be spurious: the next read may return
 * PARLEY_EAGAIN again. It may come after the stream is closed. With peer_event_capacity, `function` may be
 * NULL: then a PARLEY_RPC_STREAM_READABLE comes through the inbox, unless the PARLEY_RPC_DISCONNECTED of its
 * peer comes first.
 *
 * Returns  PARLEY_OK; or PARLEY_ECLOSED, PARLEY_EINVAL, or PARLEY_ENOPEER when the transport is closed, and
 *          then it is not called. Never blocks.
 */
int parley_peer_stream_when_readable(
    parley_transport *transport, parley_peer_stream stream,
    void (*function)(parley_transport *transport, parley_peer_stream stream, void *argument),
    void *argument);

/* The same for a write, and PARLEY_RPC_STREAM_WRITABLE. Also returns PARLEY_ENOTSUP for a stream that can
 * only be read. */
int parley_peer_stream_when_writable(
    parley_transport *transport, parley_peer_stream stream,
    void (*function)(parley_transport *transport, parley_peer_stream stream, void *argument),
    void *argument);

/* Ends what this side sends, behind what was written. The other side may go on sending. Finishing twice is
 * allowed. Returns PARLEY_OK, or the errors of parley_peer_stream_write(). Never blocks. */
int parley_peer_stream_finish(parley_transport *transport, parley_peer_stream stream);

/* Ends both directions: what was written is still sent, and nothing more is read. The number is gone. Returns
 * PARLEY_OK; PARLEY_ECLOSED when it is closed already. Never blocks. */
int parley_peer_stream_close(parley_transport *transport, parley_peer_stream stream);

/* Resets the stream at once: what was written and is not sent is dropped, and the other side's calls return
 * PARLEY_EABORTED with this code, a number of your own. The only stream of a peer is closed instead. The
 * number is gone. Returns as parley_peer_stream_close() does. Never blocks. */
int parley_peer_stream_abort(parley_transport *transport, parley_peer_stream stream, uint32_t code);

/* ---- Files as streams ---------------------------------------------------------------------------------- */

/* The library opens files, writes them and completes them on disk on libuv's worker threads, never on a loop.
 * A program that uses libuv has them in common with it (UV_THREADPOOL_SIZE, 4 by default): there it must not
 * call a function that blocks on a file, which would wait for a thread that is free. */

/*
 * Sends a file or a part of it as one stream. The kernel moves the bytes where it can (sendfile(2)). A
 * failure after the opening aborts the stream, or ends the connection when the file gets shorter meanwhile;
 * in PARLEY_CODEC_MULTIPLEXED and PARLEY_CODEC_LIBP2P that aborts the stream, too. Blocks until every byte is
 * accepted; not in callbacks. For bytes before or behind the file in the same stream see
 * parley_stream_write_file().
 *
 * offset, length  the part to send, in bytes; a length of UINT64_MAX means to the end of the file. A
 *                 pseudo-file (in /proc or /sys), which does not say how long it is, is read to its end.
 * Returns  how many bytes were sent; PARLEY_ENOENT, PARLEY_EACCES, PARLEY_EMFILE, PARLEY_EINVAL (not a
 *          regular file, or a part outside it), PARLEY_ETRUNCATED (it got shorter), and as
 *          parley_stream_open().
 */
PARLEY_CHECKED int64_t parley_send_file(
    parley_transport *transport, parley_peer peer, const char *path, const void *header, size_t header_length,
    uint64_t offset, uint64_t length, parley_progress progress, void *argument);

/*
 * Reads the open stream into a new file, and closes the stream, also on failure. The file has a temporary
 * name in the same folder until all of it is on disk. It never replaces a file. Blocks; not in callbacks.
 *
 * length   how many bytes to read; UINT64_MAX reads to the end of the stream.
 * Returns  how many bytes were written; PARLEY_EEXIST, PARLEY_ENOENT (no such folder), PARLEY_EACCES,
 *          PARLEY_EMFILE, PARLEY_EINVAL (the path ends without a name), PARLEY_EOF when fewer bytes came,
 *          PARLEY_ECLOSED when parley_peer_close_stream() is called meanwhile; or the errors of
 *          parley_read(), also PARLEY_ENOTSUP. With PARLEY_EINVAL for another reason (NULL, or
 *          a length above INT64_MAX), PARLEY_EDEADLK or PARLEY_EFORKED nothing was done, and the stream is
 *          still open.
 */
PARLEY_CHECKED int64_t parley_receive_file(
    parley_transport *transport, parley_peer peer, const char *path, uint64_t length,
    parley_progress progress, void *argument);

/* parley_receive_file() that takes the place of a file that has the name already, in one step: the name
 * stands for the whole old file or for the whole new one. A symbolic link is replaced itself, not what it
 * leads to. Returns PARLEY_ESYSTEM in place of a folder. */
PARLEY_CHECKED int64_t parley_replace_file(
    parley_transport *transport, parley_peer peer, const char *path, uint64_t length,
    parley_progress progress, void *argument);

/* The same three with a two-way stream: see parley_stream_write_file(), parley_receive_file() and
 * parley_replace_file(), which have the same other arguments and results. Receiving reads what an exact read
 * that returned PARLEY_EAGAIN or PARLEY_ETIMEDOUT has kept, and then the rest. A stream with a name stays
 * open then, so that an answer can be written; one that an RPC has announced is closed; and on a failure
 * that closes the stream of parley_receive_file(), the stream is reset. Its number is still yours to close.
 * Files of streams that share their connection are copied, and one that gets shorter meanwhile does not end
 * the connection: abort the stream. Also return PARLEY_ECLOSED. Block; not in callbacks. */
PARLEY_CHECKED int64_t parley_peer_stream_write_file(
    parley_transport *transport, parley_peer_stream stream, const char *path, uint64_t offset,
    uint64_t length, parley_progress progress, void *argument);
PARLEY_CHECKED int64_t parley_peer_stream_receive_file(
    parley_transport *transport, parley_peer_stream stream, const char *path, uint64_t length,
    parley_progress progress, void *argument);
PARLEY_CHECKED int64_t parley_peer_stream_replace_file(
    parley_transport *transport, parley_peer_stream stream, const char *path, uint64_t length,
    parley_progress progress, void *argument);

/* ---- Former names -------------------------------------------------------------------------------------- */

/* Former names of these functions. They go away in version 0.2. */
PARLEY_DEPRECATED("use parley_peer_set_deadline")
int parley_set_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);
PARLEY_DEPRECATED("use parley_peer_set_read_deadline")
int parley_set_read_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);
PARLEY_DEPRECATED("use parley_peer_set_write_deadline")
int parley_set_write_deadline(parley_transport *transport, parley_peer peer, int from_now_ms);
PARLEY_DEPRECATED("use parley_stop_keeping_connected")
int parley_disconnect(parley_transport *transport, const char *address);
PARLEY_DEPRECATED("use parley_peer_get_statistics")
int parley_get_peer_statistics(
    const parley_transport *transport, parley_peer peer, parley_peer_statistics *statistics, size_t size);
PARLEY_DEPRECATED("use parley_peer_close_stream")
int parley_close_stream(parley_transport *transport, parley_peer peer);

#ifdef __cplusplus
}
#endif

#endif
