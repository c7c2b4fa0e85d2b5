/* pipe.c: the program tree-pipe: what rsync takes for its remote shell. It moves bytes between its own stdin and stdout and the descriptor that
 * our worker left open for it (VMMIGRATE_TREE_FD), and looks at no argument. libc only. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10 };

/* One direction. It is over once its source has ended and all was handed on. */
struct flow {
	int from, to;
	char data[BUFFER];
	size_t at, have;
	bool ended, over;
};

static void take(struct flow *f)
{
	ssize_t got = read(f->from, f->data, sizeof(f->data));
	if (got > 0) {
		f->at = 0;
		f->have = (size_t)got;
	} else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
		f->ended = true;
	}
}

static void give(struct flow *f)
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

static void end(struct flow *f)
{
	f->over = true;
	if (shutdown(f->to, SHUT_WR) < 0)
		close(f->to);
}

static struct pollfd wanted(const struct flow *f)
{
	if (f->over)
		return (struct pollfd){-1, 0, 0};
	return f->have ? (struct pollfd){f->to, POLLOUT, 0} : (struct pollfd){f->from, POLLIN, 0};
}

static void step(struct flow *f, const struct pollfd *p)
{
	if (!f->over && p->revents)
		f->have ? give(f) : take(f);
	if (!f->over && f->ended && !f->have)
		end(f);
}

int main(void)
{
	static struct flow up, down;
	const char *number = getenv("VMMIGRATE_TREE_FD");
	int line = number ? atoi(number) : -1;
	if (line < 3)
		return 127;
	signal(SIGPIPE, SIG_IGN);
	down.to = 1;
	up.to = down.from = line;
	const int all[] = {0, 1, line};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		fcntl(all[i], F_SETFL, fcntl(all[i], F_GETFL) | O_NONBLOCK);
	/* What comes back is over last: rsync may have closed its end long before. */
	while (!down.over) {
		struct pollfd set[] = {wanted(&up), wanted(&down)};
		if (poll(set, 2, -1) < 0 && errno != EINTR)
			return 1;
		step(&up, &set[0]);
		step(&down, &set[1]);
	}
	return 0;
}
