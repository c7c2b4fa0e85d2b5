/* link: bytes between nodes - streams, frames on them, ssh beneath them, and the relay of a live migration.
 *
 * ssh.c and exec.c are the only files that know libssh. Everything above works on `struct stream`, so that tests run on
 * a socketpair what production runs on an exec channel.
 */
#ifndef VMM_LINK_H
#define VMM_LINK_H

#include "base/base.h"

/* ------------------------------------------------------------------ streams (stream.c) */

struct stream;

struct stream_ops {
	/* Up to `length` bytes, as soon as there are any; 0 at the end of the stream. Error "link-lost" where the other
	 * side is gone, "link-silent" where nothing came for wait_ms (-1: for ever). */
	ssize_t (*read)(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err);
	/* All of `length`. Error "link-lost"; "link-silent" where the other side takes nothing for 30 s. */
	int (*write)(struct stream *s, const void *data, size_t length, struct vmm_error **err);
	/* No more will be written; what is on its way still arrives. */
	void (*finish)(struct stream *s);
	/* Closes and frees. */
	void (*close)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;
	uint64_t sent, received; /* bytes of payload, counted by stream_read and stream_write */
};

ssize_t stream_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err);
/* Exactly `length` bytes; the stream's end before that is "link-lost". */
int stream_read_all(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err);
int stream_write(struct stream *s, const void *data, size_t length, struct vmm_error **err);
void stream_finish(struct stream *s);
void stream_close(struct stream *s); /* NULL is harmless */

/* A stream on two descriptors (they may be the same), which it owns from now on. One thread may read while another
 * writes. Who writes to a pipe ignores SIGPIPE, as all our programs do. */
struct stream *stream_on_fds(int in, int out);
/* Its descriptors, for a loop that reads and writes them itself (relay-serve.c). Only for a stream_on_fds. */
void stream_fds(struct stream *s, int *in, int *out);
/* Two streams that are each other's far end. */
int stream_pair(struct stream *pair[2], struct vmm_error **err);

/* What came in while we were writing and nobody read; for the kinds of streams. Zero-initialised is empty. */
struct stream_aside {
	struct text text;
	size_t taken;
};
enum { STREAM_ASIDE_LIMIT = 64 << 20 }; /* then the writer no longer reads, and fails when the other side waits on us */
bool stream_aside_full(const struct stream_aside *aside);
void stream_aside_put(struct stream_aside *aside, const void *data, size_t length);
size_t stream_aside_take(struct stream_aside *aside, void *data, size_t length);

/* ------------------------------------------------------------------ frames (frames.c) */

/* A frame: magic (4 bytes), type (1), flags (1), zero (2), length of the payload (4, big endian), payload.
 * Control frames carry JSON; those of the copy carry bytes. */
enum frame_type {
	FRAME_HELLO = 1, /* first of both sides: {"agent":"vmmigrate","protocol":[major,minor],"version":..} */
	FRAME_CALL = 2,	 /* {"op":..,"args":{..}} */
	FRAME_REPLY = 3, /* {"ok":..} or {"error":{..}} */
	FRAME_ALIVE = 4, /* the other side is at work on a call; every FRAME_ALIVE_MS */
	FRAME_COPY = 32, /* and above: copy/ gives them their meaning */
};

enum {
	FRAME_ALIVE_MS = 3000,
	FRAME_SILENCE_MS = 30000,	/* a link on which nothing has come for that long is lost */
	FRAME_LIMIT_CONTROL = 16 << 20, /* bytes of payload */
	FRAME_LIMIT_DATA = (4 << 20) + 65536,
	FRAME_HEAD_MOST = 256,
};

struct frame {
	uint8_t type, flags;
	uint32_t length;
	char *data; /* length bytes and a NUL; belongs to the caller (frame_free) */
};

int frame_send(struct stream *s, uint8_t type, uint8_t flags, const void *data, size_t length, struct vmm_error **err);
/* The same with a payload in two parts, the first of FRAME_HEAD_MOST bytes at most: large data go from where they lie. */
int frame_send_parts(struct stream *s, uint8_t type, uint8_t flags, const void *head, size_t head_length,
		     const void *data, size_t length, struct vmm_error **err);
/* Sends JSON. */
int frame_send_json(struct stream *s, uint8_t type, struct json_object *json, struct vmm_error **err);
/* The next frame whatever its type. Error "not-our-agent" where the magic is not ours, "frame-too-large" over `limit`,
 * "link-lost" at the end of the stream (also in the middle of a frame), "link-silent" after wait_ms. */
int frame_receive(struct stream *s, size_t limit, int wait_ms, struct frame *frame, struct vmm_error **err);
void frame_free(struct frame *frame);

/* Both sides say hello and look at the other's. Errors "not-our-agent", "agent-too-old", "agent-too-new" (the majors
 * differ, or the minors by more than one), with exit VMM_BLOCKED. The peer's hello is returned for its version. */
int frame_hello(struct stream *s, const char *peer, int wait_ms, struct json_object **hello, struct vmm_error **err);

#define VMM_PROTOCOL_MAJOR 1
#define VMM_PROTOCOL_MINOR 0

/* ------------------------------------------------------------------ ssh (ssh.c, exec.c, connect.c) */

struct ssh_peer {
	const char *name;	 /* the node's name, for messages */
	const char *address;	 /* name or address; NULL: the node's name */
	int port;		 /* 0: 22 */
	const char *user;	 /* NULL: root */
	const char *key;	 /* path of the private key; NULL: the user's own keys and agent */
	const char *known_hosts; /* path of our file, read besides /etc/ssh/ssh_known_hosts; NULL: the user's own */
	int connect_ms;		 /* 0: 10 s */
};

struct ssh;

/* Connects, checks the host key (always), authenticates with the key. Every failure has its own code, exit VMM_BLOCKED
 * and a hint that says what to type: name-unresolved, connection-refused, connection-timeout, no-route,
 * host-key-unknown, host-key-changed, key-unreadable, key-rejected, link-lost. No ssh_config is read. */
int ssh_open(const struct ssh_peer *peer, struct ssh **ssh, struct vmm_error **err);
/* An exec channel. Errors "link-lost", "channel-refused". The command's exit without a byte of output shows as the
 * stream's end; agent_open turns that into "agent-missing". Streams of one ssh are used by one thread at
 * a time, and are closed before it. */
int ssh_exec(struct ssh *ssh, const char *command, struct stream **stream, struct vmm_error **err);
/* What the command said on stderr so far, and its exit status or -1; for messages. Text belongs to the caller. */
char *ssh_stderr(struct stream *stream, int *status);
/* Fingerprint "SHA256:…" of the host key of an address, without authenticating; for `node add`. */
int ssh_fingerprint(const struct ssh_peer *peer, char **fingerprint, char **known_hosts_line, struct vmm_error **err);
/* Bytes on the wire as far as libssh counts them (both directions, encrypted, all channels). */
void ssh_counters(struct ssh *ssh, uint64_t *sent, uint64_t *received);
void ssh_close(struct ssh *ssh); /* NULL is harmless */

/* For a loop of one's own over many channels (relay.c): none of these waits. */
struct pollfd;
void ssh_wait_for(struct ssh *ssh, struct pollfd *p); /* what to poll for on the connection's behalf */
/* Takes in and sends off what can be, waiting up to wait_ms for something to do. Error "link-lost". */
int ssh_process(struct ssh *ssh, int wait_ms, struct vmm_error **err);
/* What is there, or 0: look at ssh_ended then. As long as it is not called, memory stays below 3 MiB for a channel. */
ssize_t ssh_read_some(struct stream *stream, void *data, size_t length, struct vmm_error **err);
/* As much as the other side has room for, or 0. */
ssize_t ssh_write_some(struct stream *stream, const void *data, size_t length, struct vmm_error **err);
/* The other side will send no more and all that it sent was read; *closed: it takes no more either. */
bool ssh_ended(struct stream *stream, bool *closed);
/* Has neither side ended the stream? Reads nothing of it. */
bool ssh_waits(struct stream *stream);

/* Carries bytes between the descriptor, which it closes, and the command's stream until both have ended, on this thread.
 * *moved counts them as it goes. Errors: "link-lost", also where `beside` (another stream of that ssh, or NULL) ends meanwhile;
 * "link-silent". */
int ssh_carry(struct ssh *ssh, struct stream *stream, struct stream *beside, int fd, uint64_t *moved,
	      struct vmm_error **err);

/* A TCP connection to the peer's sshd, by then at the latest; a descriptor. Errors as those of ssh_open. */
int link_connect(const struct ssh_peer *peer, int64_t until_ms, struct vmm_error **err);
const char *ssh_peer_address(const struct ssh_peer *peer); /* belongs to the peer */

/* Small frames go at once, and a peer that is gone is noticed in FRAME_SILENCE_MS, whether we speak or only listen. */
void link_tune(int fd);

/* ------------------------------------------------------------------ TLS (tls.c)
 *
 * TLS 1.3 on a TCP connection of its own, for bulk data. Whoever has the key is the other side: it is made for one connection,
 * and reaches the other node over ssh. */
enum { TLS_KEY = 32 }; /* characters: hexadecimal digits of 128 random bits */
struct tls_listener;

/* Listens at an address of this node (NULL: all of them) on a free port of "A-B" (NULL: any), and makes a key. Error "data-port" where
 * none is free. */
int tls_listen(const char *address, const char *ports, struct tls_listener **listener, int *port, char key[TLS_KEY + 1],
	       struct vmm_error **err);
/* The first that has the key; others are turned away. Error "link-silent" where it has not come after wait_ms. */
int tls_accept(struct tls_listener *listener, int wait_ms, struct stream **stream, struct vmm_error **err);
void tls_listener_close(struct tls_listener *listener); /* NULL is harmless */
/* To such a port of the peer. Errors, both with exit VMM_BLOCKED: "data-port" where it cannot be reached, "data-key" where the other side
 * has another key. The stream's end without a word of it is "link-lost". */
int tls_connect(const struct ssh_peer *peer, int port, const char *key, struct stream **stream, struct vmm_error **err);

/* ------------------------------------------------------------------ the agent (agent.c) */

/* A connection and the agent's stream on it, that has said hello to `command` ("agent", "agent TASK", ...); the caller
 * closes the stream and then the connection. Errors are those of ssh_open, ssh_exec and frame_hello, "agent-missing", and
 * "not-our-agent" with what was said instead. */
int agent_open(const struct ssh_peer *peer, const char *command, struct ssh **ssh, struct stream **stream,
	       struct vmm_error **err);
/* One more on a connection that is there, of the node of that name. Errors as those of agent_open, but for ssh_open's. */
int agent_beside(struct ssh *ssh, const char *node, const char *command, struct stream **stream,
		 struct vmm_error **err);

/* ------------------------------------------------------------------ relay (relay.c, relay-serve.c) */

/* Carries connections to unix sockets of this node to unix sockets of the peer: each accepted connection becomes an
 * exec channel that runs `vmmigrate-agent relay PATH` there. The process is its own; it outlives the worker and ends on
 * SIGTERM, or when the link is lost (then every connection is closed). */
struct relay_socket {
	char *listen;  /* path here */
	char *connect; /* path there */
	uid_t owner;   /* who may connect besides root */
	gid_t group;
};

/* Serves until SIGTERM or SIGINT (returns 0). Writes one byte to ready_fd (-1: none) once all sockets listen; they
 * are open to their owner alone, and their directory is made (0700) where it is not there. The sockets, and a
 * directory that was made, are gone afterwards. Errors are those of ssh_open, "link-lost", "bad-path". */
int relay_run(const struct ssh_peer *peer, const struct relay_socket *sockets, size_t count, int ready_fd,
	      struct vmm_error **err);
/* The far side: connects stdin and stdout (`stream`, which the caller closes) to the socket until both directions have
 * ended. Only paths that relay_allowed admits: error "relay-refused". Once connected it speaks no more: it points
 * stderr to /dev/null, as sshd holds back the end of the output while stderr is open. */
int relay_serve(struct stream *stream, const char *path, struct vmm_error **err);
/* libvirt's own socket, or a migration socket named as relay_migration_socket names it. */
bool relay_allowed(const char *path);
/* /run/libvirt/qemu/vmmigrate/memory.tunnelmigrate.dest.<task>: a name that libvirt's AppArmor profile admits, in a directory that
 * QEMU's user can be given (the target's QEMU makes the socket). A task whose
 * name is long or odd is cut and gets a checksum, so that the path always fits a socket. */
char *relay_migration_socket(const char *task) VMM_MUST_USE;

#endif
