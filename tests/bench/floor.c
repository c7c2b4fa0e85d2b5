/* floor: a lower bound for the time of a copy. One process sends the file's data extents over plain TCP on loopback,
 * another writes them at their offsets into an empty file. It compares, hashes, encrypts and syncs nothing.
 *
 *   floor SOURCE TARGET */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

struct extent {
	int64_t offset, length; /* length 0: the end; `offset` is the file's size */
};

static void send_file(int to, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	if (fd < 0 || fstat(fd, &info) < 0)
		err(1, "%s", path);
	off_t from, end = 0;
	while ((from = lseek(fd, end, SEEK_DATA)) >= 0 && (end = lseek(fd, from, SEEK_HOLE)) > from) {
		struct extent extent = {from, end - from};
		if (send(to, &extent, sizeof(extent), MSG_MORE) != sizeof(extent))
			err(1, "send");
		while (from < end)
			if (sendfile(to, fd, &from, (size_t)(end - from)) <= 0)
				err(1, "sendfile");
	}
	struct extent last = {info.st_size, 0};
	if (send(to, &last, sizeof(last), 0) != sizeof(last))
		err(1, "send");
	close(fd);
}

static void receive_all(int from, void *data, size_t length)
{
	if (recv(from, data, length, MSG_WAITALL) != (ssize_t)length)
		errx(1, "the connection ended early");
}

static void receive_file(int from, const char *path)
{
	char *data = malloc(CHUNK);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || !data)
		err(1, "%s", path);
	for (;;) {
		struct extent extent;
		receive_all(from, &extent, sizeof(extent));
		if (extent.length == 0) {
			if (ftruncate(fd, extent.offset) < 0 || close(fd) < 0)
				err(1, "%s", path);
			free(data);
			return;
		}
		while (extent.length > 0) {
			size_t chunk = extent.length < CHUNK ? (size_t)extent.length : CHUNK;
			receive_all(from, data, chunk);
			if (pwrite(fd, data, chunk, extent.offset) != (ssize_t)chunk)
				err(1, "%s", path);
			extent.offset += (int64_t)chunk;
			extent.length -= (int64_t)chunk;
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 1;
	if (argc != 3)
		errx(2, "usage: floor SOURCE TARGET");
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, size) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &size) < 0)
		err(1, "listen");
	pid_t receiver = fork();
	if (receiver < 0)
		err(1, "fork");
	if (receiver == 0) {
		receive_file(accept(listener, NULL, NULL), argv[2]);
		_exit(0);
	}
	int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (to < 0 || connect(to, (struct sockaddr *)&at, size) < 0)
		err(1, "connect");
	send_file(to, argv[1]);
	close(to);
	return waitpid(receiver, &status, 0) == receiver && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
