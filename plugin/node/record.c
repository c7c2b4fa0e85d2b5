/* record.c: who owns a guest, and which task is moving it. The guards obey this file. */
#include <errno.h>
#include <string.h>

#include "node/node.h"

enum { RECORD_LIMIT = 64 << 10, RECORD_ROOM = 4 << 10 };

/* What is written as it is; `guard` and `reason` are derived for the guard, which only obeys. */
static const char *const record_texts[] = {"guest", "kind",  "id",   "name", "uuid",
					   "owner", "state", "task", "peer", "permit"};
static const char *const record_numbers[] = {"generation", "peer_generation", "since_us", "fresh", "runs", "autostart"};

static char *record_path(const char *state_dir, const char *guest)
{
	return str_format("%s/guests/%s", state_dir, guest);
}

int record_read(const char *state_dir, const char *guest, struct json_object **record, struct vmm_error **err)
{
	*record = NULL;
	if (name_check(guest, "guest record", err) < 0)
		return -1;
	vmm_auto_free char *path = record_path(state_dir, guest);
	vmm_auto_free char *data = NULL;
	vmm_auto_error struct vmm_error *problem = NULL;
	if (file_read(path, RECORD_LIMIT, &data, NULL, &problem) < 0) {
		if (error_is(problem, "not-there"))
			return 0;
		error_take(err, problem);
		problem = NULL;
		return -1;
	}
	struct json_object *object = json_object_new_object();
	char *rest = data, *line;
	while ((line = strsep(&rest, "\n"))) {
		char *value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = 0;
		for (size_t i = 0; i < VMM_COUNT(record_texts); i++)
			if (!strcmp(line, record_texts[i]) && *value)
				json_object_object_add(object, line, json_object_new_string(value));
		for (size_t i = 0; i < VMM_COUNT(record_numbers); i++)
			if (!strcmp(line, record_numbers[i]))
				json_object_object_add(object, line, json_object_new_int64(strtoll(value, NULL, 10)));
	}
	if (!json_text(object, "owner") || !json_text(object, "state")) {
		json_object_put(object);
		return error_set(err, VMM_NEEDS_DECISION, "bad-record", "the guest record %s is damaged", path);
	}
	*record = object;
	return 0;
}

/* Why a start is refused now, or NULL: it is ours and nobody moves it. */
static char *refusal(const char *self, struct json_object *record)
{
	const char *name = json_text_or(record, "name", json_text(record, "id")), *state = json_text(record, "state");
	bool ours = str_same(json_text(record, "owner"), self);
	if (!strcmp(state, "idle") || !strcmp(state, "committed"))
		return ours ? NULL
			    : str_format("%s belongs to node %s; start it there, or move it here with vmmigrate", name,
					 json_text(record, "owner"));
	return str_format("%s is being moved by task %s; if that task is dead, run: vmmigrate recover %s", name,
			  json_text_or(record, "task", "?"), json_text_or(record, "task", ""));
}

int record_write(const char *state_dir, const char *self, struct json_object *record, struct vmm_error **err)
{
	const char *guest = json_text_or(record, "guest", "");
	if (name_check(guest, "guest record", err) < 0)
		return -1;
	vmm_auto_text struct text text = {0};
	for (size_t i = 0; i < VMM_COUNT(record_texts); i++) {
		const char *value = json_text_or(record, record_texts[i], "");
		if (strchr(value, '\n'))
			return error_set(err, VMM_FAILED, "bad-name", "guest %s: %s has a line break", guest,
					 record_texts[i]);
		text_add(&text, "%s=%s\n", record_texts[i], value);
	}
	for (size_t i = 0; i < VMM_COUNT(record_numbers); i++)
		text_add(&text, "%s=%lld\n", record_numbers[i], (long long)json_number(record, record_numbers[i]));
	vmm_auto_free char *reason = refusal(self, record);
	text_add(&text, "guard=%s\nreason=%s\n", reason ? "deny" : "allow", reason ? reason : "");
	vmm_auto_free char *path = record_path(state_dir, guest), *dir = path_dir(path);
	if (dir_make(dir, 0700, err) < 0)
		return -1;
	if (file_write(path, text.data, text.length, 0600, err) < 0)
		return -1;
	return json_text(record, "task") ? 0 : file_unreserve(path, err);
}

int record_reserve(const char *state_dir, const char *guest, struct vmm_error **err)
{
	if (name_check(guest, "guest record", err) < 0)
		return -1;
	vmm_auto_free char *path = record_path(state_dir, guest);
	return file_reserve(path, RECORD_ROOM, err);
}

int record_remove(const char *state_dir, const char *guest, struct vmm_error **err)
{
	if (name_check(guest, "guest record", err) < 0)
		return -1;
	vmm_auto_free char *path = record_path(state_dir, guest);
	return file_unreserve(path, err) < 0 ? -1 : file_remove(path, err);
}
