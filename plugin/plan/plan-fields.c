/* plan-fields.c: the fields of a plan, in one table; those of its volumes are in storage/volume.c. */
#include "base/fields.h"
#include "plan/plan.h"

#define NAME(member) FIELD_OF(struct plan, member, NAME, true)
#define FLAG(member) FIELD_OF(struct plan, member, FLAG, true)
/* Clients find these in each plan, as null if there is nothing. */
#define OR_NULL(member, kind)                                                                                          \
	{                                                                                                              \
		.name = #member, .type = FIELD_##kind, .offset = offsetof(struct plan, member), .empty = EMPTY_NULL    \
	}

/* In the order of the bits of enum mode. */
static const char modes[] = "live|paused|restart|offline";

static const struct field plan_fields[] = {
	FIELD_CHOICE_OF(struct plan, mode, modes, true),
	NAME(kind),
	NAME(id),
	OR_NULL(name, TEXT),
	OR_NULL(uuid, TEXT),
	NAME(guest),
	NAME(source),
	NAME(target),
	FLAG(running),
	FLAG(stops_guest),
	FIELD_OF(struct plan, generation, NUMBER, true),
	FIELD_OF(struct plan, yields_source, NAME, false),
	FIELD_OF(struct plan, yields_target, NAME, false),
	FLAG(set_aside),
	FIELD_OF(struct plan, in_the_way, LIST, false),
	FIELD_OF(struct plan, bytes, NUMBER, true),
	FLAG(rounds),
	OR_NULL(downtime_ms, COUNT),
	{0},
};

/* Of a task's plan only. */
static const struct field task_fields[] = {
	FIELD_OF(struct plan, definition, TEXT, true),
	FLAG(autostart),
	FIELD_OF(struct plan, state, TEXT, true),
	FIELD_OF(struct plan, snapshots, NUMBER, true),
	FIELD_OF(struct plan, moments, LIST, false),
	FIELD_OF(struct plan, boot, TEXT, true),
	{0},
};

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	plan_volumes_free(plan->volumes, plan->volume_count);
	fields_free(plan_fields, plan);
	fields_free(task_fields, plan);
	free(plan);
}

/* ---------------------------------------------------------------- write */

static void write_fields(struct json_object *into, const struct field *table, const struct plan *plan)
{
	vmm_auto_json struct json_object *part = fields_write(table, plan);
	json_object_object_foreach(part, name, value)
	{
		json_object_object_add(into, name, json_object_get(value));
	}
}

struct json_object *plan_write(const struct plan *plan)
{
	/* The table has the index of the mode's name, the plan its bit. */
	struct plan indexed = *plan;
	indexed.mode = (enum mode)__builtin_ctz(plan->mode);
	struct json_object *json = fields_write(plan_fields, &indexed), *volumes = json_object_new_array();
	plan_each_volume (volume, plan)
		json_object_array_add(volumes, plan_volume_write(volume));
	json_put(json, "volumes:o", volumes);
	if (plan->boot)
		write_fields(json, task_fields, plan);
	return json;
}

/* ---------------------------------------------------------------- read */

static int read_all(struct json_object *json, struct plan *plan, struct vmm_error **err)
{
	if (fields_read(plan_fields, json, "the plan", "bad-plan", plan, err) < 0)
		return -1;
	plan->mode = (enum mode)(1U << plan->mode);
	if (fields_read(task_fields, json, "the plan", "bad-plan", plan, err) < 0)
		return -1;
	return plan_volumes_read(json_at(json, "volumes"), &plan->volumes, &plan->volume_count, err);
}

int plan_read(struct json_object *json, struct plan **plan, struct vmm_error **err)
{
	*plan = mem_zero(sizeof(**plan));
	if (read_all(json, *plan, err) == 0)
		return 0;
	plan_free(*plan);
	*plan = NULL;
	return -1;
}
