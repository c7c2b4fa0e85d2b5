/* sink.c: writes to the target's volume, as sparse as the data allows. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "target.h"

enum { WRITE_BACK_EVERY = 16 << 20 };

static int size_device(struct sink *sink, struct vmm_error **err)
{
	uint64_t room = 0;
	if (ioctl(sink->fd, BLKGETSIZE64, &room) < 0)
		return error_errno(err, errno, "asking for the size of %s", sink->name);
	if (room < sink->size)
		return error_set(err, VMM_FAILED, "too-small", "%s has %llu bytes, the source's volume %llu",
				 sink->name, (unsigned long long)room, (unsigned long long)sink->size);
	sink->block = true;
	return 0;
}

int sink_begin(struct sink *sink, int fd, const char *name, uint64_t size, struct vmm_error **err)
{
	*sink = (struct sink){.fd = fd, .name = name, .size = size, .drop_cache = exceeds_cache(size)};
	struct stat file;
	if (fstat(fd, &file) < 0)
		return error_errno(err, errno, "asking for the size of %s", name);
	if (S_ISBLK(file.st_mode))
		return size_device(sink, err);
	if (!S_ISREG(file.st_mode))
		return error_set(err, VMM_FAILED, "not-a-volume", "%s is neither a file nor a block device", name);
	/* Also if it has that size already: XFS may have preallocated storage behind the end. */
	if (ftruncate(fd, (off_t)size) < 0)
		return error_errno(err, errno, "giving %s its size of %llu bytes", name, (unsigned long long)size);
	return 0;
}

static int check_range(const struct sink *sink, uint64_t offset, uint64_t length, struct vmm_error **err)
{
	if (offset > sink->size || length > sink->size - offset)
		return protocol_error(err, "a write behind the end of %s", sink->name);
	return 0;
}

/* Starts writeback every WRITE_BACK_EVERY bytes, so that the last sync is short and does not hold up other guests'
 * writes. */
static void write_back(struct sink *sink, uint64_t length)
{
	sink->unsynced += length;
	if (sink->unsynced < WRITE_BACK_EVERY)
		return;
	sync_file_range(sink->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	if (sink->drop_cache)
		posix_fadvise(sink->fd, 0, 0, POSIX_FADV_DONTNEED);
	sink->unsynced = 0;
}

int sink_write(struct sink *sink, uint64_t offset, const void *data, size_t length, struct vmm_error **err)
{
	if (check_range(sink, offset, length, err) < 0)
		return -1;
	for (size_t done = 0; done < length;) {
		ssize_t n = pwrite(sink->fd, (const char *)data + done, length - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_errno(err, n ? errno : EIO, "writing %s at offset %llu", sink->name,
					   (unsigned long long)(offset + done));
		done += (size_t)n;
	}
	write_back(sink, length);
	return 0;
}

static int write_zeros(struct sink *sink, uint64_t offset, uint64_t length, struct vmm_error **err)
{
	static const uint8_t zeros[COPY_LEAF];
	for (uint64_t done = 0; done < length;) {
		size_t n = min64(sizeof(zeros), length - done);
		if (sink_write(sink, offset + done, zeros, n, err) < 0)
			return -1;
		done += n;
	}
	return 0;
}

int sink_zero(struct sink *sink, uint64_t offset, uint64_t length, struct vmm_error **err)
{
	if (check_range(sink, offset, length, err) < 0)
		return -1;
	if (!length)
		return 0;
	if (sink->no_holes)
		return write_zeros(sink, offset, length, err);
	/* The last block of a file is freed only if the hole covers all of it. */
	uint64_t whole = length;
	if (!sink->block && offset + length == sink->size)
		whole = (length + COPY_BLOCK - 1) & ~(uint64_t)(COPY_BLOCK - 1);
	int mode = sink->block ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
	while (fallocate(sink->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)whole) < 0) {
		if (errno == EINTR)
			continue;
		/* A filesystem that cannot punch holes; EINVAL: a device that takes only larger units. */
		sink->no_holes = errno == EOPNOTSUPP || errno == ENOSYS;
		if (sink->no_holes || errno == EINVAL)
			return write_zeros(sink, offset, length, err);
		return error_errno(err, errno, "writing zeros to %s at offset %llu", sink->name,
				   (unsigned long long)offset);
	}
	write_back(sink, COPY_BLOCK);
	return 0;
}

static int store(struct sink *sink, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err)
{
	bool zero;
	for (size_t at = 0, run; block_runs_next(data, length, &at, &run, &zero);) {
		size_t from = at - run;
		if ((zero ? sink_zero(sink, offset + from, run, err)
			  : sink_write(sink, offset + from, data + from, run, err)) < 0)
			return -1;
	}
	return 0;
}

int sink_replace(struct sink *sink, uint64_t offset, const void *data, const void *old, size_t length,
		 struct vmm_error **err)
{
	const uint8_t *to = data, *from = old;
	size_t begin = 0; /* of the changed blocks that are not written yet */
	for (size_t at = 0; at < length;) {
		size_t block = min64(COPY_BLOCK, length - at);
		bool same = !memcmp(to + at, from + at, block);
		if (same && store(sink, offset + begin, to + begin, at - begin, err) < 0)
			return -1;
		at += block;
		if (same)
			begin = at;
	}
	return store(sink, offset + begin, to + begin, length - begin, err);
}

int sink_punch_zeros(struct sink *sink, uint64_t offset, const void *data, size_t length, struct vmm_error **err)
{
	if (sink->block || sink->no_holes)
		return 0;
	bool zero;
	for (size_t at = 0, run; block_runs_next(data, length, &at, &run, &zero);) {
		uint64_t from = offset + at - run;
		if (!zero)
			continue;
		/* To punch costs the filesystem a transaction even if there is a hole already. */
		off_t next = lseek(sink->fd, (off_t)from, SEEK_DATA);
		if ((next >= 0 && (uint64_t)next >= from + run) || (next < 0 && errno == ENXIO))
			continue;
		if (sink_zero(sink, from, run, err) < 0)
			return -1;
	}
	return 0;
}

int sink_sync(struct sink *sink, struct vmm_error **err)
{
	if (fdatasync(sink->fd) < 0)
		return error_errno(err, errno, "writing %s to stable storage", sink->name);
	return 0;
}
