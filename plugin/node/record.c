/* record.c: reads and writes guest records, and says which states they may take. */
#include <errno.h>
#include <string.h>

#include "base/fields.h"
#include "node/record.h"

enum { RECORD_LIMIT = 64 << 10, RECORD_RESERVE = 4 << 10 };

/* ---------------------------------------------------------------- states */

#define STATE_NAMES "idle|source|target|handover|committed|abandoned" /* in the order of enum record_state */

#define FROM(STATE) (1u << RECORD_##STATE)
#define LOCKED	    (FROM(SOURCE) | FROM(TARGET) | FROM(HANDOVER))

/* Committed and abandoned exclude each other: of two messages that arrive late, the second one is refused. */
static const struct {
	const char *name;
	unsigned reachable_from; /* a bit for each state */
} states[RECORD_STATES] = {
	[RECORD_IDLE] = {"idle", LOCKED | FROM(COMMITTED) | FROM(ABANDONED)},
	[RECORD_SOURCE] = {"source", FROM(IDLE)},
	[RECORD_TARGET] = {"target", FROM(IDLE)},
	[RECORD_HANDOVER] = {"handover", LOCKED},
	[RECORD_COMMITTED] = {"committed", LOCKED | FROM(COMMITTED)},
	[RECORD_ABANDONED] = {"abandoned", LOCKED | FROM(ABANDONED)},
};

bool record_may_become(enum record_state from, enum record_state to)
{
	return states[to].reachable_from & (1u << from);
}

const char *record_state_name(enum record_state state)
{
	return states[state].name;
}

bool record_state_find(const char *name, enum record_state *state)
{
	int index = choice_index(STATE_NAMES, name);
	*state = index < 0 ? RECORD_IDLE : (enum record_state)index;
	return index >= 0;
}

/* ---------------------------------------------------------------- fields */

/* In the order of the file's lines. Numbers stay numbers on the wire too, as older nodes send them. */
static const struct field record_fields[] = {
	FIELD_OF(struct guest_record, guest, NAME, true),
	FIELD_OF(struct guest_record, kind, TEXT, false),
	FIELD_OF(struct guest_record, id, TEXT, false),
	FIELD_OF(struct guest_record, name, TEXT, false),
	FIELD_OF(struct guest_record, uuid, TEXT, false),
	FIELD_OF(struct guest_record, owner, NAME, true),
	FIELD_CHOICE_OF(struct guest_record, state, STATE_NAMES, true),
	FIELD_OF(struct guest_record, task, NAME, false),
	FIELD_OF(struct guest_record, peer, NAME, false),
	FIELD_OF(struct guest_record, permit, TEXT, false),
	FIELD_OF(struct guest_record, generation, NUMBER, false),
	FIELD_OF(struct guest_record, peer_generation, NUMBER, false),
	FIELD_OF(struct guest_record, since_us, NUMBER, false),
	FIELD_OF(struct guest_record, fresh, NUMBER, false),
	FIELD_OF(struct guest_record, runs, NUMBER, false),
	FIELD_OF(struct guest_record, autostart, NUMBER, false),
	{0},
};

void record_free(struct guest_record *record)
{
	fields_free(record_fields, record);
}

struct json_object *record_to_json(const struct guest_record *record)
{
	return record->guest ? fields_write(record_fields, record) : NULL;
}

/* `what` names the record in the error. */
static int from_json(struct json_object *json, const char *what, struct guest_record *record, struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	if (fields_read(record_fields, json, what, "bad-record", record, &problem) == 0)
		return 0;
	record_free(record);
	return error_set(err, VMM_NEEDS_DECISION, "bad-record", "%s", problem->message);
}

int record_from_json(struct json_object *json, const char *node, struct guest_record *record, struct vmm_error **err)
{
	vmm_auto_free char *what = str_format("guest record from node %s", node);
	return json ? from_json(json, what, record, err) : 0;
}

/* ---------------------------------------------------------------- the file */

static char *record_path(const char *state_dir, const char *guest)
{
	return str_format("%s/guests/%s", state_dir, guest);
}

/* A line's value as JSON; NULL where it is empty. What should be a number and is not one stays text, so that the check
 * refuses it. */
static struct json_object *value_of(const struct field *field, const char *text)
{
	char *end = NULL;
	if (!*text)
		return NULL;
	if (field->type != FIELD_NUMBER)
		return json_object_new_string(text);
	errno = 0;
	int64_t number = strtoll(text, &end, 10);
	return *end || errno ? json_object_new_string(text) : json_object_new_int64(number);
}

/* Lines whose key the table does not know are ignored: guard= and reason= are for the guard. Splits `text` in place. */
static struct json_object *parse(char *text)
{
	struct json_object *json = json_object_new_object();
	for (char *line; (line = strsep(&text, "\n"));) {
		char *value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = 0;
		for (const struct field *field = record_fields; field->name; field++)
			if (!strcmp(line, field->name))
				json_object_object_add(json, line, value_of(field, value));
	}
	return json;
}

int record_read(const char *state_dir, const char *guest, struct guest_record *record, struct vmm_error **err)
{
	if (name_check(guest, "guest record", err) < 0)
		return -1;
	vmm_auto_free char *path = record_path(state_dir, guest), *what = str_format("guest record %s", path);
	vmm_auto_free char *text = NULL;
	struct vmm_error *problem = NULL;
	if (file_read(path, RECORD_LIMIT, &text, NULL, &problem) < 0) {
		if (!error_is(problem, "not-there")) {
			error_take(err, problem);
			return -1;
		}
		error_clear(&problem);
		return 0;
	}
	vmm_auto_json struct json_object *json = parse(text);
	if (from_json(json, what, record, err) == 0)
		return 0;
	return error_hint(err, "find out which node has guest %s; if it is this one, remove the file", guest);
}

/* Why the guard refuses a start now, or NULL: the guest is this node's, and no task moves it. A target that has
 * committed may have been off since, and an administrator may have decided otherwise on the source meanwhile: until the
 * task ends here, RELEASE alone admits starts, by a permit that is void after a boot. */
static char *refusal(const char *self, const struct guest_record *record)
{
	const char *name = record->name ? record->name : record->guest, *task = record->task ? record->task : "";
	bool owned = str_same(record->owner, self);
	if (record->state != RECORD_IDLE && (owned || record->state != RECORD_COMMITTED))
		return str_format("%s is being moved by task %s; if that task is dead, run: vmmigrate recover %s", name,
				  task, task);
	if (owned)
		return NULL;
	return str_format("%s belongs to node %s; start it there, or move it here with vmmigrate", name, record->owner);
}

static int add_line(struct text *text, const char *guest, const char *key, const char *value, struct vmm_error **err)
{
	if (strchr(value, '\n'))
		return error_set(err, VMM_FAILED, "bad-name", "guest %s: its %s has a line break", guest, key);
	text_add(text, "%s=%s\n", key, value);
	return 0;
}

int record_write(const char *state_dir, const char *self, const struct guest_record *record, struct vmm_error **err)
{
	vmm_auto_json struct json_object *json = fields_write(record_fields, record);
	if (fields_check(record_fields, json, "the guest record to be written", "bad-record", false, err) < 0)
		return -1;
	vmm_auto_text struct text text = {0};
	for (const struct field *field = record_fields; field->name; field++) {
		struct json_object *value = json_member(json, field->name);
		if (add_line(&text, record->guest, field->name, value ? json_object_get_string(value) : "", err) < 0)
			return -1;
	}
	vmm_auto_free char *reason = refusal(self, record);
	text_add(&text, "guard=%s\nreason=%s\n", reason ? "deny" : "allow", reason ? reason : "");
	vmm_auto_free char *path = record_path(state_dir, record->guest), *dir = path_dir(path);
	if (dir_make(dir, 0700, err) < 0 || file_write(path, text.data, text.length, 0600, err) < 0)
		return -1;
	return record->task ? 0 : file_unreserve(path, err);
}

int record_reserve(const char *state_dir, const char *guest, struct vmm_error **err)
{
	if (name_check(guest, "guest record", err) < 0)
		return -1;
	vmm_auto_free char *path = record_path(state_dir, guest);
	return file_reserve(path, RECORD_RESERVE, err);
}

int record_remove(const char *state_dir, const char *guest, struct vmm_error **err)
{
	if (name_check(guest, "guest record", err) < 0)
		return -1;
	vmm_auto_free char *path = record_path(state_dir, guest);
	return file_unreserve(path, err) < 0 ? -1 : file_remove(path, err);
}
