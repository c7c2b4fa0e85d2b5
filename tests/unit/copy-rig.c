/* copy-rig.c: see copy-rig.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy-rig.h"

enum { BLOCK = 4096, CHUNK = 1 << 20 };

struct served {
	struct rig *rig;
	struct stream *source, *target; /* both ends */
	pthread_t thread;
	struct vmm_error *failure;
};

static int open_target(void *context, const char *volume, uint64_t size, struct vmm_error **err)
{
	struct rig *rig = context;
	(void)size;
	if (strcmp(volume, "vda"))
		return error_set(err, VMM_BLOCKED, "not-there", "no volume %s", volume);
	return fcntl(rig->target, F_DUPFD_CLOEXEC, 0);
}

static void *serve(void *argument)
{
	struct served *served = argument;
	struct rig *rig = served->rig;
	copy_serve(served->target, rig->open ? rig->open : open_target, rig, &served->failure);
	stream_close(served->target);
	return NULL;
}

/* ------------------------------------------------------------------ a stream that is cut, or held */

struct cut_stream {
	struct stream base;
	struct stream *lower;
	struct rig *rig;
	uint64_t left;
};

static bool another_is_opened(struct rig *rig)
{
	for (int ms = 0; ms < 60000 && rig->opened == rig->sessions && !rig->lost; ms++)
		usleep(1000);
	return rig->opened > rig->sessions || rig->lost;
}

static ssize_t cut_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	struct cut_stream *cut = (struct cut_stream *)s;
	return stream_read(cut->lower, data, length, wait_ms, err);
}

static int cut_write(struct stream *s, const void *data, size_t length, struct vmm_error **err)
{
	struct cut_stream *cut = (struct cut_stream *)s;
	size_t n = length < cut->left ? length : cut->left;
	cut->left -= n;
	if (stream_write(cut->lower, data, n, err) < 0)
		return -1;
	if (n == length)
		return 0;
	if (cut->rig->hold_after && another_is_opened(cut->rig)) {
		cut->left = UINT64_MAX;
		return stream_write(cut->lower, (const char *)data + n, length - n, err);
	}
	stream_finish(cut->lower);
	return error_set(err, VMM_FAILED, "link-lost", "cut");
}

static void cut_finish(struct stream *s)
{
	stream_finish(((struct cut_stream *)s)->lower);
}

static void cut_close(struct stream *s)
{
	stream_close(((struct cut_stream *)s)->lower);
	free(s);
}

static const struct stream_ops cut_ops = {
	.read = cut_read,
	.write = cut_write,
	.finish = cut_finish,
	.close = cut_close,
};

static struct stream *cut_stream(struct rig *rig, struct stream *lower)
{
	struct cut_stream *cut = mem_zero(sizeof(*cut));
	cut->base.ops = &cut_ops;
	cut->lower = lower;
	cut->rig = rig;
	cut->left = rig->cut_after ? rig->cut_after : rig->hold_after;
	return &cut->base;
}

/* ------------------------------------------------------------------ sessions */

static void session_begin(struct rig *rig, struct served *served)
{
	struct stream *pair[2];
	*served = (struct served){.rig = rig};
	if (stream_pair(pair, NULL) < 0)
		abort();
	served->source = rig->cut_after || rig->hold_after ? cut_stream(rig, pair[0]) : pair[0];
	served->target = pair[1];
	if (pthread_create(&served->thread, NULL, serve, served))
		abort();
}

static void session_end(struct served *served)
{
	stream_close(served->source);
	pthread_join(served->thread, NULL);
	error_clear(&served->rig->served);
	served->rig->served = served->failure;
}

struct stream *rig_session_begin(struct rig *rig)
{
	rig->session = mem_zero(sizeof(*rig->session));
	session_begin(rig, rig->session);
	return rig->session->source;
}

void rig_session_end(struct rig *rig)
{
	session_end(rig->session);
	free(rig->session);
}

struct sessions {
	struct rig *rig;
	struct served served[RIG_SESSIONS];
};

static int open_session(void *context, struct stream **session)
{
	struct sessions *all = context;
	if (all->rig->opened == RIG_SESSIONS)
		return -1;
	struct served *served = &all->served[all->rig->opened++];
	session_begin(all->rig, served);
	*session = served->source;
	return 0;
}

static int open_lost_session(void *context, struct stream **session)
{
	struct sessions *all = context;
	struct stream *pair[2];
	if (stream_pair(pair, NULL) < 0)
		return -1;
	stream_close(pair[1]);
	*session = pair[0];
	all->rig->lost = true;
	return 0;
}

int rig_push(struct rig *rig, struct copy_leaves *leaves, struct vmm_error **err)
{
	struct sessions all = {.rig = rig};
	struct copy_sessions sessions = {.open = rig->can_open_lost ? open_lost_session
						 : rig->can_open    ? open_session
								    : NULL,
					 .context = &all};
	const struct copy_job job = {
		.fd = rig->source,
		.size = rig->size,
		.volume = "vda",
		.rate_limit = rig->rate_limit,
		.idle_io = rig->idle_io,
		.digest = rig->digest,
		.progress = rig->progress,
		.context = rig->context,
		.changed = rig->changed,
		.changed_count = rig->changed_count,
	};
	rig->opened = 0;
	while (sessions.count < rig->sessions)
		open_session(&all, &sessions.stream[sessions.count++]);
	int result = copy_push(&job, &sessions, leaves, &rig->result, err);
	for (size_t i = 0; i < rig->opened; i++)
		session_end(&all.served[i]);
	return result;
}

void rig_push_well(struct rig *rig, struct copy_leaves *leaves)
{
	struct vmm_error *err = NULL;
	if (rig_push(rig, leaves, &err) < 0) {
		fprintf(stderr, "push failed: %s: %s\n", err->code, err->message);
		abort();
	}
}

int rig_verify(struct rig *rig, struct copy_leaves *leaves, size_t *bad, struct vmm_error **err)
{
	struct served served;
	const struct copy_job job = {.volume = "vda"};
	session_begin(rig, &served);
	int result = copy_verify(&job, served.source, leaves, bad, err);
	session_end(&served);
	return result;
}

void rig_send(struct stream *s, int type, int flags, const void *data, size_t length)
{
	frame_send(s, (uint8_t)type, (uint8_t)flags, data, length, NULL);
}

void rig_garbage(struct stream *s)
{
	char noise[4000];
	memset(noise, 'x', sizeof(noise));
	stream_write(s, noise, sizeof(noise), NULL);
}

/* ------------------------------------------------------------------ volumes */

static int volume(const char *directory, const char *name)
{
	vmm_auto_free char *path = str_format("%s/%s", directory, name);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	return fd;
}

void rig_begin(struct rig *rig, uint64_t size)
{
	const char *base = getenv("TMPDIR");
	*rig = (struct rig){.size = size, .sessions = 1};
	snprintf(rig->directory, sizeof(rig->directory), "%s/vmm-copy-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(rig->directory))
		abort();
	rig->source = volume(rig->directory, "source");
	rig->target = volume(rig->directory, "target");
	if (ftruncate(rig->source, (off_t)size) < 0)
		abort();
}

void rig_end(struct rig *rig)
{
	close(rig->source);
	close(rig->target);
	error_clear(&rig->served);
	dir_remove(rig->directory, NULL);
}

uint64_t rig_random(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15;
	uint64_t x = *seed;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void write_at(int fd, const void *data, size_t length, uint64_t offset)
{
	if (pwrite(fd, data, length, (off_t)offset) != (ssize_t)length)
		abort();
}

void rig_fill(int fd, uint64_t offset, size_t length, uint64_t seed)
{
	vmm_auto_free uint64_t *data = mem_zero(CHUNK);
	for (size_t n; length; length -= n, offset += n) {
		n = length < CHUNK ? length : CHUNK;
		for (size_t i = 0; i < CHUNK / 8; i++)
			data[i] = rig_random(&seed);
		write_at(fd, data, n, offset);
	}
}

void rig_zeros(int fd, uint64_t offset, size_t length)
{
	vmm_auto_free char *data = mem_zero(length);
	write_at(fd, data, length, offset);
}

static uint64_t size_of(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		abort();
	return (uint64_t)st.st_size;
}

bool rig_same(const struct rig *rig)
{
	vmm_auto_free char *a = mem_zero(CHUNK), *b = mem_zero(CHUNK);
	if (size_of(rig->source) != size_of(rig->target)) {
		fprintf(stderr, "sizes differ\n");
		return false;
	}
	for (uint64_t at = 0; at < rig->size; at += CHUNK) {
		ssize_t n = pread(rig->source, a, CHUNK, (off_t)at);
		if (n <= 0 || pread(rig->target, b, CHUNK, (off_t)at) != n)
			abort();
		for (ssize_t i = 0; i < n; i++) {
			if (a[i] == b[i])
				continue;
			fprintf(stderr, "volumes differ at %llu\n", (unsigned long long)at + (unsigned long long)i);
			return false;
		}
	}
	return true;
}

uint64_t rig_needed(int fd)
{
	static const char zeros[BLOCK];
	vmm_auto_free char *data = mem_zero(CHUNK);
	uint64_t needed = 0;
	ssize_t n;
	for (uint64_t at = 0; (n = pread(fd, data, CHUNK, (off_t)at)) > 0; at += CHUNK) {
		memset(data + n, 0, (size_t)(CHUNK - n));
		for (size_t i = 0; i < CHUNK; i += BLOCK)
			if (memcmp(data + i, zeros, BLOCK))
				needed += BLOCK;
	}
	return needed;
}

uint64_t rig_allocated(int fd)
{
	struct stat st;
	if (fsync(fd) < 0 || fstat(fd, &st) < 0)
		abort();
	return (uint64_t)st.st_blocks * 512;
}
