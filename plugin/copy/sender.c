/* sender.c: the source's side of one session of a push: reads extents, compares them with the target's, sends what
 * differs.
 *
 * One thread does all of it. It reads from the session only when it waits for something or when something has arrived,
 * and it may write at any time: copy-internal.h says why that cannot deadlock. */
#include "source.h"

/* ------------------------------------------------------------------ extents */

/* A leaf of the source compared with the target's: the same; zero, but not there; data over zeros; data over other
 * data. */
enum leaf_state { LEAF_SAME, LEAF_BECAME_ZERO, LEAF_OVER_ZERO, LEAF_OVER_DATA };

static enum leaf_state leaf_state(const struct extent_tags *new, const struct extent_tags *old, unsigned leaf)
{
	bool is = new->nonzero >> leaf & 1, was = old->nonzero >> leaf & 1;
	if (!is)
		return was ? LEAF_BECAME_ZERO : LEAF_SAME;
	if (!was)
		return LEAF_OVER_ZERO;
	return memcmp(new->tag[leaf], old->tag[leaf], COPY_TAG) ? LEAF_OVER_DATA : LEAF_SAME;
}

static int send_leaves(struct sender *sender, enum leaf_state state, uint64_t offset, const uint8_t *data,
		       size_t length, struct vmm_error **err)
{
	switch (state) {
	case LEAF_BECAME_ZERO:
		return sender_send_zeros(sender, offset, length, err);
	case LEAF_OVER_ZERO:
		return sender_send_run(sender, offset, data, length, true, err);
	case LEAF_OVER_DATA:
		return sender_send_over(sender, offset, data, length, err);
	default:
		return 0;
	}
}

/* The data of some leaves of an extent; NULL with *err if they cannot be read. If they were not kept they are read once
 * more, and their tags in `new` are replaced by those of what was read now: the guest may have written meanwhile. */
static const uint8_t *leaves_data(struct sender *sender, uint64_t extent, unsigned first, unsigned end,
				  struct extent_tags *new, struct vmm_error **err)
{
	if (sender->prefetch.has_data)
		return sender->prefetch.data + (size_t)first * COPY_LEAF;
	if (!sender->again.data)
		sender->again.data = scan_buffer();
	if (scan_leaves(&sender->again, extent, first, end, sender->again.data, new, err) < 0) {
		error_context(err, "%s", job_name(sender->push->job));
		return NULL;
	}
	return sender->again.data;
}

static uint64_t leaf_bits(unsigned first, unsigned end)
{
	return (end - first == 64 ? ~0ull : (1ull << (end - first)) - 1) << first;
}

/* The end of the run of leaves in the same state that begins with `leaf`; COPY_RUN bytes at most. */
static unsigned run_end(const struct extent_tags *new, const struct extent_tags *old, unsigned leaf, size_t leaves)
{
	enum leaf_state state = leaf_state(new, old, leaf);
	unsigned end = leaf + 1;
	while (end < leaves && (end - leaf) * COPY_LEAF < COPY_RUN && leaf_state(new, old, end) == state)
		end++;
	return end;
}

static int send_run(struct sender *sender, uint64_t extent, unsigned leaf, unsigned end, enum leaf_state state,
		    struct extent_tags *new, struct vmm_error **err)
{
	size_t from = (size_t)leaf * COPY_LEAF,
	       to = min64((uint64_t)end * COPY_LEAF, extent_length(sender->push->map.size, extent));
	const uint8_t *data = NULL;
	if (sender->push->leaves)
		sender->push->leaves->verified[extent] &= ~leaf_bits(leaf, end);
	if (state != LEAF_BECAME_ZERO && !(data = leaves_data(sender, extent, leaf, end, new, err)))
		return -1;
	return send_leaves(sender, state, extent * COPY_EXTENT + from, data, to - from, err);
}

static int send_extent(struct sender *sender, uint64_t extent, struct extent_tags *new, const struct extent_tags *old,
		       struct vmm_error **err)
{
	size_t leaves = leaf_count(extent_length(sender->push->map.size, extent)), sent = 0;
	for (unsigned leaf = 0, end; leaf < leaves; leaf = end) {
		enum leaf_state state = leaf_state(new, old, leaf);
		end = run_end(new, old, leaf, leaves);
		if (state == LEAF_SAME) {
			sender->push->present +=
				(uint64_t)__builtin_popcountll(new->nonzero >> leaf << (64 - (end - leaf))) * COPY_LEAF;
			continue;
		}
		sent += end - leaf;
		if (send_run(sender, extent, leaf, end, state, new, err) < 0)
			return -1;
	}
	sender->mostly_differs = sent > leaves / 2;
	return 0;
}

/* The leaves that cannot have changed were not read: their tags are the old ones. */
static void keep_unchanged(struct extent_tags *new, const struct extent_tags *old, uint64_t changed)
{
	new->nonzero |= old->nonzero & ~changed;
	for (unsigned leaf = 0; leaf < COPY_EXTENT_LEAVES; leaf++)
		if (!(changed >> leaf & 1))
			memcpy(new->tag[leaf], old->tag[leaf], COPY_TAG);
}

/* The next extent with data behind this one, of those that this sender has taken. False if there is none. */
static bool next_to_read(const struct sender *sender, uint64_t extent, uint64_t *next)
{
	for (unsigned i = 0; i < COPY_BATCHES; i++) {
		const struct batch *batch = &sender->batches[(sender->current + i) % COPY_BATCHES];
		for (*next = batch->first; *next < batch->first + batch->count; ++*next)
			if (*next > extent && sender->push->map.bits[*next])
				return true;
	}
	return false;
}

/* Data that will probably be sent are kept when they are read. Else only tags are made, which is faster, and what
 * differs is read once more. */
static bool keeps_data(const struct sender *sender)
{
	return sender->target_is_empty || sender->mostly_differs || sender->push->changed ||
	       sender->prefetch.scan.drop_cache;
}

/* Gives the tags of an extent, and its data in sender->prefetch. Starts to read the next one. */
static int read_extent(struct sender *sender, uint64_t extent, struct extent_tags *tags, struct vmm_error **err)
{
	struct push *push = sender->push;
	struct prefetch *prefetch = &sender->prefetch;
	uint64_t read = prefetch->read, next;
	tags->nonzero = 0;
	if (!push->map.bits[extent])
		return 0;
	if (prefetch->extent != extent)
		prefetch_request(prefetch, extent, keeps_data(sender));
	if (prefetch_wait(prefetch, tags, err) < 0)
		return error_context(err, "%s", job_name(push->job));
	push->data += prefetch->read - read;
	if (next_to_read(sender, extent, &next))
		prefetch_request(prefetch, next, keeps_data(sender));
	return 0;
}

/* Deals with the batch's next extent. */
static int push_extent(struct sender *sender, struct batch *batch, struct vmm_error **err)
{
	struct push *push = sender->push;
	uint64_t extent = batch->first + batch->done;
	struct extent_tags new, *old = &batch->old[batch->done];
	if (push->changed && !push->changed[extent]) {
		push->done += extent_length(push->map.size, extent);
		batch->done++;
		return 0;
	}
	if (read_extent(sender, extent, &new, err) < 0)
		return -1;
	if (push->target_known)
		leaves_get(push->leaves, extent, old);
	else if (sender->target_is_empty)
		old->nonzero = 0;
	if (push->changed)
		keep_unchanged(&new, old, push->changed[extent]);
	while (sender_needs_tags(sender) && batch->arrived <= batch->done)
		if (sender_receive(sender, err) < 0)
			return -1;
	if (send_extent(sender, extent, &new, old, err) < 0)
		return -1;
	if (push->leaves)
		leaves_put(push->leaves, extent, &new);
	push->done += extent_length(push->map.size, extent);
	batch->done++;
	while (source_stream_ready(&sender->stream))
		if (sender_receive(sender, err) < 0)
			return -1;
	return sender_process_signatures(sender, err);
}

/* ------------------------------------------------------------------ batches of extents */

/* Takes extents from the push, if there are any left, and asks the target for their tags if these are needed. */
static int take_batch(struct sender *sender, struct batch *batch, struct vmm_error **err)
{
	struct push *push = sender->push;
	uint64_t first = atomic_fetch_add(&push->next, push->batch_size);
	*batch = (struct batch){.first = first};
	if (first >= push->map.count)
		return 0;
	batch->count = (uint32_t)min64(push->batch_size, push->map.count - first);
	if (!sender_needs_tags(sender)) {
		batch->arrived = batch->count;
		return 0;
	}
	uint8_t packed[COPY_GET_TAGS_SIZE];
	get_tags_pack(batch->first, batch->count, packed);
	return sender_send(sender, COPY_GET_TAGS, packed, sizeof(packed), err);
}

static int push_extents(struct sender *sender, struct vmm_error **err)
{
	for (unsigned i = 0; i < COPY_BATCHES; i++)
		if (take_batch(sender, &sender->batches[i], err) < 0)
			return -1;
	for (struct batch *batch; (batch = &sender->batches[sender->current])->count;) {
		while (batch->done < batch->count)
			if (push_extent(sender, batch, err) < 0)
				return -1;
		sender->current = (sender->current + 1) % COPY_BATCHES;
		if (take_batch(sender, batch, err) < 0)
			return -1;
	}
	return 0;
}

static int run_session(struct sender *sender, struct vmm_error **err)
{
	struct push *push = sender->push;
	while (!sender->opened)
		if (sender_receive(sender, err) < 0)
			return -1;
	/* The target's volume should hold what was sent before. It may be empty if another session of this push has
	 * taken extents already and has made them zero. */
	if (sender->target_is_empty && push->target_has_data && !push->next)
		return error_set(err, VMM_FAILED, "copy-lost", "the target no longer has what was sent of %s before",
				 job_name(push->job));
	if (push_extents(sender, err) < 0)
		return -1;
	while (sender_awaits_signatures(sender))
		if (sender_process_signatures(sender, err) < 0 ||
		    (sender_awaits_signatures(sender) && sender_receive(sender, err) < 0))
			return -1;
	if (sender_flush(sender, err) < 0)
		return -1;
	sender->syncing = true;
	if (sender_send(sender, COPY_SYNC, NULL, 0, err) < 0)
		return -1;
	while (!sender->synced)
		if (sender_receive(sender, err) < 0)
			return -1;
	return 0;
}

int sender_run(struct push *push, struct stream *session, struct vmm_error **err)
{
	struct sender *sender = mem_zero(sizeof(*sender));
	sender->push = push;
	source_stream_begin(&sender->stream, session, &push->stop);
	sender->stream.limit = &push->limit;
	sender->stream.wire = &push->wire;
	scan_begin(&sender->again, push->job->fd, &push->map, push->key);
	int result = prefetch_begin(&sender->prefetch, push->job->fd, &push->map, push->key, err);
	if (!result) {
		result = run_session(sender, err);
		prefetch_end(&sender->prefetch);
	}
	scan_end(&sender->again);
	compressor_end(&sender->compressor);
	sender_free_requests(sender);
	free(sender);
	return result;
}
