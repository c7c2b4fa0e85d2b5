/* link: bytes between nodes - streams, frames on streams, ssh and TLS connections, and the relay of a live migration.
 *
 * ssh.c and exec.c are the only files that use libssh, tls.c is the only one that uses OpenSSL's connections. All rooms
 * above use `struct stream`, so that tests run over a socketpair what production runs over an exec channel.
 */
#ifndef VMM_LINK_H
#define VMM_LINK_H

#include "base/base.h"

/* ------------------------------------------------------------------ streams (stream.c) */

struct stream;

/* A kind of stream. Bytes arrive whole and in order, in both directions. `data` always belongs to the caller. */
struct stream_ops {
	/* Called by stream_read. Waits until there is at least one byte and returns the count of those read, at most
	 * `length`; 0 at the end of the stream. Error "link-lost" if the connection is broken, "link-silent" if nothing
	 * has come within wait_ms milliseconds (-1: waits without limit). */
	ssize_t (*read)(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err);
	/* Called by stream_write. Writes all of `length` and returns 0. While the other side takes nothing, it buffers
	 * what arrives (receive_buffer), so that two sides that both write first do not wait for each other. Error
	 * "link-lost" if the connection is broken, "link-silent" if the other side takes nothing for
	 * FRAME_SILENCE_MS. */
	int (*write)(struct stream *s, const void *data, size_t length, struct vmm_error **err);
	/* Called by stream_finish, before close. Tells the other side that no more will be written; bytes under way
	 * still arrive, and reading goes on. A failure is not reported: the next read or write fails. */
	void (*finish)(struct stream *s);
	/* Called by stream_close, once. Closes the stream's descriptors or channel and frees it. */
	void (*close)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;
	uint64_t sent, received; /* bytes of payload, counted by stream_read and stream_write */
};

/* As the members of stream_ops. */
ssize_t stream_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err);
int stream_write(struct stream *s, const void *data, size_t length, struct vmm_error **err);
void stream_finish(struct stream *s);
void stream_close(struct stream *s); /* NULL does nothing */
/* Reads exactly `length` bytes; wait_ms limits each wait. Error "link-lost" if the stream ends before. */
int stream_read_all(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err);

/* A stream on two descriptors (they may be the same), which it owns from now on. One thread may read while another
 * writes. A program that writes to a pipe ignores SIGPIPE, as all of ours do. */
struct stream *stream_on_fds(int in, int out);
/* The descriptors of a stream made by stream_on_fds, for a loop that reads and writes them itself (relay-serve.c). They
 * still belong to the stream. */
void stream_fds(struct stream *s, int *in, int *out);
/* Two streams that are connected with each other; both belong to the caller. */
int stream_pair(struct stream *pair[2], struct vmm_error **err);

/* Bytes that arrived while we were writing and nobody was reading; used within the kinds of streams. Zero-initialised
 * is empty. A writer stops reading when the buffer is full; if the other side does not read either, the write then
 * fails with "link-silent". */
struct receive_buffer {
	struct text text;
	size_t taken; /* bytes at the start of `text` that were read already */
};
enum { RECEIVE_BUFFER_LIMIT = 64 << 20 };
bool receive_buffer_full(const struct receive_buffer *buffer);
void receive_buffer_put(struct receive_buffer *buffer, const void *data, size_t length);
/* Moves up to `length` bytes to `data`; returns the count. */
size_t receive_buffer_take(struct receive_buffer *buffer, void *data, size_t length);

/* ------------------------------------------------------------------ frames (frames.c) */

/* A frame: magic (4 bytes), type (1), flags (1), zero (2), length of the payload (4, big endian), payload.
 * Control frames carry JSON; those of the copy carry bytes. */
enum frame_type {
	FRAME_HELLO = 1, /* the first of each side: {"agent":"vmmigrate","protocol":[major,minor],"version":..} */
	FRAME_CALL = 2,	 /* {"op":..,"args":{..}} */
	FRAME_REPLY = 3, /* {"ok":..} or {"error":{..}} */
	FRAME_ALIVE = 4, /* sent every FRAME_ALIVE_MS while a call is being carried out */
	FRAME_COPY = 32, /* this and all above belong to copy/ */
};

enum {
	FRAME_ALIVE_MS = 3000,
	FRAME_SILENCE_MS = 30000,	/* a link is given up if nothing comes, or nothing is taken, for so long */
	FRAME_LIMIT_CONTROL = 16 << 20, /* bytes of payload in a frame of JSON */
	FRAME_LIMIT_DATA = (4 << 20) + 65536,
	FRAME_HEAD_MOST = 256, /* bytes of `head` in frame_send_parts */
};

struct frame {
	uint8_t type, flags;
	uint32_t length;
	char *data; /* length bytes and a NUL; belongs to the caller (frame_free) */
};

int frame_send(struct stream *s, uint8_t type, uint8_t flags, const void *data, size_t length, struct vmm_error **err);
/* The same with a payload in two parts, so that large `data` need not be copied behind a small `head` first. */
int frame_send_parts(struct stream *s, uint8_t type, uint8_t flags, const void *head, size_t head_length,
		     const void *data, size_t length, struct vmm_error **err);
int frame_send_json(struct stream *s, uint8_t type, struct json_object *json, struct vmm_error **err);
/* Receives the next frame, of any type. Error "not-our-agent" if it does not begin like a frame, "frame-too-large" for
 * a payload of more than `limit` bytes (which is not read), "link-lost" if the stream ends, also within a frame,
 * "link-silent" after wait_ms. */
int frame_receive(struct stream *s, size_t limit, int wait_ms, struct frame *frame, struct vmm_error **err);
void frame_free(struct frame *frame);

/* Who a node says it is in its hello. */
struct identity {
	char *name, *id;	   /* NULL: not known, or not said */
	struct vmm_error *problem; /* why it cannot say it; the hello carries that in their place */
};

/* Sends our hello, as `self` (NULL: no node), and receives the peer's; *hello is the peer's. Errors "not-our-agent",
 * "agent-too-old" and "agent-too-new" (another major version, or a minor version that differs by more than one), all
 * VMM_BLOCKED; "link-lost" and "link-silent". `peer` is the node's name, for messages. */
int frame_hello(struct stream *s, const char *peer, const struct identity *self, int wait_ms,
		struct json_object **hello, struct vmm_error **err);
/* True for a hello of a version that did not say yet which node it is. */
bool frame_is_anonymous(struct json_object *hello);

#define VMM_PROTOCOL_MAJOR 1
#define VMM_PROTOCOL_MINOR 1

/* ------------------------------------------------------------------ ssh (ssh.c, exec.c, connect.c) */

struct ssh_peer {
	const char *name;	 /* the node's name, for messages */
	const char *address;	 /* host name or IP address; NULL: `name` */
	int port;		 /* 0: 22 */
	const char *user;	 /* NULL: root */
	const char *key;	 /* path of the private key; NULL: the keys of the user who runs us, and ssh-agent's */
	const char *known_hosts; /* path of a known_hosts file, read besides the system's; NULL: the user's own */
	const char *id;		 /* the node's id, as `node add` has noted it; NULL: it is not known */
	const char *self;	 /* our own name and id, for our hello; NULL: no node */
	const char *self_id;
	int connect_ms; /* time limit for connection and handshake; 0: 10 s */
};

struct ssh;

/* Connects, checks the host key (always) and authenticates. Each way to fail has an error code of its own, exit
 * VMM_BLOCKED and a hint with the command to type: "name-unresolved", "connection-refused", "connection-timeout",
 * "no-route", "host-key-unknown", "host-key-changed", "key-unreadable", "key-rejected", "link-lost". ssh_config files
 * are not read. */
int ssh_open(const struct ssh_peer *peer, struct ssh **ssh, struct vmm_error **err);
/* Starts a command on an exec channel; the stream is its stdin and stdout. Errors "link-lost", "link-silent",
 * "channel-refused" (sshd admits no further channel). A command that cannot be started shows as the stream's end;
 * agent_open turns that into "agent-missing". The streams of one connection are used by one thread at a time, and
 * closed before it. */
int ssh_exec(struct ssh *ssh, const char *command, struct stream **stream, struct vmm_error **err);
/* What the command has written to stderr so far (at most the last 64 KiB), for messages, and its exit status, -1 if it
 * is not known. Waits up to a second for the status if the command's output has ended. */
char *ssh_stderr(struct stream *stream, int *status);
/* The host key of an address, for `node add`: its fingerprint "SHA256:..." and its line for a known_hosts file. Does
 * not authenticate. Errors are those of ssh_open. */
int ssh_fingerprint(const struct ssh_peer *peer, char **fingerprint, char **known_hosts_line, struct vmm_error **err);
/* Bytes on the wire as libssh counts them: encrypted, all channels together. */
void ssh_counters(struct ssh *ssh, uint64_t *sent, uint64_t *received);
void ssh_close(struct ssh *ssh); /* NULL does nothing */

/* For a poll loop over several channels (relay.c, carry.c). Only ssh_process waits. */
struct pollfd;
/* Fills in the descriptor and the events for which the connection has to be polled. */
void ssh_wait_for(struct ssh *ssh, struct pollfd *p);
/* Receives and sends what is possible, and waits up to wait_ms milliseconds if there is nothing to do. Error
 * "link-lost". */
int ssh_process(struct ssh *ssh, int wait_ms, struct vmm_error **err);
/* Reads what has arrived; returns the count, 0 if nothing has (ssh_ended tells whether more may come). While it is not
 * called, a channel uses less than 3 MiB of memory: the other side has to wait. Error "link-lost". */
ssize_t ssh_read_some(struct stream *stream, void *data, size_t length, struct vmm_error **err);
/* Writes as much as the channel's window admits; returns the count, 0 if it is closed. Error "link-lost". */
ssize_t ssh_write_some(struct stream *stream, const void *data, size_t length, struct vmm_error **err);
/* True if the other side has ended its output and all of it was read. *closed (may be NULL) is set to whether it has
 * closed the channel as well and takes no input any more. */
bool ssh_ended(struct stream *stream, bool *closed);
/* True if the other side has neither ended nor closed the stream. Reads nothing of it. */
bool ssh_is_open(struct stream *stream);

/* Carries bytes between the descriptor and the command's stream in both directions, on the calling thread, until both
 * have ended. Closes the descriptor in any case. *moved is increased as bytes are carried; other threads may read it.
 * `control` is another stream of the same connection, or NULL: if it ends meanwhile, that is an error "link-lost" too.
 * Error "link-silent" if the command does not end after the descriptor has. */
int ssh_carry(struct ssh *ssh, struct stream *stream, struct stream *control, int fd, uint64_t *moved,
	      struct vmm_error **err);

/* Connects to the peer's address and port by TCP, until the time until_ms (clock_steady_ms) at the latest. Returns the
 * descriptor. Errors "name-unresolved", "connection-refused", "connection-timeout", "no-route". */
int link_connect(const struct ssh_peer *peer, int64_t until_ms, struct vmm_error **err);
const char *ssh_peer_address(const struct ssh_peer *peer); /* belongs to the peer */

/* Sets a TCP socket's options: small packets are sent at once, and a peer that is gone makes reads and writes fail
 * after FRAME_SILENCE_MS at the latest. */
void link_tune(int fd);

/* ------------------------------------------------------------------ TLS (tls.c)
 *
 * TLS 1.3 on a TCP connection of its own, for bulk data. Both sides prove that they have the same key. It is made anew
 * for each connection and sent to the other node over ssh. */
enum { TLS_KEY = 32 }; /* characters: hexadecimal digits of 128 random bits */
struct tls_listener;

/* Listens at an address of this node (NULL: all addresses) on a free port of the range "A-B" (NULL: any port), and
 * makes a key. Connections that do not come from the address `peer` (NULL: any) are closed at once. Error "data-port"
 * if no port is free. */
int tls_listen(const char *address, const char *peer, const char *ports, struct tls_listener **listener, int *port,
	       char key[TLS_KEY + 1], struct vmm_error **err);
/* Waits for a connection whose other side has the key; closes all others. Handshakes go on side by side, so that one
 * that is silent keeps no other waiting. Error "link-silent" after wait_ms. */
int tls_accept(struct tls_listener *listener, int wait_ms, struct stream **stream, struct vmm_error **err);
void tls_listener_close(struct tls_listener *listener); /* NULL does nothing */
/* Connects to such a port of the peer. Errors, both VMM_BLOCKED: "data-port" if it cannot be reached, "data-key" if the
 * other side has another key. If the connection breaks later, reads fail with "link-lost": unlike an end that the other
 * side has announced. */
int tls_connect(const struct ssh_peer *peer, int port, const char *key, struct stream **stream, struct vmm_error **err);

/* ------------------------------------------------------------------ the agent (agent.c) */

/* Connects to a node, starts its agent with `command` ("agent", "agent TASK", "session TASK", ...) and exchanges
 * hellos. The caller closes the stream and then the connection. Errors are those of ssh_open, ssh_exec and frame_hello,
 * and "agent-missing"; "not-our-agent" contains what the other side wrote to stderr. */
int agent_open(const struct ssh_peer *peer, const char *command, struct ssh **ssh, struct stream **stream,
	       struct vmm_error **err);
/* The same on a further channel of a connection that is open already; `node` is the node's name, for messages. */
int agent_open_channel(struct ssh *ssh, const struct ssh_peer *peer, const char *command, struct stream **stream,
		       struct vmm_error **err);

/* ------------------------------------------------------------------ relay (relay.c, relay-serve.c) */

/* The relay forwards connections to unix sockets of this node to unix sockets of the peer: for each connection that it
 * accepts, it opens an exec channel on which the peer's agent runs "relay PATH". It runs in a process of its own, which
 * outlives the worker and ends on SIGTERM, or when the ssh connection is lost (all its connections are closed then). */
struct relay_socket {
	char *listen;  /* path on this node */
	char *connect; /* path on the peer */
	uid_t owner;   /* of the socket here: the only user besides root who may connect */
	gid_t group;
};

/* Connects to the peer, listens on the sockets, and serves until SIGTERM or SIGINT (returns 0). Writes one byte to
 * ready_fd (-1: none) as soon as all sockets listen. A socket's directory is made (mode 0700) if it is not there. The
 * sockets, and directories that were made, are removed at the end. Errors are those of ssh_open, "link-lost" and
 * "bad-path". */
int relay_run(const struct ssh_peer *peer, const struct relay_socket *sockets, size_t count, int ready_fd,
	      struct vmm_error **err);
/* The peer's side, run by its agent: connects `stream` (stdin and stdout; the caller closes it) with the socket until
 * both directions have ended. Error "relay-refused" for a path that relay_allowed does not admit. Once it is connected,
 * stderr is redirected to /dev/null: sshd does not report the end of stdout while stderr is open. */
int relay_serve(struct stream *stream, const char *path, struct vmm_error **err);
/* True for libvirt's own socket, and for paths as relay_migration_socket makes them. */
bool relay_allowed(const char *path);
/* The path of a task's migration socket: /run/libvirt/qemu/vmmigrate/memory.tunnelmigrate.dest.<task>. libvirt's
 * AppArmor profile admits this name, and the directory is one that QEMU's user can be given, since the target's QEMU
 * makes the socket. A task's name that is too long or has odd characters is shortened and gets a checksum, so that the
 * path fits into a socket's address. */
char *relay_migration_socket(const char *task) VMM_MUST_USE;

#endif
