/* lock.c: the operations that change this node's record of a guest, from lock to unlock. record.h has the states. */
#include <string.h>
#include <unistd.h>

#include "node/local.h"

/* Each change of a record holds this lock: two tasks, or a task and recover, may ask for one at the same time. */
static int records_lock(struct local_node *node, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/guests", node->paths->state), *path = str_format("%s/.lock", dir);
	if (dir_make(dir, 0700, err) < 0)
		return -1;
	return file_lock(path, 10000, err);
}

static int write_record(struct local_node *node, const struct guest_record *record, struct vmm_error **err)
{
	return record_write(node->paths->state, node->base.name, record, err);
}

int local_record(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_record struct guest_record record = {0};
	if (record_read(node->paths->state, json_text(args, "guest"), &record, err) < 0)
		return -1;
	*reply = json_make("record:o", record_to_json(&record));
	return 0;
}

/* ---------------------------------------------------------------- lock */

static int busy(const struct guest_record *record, struct vmm_error **err)
{
	const char *task = record->task ? record->task : "?";
	error_set(err, VMM_BUSY, "guest-locked", "guest %s is locked by task %s (from or to %s)", record_label(record),
		  task, record->peer ? record->peer : "?");
	return error_hint(err, "wait for it: vmmigrate status %s; if its worker is dead: vmmigrate recover %s", task,
			  task);
}

static int not_owned(struct local_node *node, const struct guest_record *record, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "record-owner", "guest %s on %s: its record names %s as its owner",
		  record_label(record), node->base.name, record->owner);
	return error_hint(err, "migrate it from %s, where its newest state is", record->owner);
}

/* May a task lock the guest here, whose record this is, as `role` (RECORD_SOURCE or RECORD_TARGET)? */
static int may_lock(struct local_node *node, struct json_object *args, const struct guest_record *record,
		    enum record_state role, struct vmm_error **err)
{
	if (!record->guest)
		return 0;
	if (!record_may_become(record->state, role))
		return busy(record, err);
	if (str_same(record->owner, json_text(args, "yields")))
		return 0;
	if (role == RECORD_SOURCE)
		return str_same(record->owner, node->base.name) ? 0 : not_owned(node, record, err);
	/* The target's record names another owner than the source, at a generation that is not below the source's: then
	 * the source has an old copy of the guest. */
	bool newer = !str_same(record->owner, json_text(args, "peer")) && record->generation > 0 &&
		     record->generation >= json_number(args, "generation");
	return newer ? not_owned(node, record, err) : 0;
}

/* What the record says while the task has the guest. */
static void fill_in(struct local_node *node, struct json_object *args, const char *task, enum record_state role,
		    struct guest_record *record)
{
	record->fresh = !record->guest;
	if (!record->owner || str_same(record->owner, json_text(args, "yields")))
		str_replace(&record->owner, role == RECORD_SOURCE ? node->base.name : json_text(args, "peer"));
	str_replace(&record->guest, json_text(args, "guest"));
	str_replace(&record->kind, json_text(args, "kind"));
	str_replace(&record->id, json_text(args, "id"));
	str_replace(&record->name, json_text(args, "name"));
	str_replace(&record->uuid, json_text(args, "uuid"));
	str_replace(&record->task, task);
	str_replace(&record->peer, json_text(args, "peer"));
	str_replace(&record->permit, NULL);
	record->state = role;
	record->since_us = clock_now_us();
	if (role == RECORD_TARGET)
		record->peer_generation = json_number(args, "generation");
	record->runs = json_true(args, "runs");
	record->autostart = json_true(args, "autostart");
}

int local_lock(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = json_text(args, "task"), *guest = json_text(args, "guest"), *role = json_text(args, "role");
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_record struct guest_record record = {0};
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (!str_same(record.task, task)) {
		enum record_state state = !strcmp(role, "source") ? RECORD_SOURCE : RECORD_TARGET;
		if (may_lock(node, args, &record, state, err) < 0)
			return -1;
		fill_in(node, args, task, state, &record);
		if (write_record(node, &record, err) < 0)
			return -1;
	}
	if (record_reserve(node->paths->state, guest, err) < 0)
		return -1;
	/* Nobody starts a guest that is off while it is copied: a kind without a guard that reads the record (LXC) has
	 * one of its own. One that runs gets it when it is stopped. */
	if (record.state == RECORD_SOURCE && !record.runs && local_own(node, args, false, err) < 0)
		return -1;
	*reply = json_make("record:o", record_to_json(&record));
	return 0;
}

/* ---------------------------------------------------------------- advance, reclaim, unlock */

static int refuse(struct local_node *node, struct json_object *args, const struct guest_record *record, const char *to,
		  struct vmm_error **err)
{
	const char *code = record->state == RECORD_ABANDONED   ? "abandoned"
			   : record->state == RECORD_COMMITTED ? "committed"
							       : "wrong-state";
	return error_set(
		err, VMM_FAILED, code, "the record of guest %s on %s is %s (task %s): task %s cannot make it %s",
		json_text(args, "guest"), node->base.name, record->guest ? record_state_name(record->state) : "absent",
		record->task ? record->task : "none", json_text(args, "task"), to);
}

int local_advance(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = json_text(args, "task"), *guest = json_text(args, "guest"), *name = json_text(args, "to");
	enum record_state to;
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_record struct guest_record record = {0};
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	/* UNLOCK alone makes a record idle. */
	if (!str_same(record.task, task) || !record_state_find(name, &to) || to == RECORD_IDLE ||
	    !record_may_become(record.state, to))
		return refuse(node, args, &record, name, err);
	if (record.state != to) {
		record.state = to;
		str_replace(&record.permit, NULL);
		if (to == RECORD_COMMITTED) {
			str_replace(&record.owner, json_text(args, "owner"));
			record.generation = json_number(args, "generation");
		}
		if (write_record(node, &record, err) < 0)
			return -1;
	}
	/* A kind with a guard of its own keeps the guest from being started by others, on the new owner until UNLOCK.
	 */
	if (to == RECORD_COMMITTED && local_own(node, args, false, err) < 0)
		return -1;
	*reply = json_make("record:o", record_to_json(&record));
	return 0;
}

int local_reclaim(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = json_text(args, "task"), *guest = json_text(args, "guest"),
		   *owner = json_text(args, "owner"), *name = json_text(args, "state");
	enum record_state state;
	(void)reply;
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_record struct guest_record record = {0};
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (!str_same(record.task, task) || !record_state_find(name, &state))
		return refuse(node, args, &record, name, err);
	record.state = state;
	record.generation = json_number(args, "generation");
	str_replace(&record.owner, owner);
	str_replace(&record.permit, NULL);
	/* The unlock must not remove the record: a node that cannot be reached now has to find it when it is back. */
	record.fresh = 0;
	bool own = !strcmp(owner, node->base.name) && state != RECORD_COMMITTED;
	return write_record(node, &record, err) < 0 ? -1 : local_own(node, args, own, err);
}

/* Takes the task out of the record. A record that the task itself has made is removed, unless it has committed. */
static int unlock_record(struct local_node *node, struct guest_record *record, struct vmm_error **err)
{
	if (record->state == RECORD_COMMITTED && local_drop_aside(node, record->task, err) < 0)
		return -1;
	if (record->fresh && record->state != RECORD_COMMITTED)
		return record_remove(node->paths->state, record->guest, err);
	record->state = RECORD_IDLE;
	record->fresh = 0;
	str_replace(&record->task, NULL);
	str_replace(&record->peer, NULL);
	str_replace(&record->permit, NULL);
	return write_record(node, record, err);
}

int local_unlock(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = json_text(args, "task"), *guest = json_text(args, "guest");
	(void)reply;
	vmm_auto_free char *dir = local_task_dir(node, task), *made = str_format("%s/made", dir);
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_record struct guest_record record = {0};
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	/* If the worker died after the commit, the relays that carried the memory are still running. */
	if (file_there(made) && local_end_relays(node, task, err) < 0)
		return -1;
	bool ours = str_same(record.task, task);
	if (ours && str_same(record.owner, node->base.name) && local_own(node, args, true, err) < 0)
		return -1;
	if (ours && unlock_record(node, &record, err) < 0)
		return -1;
	vmm_auto_free char *request = str_format("%s/request", dir);
	if (!file_there(dir))
		return 0;
	if (file_there(made) && local_drop_snapshots(node, task, err) < 0)
		return -1;
	/* The node that runs the task keeps its request and log; the other node keeps nothing of it. */
	if (!file_there(request))
		return dir_remove(dir, err);
	return file_remove(made, err);
}

/* ---------------------------------------------------------------- forget */

int local_forget(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *guest = json_text(args, "guest"), *owner = json_text(args, "owner");
	int64_t generation = json_number(args, "generation");
	vmm_auto_guest struct local_guest g = {0};
	vmm_auto_json struct json_object *state = NULL;
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_record struct guest_record record = {0};
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0 ||
	    local_guest_open(node, args, &g, err) < 0 || g.ops->state(g.host, g.id, &state, err) < 0)
		return -1;
	bool here = !str_same(json_text(state, "state"), "absent");
	*reply = json_make("here:b", (int)here);
	if (!record.guest)
		return 0;
	if (record.task)
		return busy(&record, err);
	if (!str_same(record.owner, owner))
		return not_owned(node, &record, err);
	if (!here)
		return record_remove(node->paths->state, guest, err);
	str_replace(&record.owner, node->base.name);
	record.generation = (record.generation > generation ? record.generation : generation) + 1;
	return write_record(node, &record, err);
}

/* ---------------------------------------------------------------- the guard */

static int read_boot(char **boot, struct vmm_error **err)
{
	if (file_read("/proc/sys/kernel/random/boot_id", 64, boot, NULL, err) < 0)
		return -1;
	(*boot)[strcspn(*boot, "\n")] = 0;
	return 0;
}

/* The permit as the guard reads it (record.h); NULL for PERMIT_NONE. */
static int permit_text(enum permit permit, char **text, struct vmm_error **err)
{
	vmm_auto_free char *boot = NULL;
	*text = NULL;
	if (permit == PERMIT_NONE)
		return 0;
	if (read_boot(&boot, err) < 0)
		return -1;
	if (permit == PERMIT_START)
		*text = str_format("start:%d:%llu:%s", (int)getpid(), (unsigned long long)process_started(getpid()),
				   boot);
	else
		*text = str_format("%s%s", permit == PERMIT_INCOMING ? "incoming:" : "", boot);
	return 0;
}

int local_permit(struct local_node *node, const char *guest, const char *task, enum permit permit,
		 struct vmm_error **err)
{
	vmm_auto_close int lock = records_lock(node, err);
	vmm_auto_record struct guest_record record = {0};
	vmm_auto_free char *text = NULL;
	if (lock < 0 || record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (!str_same(record.task, task))
		return error_set(err, VMM_FAILED, "wrong-state", "guest %s on %s is not locked by task %s", guest,
				 node->base.name, task);
	if (permit_text(permit, &text, err) < 0)
		return -1;
	str_replace(&record.permit, text);
	return write_record(node, &record, err);
}

int local_was_released(const struct guest_record *record, bool *released, struct vmm_error **err)
{
	vmm_auto_free char *boot = NULL;
	if (read_boot(&boot, err) < 0)
		return -1;
	*released =
		record->state == RECORD_IDLE || (record->state == RECORD_COMMITTED && str_same(record->permit, boot));
	return 0;
}
