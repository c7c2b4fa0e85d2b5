/* volume.c: the fields of a plan's volume, in one table. */
#include "base/fields.h"
#include "storage/volume.h"

#define TEXT(member)  FIELD_OF(struct plan_volume, member, TEXT, false)
#define COUNT(member) FIELD_OF(struct plan_volume, member, COUNT, false)
#define FLAG(member)  FIELD_OF(struct plan_volume, member, FLAG, false)
#define OWNER(member)                                                                                                  \
	{                                                                                                              \
		.name = #member, .type = FIELD_COUNT, .offset = offsetof(struct plan_volume, owner.member)             \
	}
/* Clients find these in each volume, as null if there is nothing. */
#define TEXT_OR_NULL(member)                                                                                           \
	{                                                                                                              \
		.name = #member, .type = FIELD_TEXT, .offset = offsetof(struct plan_volume, member),                   \
		.empty = EMPTY_NULL                                                                                    \
	}
/* Required of a volume that is copied. */
#define COPY_TEXT(member, if_empty)                                                                                    \
	{                                                                                                              \
		.name = #member, .type = FIELD_TEXT, .when = "action", .when_is = "copy",                              \
		.offset = offsetof(struct plan_volume, member), .empty = (if_empty)                                    \
	}
#define FLAG_IF_TRUE(member)                                                                                           \
	{                                                                                                              \
		.name = #member, .type = FIELD_FLAG, .offset = offsetof(struct plan_volume, member),                   \
		.empty = EMPTY_LEFT_OUT                                                                                \
	}

static const struct field volume_fields[] = {
	FIELD_OF(struct plan_volume, target, NAME, true),
	TEXT(type),
	TEXT(device),
	TEXT(format),
	TEXT_OR_NULL(bus),
	TEXT_OR_NULL(cache),
	TEXT(path),
	TEXT(source),
	TEXT(pool),
	TEXT(volume),
	TEXT(in),
	TEXT(home),
	TEXT(real),
	TEXT(storage),
	COPY_TEXT(kind, EMPTY_USUAL),
	TEXT(sharing),
	TEXT(backing),
	TEXT(data_file),
	TEXT(identity),
	FIELD_OF(struct plan_volume, size, NUMBER, false),
	FIELD_OF(struct plan_volume, allocated, NUMBER, false),
	COUNT(virtual_size),
	COUNT(files),
	COUNT(snapshots),
	COUNT(root_uid),
	OWNER(uid),
	OWNER(gid),
	OWNER(mode),
	FLAG(readonly),
	FLAG(shareable),
	FLAG(type_fixed),
	FLAG(open),
	FLAG_IF_TRUE(directory),
	FLAG_IF_TRUE(tree),
	FLAG_IF_TRUE(absent),
	FIELD_OF(struct plan_volume, error, OBJECT, false),
	FIELD_CHOICE_OF(struct plan_volume, action, "keep|copy", true),
	COPY_TEXT(from, EMPTY_NULL),
	COPY_TEXT(to, EMPTY_NULL),
	TEXT_OR_NULL(to_storage),
	COPY_TEXT(to_kind, EMPTY_USUAL),
	COPY_TEXT(temporary, EMPTY_USUAL),
	COPY_TEXT(track, EMPTY_USUAL),
	FLAG(media),
	FLAG_IF_TRUE(as_file),
	FLAG(set_aside),
	{0},
};

static int check_paths(const struct plan_volume *volume, struct vmm_error **err)
{
	return path_check(volume->from, volume->target, err) < 0 || path_check(volume->to, volume->target, err) < 0 ||
			       path_check(volume->temporary, volume->target, err) < 0
		       ? -1
		       : 0;
}

int plan_volume_read(struct json_object *json, struct plan_volume *volume, struct vmm_error **err)
{
	vmm_auto_free char *what = str_format("volume %s of the plan", json_text_or(json, "target", "?"));
	*volume = (struct plan_volume){0};
	if (fields_read(volume_fields, json, what, "bad-plan", volume, err) == 0 &&
	    (volume->action == PLAN_KEEP || check_paths(volume, err) == 0))
		return 0;
	plan_volume_free(volume);
	return -1;
}

int plan_volume_from_facts(struct json_object *described, struct plan_volume *volume, struct vmm_error **err)
{
	vmm_auto_json struct json_object *kept = json_copy(described);
	if (json_object_is_type(kept, json_type_object))
		json_put(kept, "action:s", "keep");
	return plan_volume_read(kept, volume, err);
}

struct json_object *plan_volume_write(const struct plan_volume *volume)
{
	return fields_write(volume_fields, volume);
}

void plan_volume_free(struct plan_volume *volume)
{
	fields_free(volume_fields, volume);
}

int plan_volumes_read(struct json_object *list, struct plan_volume **volumes, size_t *count, struct vmm_error **err)
{
	*volumes = NULL;
	*count = 0;
	if (!json_object_is_type(list, json_type_array))
		return error_set(err, VMM_FAILED, "bad-plan", "the plan: \"volumes\" is not a list");
	*volumes = mem_zero(json_count(list, "") * sizeof(**volumes));
	json_each (volume, list, "") {
		if (plan_volume_read(volume, &(*volumes)[*count], err) < 0) {
			plan_volumes_free(*volumes, *count);
			*volumes = NULL;
			*count = 0;
			return -1;
		}
		++*count;
	}
	return 0;
}

void plan_volumes_free(struct plan_volume *volumes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		plan_volume_free(&volumes[i]);
	free(volumes);
}
