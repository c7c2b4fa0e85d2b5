/* lock.c: ownership on this node - the guest record from lock to unlock.
 *
 * A record is idle, or has a task: source or target (locked), handover (memory or a held start is on its way), committed (the
 * target owns the guest), abandoned (the target has promised that it will never commit: that outranks a commit).
 */
#include <string.h>

#include "node/local.h"

/* Every change of a record is made under this lock: two tasks, or a task and recover, may ask at once. */
static int records_lock(struct local_node *node, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/guests", node->paths->state), *path = str_format("%s/.lock", dir);
	if (dir_make(dir, 0700, err) < 0)
		return -1;
	return file_lock(path, 10000, err);
}

static int keep(struct local_node *node, struct json_object *record, struct vmm_error **err)
{
	return record_write(node->paths->state, node->base.name, record, err);
}

static bool is_state(struct json_object *record, const char *state)
{
	return str_same(json_text(record, "state"), state);
}

static bool is_of_task(struct json_object *record, struct json_object *args)
{
	return record && str_same(json_text(record, "task"), json_text(args, "task"));
}

int local_record(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *guest;
	struct json_object *record;
	if (json_need(args, "guest", "call", &guest, err) < 0 ||
	    record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	*reply = json_make("record:o", record);
	return 0;
}

static int busy(struct json_object *record, struct vmm_error **err)
{
	const char *task = json_text_or(record, "task", "?");
	error_set(err, VMM_BUSY, "guest-locked", "guest %s is locked by task %s (from or to %s)",
		  json_text_or(record, "guest", "?"), task, json_text_or(record, "peer", "?"));
	return error_hint(err, "wait for it: vmmigrate status %s; if its worker is dead: vmmigrate recover %s", task,
			  task);
}

static int not_ours(struct local_node *node, struct json_object *record, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "record-owner", "guest %s on %s: its record names %s as its owner",
		  json_text_or(record, "guest", "?"), node->base.name, json_text_or(record, "owner", "?"));
	return error_hint(err, "migrate it from %s, where its newest state is", json_text_or(record, "owner", "?"));
}

/* May this node take the role for the guest? `record` is what it holds, or NULL. */
static int may_lock(struct local_node *node, struct json_object *args, struct json_object *record,
		    struct vmm_error **err)
{
	if (!record)
		return 0;
	if (!is_state(record, "idle"))
		return busy(record, err);
	bool ours = str_same(json_text(record, "owner"), node->base.name);
	bool source = str_same(json_text(args, "role"), "source");
	/* A target that says of itself, or of a third node, that it has the guest as new as that has the newer guest. */
	bool newer = !str_same(json_text(record, "owner"), json_text(args, "peer")) &&
		     json_number(record, "generation") >= json_number(args, "generation") &&
		     json_number(record, "generation") > 0;
	return (source ? !ours : newer) ? not_ours(node, record, err) : 0;
}

int local_lock(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = local_task(args, err), *guest, *role;
	if (!task || json_need(args, "guest", "call", &guest, err) < 0 ||
	    json_need(args, "role", "call", &role, err) < 0)
		return -1;
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_json struct json_object *record = NULL;
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (!is_of_task(record, args)) {
		if (may_lock(node, args, record, err) < 0)
			return -1;
		bool source = !strcmp(role, "source");
		if (!record)
			record = json_make("guest:s owner:s fresh:i", guest,
					   source ? node->base.name : json_text_or(args, "peer", ""), (int64_t)1);
		else
			json_put(record, "fresh:i", (int64_t)0);
		if (source)
			json_put(record, "generation:i", json_number(record, "generation"));
		json_put(record, "kind:s id:s name:s uuid:s state:s task:s peer:s since_us:i permit:s",
			 json_text(args, "kind"), json_text(args, "id"), json_text(args, "name"),
			 json_text(args, "uuid"), source ? "source" : "target", task, json_text(args, "peer"),
			 clock_now_us(), NULL);
		if (!source)
			json_put(record, "peer_generation:i", json_number(args, "generation"));
		json_put(record, "runs:i autostart:i", (int64_t)json_true(args, "runs"),
			 (int64_t)json_true(args, "autostart"));
		if (keep(node, record, err) < 0)
			return -1;
	}
	if (record_reserve(node->paths->state, guest, err) < 0)
		return -1;
	*reply = json_make("record:O", record);
	return 0;
}

static int refuse_advance(struct local_node *node, struct json_object *record, const char *to, struct vmm_error **err)
{
	const char *state = record ? json_text(record, "state") : "absent";
	return error_set(err, VMM_FAILED,
			 is_state(record, "abandoned")	 ? "abandoned"
			 : is_state(record, "committed") ? "committed"
							 : "wrong-state",
			 "guest record on %s is %s and cannot become %s", node->base.name, state, to);
}

/* From which states each can be reached. Abandoned and committed exclude each other for good. */
static bool may_advance(struct json_object *record, const char *to)
{
	bool locked = is_state(record, "source") || is_state(record, "target") || is_state(record, "handover");
	if (is_state(record, to))
		return true;
	return locked && (!strcmp(to, "handover") || !strcmp(to, "committed") || !strcmp(to, "abandoned"));
}

int local_advance(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = local_task(args, err), *guest, *to;
	if (!task || json_need(args, "guest", "call", &guest, err) < 0 || json_need(args, "to", "call", &to, err) < 0)
		return -1;
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_json struct json_object *record = NULL;
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (!is_of_task(record, args) || !may_advance(record, to))
		return refuse_advance(node, record, to, err);
	if (!is_state(record, to)) {
		json_put(record, "state:s permit:s", to, NULL);
		if (!strcmp(to, "committed"))
			json_put(record, "owner:s generation:i", json_text_or(args, "owner", ""),
				 json_number(args, "generation"));
		if (keep(node, record, err) < 0)
			return -1;
	}
	bool ours = str_same(json_text(record, "owner"), node->base.name);
	if (!strcmp(to, "committed") && local_own(node, args, ours, err) < 0)
		return -1;
	*reply = json_make("record:O", record);
	return 0;
}

int local_reclaim(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = local_task(args, err), *guest, *owner, *state;
	(void)reply;
	if (!task || json_need(args, "guest", "call", &guest, err) < 0 ||
	    json_need(args, "owner", "call", &owner, err) < 0 || json_need(args, "state", "call", &state, err) < 0)
		return -1;
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_json struct json_object *record = NULL;
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (!is_of_task(record, args))
		return refuse_advance(node, record, state, err);
	/* It is not to be forgotten at the unlock: a node that is away now must find it when it is back. */
	json_put(record, "owner:s generation:i state:s task:s permit:s fresh:i", owner, json_number(args, "generation"),
		 state, task, NULL, (int64_t)0);
	return keep(node, record, err) < 0 ? -1 : local_own(node, args, !strcmp(owner, node->base.name), err);
}

int local_unlock(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = local_task(args, err), *guest;
	(void)reply;
	if (!task || json_need(args, "guest", "call", &guest, err) < 0)
		return -1;
	vmm_auto_free char *dir = local_task_dir(node, task), *made = str_format("%s/made", dir);
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_json struct json_object *record = NULL;
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	/* Where the worker died after the commit nobody has ended what carried the memory. */
	if (file_there(made) && local_end_relays(node, task, err) < 0)
		return -1;
	if (is_of_task(record, args)) {
		if (is_state(record, "committed") && local_drop_aside(node, task, err) < 0)
			return -1;
		bool forget = json_number(record, "fresh") && !is_state(record, "committed");
		json_put(record, "state:s task:s peer:s permit:s fresh:i", "idle", NULL, NULL, NULL, (int64_t)0);
		if ((forget ? record_remove(node->paths->state, guest, err) : keep(node, record, err)) < 0)
			return -1;
	}
	vmm_auto_free char *request = str_format("%s/request", dir);
	if (!file_there(dir))
		return 0;
	if (file_there(made) && local_drop_snapshots(node, task, err) < 0)
		return -1;
	/* The node that runs the task keeps its request and log; the other has nothing to keep. */
	if (!file_there(request))
		return dir_remove(dir, err);
	return file_remove(made, err);
}

int local_permit(struct local_node *node, const char *guest, const char *task, enum permit permit,
		 struct vmm_error **err)
{
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_json struct json_object *record = NULL;
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (!record || !str_same(json_text(record, "task"), task))
		return error_set(err, VMM_FAILED, "wrong-state", "guest %s on %s is not held by task %s", guest,
				 node->base.name, task);
	vmm_auto_free char *boot = NULL;
	if (permit != PERMIT_NONE && file_read("/proc/sys/kernel/random/boot_id", 64, &boot, NULL, err) < 0)
		return -1;
	if (boot)
		boot[strcspn(boot, "\n")] = 0;
	vmm_auto_free char *word = boot ? str_format("%s%s", permit == PERMIT_INCOMING ? "incoming:" : "", boot) : NULL;
	json_put(record, "permit:s", word);
	return keep(node, record, err);
}
