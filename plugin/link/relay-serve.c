/* relay-serve.c: the peer's side of the relay, run by its agent. It connects the agent's stdin and stdout with a unix
 * socket of this node. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "link.h"

static const char libvirt_socket[] = "/run/libvirt/libvirt-sock";
static const char migration_start[] = "/run/libvirt/qemu/vmmigrate/memory.tunnelmigrate.dest.";

enum {
	NAME_LIMIT = 48, /* bytes after migration_start, so that the path fits into the 108 bytes of a socket address */
	NAME_KEPT = 36,	 /* bytes of a name that is shortened; its checksum follows */
	BUFFER = 256 << 10,
	ROUNDS = 8, /* reads and writes of one direction, before the other has its turn */
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
	/* A name that is too long or has odd characters is shortened, and those characters are replaced. The checksum
	 * of the whole name distinguishes it from names that look alike then. */
	for (size_t i = 0; i < NAME_KEPT && task[i]; i++)
		kept[i] = task[i] != '.' && plain(task[i]) ? task[i] : '_';
	return str_format("%s%s-%08x", migration_start, kept, crc32c(0, task, strlen(task)));
}

/* ------------------------------------------------------------------ carrying */

/* Bytes that go from one descriptor to another. */
struct direction {
	int from, to;
	char *data;
	size_t at, have; /* what was read and is still to be written */
	bool ended;	 /* nothing more can be read */
	bool broken;	 /* nothing more can be written */
};

static bool would_wait(ssize_t count)
{
	return count < 0 && (errno == EAGAIN || errno == EINTR);
}

static void direction_fill(struct direction *l)
{
	ssize_t got = read(l->from, l->data, BUFFER);
	if (got > 0) {
		l->at = 0;
		l->have = (size_t)got;
	} else if (!would_wait(got)) {
		l->ended = true;
	}
}

static void direction_empty(struct direction *l)
{
	ssize_t put = write(l->to, l->data + l->at, l->have);
	if (put > 0) {
		l->at += (size_t)put;
		l->have -= (size_t)put;
	} else if (!would_wait(put)) {
		l->broken = true;
	}
}

static void direction_move(struct direction *l)
{
	for (int round = 0; round < ROUNDS && !l->broken; round++) {
		if (!l->have && !l->ended)
			direction_fill(l);
		if (!l->have)
			return;
		direction_empty(l);
		if (l->have)
			return;
	}
}

static bool direction_over(const struct direction *l)
{
	return l->broken || (l->ended && !l->have);
}

/* What to poll for on a descriptor that `in` reads from and `out` writes to (either may be NULL). One that has hung up
 * is left out if no event of it is needed: poll would return at once each time. */
static struct pollfd wait_at(int fd, const struct direction *in, const struct direction *out, bool hung_up)
{
	short events = 0;
	if (in && !in->have && !direction_over(in))
		events |= POLLIN;
	if (out && out->have && !direction_over(out))
		events |= POLLOUT;
	return (struct pollfd){.fd = hung_up && !events ? -1 : fd, .events = events};
}

enum {
	IN,
	OUT,
	SOCKET,
};

/* Moves bytes in both directions until both are over, or until the receiver of the direction that is left has hung
 * up. */
static void carry(struct stream *stream, int in, int out, int fd)
{
	struct direction there = {.from = in, .to = fd, .data = mem_zero(BUFFER)};
	struct direction back = {.from = fd, .to = out, .data = mem_zero(BUFFER)};
	bool hung_up[3] = {false, false, false}, eof_to_socket = false, eof_to_peer = false;
	for (;;) {
		direction_move(&there);
		direction_move(&back);
		if (direction_over(&there) && !eof_to_socket) {
			eof_to_socket = true;
			shutdown(fd, SHUT_WR);
		}
		if (direction_over(&back) && !eof_to_peer) {
			eof_to_peer = true;
			stream_finish(stream);
		}
		if ((eof_to_socket && eof_to_peer) || (eof_to_peer && hung_up[SOCKET]) || (there.ended && hung_up[OUT]))
			break;
		struct pollfd p[3] = {
			[IN] = wait_at(in, &there, NULL, hung_up[IN]),
			[OUT] = wait_at(eof_to_peer ? -1 : out, NULL, &back, hung_up[OUT]),
			[SOCKET] = wait_at(fd, &back, &there, hung_up[SOCKET]),
		};
		poll(p, 3, -1);
		for (int i = 0; i < 3; i++)
			hung_up[i] |= (p[i].revents & (POLLHUP | POLLERR)) != 0;
	}
	free(there.data);
	free(back.data);
}

/* The socket of that path, as a descriptor that cannot be read. Links are not followed: QEMU's user can put them into
 * the directory of migration sockets. Returns -1 with errno. */
static int find_socket(const char *path)
{
	const struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				     .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	struct stat info;
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	if (fd < 0 || (fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)))
		return fd;
	close(fd);
	errno = ENOTSOCK;
	return -1;
}

/* Returns the descriptor. Error "relay-refused". */
static int connect_socket(const char *path, struct vmm_error **err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (!relay_allowed(path)) {
		error_set(err, VMM_NOT_PERMITTED, "relay-refused", "%s is not a socket that the relay may connect to",
			  path);
		return error_hint(err, "it connects to %s and to migration sockets of vmmigrate only", libvirt_socket);
	}
	vmm_auto_close int found = find_socket(path);
	int fd = found < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", found);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	error_errno(err, errno, "connect to %s", path);
	vmm_cleanup_close(&fd);
	return -1;
}

int relay_serve(struct stream *stream, const char *path, struct vmm_error **err)
{
	int in, out;
	vmm_auto_close int fd = connect_socket(path, err);
	if (fd < 0)
		return -1;
	stream_fds(stream, &in, &out);
	/* sshd does not report the end of our stdout while stderr is open. */
	vmm_auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	const int all[] = {in, out, fd};
	for (size_t i = 0; i < VMM_COUNT(all); i++)
		fcntl(all[i], F_SETFL, fcntl(all[i], F_GETFL) | O_NONBLOCK);
	carry(stream, in, out, fd);
	return 0;
}
