/* readback.c: the target's side of a verification: reads the volume back from storage, not from the page cache. */
#include <fcntl.h>
#include <sys/stat.h>

#include "target.h"

/* Opens the same volume with O_DIRECT; -1 if its filesystem cannot do that. */
static int open_direct(int fd)
{
	vmm_auto_free char *path = str_format("/proc/self/fd/%d", fd);
	int direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *probe = NULL;
	if (direct < 0 || posix_memalign(&probe, 4096, 4096))
		return direct;
	if (pread(direct, probe, 4096, 0) < 0) {
		close(direct);
		direct = -1;
	}
	free(probe);
	return direct;
}

/* A file that is longer or shorter than the source is not a copy of it, even if the leaves are the same. */
static int check_size(int fd, const char *name, uint64_t size, struct vmm_error **err)
{
	struct stat file;
	if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode) || (uint64_t)file.st_size == size)
		return 0;
	return error_set(err, VMM_FAILED, "verify-failed", "the copy of %s has %llu bytes, the source %llu", name,
			 (unsigned long long)file.st_size, (unsigned long long)size);
}

static int receive_ranges(struct stream *stream, uint64_t size, struct leaf_set *set, struct vmm_error **err)
{
	uint64_t from = 0;
	for (bool last = false; !last;) {
		struct frame frame;
		if (frame_receive(stream, COPY_LIMIT_TO_TARGET, -1, &frame, err) < 0)
			return -1;
		last = !frame.length && frame.type == COPY_LEAF_RANGES;
		int result = leaf_ranges_unpack(&frame, size, &from, set, err);
		frame_free(&frame);
		if (result < 0)
			return -1;
	}
	return 0;
}

static int read_back(int fd, const struct leaf_set *set, struct copy_leaves *leaves, struct vmm_error **err)
{
	if (fdatasync(fd) < 0)
		return error_set(err, VMM_FAILED, "io-error", "writing to stable storage: %m");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	vmm_auto_close int direct = open_direct(fd);
	return scan_all(direct >= 0 ? direct : fd, set, leaves, err);
}

static int read_leaves(struct stream *stream, int fd, const char *name, struct copy_leaves *leaves,
		       uint8_t root[COPY_ROOT_SIZE], struct vmm_error **err)
{
	struct leaf_set set;
	leaf_set_begin(&set, leaves->size);
	int result = receive_ranges(stream, leaves->size, &set, err);
	if (!result && read_back(fd, &set, leaves, err) < 0)
		result = error_context(err, "%s", name);
	if (!result)
		leaves_root(leaves, &set, root);
	leaf_set_free(&set);
	return result;
}

int readback_serve(struct stream *stream, struct outbox *outbox, const struct frame *verify, copy_open_fn *open_volume,
		   void *context, struct copy_leaves *leaves, struct vmm_error **err)
{
	uint64_t size;
	uint8_t key[COPY_KEY], root[COPY_ROOT_SIZE];
	vmm_auto_free char *name = NULL;
	vmm_auto_close int fd = -1;
	copy_leaves_free(leaves);
	if (open_unpack(verify, &size, key, &name, err) < 0 || (fd = open_volume(context, name, size, err)) < 0 ||
	    check_size(fd, name, size, err) < 0 || leaves_make(size, key, leaves, err) < 0 ||
	    read_leaves(stream, fd, name, leaves, root, err) < 0)
		return -1;
	outbox_put(outbox, COPY_ROOT, 0, root, sizeof(root));
	return 0;
}

int readback_tags(struct outbox *outbox, const struct frame *request, const struct copy_leaves *leaves,
		  struct vmm_error **err)
{
	uint64_t first;
	uint32_t count;
	if (!leaves->tag)
		return protocol_error(err, "a request for tags before a copy or verification");
	if (get_tags_unpack(request, leaves->size, &first, &count, err) < 0)
		return -1;
	for (uint64_t extent = first; extent < first + count; extent++) {
		struct extent_tags tags;
		uint8_t packed[COPY_TAGS_MOST];
		/* A source that asks on and on and reads nothing has to wait, and does not fill our memory. */
		if (!outbox_wait(outbox, NULL))
			return error_set(err, VMM_FAILED, "link-lost", "the source is gone");
		leaves_get(leaves, extent, &tags);
		outbox_put(outbox, COPY_TAGS, 0, packed, tags_pack(extent, &tags, packed));
	}
	return 0;
}
