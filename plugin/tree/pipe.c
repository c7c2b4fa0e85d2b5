/* pipe.c: the program tree-pipe, which rsync runs as its remote shell. It copies bytes between its stdin and stdout and
 * the socket that our worker left open for it (its descriptor is in VMMIGRATE_TREE_FD). It ignores its arguments. libc
 * only. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10 };

/* One direction. It is closed once `from` has ended and everything read from it has been written to `to`. */
struct flow {
	int from, to;
	char data[BUFFER];
	size_t at, have; /* the bytes in `data` that are still to be written */
	bool ended, closed;
};

static void flow_read(struct flow *f)
{
	ssize_t got = read(f->from, f->data, sizeof(f->data));
	if (got > 0) {
		f->at = 0;
		f->have = (size_t)got;
	} else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
		f->ended = true;
	}
}

static void flow_write(struct flow *f)
{
	ssize_t put = write(f->to, f->data + f->at, f->have);
	if (put > 0) {
		f->at += (size_t)put;
		f->have -= (size_t)put;
	} else if (put < 0 && errno != EINTR && errno != EAGAIN) {
		f->ended = true;
		f->have = 0;
	}
}

static void flow_close(struct flow *f)
{
	f->closed = true;
	if (shutdown(f->to, SHUT_WR) < 0)
		close(f->to);
}

static struct pollfd flow_pollfd(const struct flow *f)
{
	if (f->closed)
		return (struct pollfd){-1, 0, 0};
	return f->have ? (struct pollfd){f->to, POLLOUT, 0} : (struct pollfd){f->from, POLLIN, 0};
}

static void flow_step(struct flow *f, const struct pollfd *p)
{
	if (!f->closed && p->revents)
		f->have ? flow_write(f) : flow_read(f);
	if (!f->closed && f->ended && !f->have)
		flow_close(f);
}

int main(void)
{
	static struct flow up, down;
	const char *number = getenv("VMMIGRATE_TREE_FD");
	int socket_fd = number ? atoi(number) : -1;
	if (socket_fd < 3)
		return 127;
	signal(SIGPIPE, SIG_IGN);
	down.to = 1;
	up.to = down.from = socket_fd;
	const int all[] = {0, 1, socket_fd};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		fcntl(all[i], F_SETFL, fcntl(all[i], F_GETFL) | O_NONBLOCK);
	/* The direction to rsync is closed last: rsync may have closed its own output long before. */
	while (!down.closed) {
		struct pollfd set[] = {flow_pollfd(&up), flow_pollfd(&down)};
		if (poll(set, 2, -1) < 0 && errno != EINTR)
			return 1;
		flow_step(&up, &set[0]);
		flow_step(&down, &set[1]);
	}
	return 0;
}
