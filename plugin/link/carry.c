/* carry.c: forwards bytes between a local descriptor and a command on the peer, in both directions, until both have
 * ended. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

enum {
	BUFFER = 512 << 10,
	WAIT_MS = 1000,
	ANSWER_MS = 10000, /* after the local end, the command may be silent for so long */
};

/* One direction: `have` bytes from `at` on were read and are still to be written. */
struct flow {
	char *data;
	size_t at, have;
};

struct carry {
	struct ssh *ssh;
	struct stream *stream, *control;
	int fd;
	uint64_t *moved;
	struct flow up, down; /* to the peer, from the peer */
	bool local_ended;     /* nothing more comes from fd */
	bool local_gone;      /* fd takes nothing more */
	bool eof_sent;	      /* the peer knows that no more will come */
	int64_t heard_ms;     /* when something last came from the peer, or the local side ended */
};

static void count(struct carry *c, size_t bytes)
{
	__atomic_add_fetch(c->moved, bytes, __ATOMIC_RELAXED);
}

/* Reads from fd and writes to the peer, once each. Returns whether anything moved. */
static bool move_up(struct carry *c, struct vmm_error **err)
{
	bool moved = false;
	if (!c->up.have && !c->local_ended) {
		ssize_t got = read(c->fd, c->up.data, BUFFER);
		if (got > 0) {
			c->up = (struct flow){c->up.data, 0, (size_t)got};
			moved = true;
		} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
			c->local_ended = true;
			c->heard_ms = clock_steady_ms();
		}
	}
	if (c->up.have) {
		ssize_t put = ssh_write_some(c->stream, c->up.data + c->up.at, c->up.have, err);
		if (put < 0)
			return false;
		c->up.at += (size_t)put;
		c->up.have -= (size_t)put;
		count(c, (size_t)put);
		moved |= put > 0;
	}
	if (c->local_ended && !c->up.have && !c->eof_sent) {
		stream_finish(c->stream);
		c->eof_sent = true;
	}
	return moved;
}

/* Reads from the peer and writes to fd, once each. Returns whether anything moved. */
static bool move_down(struct carry *c, struct vmm_error **err)
{
	bool moved = false;
	if (!c->down.have) {
		ssize_t got = ssh_read_some(c->stream, c->down.data, BUFFER, err);
		if (got < 0)
			return false;
		if (got > 0) {
			c->down = (struct flow){c->down.data, 0, (size_t)got};
			count(c, (size_t)got);
			c->heard_ms = clock_steady_ms();
			moved = true;
		}
	}
	if (c->down.have && c->local_gone)
		c->down.have = 0;
	if (c->down.have) {
		ssize_t put = write(c->fd, c->down.data + c->down.at, c->down.have);
		if (put > 0) {
			c->down.at += (size_t)put;
			c->down.have -= (size_t)put;
			moved = true;
		} else if (put < 0 && errno != EAGAIN && errno != EINTR) {
			c->local_gone = true;
		}
	}
	return moved;
}

static int wait_for_either(struct carry *c, struct vmm_error **err)
{
	struct pollfd set[2];
	ssh_wait_for(c->ssh, &set[0]);
	short events = (short)((c->up.have || c->local_ended ? 0 : POLLIN) | (c->down.have ? POLLOUT : 0));
	set[1] = (struct pollfd){events ? c->fd : -1, events, 0};
	poll(set, 2, WAIT_MS);
	return ssh_process(c->ssh, 0, err);
}

/* Only looks whether the control stream has ended: what arrives on it is left for its own reader. */
static int check_control(struct carry *c, struct vmm_error **err)
{
	if (!c->control || ssh_is_open(c->control))
		return 0;
	return error_set(err, VMM_FAILED, "link-lost", "the agent there has ended");
}

static int carry_on(struct carry *c, struct vmm_error **err)
{
	while (!ssh_ended(c->stream, NULL) || c->down.have) {
		struct vmm_error *problem = NULL;
		bool moved = move_up(c, &problem);
		if (!problem)
			moved |= move_down(c, &problem);
		if (problem) {
			error_take(err, problem);
			return -1;
		}
		/* The command's end counts as nothing that moved, and nothing follows it: do not wait then. */
		if (!moved && !ssh_ended(c->stream, NULL) && wait_for_either(c, err) < 0)
			return -1;
		if (check_control(c, err) < 0)
			return -1;
		if (c->local_ended && clock_steady_ms() - c->heard_ms > ANSWER_MS)
			return error_set(err, VMM_FAILED, "link-silent", "the command on the other node does not end");
	}
	return 0;
}

int ssh_carry(struct ssh *ssh, struct stream *stream, struct stream *control, int fd, uint64_t *moved,
	      struct vmm_error **err)
{
	struct carry c = {.ssh = ssh, .stream = stream, .control = control, .fd = fd, .moved = moved};
	c.up.data = mem_zero(BUFFER);
	c.down.data = mem_zero(BUFFER);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	int done = carry_on(&c, err);
	free(c.up.data);
	free(c.down.data);
	close(fd);
	return done;
}
