/* verify.c: is the copy what was sent, and is the source what was read? */
#include <sys/stat.h>

#include "parts.h"

/* Where two tables of the same volume differ. */
struct difference {
	uint64_t first;	  /* offset */
	uint64_t extents; /* how many extents differ */
};

/* Looks at the leaves whose bits are set. */
static void compare_extent(const struct copy_leaves *leaves, uint64_t extent, uint64_t bits,
			   const struct extent_tags *other, struct difference *difference)
{
	struct extent_tags ours;
	leaves_get(leaves, extent, &ours);
	for (unsigned leaf = 0; leaf < COPY_LEAVES; leaf++) {
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

static int fetch_order(struct stream *stream, const struct copy_leaves *leaves, const struct picked *picked,
		       uint64_t first, uint32_t count, struct difference *difference, struct vmm_error **err)
{
	uint8_t packed[COPY_ORDER_SIZE];
	order_pack(first, count, packed);
	if (frame_send(stream, COPY_ORDER, 0, packed, sizeof(packed), err) < 0)
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
		compare_extent(leaves, extent, picked->leaves[extent], &tags, difference);
	}
	return 0;
}

static int find_difference(struct stream *stream, const char *volume, const struct copy_leaves *leaves,
			   const struct picked *picked, size_t *bad, struct vmm_error **err)
{
	struct difference difference = {0};
	uint64_t extents = extent_count(leaves->size);
	for (uint64_t first = picked->first; first < picked->end; first += COPY_ORDER_MOST)
		if (fetch_order(stream, leaves, picked, first, min64(COPY_ORDER_MOST, picked->end - first), &difference,
				err) < 0)
			return -1;
	if (!difference.extents)
		return protocol_error(err, "a root that is not that of its tags");
	if (bad)
		*bad = difference.extents;
	return error_set(
		err, VMM_FAILED, "verify-failed",
		"the copy of %s differs from what was sent, first in the 64 KiB at offset %llu (%llu of %llu extents "
		"of 4 MiB)",
		volume, (unsigned long long)difference.first, (unsigned long long)difference.extents,
		(unsigned long long)extents);
}

static uint64_t unproven(const struct copy_leaves *leaves, uint64_t extent)
{
	return ~leaves->proven[extent] & extent_bits(leaves->size, extent);
}

/* Bytes to be read back for these leaves of an extent: zeros are holes. */
static uint64_t weight(const struct copy_leaves *leaves, uint64_t extent, uint64_t bits)
{
	struct extent_tags tags;
	if (!bits)
		return 0;
	leaves_get(leaves, extent, &tags);
	return (uint64_t)__builtin_popcountll(tags.nonzero & bits) * COPY_LEAF;
}

/* Picks what is not proven from extent picked->end on, up to a limit. Returns the bytes that have to be read. */
static uint64_t pick_some(const struct copy_leaves *leaves, struct picked *picked)
{
	enum { SOME = 512 << 20 };
	uint64_t bytes = 0;
	picked->first = picked->end;
	while (picked->end < extent_count(leaves->size) && bytes < SOME) {
		uint64_t extent = picked->end++;
		picked->leaves[extent] = unproven(leaves, extent);
		bytes += weight(leaves, extent, picked->leaves[extent]);
	}
	return bytes;
}

static int verify_some(struct stream *stream, const struct copy_job *job, struct copy_leaves *leaves,
		       const struct picked *picked, size_t *bad, struct vmm_error **err)
{
	struct frame frame;
	uint8_t root[COPY_ROOT_SIZE];
	if (open_send(stream, COPY_VERIFY, leaves->size, leaves->key, job->volume, err) < 0 ||
	    picks_send(stream, picked, err) < 0)
		return -1;
	leaves_root(leaves, picked, root); /* while the target reads */
	if (protocol_receive(stream, &frame, err) < 0)
		return -1;
	bool is_root = frame.type == COPY_ROOT && frame.length == sizeof(root);
	bool same = is_root && !memcmp(frame.data, root, sizeof(root));
	frame_free(&frame);
	if (!is_root)
		return protocol_error(err, "no root of %s", job_name(job));
	if (!same)
		return find_difference(stream, job_name(job), leaves, picked, bad, err);
	for (uint64_t extent = picked->first; extent < picked->end; extent++)
		leaves->proven[extent] |= picked->leaves[extent];
	return 0;
}

int copy_verify(const struct copy_job *job, struct stream *session, struct copy_leaves *leaves, size_t *bad,
		struct vmm_error **err)
{
	struct lane lane;
	struct picked picked;
	struct copy_progress progress = {0};
	int result = 0;
	lane_begin(&lane, session, NULL);
	picked_begin(&picked, leaves->size);
	if (bad)
		*bad = 0;
	for (uint64_t extent = 0; extent < extent_count(leaves->size); extent++)
		progress.total += weight(leaves, extent, unproven(leaves, extent));
	/* Once at least: the target also looks at the volume's size. */
	do {
		uint64_t bytes = pick_some(leaves, &picked);
		if (job->progress && !job->progress(job->context, &progress))
			result = error_set(err, VMM_CANCELLED, "cancelled", "the verification of %s was cancelled",
					   job_name(job));
		else
			result = verify_some(&lane.stream, job, leaves, &picked, bad, err);
		progress.done += bytes;
	} while (!result && picked.end < extent_count(leaves->size));
	picked_free(&picked);
	return result;
}

void copy_root(const struct copy_leaves *leaves, char hex[2 * COPY_SECRET + 1])
{
	struct picked all;
	uint8_t root[COPY_ROOT_SIZE];
	picked_begin(&all, leaves->size);
	for (all.end = 0; all.end < extent_count(leaves->size); all.end++)
		all.leaves[all.end] = extent_bits(leaves->size, all.end);
	leaves_root(leaves, &all, root);
	picked_free(&all);
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
