/* verify.c: compares the copy with what was sent, and the source with what was read. */
#include <sys/stat.h>

#include "source.h"

/* Where two tables of the same volume differ. */
struct difference {
	uint64_t first;	  /* offset */
	uint64_t extents; /* how many extents differ */
};

/* Compares the leaves whose bits are set. */
static void compare_extent(const struct copy_leaves *leaves, uint64_t extent, uint64_t bits,
			   const struct extent_tags *other, struct difference *difference)
{
	struct extent_tags ours;
	leaves_get(leaves, extent, &ours);
	for (unsigned leaf = 0; leaf < COPY_EXTENT_LEAVES; leaf++) {
		bool nonzero = ours.nonzero >> leaf & 1;
		if (!(bits >> leaf & 1))
			continue;
		if (nonzero == (other->nonzero >> leaf & 1) &&
		    (!nonzero || !memcmp(ours.tag[leaf], other->tag[leaf], COPY_TAG)))
			continue;
		if (!difference->extents++)
			difference->first = extent * COPY_EXTENT + (uint64_t)leaf * COPY_LEAF;
		return;
	}
}

/* Asks the target for the tags of some extents and compares them. */
static int fetch_tags(struct stream *stream, const struct copy_leaves *leaves, const struct leaf_set *set,
		      uint64_t first, uint32_t count, struct difference *difference, struct vmm_error **err)
{
	uint8_t packed[COPY_GET_TAGS_SIZE];
	get_tags_pack(first, count, packed);
	if (frame_send(stream, COPY_GET_TAGS, 0, packed, sizeof(packed), err) < 0)
		return -1;
	for (uint64_t extent = first; extent < first + count; extent++) {
		struct frame frame;
		struct extent_tags tags;
		uint64_t which;
		if (protocol_receive(stream, &frame, err) < 0)
			return -1;
		int result = frame.type == COPY_TAGS ? tags_unpack(&frame, leaves->size, &which, &tags, err)
						     : protocol_error(err, "a frame of type %d for tags", frame.type);
		frame_free(&frame);
		if (result < 0)
			return -1;
		if (which != extent)
			return protocol_error(err, "tags of another extent");
		compare_extent(leaves, extent, set->bits[extent], &tags, difference);
	}
	return 0;
}

/* After the roots differed: finds the extents that differ. Always returns -1 with *err. */
static int find_difference(struct stream *stream, const char *volume, const struct copy_leaves *leaves,
			   const struct leaf_set *set, size_t *different, struct vmm_error **err)
{
	struct difference difference = {0};
	uint64_t extents = extent_count(leaves->size);
	for (uint64_t first = set->first; first < set->end; first += COPY_BATCH_MOST)
		if (fetch_tags(stream, leaves, set, first, min64(COPY_BATCH_MOST, set->end - first), &difference, err) <
		    0)
			return -1;
	if (!difference.extents)
		return protocol_error(err, "a root that is not that of its tags");
	if (different)
		*different = difference.extents;
	return error_set(
		err, VMM_FAILED, "verify-failed",
		"the copy of %s differs from what was sent, first in the 64 KiB at offset %llu (%llu of %llu extents "
		"of 4 MiB)",
		volume, (unsigned long long)difference.first, (unsigned long long)difference.extents,
		(unsigned long long)extents);
}

static uint64_t unverified(const struct copy_leaves *leaves, uint64_t extent)
{
	return ~leaves->verified[extent] & bits_of_extent(leaves->size, extent);
}

/* Bytes that the target has to read back for these leaves of an extent: leaves of zeros lie in holes. */
static uint64_t bytes_to_read(const struct copy_leaves *leaves, uint64_t extent, uint64_t bits)
{
	struct extent_tags tags;
	if (!bits)
		return 0;
	leaves_get(leaves, extent, &tags);
	return (uint64_t)__builtin_popcountll(tags.nonzero & bits) * COPY_LEAF;
}

/* Makes the set of the leaves that are not verified from extent set->end on, up to SET_BYTES. Returns the bytes that
 * have to be read back. */
static uint64_t select_unverified(const struct copy_leaves *leaves, struct leaf_set *set)
{
	enum { SET_BYTES = 512 << 20 };
	uint64_t bytes = 0;
	set->first = set->end;
	while (set->end < extent_count(leaves->size) && bytes < SET_BYTES) {
		uint64_t extent = set->end++;
		set->bits[extent] = unverified(leaves, extent);
		bytes += bytes_to_read(leaves, extent, set->bits[extent]);
	}
	return bytes;
}

static int verify_set(struct stream *stream, const struct copy_job *job, struct copy_leaves *leaves,
		      const struct leaf_set *set, size_t *different, struct vmm_error **err)
{
	struct frame frame;
	uint8_t root[COPY_ROOT_SIZE];
	if (open_send(stream, COPY_VERIFY, leaves->size, leaves->key, job->volume, err) < 0 ||
	    leaf_ranges_send(stream, set, err) < 0)
		return -1;
	leaves_root(leaves, set, root); /* while the target reads */
	if (protocol_receive(stream, &frame, err) < 0)
		return -1;
	bool is_root = frame.type == COPY_ROOT && frame.length == sizeof(root);
	bool same = is_root && !memcmp(frame.data, root, sizeof(root));
	frame_free(&frame);
	if (!is_root)
		return protocol_error(err, "no root of %s", job_name(job));
	if (!same)
		return find_difference(stream, job_name(job), leaves, set, different, err);
	for (uint64_t extent = set->first; extent < set->end; extent++)
		leaves->verified[extent] |= set->bits[extent];
	return 0;
}

int copy_verify(const struct copy_job *job, struct stream *session, struct copy_leaves *leaves, size_t *different,
		struct vmm_error **err)
{
	struct source_stream stream;
	struct leaf_set set;
	struct copy_progress progress = {0};
	int result = 0;
	source_stream_begin(&stream, session, NULL);
	stream.job = job;
	stream.progress = &progress;
	leaf_set_begin(&set, leaves->size);
	if (different)
		*different = 0;
	for (uint64_t extent = 0; extent < extent_count(leaves->size); extent++)
		progress.total += bytes_to_read(leaves, extent, unverified(leaves, extent));
	/* At least once, since the target also checks the volume's size. */
	do {
		uint64_t bytes = select_unverified(leaves, &set);
		if (job->progress && !job->progress(job->context, &progress))
			result = error_set(err, VMM_CANCELLED, "cancelled", "the verification of %s was cancelled",
					   job_name(job));
		else
			result = verify_set(&stream.stream, job, leaves, &set, different, err);
		progress.done += bytes;
	} while (!result && set.end < extent_count(leaves->size));
	leaf_set_free(&set);
	return result;
}

void copy_root(const struct copy_leaves *leaves, char hex[2 * COPY_SECRET + 1])
{
	struct leaf_set all;
	uint8_t root[COPY_ROOT_SIZE];
	leaf_set_begin(&all, leaves->size);
	for (all.end = 0; all.end < extent_count(leaves->size); all.end++)
		all.bits[all.end] = bits_of_extent(leaves->size, all.end);
	leaves_root(leaves, &all, root);
	leaf_set_free(&all);
	for (size_t i = 0; i < sizeof(root); i++)
		sprintf(hex + 2 * i, "%02x", root[i]);
}

const char *copy_digest_name(const struct copy_leaves *leaves)
{
	return leaves->key[0] == COPY_SHA256 ? "sha256" : "poly1305";
}

int copy_compare(int fd, const struct copy_leaves *leaves, struct vmm_error **err)
{
	struct stat file;
	if (!fstat(fd, &file) && S_ISREG(file.st_mode) && (uint64_t)file.st_size != leaves->size)
		return error_set(err, VMM_FAILED, "source-changed", "the source has %llu bytes now, %llu were copied",
				 (unsigned long long)file.st_size, (unsigned long long)leaves->size);
	struct copy_leaves now;
	struct difference difference = {0};
	int result = leaves_make(leaves->size, leaves->key, &now, err);
	if (!result)
		result = scan_all(fd, NULL, &now, err);
	for (uint64_t extent = 0; !result && extent < extent_count(now.size); extent++) {
		struct extent_tags tags;
		leaves_get(&now, extent, &tags);
		compare_extent(leaves, extent, ~0ull, &tags, &difference);
	}
	copy_leaves_free(&now);
	if (result || !difference.extents)
		return result;
	return error_set(err, VMM_FAILED, "source-changed",
			 "the source changed after it was copied, first in the 64 KiB at offset %llu",
			 (unsigned long long)difference.first);
}
