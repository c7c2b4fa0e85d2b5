/* relay.c: forwards connections to unix sockets of this node to unix sockets of the peer, each over an exec channel of
 * one ssh session. One thread polls them all. A connection whose receiver takes nothing holds up no other one, and each
 * uses a few MiB of memory at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "link.h"

enum {
	SOCKETS = 8,  /* most sockets that one relay listens on */
	TUNNELS = 32, /* most connections at a time; further ones wait to be accepted */
	BUFFER = 256 << 10,
	ROUNDS = 8, /* reads and writes of one direction of a tunnel, before the other tunnels have their turn */
};

/* One direction of a connection: `have` bytes from `at` on were read and are still to be written. */
struct flow {
	char *data;
	size_t at, have;
};

/* One connection. */
struct tunnel {
	int fd;		       /* the local side */
	struct stream *stream; /* the peer; NULL: this entry is free */
	const struct relay_socket *socket;
	struct flow up, down; /* to the peer, from the peer */
	bool local_ended;     /* the local side sends no more */
	bool local_gone;      /* the local side has closed its socket */
	bool eof_to_peer;     /* the peer knows that the local side sends no more */
	bool eof_to_local;    /* the local side knows that the peer sends no more */
};

struct listener {
	const struct relay_socket *socket;
	int fd;
	bool bound; /* the socket was made, and has to be removed */
	char *made; /* its directory, if we made that; else NULL */
};

struct relay {
	struct ssh *ssh;
	int signals;
	sigset_t mask; /* signal mask before relay_run */
	struct listener listeners[SOCKETS];
	size_t listening;
	struct tunnel tunnels[TUNNELS];
};

/* ------------------------------------------------------------------ listening */

static int make_dir(struct listener *l, struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(l->socket->listen);
	if (file_there(dir))
		return 0;
	if (dir_make(dir, 0700, err) < 0)
		return -1;
	l->made = str_copy(dir);
	if (lchown(dir, l->socket->owner, l->socket->group) < 0)
		return error_errno(err, errno, "%s", dir);
	return 0;
}

/* Removes a socket that a killed relay has left behind. */
static void remove_stale(const char *path)
{
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

/* Gives the socket that we have just made to its owner. Where the owner can write its directory, something else may be
 * in its place already: no link is followed. Returns -1 with errno. */
static int give_socket(const struct relay_socket *socket)
{
	struct stat info;
	char self[32];
	vmm_auto_close int fd = open(socket->listen, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fd < 0 || fstat(fd, &info) < 0)
		return -1;
	if (!S_ISSOCK(info.st_mode)) {
		errno = ENOTSOCK;
		return -1;
	}
	return chmod(self, 0600) < 0 ? -1 : fchownat(fd, "", socket->owner, socket->group, AT_EMPTY_PATH);
}

/* Owner and mode are set between bind() and listen(): nobody can connect before listen(), so nobody but the owner ever
 * can. */
static int listen_on(struct listener *l, struct vmm_error **err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const char *path = l->socket->listen;
	if (strlen(path) >= sizeof(at.sun_path))
		return error_set(err, VMM_FAILED, "bad-path", "%s is too long for a socket (%zu bytes at most)", path,
				 sizeof(at.sun_path) - 1);
	memcpy(at.sun_path, path, strlen(path));
	remove_stale(path);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return error_errno(err, errno, "%s", path);
	l->bound = true;
	if (give_socket(l->socket) < 0 || listen(l->fd, 16) < 0)
		return error_errno(err, errno, "%s", path);
	return 0;
}

static int listen_on_all(struct relay *r, const struct relay_socket *sockets, size_t count, struct vmm_error **err)
{
	if (count > SOCKETS)
		return error_set(err, VMM_USAGE, "usage", "a relay listens on %d sockets at most", SOCKETS);
	for (size_t i = 0; i < count; i++) {
		struct listener *l = &r->listeners[r->listening++];
		*l = (struct listener){.socket = &sockets[i], .fd = -1};
		if (path_check(sockets[i].listen, "relay", err) < 0 ||
		    path_check(sockets[i].connect, "relay", err) < 0 || make_dir(l, err) < 0 || listen_on(l, err) < 0)
			return -1;
	}
	return 0;
}

static void stop_listening(struct relay *r)
{
	while (r->listening) {
		struct listener *l = &r->listeners[--r->listening];
		if (l->fd >= 0)
			close(l->fd);
		if (l->bound)
			unlink(l->socket->listen);
		if (l->made)
			rmdir(l->made);
		free(l->made);
	}
}

/* ------------------------------------------------------------------ tunnels */

static struct tunnel *free_tunnel(struct relay *r)
{
	for (size_t i = 0; i < TUNNELS; i++)
		if (!r->tunnels[i].stream)
			return &r->tunnels[i];
	return NULL;
}

static void tunnel_close(struct tunnel *t)
{
	int status = -1;
	vmm_auto_free char *stderr_text = t->eof_to_local ? ssh_stderr(t->stream, &status) : NULL;
	if (status > 0)
		log_warn("relay to %s: %s", t->socket->connect, stderr_text);
	stream_close(t->stream);
	close(t->fd);
	free(t->up.data);
	free(t->down.data);
	*t = (struct tunnel){0};
}

/* Accepts a connection and opens its channel. This waits for sshd's answer; what arrives for other tunnels meanwhile is
 * buffered. */
static void tunnel_open(struct relay *r, struct listener *l)
{
	vmm_auto_error struct vmm_error *err = NULL;
	vmm_auto_free char *command = str_format("relay %s", l->socket->connect);
	struct tunnel *t = free_tunnel(r);
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (ssh_exec(r->ssh, command, &t->stream, &err) < 0) {
		log_warn("relay to %s: %s", l->socket->connect, err->message);
		t->stream = NULL;
		close(fd);
		return;
	}
	t->fd = fd;
	t->socket = l->socket;
	t->up.data = mem_zero(BUFFER);
	t->down.data = mem_zero(BUFFER);
}

static bool would_wait(ssize_t count)
{
	return count < 0 && (errno == EAGAIN || errno == EINTR);
}

static void flow_filled(struct flow *f, ssize_t count)
{
	f->at = 0;
	f->have = (size_t)count;
}

static void flow_emptied(struct flow *f, ssize_t count)
{
	f->at += (size_t)count;
	f->have -= (size_t)count;
}

/* Moves bytes from the local side to the peer. Returns their count, or -1 if the tunnel is broken. */
static ssize_t move_up(struct tunnel *t)
{
	ssize_t moved = 0;
	for (int round = 0; round < ROUNDS; round++) {
		if (!t->up.have && !t->local_ended) {
			ssize_t got = recv(t->fd, t->up.data, BUFFER, 0);
			if (got < 0 && !would_wait(got))
				return -1;
			t->local_ended = got == 0;
			flow_filled(&t->up, got > 0 ? got : 0);
		}
		if (!t->up.have)
			break;
		ssize_t put = ssh_write_some(t->stream, t->up.data + t->up.at, t->up.have, NULL);
		if (put < 0)
			return -1;
		flow_emptied(&t->up, put);
		moved += put;
		if (t->up.have)
			break;
	}
	if (t->local_ended && !t->up.have && !t->eof_to_peer) {
		stream_finish(t->stream);
		t->eof_to_peer = true;
	}
	return moved;
}

/* Moves bytes from the peer to the local side; returns as move_up. What the local side does not take stays in the
 * channel, whose window closes then, so that the peer stops sending. */
static ssize_t move_down(struct tunnel *t)
{
	ssize_t moved = 0;
	for (int round = 0; round < ROUNDS; round++) {
		if (!t->down.have) {
			ssize_t got = ssh_read_some(t->stream, t->down.data, BUFFER, NULL);
			if (got < 0)
				return -1;
			flow_filled(&t->down, got);
		}
		if (!t->down.have)
			break;
		ssize_t put = send(t->fd, t->down.data + t->down.at, t->down.have, MSG_NOSIGNAL);
		if (put < 0 && !would_wait(put))
			return -1;
		flow_emptied(&t->down, put > 0 ? put : 0);
		moved += put > 0 ? put : 0;
		if (t->down.have)
			break;
	}
	if (!t->down.have && ssh_ended(t->stream, NULL) && !t->eof_to_local) {
		shutdown(t->fd, SHUT_WR);
		t->eof_to_local = true;
	}
	return moved;
}

/* True if both directions have ended, or if one side has closed its socket and nothing is left for the other side. */
static bool tunnel_over(struct tunnel *t)
{
	bool closed = false;
	bool down_ended = !t->down.have && ssh_ended(t->stream, &closed);
	return (t->eof_to_peer && t->eof_to_local) || (t->eof_to_peer && t->local_gone) || (down_ended && closed);
}

/* Moves what can be moved without waiting, and closes tunnels that are over or broken. Returns whether it did
 * anything. */
static bool tunnels_move(struct relay *r)
{
	bool any = false;
	for (size_t i = 0; i < TUNNELS; i++) {
		struct tunnel *t = &r->tunnels[i];
		if (!t->stream)
			continue;
		ssize_t up = move_up(t), down = up < 0 ? -1 : move_down(t);
		if (down < 0 || tunnel_over(t)) {
			tunnel_close(t);
			any = true;
		} else {
			any |= up > 0 || down > 0;
		}
	}
	return any;
}

/* ------------------------------------------------------------------ the loop */

/* Indices of the descriptors that are polled. */
enum {
	SIGNALS,
	LINK,
	LISTENERS,
	FIRST_TUNNEL = LISTENERS + SOCKETS,
	ALL = FIRST_TUNNEL + TUNNELS,
};

/* What to poll for. A descriptor that has hung up is left out if no event of it is needed: poll would return at once
 * each time. */
static struct pollfd tunnel_events(const struct tunnel *t)
{
	short events = 0;
	if (!t->stream)
		return (struct pollfd){.fd = -1};
	if (!t->local_ended && !t->up.have)
		events |= POLLIN;
	if (t->down.have)
		events |= POLLOUT;
	return (struct pollfd){.fd = t->local_gone && !events ? -1 : t->fd, .events = events};
}

static void wait_for_all(struct relay *r, struct pollfd *p, bool at_once)
{
	bool room = free_tunnel(r) != NULL;
	p[SIGNALS] = (struct pollfd){.fd = r->signals, .events = POLLIN};
	ssh_wait_for(r->ssh, &p[LINK]);
	for (size_t i = 0; i < SOCKETS; i++)
		p[LISTENERS + i] = (struct pollfd){
			.fd = room && i < r->listening ? r->listeners[i].fd : -1,
			.events = POLLIN,
		};
	for (size_t i = 0; i < TUNNELS; i++)
		p[FIRST_TUNNEL + i] = tunnel_events(&r->tunnels[i]);
	/* After an error (EINTR) the revents are undefined. The events will be reported by the next poll. */
	if (poll(p, ALL, at_once ? 0 : -1) < 0)
		for (size_t i = 0; i < ALL; i++)
			p[i].revents = 0;
	for (size_t i = 0; i < TUNNELS; i++)
		r->tunnels[i].local_gone |= (p[FIRST_TUNNEL + i].revents & (POLLHUP | POLLERR)) != 0;
}

static int serve(struct relay *r, struct vmm_error **err)
{
	struct pollfd p[ALL];
	bool more = false;
	for (;;) {
		uint64_t sent, before, after;
		wait_for_all(r, p, more);
		if (p[SIGNALS].revents)
			return 0;
		ssh_counters(r->ssh, &sent, &before);
		if (ssh_process(r->ssh, 0, err) < 0)
			return -1;
		for (size_t i = 0; i < r->listening; i++)
			if (p[LISTENERS + i].revents && free_tunnel(r))
				tunnel_open(r, &r->listeners[i]);
		more = tunnels_move(r);
		/* While one tunnel was served, libssh may have received something for another that was served before
		 * it. poll does not report that: if the counter has grown, serve all of them again without waiting. */
		ssh_counters(r->ssh, &sent, &after);
		more |= after != before;
	}
}

static int catch_signals(struct relay *r, struct vmm_error **err)
{
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, &r->mask);
	r->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signals < 0 ? error_errno(err, errno, "signals") : 0;
}

/* Restores the signal mask. Pending signals are consumed first: a SIGTERM that has ended the relay must not end the
 * process as well. */
static void release_signals(struct relay *r)
{
	struct signalfd_siginfo info;
	while (r->signals >= 0 && read(r->signals, &info, sizeof(info)) > 0)
		;
	if (r->signals >= 0)
		close(r->signals);
	sigprocmask(SIG_SETMASK, &r->mask, NULL);
}

int relay_run(const struct ssh_peer *peer, const struct relay_socket *sockets, size_t count, int ready_fd,
	      struct vmm_error **err)
{
	struct relay *r = mem_zero(sizeof(*r));
	int done = catch_signals(r, err);
	if (done == 0)
		done = ssh_open(peer, &r->ssh, err);
	if (done == 0)
		done = listen_on_all(r, sockets, count, err);
	if (done == 0 && ready_fd >= 0 && fd_write_all(ready_fd, "r", 1) < 0)
		done = error_errno(err, errno, "report that the relay is ready");
	if (done == 0)
		done = serve(r, err);
	/* First no new connections, then the open ones are closed. */
	stop_listening(r);
	for (size_t i = 0; i < TUNNELS; i++)
		if (r->tunnels[i].stream)
			tunnel_close(&r->tunnels[i]);
	ssh_close(r->ssh);
	release_signals(r);
	free(r);
	return done;
}
