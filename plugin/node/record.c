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

const char *record_label(const struct guest_record *record)
{
	return record->id ? record->id : record->guest;
}

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

/* What the file says; *json stays NULL where there is no such file. */
static int read_file(const char *path, struct json_object **json, struct vmm_error **err)
{
	vmm_auto_free char *text = NULL;
	struct vmm_error *problem = NULL;
	if (file_read(path, RECORD_LIMIT, &text, NULL, &problem) == 0) {
		*json = parse(text);
		return 0;
	}
	if (error_is(problem, "not-there")) {
		error_clear(&problem);
		return 0;
	}
	error_take(err, problem);
	return -1;
}

/* ---------------------------------------------------------------- records of older versions
 *
 * Up to version 0.1 a VM's record was named after its id: "qemu-100". Such a record is read where the guest has no
 * other, and is replaced when the guest's record is written. A task that had begun before the upgrade goes on with the
 * old name. */

/* The UUID in "KIND-UUID", or NULL: it is another name. */
static const char *uuid_in(const char *guest)
{
	enum { UUID_LENGTH = 36 };
	const char *dash = strchr(guest, '-'), *uuid = dash ? dash + 1 : "";
	bool is = strlen(uuid) == UUID_LENGTH && strspn(uuid, "0123456789abcdefABCDEF-") == UUID_LENGTH;
	return is ? uuid : NULL;
}

/* The name of an older record of the guest, which belongs to the caller; NULL where there is none. */
static char *older_name(const char *state_dir, const char *guest)
{
	vmm_auto_free char *dir = str_format("%s/guests", state_dir);
	vmm_auto_json struct json_object *names = NULL;
	const char *uuid = uuid_in(guest);
	if (!uuid || dir_list(dir, &names, NULL) < 0)
		return NULL;
	json_each (name, names, "") {
		const char *file = json_text(name, "");
		vmm_auto_json struct json_object *json = NULL;
		vmm_auto_free char *path = record_path(state_dir, file);
		if (strncmp(file, guest, (size_t)(uuid - guest)) || uuid_in(file) || read_file(path, &json, NULL) < 0)
			continue;
		if (str_same(json_text(json, "guest"), file) && str_same(json_text(json, "uuid"), uuid))
			return str_copy(file);
	}
	return NULL;
}

static int remove_file(const char *state_dir, const char *guest, struct vmm_error **err)
{
	vmm_auto_free char *path = record_path(state_dir, guest);
	return file_unreserve(path, err) < 0 ? -1 : file_remove(path, err);
}

static int remove_older(const char *state_dir, const char *guest, struct vmm_error **err)
{
	vmm_auto_free char *older = older_name(state_dir, guest);
	return older ? remove_file(state_dir, older, err) : 0;
}

/* ---------------------------------------------------------------- reading */

int record_read(const char *state_dir, const char *guest, struct guest_record *record, struct vmm_error **err)
{
	if (name_check(guest, "guest record", err) < 0)
		return -1;
	vmm_auto_free char *path = record_path(state_dir, guest), *what = str_format("guest record %s", path);
	vmm_auto_json struct json_object *json = NULL;
	if (read_file(path, &json, err) < 0)
		return -1;
	if (!json) {
		vmm_auto_free char *older = older_name(state_dir, guest), *there = NULL;
		if (!older)
			return 0;
		there = record_path(state_dir, older);
		if (read_file(there, &json, err) < 0)
			return -1;
		json_put(json, "guest:s", guest);
	}
	if (from_json(json, what, record, err) == 0)
		return 0;
	return error_hint(err, "find out which node has guest %s; if it is this one, remove the file", guest);
}

/* How well the record answers to what an administrator calls the guest: 2 if nothing else can be meant, 1 by its id or
 * name, 0 not at all. */
static int answers_to(const struct guest_record *record, const char *who, const char *kind)
{
	if (str_same(record->guest, who) || (record->uuid && !strcasecmp(record->uuid, who)))
		return 2;
	if (kind && !str_same(record->kind, kind))
		return 0;
	return str_same(record->id, who) || str_same(record->name, who);
}

static int ambiguous(const char *who, const struct guest_record *one, const struct guest_record *other,
		     struct vmm_error **err)
{
	error_set(err, VMM_USAGE, "ambiguous", "\"%s\" means two guests that have a record here: %s and %s", who,
		  one->guest, other->guest);
	return error_hint(err, "name one of these two");
}

int record_find(const char *state_dir, const char *who, const char *kind, struct guest_record *record,
		struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/guests", state_dir);
	vmm_auto_json struct json_object *names = NULL;
	int found = 0;
	if (dir_list(dir, &names, err) < 0)
		return -1;
	json_each (name, names, "") {
		vmm_auto_record struct guest_record one = {0};
		if (record_read(state_dir, json_text_or(name, "", ""), &one, NULL) < 0)
			continue;
		int now = answers_to(&one, who, kind);
		/* Of two guests that have had the name, the one that a task moves. */
		if (now == 1 && found == 1 && !one.task == !record->task)
			return ambiguous(who, record, &one, err);
		if (now < found || !now || (now == found && record->task))
			continue;
		found = now;
		record_free(record);
		*record = one;
		one = (struct guest_record){0};
	}
	return 0;
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
	if (dir_make(dir, 0700, err) < 0 || file_write(path, text.data, text.length, 0600, err) < 0 ||
	    remove_older(state_dir, record->guest, err) < 0)
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
	return remove_older(state_dir, guest, err) < 0 ? -1 : remove_file(state_dir, guest, err);
}
