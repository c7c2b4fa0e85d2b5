/* copy-link: one copy between two files over a real sshd on loopback, timed.
 *
 *   copy-link SOURCE TARGET [SESSIONS [MIB_A_SECOND]]
 *
 * Prints a line of JSON: seconds of the push and of the verification, bytes read, sent and found present. The far side
 * is this program itself, run by sshd.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "copy/copy.h"
#include "tests/link/own-sshd.h"

struct far_end {
	struct ssh *ssh;
	struct stream *stream;
};

static void give_up(const char *what, const struct vmm_error *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->message : strerror(errno));
	exit(1);
}

/* Far: the words are the target's path. */
static int open_path(void *context, const char *volume, uint64_t size, struct vmm_error **err)
{
	(void)context, (void)size;
	int fd = open(volume, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? error_errno(err, errno, "%s", volume) : fd;
}

static int far(void)
{
	struct stream *stream = stream_on_fds(0, 1);
	int done = copy_serve(stream, open_path, NULL, NULL);
	stream_close(stream);
	return done ? 1 : 0;
}

static void open_end(const struct own_sshd *sshd, struct far_end *end)
{
	struct vmm_error *err = NULL;
	struct ssh_peer peer = own_sshd_peer(sshd);
	peer.key = sshd->forced_key;
	if (ssh_open(&peer, &end->ssh, &err) < 0 || ssh_exec(end->ssh, "copy", &end->stream, &err) < 0)
		give_up("ssh", err);
}

static double seconds_since(int64_t began_ms)
{
	return (double)(clock_steady_ms() - began_ms) / 1000;
}

static void copy(const struct copy_job *job, struct stream *const sessions[], size_t count)
{
	struct vmm_error *err = NULL;
	struct copy_progress result = {0};
	struct copy_leaves leaves = {0};
	struct rusage usage;
	int64_t began = clock_steady_ms();
	if (copy_push(job, sessions, count, &leaves, &result, &err) < 0)
		give_up("push", err);
	double pushed = seconds_since(began);
	getrusage(RUSAGE_SELF, &usage);
	began = clock_steady_ms();
	if (copy_verify(job, sessions[0], &leaves, NULL, &err) < 0)
		give_up("verify", err);
	vmm_auto_json struct json_object *line = json_make(
		"seconds:f verify:f sessions:i read:i wire:i present:i cpu:f rss_kib:i", pushed, seconds_since(began),
		(int64_t)count, (int64_t)result.data, (int64_t)result.wire, (int64_t)result.present,
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
		(int64_t)usage.ru_maxrss);
	puts(json_line(line));
	copy_leaves_free(&leaves);
}

int main(int argc, char **argv)
{
	enum { ENDS_MOST = 8 };
	if (argc == 2 && !strcmp(argv[1], "far"))
		return far();
	size_t count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
	if (argc < 3 || count < 1 || count > ENDS_MOST) {
		fprintf(stderr, "copy-link SOURCE TARGET [SESSIONS [MIB_A_SECOND]]\n");
		return 2;
	}
	struct own_sshd sshd;
	struct far_end ends[ENDS_MOST];
	struct stream *sessions[ENDS_MOST];
	struct stat info;
	vmm_auto_close int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0)
		give_up(argv[1], NULL);
	struct copy_job job = {.fd = fd,
			       .size = (uint64_t)info.st_size,
			       .volume = argv[2],
			       .rate_limit = argc > 4 ? strtoull(argv[4], NULL, 10) << 20 : 0};
	own_room();
	own_sshd_start(&sshd, "");
	for (size_t i = 0; i < count; i++) {
		open_end(&sshd, &ends[i]);
		sessions[i] = ends[i].stream;
	}
	copy(&job, sessions, count);
	for (size_t i = 0; i < count; i++) {
		stream_close(ends[i].stream);
		ssh_close(ends[i].ssh);
	}
	own_sshd_stop(&sshd);
	return 0;
}
