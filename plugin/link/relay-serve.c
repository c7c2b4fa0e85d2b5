/* relay-serve.c: the far side of the relay. One connection: the agent's stdin and stdout on one hand, a unix socket of
 * this node on the other. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "link.h"

static const char libvirt_socket[] = "/run/libvirt/libvirt-sock";
static const char migration_start[] = "/run/libvirt/qemu/vmmigrate/memory.tunnelmigrate.dest.";

enum {
	NAME_LIMIT =
		48, /* of what follows migration_start: the whole stays far below the 108 bytes of a socket's path */
	NAME_KEPT = 36,
	BUFFER = 256 << 10,
	ROUNDS = 8, /* of one direction, before the other has its turn */
};

/* ------------------------------------------------------------------ names */

static bool plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.:@+", c));
}

static bool plain_name(const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < length; i++)
		if (!plain(name[i]) || (name[i] == '.' && name[i + 1] == '.'))
			return false;
	return length > 0 && length <= NAME_LIMIT;
}

bool relay_allowed(const char *path)
{
	return str_same(path, libvirt_socket) ||
	       (path && str_starts(path, migration_start) && plain_name(path + strlen(migration_start)));
}

char *relay_migration_socket(const char *task)
{
	char kept[NAME_KEPT + 1] = "";
	if (plain_name(task))
		return str_format("%s%s", migration_start, task);
	/* A name that is too long or odd is cut and cleaned; its checksum keeps it apart from others like it. */
	for (size_t i = 0; i < NAME_KEPT && task[i]; i++)
		kept[i] = task[i] != '.' && plain(task[i]) ? task[i] : '_';
	return str_format("%s%s-%08x", migration_start, kept, crc32c(0, task, strlen(task)));
}

/* ------------------------------------------------------------------ carrying */

/* One direction. */
struct lane {
	int from, to;
	char *data;
	size_t at, have; /* what was read and is still to be written */
	bool ended;	 /* nothing more will come */
	bool broken;	 /* nothing more can be given */
};

static bool would_wait(ssize_t count)
{
	return count < 0 && (errno == EAGAIN || errno == EINTR);
}

static void lane_fill(struct lane *l)
{
	ssize_t got = read(l->from, l->data, BUFFER);
	if (got > 0) {
		l->at = 0;
		l->have = (size_t)got;
	} else if (!would_wait(got)) {
		l->ended = true;
	}
}

static void lane_empty(struct lane *l)
{
	ssize_t put = write(l->to, l->data + l->at, l->have);
	if (put > 0) {
		l->at += (size_t)put;
		l->have -= (size_t)put;
	} else if (!would_wait(put)) {
		l->broken = true;
	}
}

static void lane_move(struct lane *l)
{
	for (int round = 0; round < ROUNDS && !l->broken; round++) {
		if (!l->have && !l->ended)
			lane_fill(l);
		if (!l->have)
			return;
		lane_empty(l);
		if (l->have)
			return;
	}
}

static bool lane_over(const struct lane *l)
{
	return l->broken || (l->ended && !l->have);
}

/* What to wait for at an end that `in` reads from and `out` writes to; -1 once it has hung up and nothing is left to
 * wait for, since poll would report the hang-up again and again. */
static struct pollfd wait_at(int fd, const struct lane *in, const struct lane *out, bool hung_up)
{
	short events = 0;
	if (in && !in->have && !lane_over(in))
		events |= POLLIN;
	if (out && out->have && !lane_over(out))
		events |= POLLOUT;
	return (struct pollfd){.fd = hung_up && !events ? -1 : fd, .events = events};
}

enum {
	IN,
	OUT,
	SOCKET,
};

/* Until both directions are over, or the socket or both of ours have been closed by the other side. */
static void carry(struct stream *stream, int in, int out, int fd)
{
	struct lane there = {.from = in, .to = fd, .data = mem_zero(BUFFER)};
	struct lane back = {.from = fd, .to = out, .data = mem_zero(BUFFER)};
	bool hung_up[3] = {false, false, false}, there_told = false, back_told = false;
	for (;;) {
		lane_move(&there);
		lane_move(&back);
		if (lane_over(&there) && !there_told) {
			there_told = true;
			shutdown(fd, SHUT_WR);
		}
		if (lane_over(&back) && !back_told) {
			back_told = true;
			stream_finish(stream);
		}
		if ((there_told && back_told) || (back_told && hung_up[SOCKET]) || (there.ended && hung_up[OUT]))
			break;
		struct pollfd p[3] = {
			[IN] = wait_at(in, &there, NULL, hung_up[IN]),
			[OUT] = wait_at(back_told ? -1 : out, NULL, &back, hung_up[OUT]),
			[SOCKET] = wait_at(fd, &back, &there, hung_up[SOCKET]),
		};
		poll(p, 3, -1);
		for (int i = 0; i < 3; i++)
			hung_up[i] |= (p[i].revents & (POLLHUP | POLLERR)) != 0;
	}
	free(there.data);
	free(back.data);
}

static int reach(const char *path, struct vmm_error **err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (!relay_allowed(path)) {
		error_set(err, VMM_NOT_PERMITTED, "relay-refused", "%s is not a socket that the relay may reach", path);
		return error_hint(err, "only %s and migration sockets of vmmigrate are", libvirt_socket);
	}
	memcpy(to.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, errno, "a socket");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		error_errno(err, errno, "connect to %s", path);
		close(fd);
		return -1;
	}
	return fd;
}

int relay_serve(struct stream *stream, const char *path, struct vmm_error **err)
{
	int in, out;
	vmm_auto_close int fd = reach(path, err);
	if (fd < 0)
		return -1;
	stream_fds(stream, &in, &out);
	/* sshd holds back the end of our output as long as stderr is open. */
	vmm_auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	const int all[] = {in, out, fd};
	for (size_t i = 0; i < VMM_COUNT(all); i++)
		fcntl(all[i], F_SETFL, fcntl(all[i], F_GETFL) | O_NONBLOCK);
	carry(stream, in, out, fd);
	return 0;
}
