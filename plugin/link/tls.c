/* tls.c: streams over TLS 1.3 on a TCP connection of their own, for nodes between which TLS is faster than ssh. The
 * only file that uses OpenSSL's connections.
 *
 * Both sides authenticate with an external pre-shared key of TLS, which they have exchanged over ssh and use for one
 * connection only. There are no certificates. The sockets are non-blocking, and one lock guards the connection's state,
 * so that one thread may read while another writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "link.h"

enum {
	SLICE_MS = 1000,     /* longest single wait; time limits are checked in between */
	HANDSHAKE_MS = 3000, /* time limit for connecting, and for the handshake; then the connection is closed */
	BACKLOG = 8,
	CALLERS = 16,	    /* most handshakes at a time */
	BUFFER = 256 << 10, /* so that many TLS records (16 KiB each) are moved with one system call */
};

struct tls_stream {
	struct stream base;
	int fd;
	SSL *ssl;
	pthread_mutex_t lock; /* guards ssl and all below */
	struct receive_buffer buffer;
	bool reading;	  /* a thread is in tls_read: a writer leaves what arrives to it */
	bool ended;	  /* the other side has ended its output */
	bool failed;	  /* the connection is broken */
	bool finished;	  /* we have ended our output */
	int64_t moved_ms; /* when the socket last took some of what is being written */
};

/* ------------------------------------------------------------------ reading and writing */

static int lost(struct vmm_error **err, const char *why)
{
	return error_set(err, VMM_FAILED, "link-lost", "the other side of the link is gone: %s", why);
}

/* Evaluates the result of an operation of OpenSSL that has not succeeded: 1 if it has to be repeated when the socket is
 * ready for *events, 0 if the other side has ended its output, -1 if the connection is broken. Called with the lock. */
static int evaluate(struct tls_stream *t, int result, short *events)
{
	int number = SSL_get_error(t->ssl, result);
	ERR_clear_error();
	switch (number) {
	case SSL_ERROR_WANT_READ:
		*events = POLLIN;
		return 1;
	case SSL_ERROR_WANT_WRITE:
		*events = POLLOUT;
		return 1;
	case SSL_ERROR_ZERO_RETURN:
		t->ended = true;
		return 0;
	default:
		t->failed = true;
		return -1;
	}
}

/* Reads what is there. Returns the count, 0 at the end, -1 if the connection is broken, -2 if there is nothing until
 * the socket is ready for *events. Called with the lock. */
static ssize_t read_available(struct tls_stream *t, void *data, size_t length, short *events)
{
	size_t aside = receive_buffer_take(&t->buffer, data, length);
	if (aside || t->ended)
		return (ssize_t)aside;
	if (t->failed)
		return -1;
	size_t taken = 0, got = 0;
	int result;
	/* SSL_read_ex returns one record at a time. An end or an error after some bytes shows again in the next
	 * call. */
	while ((result = SSL_read_ex(t->ssl, (char *)data + taken, length - taken, &got)) > 0 &&
	       (taken += got) < length)
		;
	int next = result > 0 ? 0 : evaluate(t, result, events);
	return taken ? (ssize_t)taken : next > 0 ? -2 : next;
}

static void wait_for(int fd, short events, int64_t most_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	poll(&p, 1, most_ms < 0 || most_ms > SLICE_MS ? SLICE_MS : (int)most_ms);
}

static void set_reading(struct tls_stream *t, bool reading)
{
	pthread_mutex_lock(&t->lock);
	t->reading = reading;
	pthread_mutex_unlock(&t->lock);
}

static ssize_t tls_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	struct tls_stream *t = (struct tls_stream *)s;
	int64_t until = clock_steady_ms() + wait_ms;
	ssize_t got;
	set_reading(t, true);
	for (;;) {
		short events = POLLIN;
		pthread_mutex_lock(&t->lock);
		got = read_available(t, data, length, &events);
		pthread_mutex_unlock(&t->lock);
		int64_t left = wait_ms < 0 ? SLICE_MS : until - clock_steady_ms();
		if (got != -2 || left <= 0)
			break;
		wait_for(t->fd, events, left);
	}
	set_reading(t, false);
	if (got == -1)
		return lost(err, "the connection was cut");
	if (got == -2)
		return error_set(err, VMM_FAILED, "link-silent", "nothing has come over the link for %d ms", wait_ms);
	return got;
}

/* Moves what has arrived to the receive buffer if no thread is reading, so that two sides that both write first do not
 * wait for each other. Called with the lock. */
static void buffer_arrived(struct tls_stream *t)
{
	char data[16384];
	size_t got = 0;
	short events;
	if (t->reading || t->ended || receive_buffer_full(&t->buffer))
		return;
	int result = SSL_read_ex(t->ssl, data, sizeof(data), &got);
	if (result > 0)
		receive_buffer_put(&t->buffer, data, got);
	else
		evaluate(t, result, &events);
}

/* Sends what is in the buffer before the socket. Returns 0 if all is sent, 1 if the socket has to be ready for *events
 * first, -1 if the connection is broken. Called with the lock. */
static int flush(struct tls_stream *t, short *events)
{
	BIO *out = SSL_get_wbio(t->ssl);
	int waiting = BIO_wpending(out);
	if (BIO_flush(out) > 0)
		return 0;
	ERR_clear_error();
	if (BIO_wpending(out) < waiting)
		t->moved_ms = clock_steady_ms();
	*events = POLLOUT;
	t->failed = !BIO_should_retry(out);
	return t->failed ? -1 : 1;
}

/* Writes bytes and flushes the buffer. *put is the count of bytes that were accepted. Returns 0 if all of them are
 * sent, 1 if the socket has to be ready for *events first, -1 if the connection is broken. Called with the lock. */
static int write_some(struct tls_stream *t, const char *data, size_t length, size_t *put, short *events)
{
	if (t->failed)
		return -1;
	int next = 0;
	*put = 0;
	while (!next && *put < length) {
		size_t n = 0;
		int result = SSL_write_ex(t->ssl, data + *put, length - *put, &n);
		*put += n;
		if (result <= 0 && (next = evaluate(t, result, events)) == 0)
			next = -1;
	}
	if (*put)
		t->moved_ms = clock_steady_ms();
	if (!next)
		next = flush(t, events);
	if (next > 0) {
		buffer_arrived(t);
		*events |= t->reading || receive_buffer_full(&t->buffer) ? 0 : POLLIN;
	}
	return next;
}

static int tls_write(struct stream *s, const void *data, size_t length, struct vmm_error **err)
{
	struct tls_stream *t = (struct tls_stream *)s;
	const char *at = data;
	t->moved_ms = clock_steady_ms();
	for (;;) {
		size_t put;
		short events = POLLOUT;
		pthread_mutex_lock(&t->lock);
		int next = write_some(t, at, length, &put, &events);
		pthread_mutex_unlock(&t->lock);
		if (next < 0)
			return lost(err, "it accepts no more data");
		if (next == 0)
			return 0;
		at += put;
		length -= put;
		if (clock_steady_ms() - t->moved_ms >= FRAME_SILENCE_MS)
			return error_set(err, VMM_FAILED, "link-silent", "the other side has taken nothing for %d ms",
					 FRAME_SILENCE_MS);
		wait_for(t->fd, events, -1);
	}
}

/* Sends what is buffered and TLS's close_notify, for HANDSHAKE_MS at most. */
static void tls_finish(struct stream *s)
{
	struct tls_stream *t = (struct tls_stream *)s;
	int64_t until = clock_steady_ms() + HANDSHAKE_MS;
	int result = 0;
	do {
		short events = 0;
		pthread_mutex_lock(&t->lock);
		if (t->finished || t->failed)
			result = 0;
		else if (!(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) && (result = SSL_shutdown(t->ssl)) < 0)
			result = evaluate(t, result, &events);
		else
			result = flush(t, &events);
		t->finished |= result <= 0;
		pthread_mutex_unlock(&t->lock);
		if (result > 0)
			wait_for(t->fd, events, until - clock_steady_ms());
	} while (result > 0 && clock_steady_ms() < until);
	shutdown(t->fd, SHUT_WR);
}

static void tls_free(struct tls_stream *t)
{
	SSL_free(t->ssl);
	if (t->fd >= 0)
		close(t->fd);
	text_free(&t->buffer.text);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void tls_close(struct stream *s)
{
	tls_finish(s);
	tls_free((struct tls_stream *)s);
}

/* ------------------------------------------------------------------ the key, the handshake */

/* TLS_AES_128_GCM_SHA256: its number in TLS. */
static const unsigned char cipher_id[] = {0x13, 0x01};
static const char identity[] = "vmmigrate";

static SSL_SESSION *session_of(SSL *ssl, const char *key)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, cipher_id);
	SSL_SESSION *session = SSL_SESSION_new();
	if (session && cipher && SSL_SESSION_set1_master_key(session, (const unsigned char *)key, TLS_KEY) &&
	    SSL_SESSION_set_cipher(session, cipher) && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

/* Callbacks of OpenSSL. During the handshake, the SSL object's app data is the connection's key. */
static int client_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_length, SSL_SESSION **session)
{
	(void)md;
	*id = (const unsigned char *)identity;
	*id_length = strlen(identity);
	*session = session_of(ssl, SSL_get_app_data(ssl));
	return *session != NULL;
}

static int server_key(SSL *ssl, const unsigned char *id, size_t id_length, SSL_SESSION **session)
{
	bool ours = id_length == strlen(identity) && !memcmp(id, identity, id_length);
	*session = ours ? session_of(ssl, SSL_get_app_data(ssl)) : NULL;
	return 1;
}

/* A BIO for the socket with a buffer before it, or NULL. */
static BIO *buffered(int fd)
{
	BIO *socket = BIO_new_socket(fd, BIO_NOCLOSE), *buffer = BIO_new(BIO_f_buffer());
	if (socket && buffer && BIO_set_buffer_size(buffer, BUFFER))
		return BIO_push(buffer, socket);
	BIO_free(socket);
	BIO_free(buffer);
	return NULL;
}

static bool ssl_on(SSL *ssl, int fd)
{
	BIO *in = buffered(fd), *out = buffered(fd);
	if (in && out) {
		SSL_set_bio(ssl, in, out);
		return true;
	}
	BIO_free_all(in);
	BIO_free_all(out);
	return false;
}

static SSL *ssl_new(bool server, int fd, const char *key)
{
	SSL_CTX *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	SSL *ssl = NULL;
	if (context && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) &&
	    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") && SSL_CTX_set_num_tickets(context, 0)) {
		SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		/* A server that offers a certificate in place of the key must not be accepted. */
		SSL_CTX_set_verify(context, server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_psk_use_session_callback(context, client_key);
		SSL_CTX_set_psk_find_session_callback(context, server_key);
		ssl = SSL_new(context);
	}
	SSL_CTX_free(context); /* the connection has a reference of its own */
	if (ssl && ssl_on(ssl, fd) && SSL_set_app_data(ssl, (void *)key))
		return ssl;
	SSL_free(ssl);
	return NULL;
}

/* Goes on with the handshake. Returns 0 once both sides have proven that they have the key, 1 if it has to be repeated
 * when the socket is ready for *events, -1 if it has failed. */
static int shake(struct tls_stream *t, bool server, short *events)
{
	int result = server ? SSL_accept(t->ssl) : SSL_connect(t->ssl);
	if (result == 1) {
		SSL_set_app_data(t->ssl, NULL);
		return SSL_session_reused(t->ssl) ? 0 : -1;
	}
	int number = SSL_get_error(t->ssl, result);
	ERR_clear_error();
	*events = number == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
	return number == SSL_ERROR_WANT_READ || number == SSL_ERROR_WANT_WRITE ? 1 : -1;
}

/* A stream on the socket, which it owns, before its handshake. NULL, and the socket closed, if OpenSSL fails. `key` is
 * borrowed until the end of the handshake. */
static struct tls_stream *stream_begin(int fd, bool server, const char *key)
{
	static const struct stream_ops ops = {
		.read = tls_read, .write = tls_write, .finish = tls_finish, .close = tls_close};
	link_tune(fd);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	struct tls_stream *t = mem_zero(sizeof(*t));
	*t = (struct tls_stream){.base.ops = &ops, .fd = fd, .ssl = ssl_new(server, fd, key)};
	pthread_mutex_init(&t->lock, NULL);
	if (t->ssl)
		return t;
	tls_free(t);
	return NULL;
}

/* Makes a stream on the socket of a connection that we have made. NULL, and the socket closed, if the handshake fails
 * or takes too long. */
static struct stream *stream_to(int fd, const char *key)
{
	int64_t until = clock_steady_ms() + HANDSHAKE_MS;
	struct tls_stream *t = stream_begin(fd, false, key);
	for (short events; t;) {
		int next = shake(t, false, &events);
		if (next == 0)
			return &t->base;
		int64_t left = until - clock_steady_ms();
		if (next < 0 || left <= 0)
			break;
		wait_for(fd, events, left);
	}
	if (t)
		tls_free(t);
	return NULL;
}

int tls_connect(const struct ssh_peer *peer, int port, const char *key, struct stream **stream, struct vmm_error **err)
{
	struct ssh_peer there = *peer;
	vmm_auto_error struct vmm_error *why = NULL;
	if (strlen(key) != TLS_KEY || port < 1 || port > 65535)
		return error_set(err, VMM_FAILED, "not-our-agent", "%s: its answer has no valid key or port for data",
				 peer->name);
	there.port = port;
	int fd = link_connect(&there, clock_steady_ms() + HANDSHAKE_MS, &why);
	if (fd < 0) {
		error_set(err, VMM_BLOCKED, "data-port", "%s: its port %d for data cannot be reached (%s)", peer->name,
			  port, why->message);
		return error_hint(
			err,
			"Open the ports data_ports ([migration] in vmmigrate.conf) in the firewall of %s, or copy over "
			"ssh, without --data=tls.",
			peer->name);
	}
	*stream = stream_to(fd, key);
	if (*stream)
		return 0;
	error_set(err, VMM_BLOCKED, "data-key", "%s: the program that listens on its port %d does not have our key",
		  peer->name, port);
	return error_hint(
		err, "Check whether the port is redirected between the nodes, or copy over ssh, without --data=tls.");
}

/* ------------------------------------------------------------------ listening */

struct tls_listener {
	int fd;
	char *peer; /* the only address that may connect; NULL: any */
	char key[TLS_KEY + 1];
};

/* A socket that listens on that port (0: any free port), or -1. */
static int listen_on(const char *address, int port)
{
	const struct addrinfo want = {.ai_socktype = SOCK_STREAM,
				      .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char service[16];
	int fd = -1;
	snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(address, service, &want, &found) != 0)
		return -1;
	for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
		fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0 || (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0))
			continue;
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

/* Listens on a port of the range, or returns -1. It begins with a random one, since other connections may be looking
 * for a port at the same time. */
static int listen_within(const char *address, const char *ports)
{
	int first = 0, last = 0, fd = -1;
	uint32_t start = 0;
	if (ports && sscanf(ports, "%d-%d", &first, &last) == 1)
		last = first;
	if (getrandom(&start, sizeof(start), 0) != sizeof(start) || first < 0 || last > 65535 || last < first)
		return -1;
	int count = last - first + 1;
	for (int i = 0; i < count && fd < 0; i++)
		fd = listen_on(address, first + (int)((start + (uint32_t)i) % (uint32_t)count));
	return fd;
}

int tls_listen(const char *address, const char *peer, const char *ports, struct tls_listener **listener, int *port,
	       char key[TLS_KEY + 1], struct vmm_error **err)
{
	struct sockaddr_storage at; /* IPv4 or IPv6: the port has the same offset in both */
	socklen_t size = sizeof(at);
	vmm_auto_close int fd = listen_within(address, ports);
	if (fd < 0 || getsockname(fd, (struct sockaddr *)&at, &size) < 0) {
		error_set(err, VMM_BLOCKED, "data-port", "no port of %s is free for data", ports ? ports : "this node");
		return error_hint(
			err,
			"Set data_ports in [migration] of vmmigrate.conf there to a range of free ports, or copy over "
			"ssh, without --data=tls.");
	}
	vmm_auto_free char *made = random_hex(TLS_KEY / 2);
	memcpy(key, made, TLS_KEY + 1);
	*listener = mem_zero(sizeof(**listener));
	(*listener)->fd = fd;
	(*listener)->peer = peer ? str_copy(peer) : NULL;
	memcpy((*listener)->key, key, TLS_KEY + 1);
	fd = -1;
	*port = ntohs(((struct sockaddr_in *)&at)->sin_port);
	return 0;
}

/* A connection that was accepted, and whose handshake is under way. */
struct caller {
	struct tls_stream *t; /* NULL: the entry is free */
	short events;	      /* what it waits for */
	int64_t until;
};

static void caller_drop(struct caller *caller)
{
	if (caller->t)
		tls_free(caller->t);
	caller->t = NULL;
}

/* A free entry. If there is none, the one that has waited longest is dropped: who has the key needs milliseconds. */
static struct caller *caller_free(struct caller *callers)
{
	struct caller *oldest = callers;
	for (size_t i = 0; i < CALLERS; i++) {
		if (!callers[i].t)
			return &callers[i];
		if (callers[i].until < oldest->until)
			oldest = &callers[i];
	}
	caller_drop(oldest);
	return oldest;
}

static void accept_caller(struct tls_listener *listener, struct caller *callers)
{
	struct sockaddr_storage from = {0};
	socklen_t size = sizeof(from);
	char address[NI_MAXHOST];
	int fd = accept4(listener->fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (listener->peer &&
	    (getnameinfo((struct sockaddr *)&from, size, address, sizeof(address), NULL, 0, NI_NUMERICHOST) != 0 ||
	     strcmp(address, listener->peer) != 0)) {
		close(fd);
		return;
	}
	struct caller *caller = caller_free(callers);
	*caller = (struct caller){stream_begin(fd, true, listener->key), POLLIN, clock_steady_ms() + HANDSHAKE_MS};
}

/* Goes on with the handshakes of those that are ready and drops those that have failed or take too long. Returns the
 * stream of one that is done, or NULL. */
static struct stream *shake_all(struct caller *callers, const struct pollfd *ready)
{
	for (size_t i = 0; i < CALLERS; i++) {
		struct caller *caller = &callers[i];
		int next = caller->t && ready[i].revents ? shake(caller->t, true, &caller->events) : 1;
		if (caller->t && next == 0) {
			struct stream *stream = &caller->t->base;
			caller->t = NULL;
			return stream;
		}
		if (next < 0 || clock_steady_ms() >= caller->until)
			caller_drop(caller);
	}
	return NULL;
}

int tls_accept(struct tls_listener *listener, int wait_ms, struct stream **stream, struct vmm_error **err)
{
	int64_t until = clock_steady_ms() + wait_ms;
	struct caller callers[CALLERS] = {{0}};
	*stream = NULL;
	while (!*stream && clock_steady_ms() < until) {
		struct pollfd ready[CALLERS + 1];
		for (size_t i = 0; i < CALLERS; i++)
			ready[i] = (struct pollfd){callers[i].t ? callers[i].t->fd : -1, callers[i].events, 0};
		ready[CALLERS] = (struct pollfd){listener->fd, POLLIN, 0};
		if (poll(ready, VMM_COUNT(ready), SLICE_MS / 10) < 0)
			continue;
		*stream = shake_all(callers, ready);
		if (ready[CALLERS].revents)
			accept_caller(listener, callers);
	}
	for (size_t i = 0; i < CALLERS; i++)
		caller_drop(&callers[i]);
	return *stream ? 0
		       : error_set(err, VMM_FAILED, "link-silent",
				   "nobody with our key has connected to the port for data within %d ms", wait_ms);
}

void tls_listener_close(struct tls_listener *listener)
{
	if (!listener)
		return;
	close(listener->fd);
	free(listener->peer);
	explicit_bzero(listener->key, sizeof(listener->key));
	free(listener);
}
