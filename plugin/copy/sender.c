/* sender.c: the source's side of one session - reads extents, compares, sends what differs.
 *
 * One thread does all of it. It reads from the session only when it waits for something or when something is there, and
 * it may write at any time: see parts.h for why that ends.
 */
#include "sender.h"

/* ------------------------------------------------------------------ extents */

enum fate { FATE_SAME, FATE_ZERO, FATE_NEW, FATE_OVER };

static enum fate leaf_fate(const struct extent_tags *new, const struct extent_tags *old, unsigned leaf)
{
	bool is = new->nonzero >> leaf & 1, was = old->nonzero >> leaf & 1;
	if (!is)
		return was ? FATE_ZERO : FATE_SAME;
	if (!was)
		return FATE_NEW;
	return memcmp(new->tag[leaf], old->tag[leaf], COPY_TAG) ? FATE_OVER : FATE_SAME;
}

static int send_leaves(struct sender *sender, enum fate fate, uint64_t offset, const uint8_t *data, size_t length,
		       struct vmm_error **err)
{
	switch (fate) {
	case FATE_ZERO:
		return change_zero(sender, offset, length, err);
	case FATE_NEW:
		return change_run(sender, offset, data, length, true, err);
	case FATE_OVER:
		return change_over(sender, offset, data, length, err);
	default:
		return 0;
	}
}

/* The data of some leaves of an extent; where they are read once more it is the tags of that reading that count: a guest may have
 * written meanwhile. NULL where they cannot be read. */
static const uint8_t *leaves_data(struct sender *sender, uint64_t extent, unsigned first, unsigned end,
				  struct extent_tags *new, struct vmm_error **err)
{
	if (sender->ahead.kept)
		return sender->ahead.data + (size_t)first * COPY_LEAF;
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

/* The end of the run of leaves of one fate that begins there. */
static unsigned run_end(const struct extent_tags *new, const struct extent_tags *old, unsigned leaf, size_t leaves)
{
	enum fate fate = leaf_fate(new, old, leaf);
	unsigned end = leaf + 1;
	while (end < leaves && (end - leaf) * COPY_LEAF < COPY_RUN && leaf_fate(new, old, end) == fate)
		end++;
	return end;
}

static int send_run(struct sender *sender, uint64_t extent, unsigned leaf, unsigned end, enum fate fate,
		    struct extent_tags *new, struct vmm_error **err)
{
	size_t from = (size_t)leaf * COPY_LEAF,
	       to = min64((uint64_t)end * COPY_LEAF, extent_length(sender->push->map.size, extent));
	const uint8_t *data = NULL;
	if (sender->push->leaves)
		sender->push->leaves->proven[extent] &= ~leaf_bits(leaf, end);
	if (fate != FATE_ZERO && !(data = leaves_data(sender, extent, leaf, end, new, err)))
		return -1;
	return send_leaves(sender, fate, extent * COPY_EXTENT + from, data, to - from, err);
}

static int send_extent(struct sender *sender, uint64_t extent, struct extent_tags *new, const struct extent_tags *old,
		       struct vmm_error **err)
{
	size_t leaves = leaf_count(extent_length(sender->push->map.size, extent)), sent = 0;
	for (unsigned leaf = 0, end; leaf < leaves; leaf = end) {
		enum fate fate = leaf_fate(new, old, leaf);
		end = run_end(new, old, leaf, leaves);
		if (fate == FATE_SAME) {
			sender->push->present +=
				(uint64_t)__builtin_popcountll(new->nonzero >> leaf << (64 - (end - leaf))) * COPY_LEAF;
			continue;
		}
		sent += end - leaf;
		if (send_run(sender, extent, leaf, end, fate, new, err) < 0)
			return -1;
	}
	sender->differs = sent > leaves / 2;
	return 0;
}

/* What cannot have changed is as it was. */
static void keep_others(struct extent_tags *new, const struct extent_tags *old, uint64_t only)
{
	new->nonzero |= old->nonzero & ~only;
	for (unsigned leaf = 0; leaf < COPY_LEAVES; leaf++)
		if (!(only >> leaf & 1))
			memcpy(new->tag[leaf], old->tag[leaf], COPY_TAG);
}

/* The next extent with data behind this one, among those that were dealt; they are worked on in that order. */
static bool next_to_read(const struct sender *sender, uint64_t extent, uint64_t *next)
{
	for (unsigned i = 0; i < COPY_ORDERS; i++) {
		const struct order *order = &sender->orders[(sender->current + i) % COPY_ORDERS];
		for (*next = order->first; *next < order->first + order->count; ++*next)
			if (*next > extent && sender->push->map.leaves[*next])
				return true;
	}
	return false;
}

/* What will be sent is kept as it was read. What is compared first will mostly be found to be there already. */
static bool keeps(const struct sender *sender)
{
	return sender->fresh || sender->differs || sender->push->only || sender->ahead.scan.spare;
}

/* While this extent is at work, the next is read. */
static int read_extent(struct sender *sender, uint64_t extent, struct extent_tags *tags, struct vmm_error **err)
{
	struct push *push = sender->push;
	struct ahead *ahead = &sender->ahead;
	uint64_t read = ahead->read, next;
	tags->nonzero = 0;
	if (!push->map.leaves[extent])
		return 0;
	if (ahead->extent != extent)
		ahead_ask(ahead, extent, keeps(sender));
	if (ahead_take(ahead, tags, err) < 0)
		return error_context(err, "%s", job_name(push->job));
	push->data += ahead->read - read;
	if (next_to_read(sender, extent, &next))
		ahead_ask(ahead, next, keeps(sender));
	return 0;
}

static int work_extent(struct sender *sender, struct order *order, struct vmm_error **err)
{
	struct push *push = sender->push;
	uint64_t extent = order->first + order->worked;
	struct extent_tags new, *old = &order->old[order->worked];
	if (push->only && !push->only[extent]) {
		push->done += extent_length(push->map.size, extent);
		order->worked++;
		return 0;
	}
	if (read_extent(sender, extent, &new, err) < 0)
		return -1;
	if (push->known)
		leaves_get(push->leaves, extent, old);
	else if (sender->fresh)
		old->nonzero = 0;
	if (push->only)
		keep_others(&new, old, push->only[extent]);
	while (sender_needs_tags(sender) && order->arrived <= order->worked)
		if (sender_receive(sender, err) < 0)
			return -1;
	if (send_extent(sender, extent, &new, old, err) < 0)
		return -1;
	if (push->leaves)
		leaves_put(push->leaves, extent, &new);
	push->done += extent_length(push->map.size, extent);
	order->worked++;
	while (lane_ready(&sender->lane))
		if (sender_receive(sender, err) < 0)
			return -1;
	return inquiries_settle(sender, err);
}

/* ------------------------------------------------------------------ orders */

/* Takes extents from the push, if there are any left, and has the target read them too. */
static int deal(struct sender *sender, struct order *order, struct vmm_error **err)
{
	struct push *push = sender->push;
	uint64_t first = atomic_fetch_add(&push->next, push->deal);
	*order = (struct order){.first = first};
	if (first >= push->map.count)
		return 0;
	order->count = (uint32_t)min64(push->deal, push->map.count - first);
	if (!sender_needs_tags(sender)) {
		order->arrived = order->count;
		return 0;
	}
	uint8_t packed[COPY_ORDER_SIZE];
	order_pack(order->first, order->count, packed);
	return sender_send(sender, COPY_ORDER, packed, sizeof(packed), err);
}

static int work(struct sender *sender, struct vmm_error **err)
{
	for (unsigned i = 0; i < COPY_ORDERS; i++)
		if (deal(sender, &sender->orders[i], err) < 0)
			return -1;
	for (struct order *order; (order = &sender->orders[sender->current])->count;) {
		while (order->worked < order->count)
			if (work_extent(sender, order, err) < 0)
				return -1;
		sender->current = (sender->current + 1) % COPY_ORDERS;
		if (deal(sender, order, err) < 0)
			return -1;
	}
	return 0;
}

static int converse(struct sender *sender, struct vmm_error **err)
{
	struct push *push = sender->push;
	while (!sender->opened)
		if (sender_receive(sender, err) < 0)
			return -1;
	/* Unless it is another session of this push that has already made zeros of all that there was. */
	if (sender->fresh && push->not_fresh && !push->next)
		return error_set(err, VMM_FAILED, "copy-lost", "what was sent of %s before is there no more",
				 job_name(push->job));
	if (work(sender, err) < 0)
		return -1;
	while (inquiries_open(sender))
		if (inquiries_settle(sender, err) < 0 || (inquiries_open(sender) && sender_receive(sender, err) < 0))
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
	lane_begin(&sender->lane, session, &push->stop);
	sender->lane.pace = &push->pace;
	sender->lane.wire = &push->wire;
	scan_begin(&sender->again, push->job->fd, &push->map, push->key);
	int result = ahead_begin(&sender->ahead, push->job->fd, &push->map, push->key, err);
	if (!result) {
		result = converse(sender, err);
		ahead_end(&sender->ahead);
	}
	scan_end(&sender->again);
	packer_end(&sender->packer);
	inquiries_end(sender);
	free(sender);
	return result;
}
