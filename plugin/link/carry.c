/* carry.c: bytes between a descriptor here and a command there, both ways at once, until both have ended. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

enum {
	BUFFER = 512 << 10,
	WAIT_MS = 1000,
	LAST_WORDS_MS = 10000, /* after our side has ended the far command has that long to say something */
};

struct flow {
	char *data;
	size_t at, have;
};

struct carry {
	struct ssh *ssh;
	struct stream *stream, *beside;
	int fd;
	uint64_t *moved;
	struct flow up, down;
	bool ended_here; /* nothing more comes from fd */
	bool gone_here;	 /* and it takes nothing more */
	bool told_peer;
	int64_t heard_ms; /* when something last came from there */
};

static void count(struct carry *c, size_t bytes)
{
	__atomic_add_fetch(c->moved, bytes, __ATOMIC_RELAXED);
}

/* From here into the buffer, and from the buffer to the peer. Returns true where something moved. */
static bool move_up(struct carry *c, struct vmm_error **err)
{
	bool moved = false;
	if (!c->up.have && !c->ended_here) {
		ssize_t got = read(c->fd, c->up.data, BUFFER);
		if (got > 0) {
			c->up = (struct flow){c->up.data, 0, (size_t)got};
			moved = true;
		} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
			c->ended_here = true;
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
	if (c->ended_here && !c->up.have && !c->told_peer) {
		stream_finish(c->stream);
		c->told_peer = true;
	}
	return moved;
}

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
	if (c->down.have && c->gone_here)
		c->down.have = 0;
	if (c->down.have) {
		ssize_t put = write(c->fd, c->down.data + c->down.at, c->down.have);
		if (put > 0) {
			c->down.at += (size_t)put;
			c->down.have -= (size_t)put;
			moved = true;
		} else if (put < 0 && errno != EAGAIN && errno != EINTR) {
			c->gone_here = true;
		}
	}
	return moved;
}

static int wait_for_either(struct carry *c, struct vmm_error **err)
{
	struct pollfd set[2];
	ssh_wait_for(c->ssh, &set[0]);
	short events = (short)((c->up.have || c->ended_here ? 0 : POLLIN) | (c->down.have ? POLLOUT : 0));
	set[1] = (struct pollfd){events ? c->fd : -1, events, 0};
	poll(set, 2, WAIT_MS);
	return ssh_process(c->ssh, 0, err);
}

/* Its own reader is not at work meanwhile: what comes there waits for it. */
static int look_beside(struct carry *c, struct vmm_error **err)
{
	if (!c->beside || ssh_waits(c->beside))
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
		/* Its end is nothing that moves, and the last that is heard. */
		if (!moved && !ssh_ended(c->stream, NULL) && wait_for_either(c, err) < 0)
			return -1;
		if (look_beside(c, err) < 0)
			return -1;
		if (c->ended_here && clock_steady_ms() - c->heard_ms > LAST_WORDS_MS)
			return error_set(err, VMM_FAILED, "link-silent", "the far side does not end");
	}
	return 0;
}

int ssh_carry(struct ssh *ssh, struct stream *stream, struct stream *beside, int fd, uint64_t *moved,
	      struct vmm_error **err)
{
	struct carry c = {.ssh = ssh, .stream = stream, .beside = beside, .fd = fd, .moved = moved};
	c.up.data = mem_zero(BUFFER);
	c.down.data = mem_zero(BUFFER);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	int done = carry_on(&c, err);
	free(c.up.data);
	free(c.down.data);
	close(fd);
	return done;
}
