/* protocol.c: makes and takes apart the payloads of the copy's frames. All that arrives is checked here. */
#include "copy-internal.h"

int protocol_error(struct vmm_error **err, const char *format, ...)
{
	va_list args;
	char what[200];
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	error_set(err, VMM_FAILED, "protocol-error", "the other side sent %s", what);
	return error_hint(err, "install the same version of vmmigrate on both nodes");
}

/* A peer's text is written to terminals and logs: control characters could do something there, so they are replaced. */
static void replace_controls(char *text)
{
	for (; text && *text; text++)
		if ((uint8_t)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static int peer_error(const struct frame *frame, struct vmm_error **err)
{
	vmm_auto_json struct json_object *json = NULL;
	if (json_parse(frame->data, frame->length, "the target's error", &json, err) < 0)
		return -1;
	struct vmm_error *failure = NULL;
	error_from_json(&failure, json);
	replace_controls(failure->code);
	replace_controls(failure->message);
	replace_controls(failure->hint);
	error_take(err, failure);
	return -1;
}

int protocol_receive(struct stream *stream, struct frame *frame, struct vmm_error **err)
{
	for (int64_t began_ms = clock_steady_ms();;) {
		if (frame_receive(stream, COPY_LIMIT_TO_SOURCE, FRAME_SILENCE_MS, frame, err) < 0)
			return -1;
		if (frame->type != FRAME_ALIVE)
			break;
		frame_free(frame);
		if (clock_steady_ms() - began_ms >= COPY_HANGS_MS)
			return error_set(err, VMM_FAILED, "link-silent",
					 "the target says that it is alive, but has done nothing for %d s",
					 COPY_HANGS_MS / 1000);
	}
	if (frame->type != COPY_ERROR)
		return 0;
	peer_error(frame, err);
	frame_free(frame);
	return -1;
}

int open_send(struct stream *stream, enum copy_frame type, uint64_t size, const uint8_t key[COPY_KEY], const char *name,
	      struct vmm_error **err)
{
	size_t length = strlen(name);
	if (!length || length > COPY_NAME_MOST || size > COPY_SIZE_MOST)
		return error_set(err, VMM_FAILED, "too-large", "volume %s has %llu bytes; at most %llu can be copied",
				 name, (unsigned long long)size, (unsigned long long)COPY_SIZE_MOST);
	uint8_t packed[COPY_OPEN_HEAD + COPY_NAME_MOST];
	put64(packed, size);
	memcpy(packed + 8, key, COPY_KEY);
	memcpy(packed + COPY_OPEN_HEAD, name, length);
	return frame_send(stream, type, 0, packed, COPY_OPEN_HEAD + length, err);
}

int open_unpack(const struct frame *frame, uint64_t *size, uint8_t key[COPY_KEY], char **name, struct vmm_error **err)
{
	if (frame->length <= COPY_OPEN_HEAD || frame->length > COPY_OPEN_HEAD + COPY_NAME_MOST ||
	    memchr(frame->data + COPY_OPEN_HEAD, 0, frame->length - COPY_OPEN_HEAD))
		return protocol_error(err, "a malformed volume name");
	*size = get64(frame->data);
	if (*size > COPY_SIZE_MOST)
		return protocol_error(err, "a volume of %llu bytes", (unsigned long long)*size);
	memcpy(key, frame->data + 8, COPY_KEY);
	if (key[0] >= COPY_DIGESTS)
		return protocol_error(err, "a digest of kind %d", key[0]);
	*name = str_copy(frame->data + COPY_OPEN_HEAD);
	return 0;
}

void get_tags_pack(uint64_t first, uint32_t count, uint8_t packed[COPY_GET_TAGS_SIZE])
{
	put64(packed, first);
	put32(packed + 8, count);
}

int get_tags_unpack(const struct frame *frame, uint64_t size, uint64_t *first, uint32_t *count, struct vmm_error **err)
{
	if (frame->length != COPY_GET_TAGS_SIZE)
		return protocol_error(err, "a request for tags of %u bytes", frame->length);
	*first = get64(frame->data);
	*count = get32(frame->data + 8);
	uint64_t extents = extent_count(size);
	if (!*count || *count > COPY_BATCH_MOST || *first > extents || *count > extents - *first)
		return protocol_error(err, "a request for the tags of %u extents from %llu on, of %llu", *count,
				      (unsigned long long)*first, (unsigned long long)extents);
	return 0;
}

size_t tags_pack(uint64_t extent, const struct extent_tags *tags, uint8_t packed[COPY_TAGS_MOST])
{
	size_t length = 16;
	put64(packed, extent);
	put64(packed + 8, tags->nonzero);
	for (unsigned leaf = 0; leaf < COPY_EXTENT_LEAVES; leaf++) {
		if (!(tags->nonzero >> leaf & 1))
			continue;
		memcpy(packed + length, tags->tag[leaf], COPY_TAG);
		length += COPY_TAG;
	}
	return length;
}

int tags_unpack(const struct frame *frame, uint64_t size, uint64_t *extent, struct extent_tags *tags,
		struct vmm_error **err)
{
	if (frame->length < 16)
		return protocol_error(err, "tags of %u bytes", frame->length);
	*extent = get64(frame->data);
	tags->nonzero = get64(frame->data + 8);
	size_t at = 16;
	if (*extent >= extent_count(size) ||
	    frame->length != at + (size_t)__builtin_popcountll(tags->nonzero) * COPY_TAG)
		return protocol_error(err, "tags that do not fit the extent");
	size_t leaves = leaf_count(extent_length(size, *extent));
	if (leaves < COPY_EXTENT_LEAVES && tags->nonzero >> leaves)
		return protocol_error(err, "tags of leaves behind the end");
	for (unsigned leaf = 0; leaf < COPY_EXTENT_LEAVES; leaf++) {
		if (!(tags->nonzero >> leaf & 1))
			continue;
		memcpy(tags->tag[leaf], frame->data + at, COPY_TAG);
		at += COPY_TAG;
	}
	return 0;
}

/* The next run of leaves in the set from leaf *end on: *first, and *end behind its last. False if there is none. */
static bool leaf_set_run(const struct leaf_set *set, uint64_t *first, uint64_t *end)
{
	uint64_t extent = *end / COPY_EXTENT_LEAVES;
	unsigned from = *end % COPY_EXTENT_LEAVES, start, stop;
	while (extent < set->end && !bits_run(set->bits[extent], from, &start, &stop)) {
		extent++;
		from = 0;
	}
	if (extent >= set->end)
		return false;
	*first = extent * COPY_EXTENT_LEAVES + start;
	*end = extent * COPY_EXTENT_LEAVES + stop;
	while (stop == COPY_EXTENT_LEAVES && ++extent < set->end && set->bits[extent] & 1) {
		bits_run(set->bits[extent], 0, &start, &stop);
		*end = extent * COPY_EXTENT_LEAVES + stop;
	}
	return true;
}

int leaf_ranges_send(struct stream *stream, const struct leaf_set *set, struct vmm_error **err)
{
	vmm_auto_free uint8_t *packed = mem_zero(COPY_RANGES_MOST * COPY_RANGE_SIZE);
	size_t length = 0;
	for (uint64_t first, end = set->first * COPY_EXTENT_LEAVES; leaf_set_run(set, &first, &end);) {
		put64(packed + length, first);
		put64(packed + length + 8, end - first);
		length += COPY_RANGE_SIZE;
		if (length < COPY_RANGES_MOST * COPY_RANGE_SIZE)
			continue;
		if (frame_send(stream, COPY_LEAF_RANGES, 0, packed, length, err) < 0)
			return -1;
		length = 0;
	}
	if (length && frame_send(stream, COPY_LEAF_RANGES, 0, packed, length, err) < 0)
		return -1;
	return frame_send(stream, COPY_LEAF_RANGES, 0, NULL, 0, err);
}

int leaf_ranges_unpack(const struct frame *frame, uint64_t size, uint64_t *from, struct leaf_set *set,
		       struct vmm_error **err)
{
	uint64_t leaves = leaf_count(size);
	if (frame->type != COPY_LEAF_RANGES || frame->length % COPY_RANGE_SIZE)
		return protocol_error(err, "%u bytes in a frame of type %d instead of ranges of leaves", frame->length,
				      frame->type);
	for (size_t at = 0; at < frame->length; at += COPY_RANGE_SIZE) {
		uint64_t first = get64(frame->data + at), count = get64(frame->data + at + 8);
		if (first < *from || first >= leaves || !count || count > leaves - first)
			return protocol_error(err, "a range of %llu leaves from %llu on", (unsigned long long)count,
					      (unsigned long long)first);
		if (!*from)
			set->first = first / COPY_EXTENT_LEAVES;
		*from = first + count;
		set->end = (*from + COPY_EXTENT_LEAVES - 1) / COPY_EXTENT_LEAVES;
		bits_set(set->bits, first, *from);
	}
	return 0;
}

int delta_run_set(uint64_t size, uint32_t slot, uint64_t offset, uint64_t length, struct delta_run *run,
		  struct vmm_error **err)
{
	if (slot >= COPY_SLOTS || !length || length > COPY_RUN || offset > size || length > size - offset)
		return protocol_error(err, "a run of %llu bytes at offset %llu in slot %u", (unsigned long long)length,
				      (unsigned long long)offset, slot);
	*run = (struct delta_run){.slot = slot, .length = (uint32_t)length, .offset = offset};
	run->window = offset > COPY_MARGIN ? offset - COPY_MARGIN : 0;
	run->window_length = min64(size, offset + length + COPY_MARGIN) - run->window;
	return 0;
}

void delta_run_pack(const struct delta_run *run, uint8_t packed[COPY_GET_SIGNATURE_SIZE])
{
	put32(packed, run->slot);
	put32(packed + 4, run->length);
	put64(packed + 8, run->offset);
}

int delta_run_unpack(const struct frame *frame, uint64_t size, struct delta_run *run, struct vmm_error **err)
{
	if (frame->length != COPY_GET_SIGNATURE_SIZE)
		return protocol_error(err, "a request for a signature of %u bytes", frame->length);
	return delta_run_set(size, get32(frame->data), get64(frame->data + 8), get32(frame->data + 4), run, err);
}
