/* state.c: a guest's state, and the job that is under way with it (guest_ops->state). */
#include <string.h>

#include "qemu.h"

/* ------------------------------------------------------------------ names of states and reasons */

static const char *pick(const char *const *names, size_t count, int which)
{
	return which >= 0 && (size_t)which < count && names[which] ? names[which] : "unknown";
}
#define PICK(names, which) pick(names, VMM_COUNT(names), which)

static const char *paused_why(int reason)
{
	static const char *const names[] = {
		[VIR_DOMAIN_PAUSED_USER] = "user",
		[VIR_DOMAIN_PAUSED_MIGRATION] = "migration",
		[VIR_DOMAIN_PAUSED_SAVE] = "save",
		[VIR_DOMAIN_PAUSED_DUMP] = "dump",
		[VIR_DOMAIN_PAUSED_IOERROR] = "io-error",
		[VIR_DOMAIN_PAUSED_WATCHDOG] = "watchdog",
		[VIR_DOMAIN_PAUSED_FROM_SNAPSHOT] = "from-snapshot",
		[VIR_DOMAIN_PAUSED_SHUTTING_DOWN] = "shutting-down",
		[VIR_DOMAIN_PAUSED_SNAPSHOT] = "snapshot",
		[VIR_DOMAIN_PAUSED_CRASHED] = "crashed",
		[VIR_DOMAIN_PAUSED_STARTING_UP] = "starting-up",
		[VIR_DOMAIN_PAUSED_POSTCOPY] = "postcopy",
		[VIR_DOMAIN_PAUSED_POSTCOPY_FAILED] = "postcopy-failed",
	};
	return PICK(names, reason);
}

static const char *shutoff_why(int reason)
{
	static const char *const names[] = {
		[VIR_DOMAIN_SHUTOFF_SHUTDOWN] = "shutdown",
		[VIR_DOMAIN_SHUTOFF_DESTROYED] = "destroyed",
		[VIR_DOMAIN_SHUTOFF_CRASHED] = "crashed",
		[VIR_DOMAIN_SHUTOFF_MIGRATED] = "migrated",
		[VIR_DOMAIN_SHUTOFF_SAVED] = "saved",
		[VIR_DOMAIN_SHUTOFF_FAILED] = "failed",
		[VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT] = "from-snapshot",
	};
	return PICK(names, reason);
}

static void name_state(struct qemu_state *state)
{
	state->why = "unknown";
	switch (state->state) {
	case VIR_DOMAIN_PAUSED:
		state->why = paused_why(state->reason);
		state->name = state->reason == VIR_DOMAIN_PAUSED_IOERROR	 ? "io-error"
			      : state->reason == VIR_DOMAIN_PAUSED_CRASHED	 ? "crashed"
			      : state->reason == VIR_DOMAIN_PAUSED_SHUTTING_DOWN ? "shutdown"
										 : "paused";
		break;
	case VIR_DOMAIN_PMSUSPENDED: /* the guest has suspended itself: QEMU is there, its CPUs are stopped */
		state->why = "guest-suspended";
		state->name = "paused";
		break;
	case VIR_DOMAIN_SHUTOFF:
		state->why = shutoff_why(state->reason);
		state->name = "shutoff";
		break;
	case VIR_DOMAIN_SHUTDOWN:
		state->name = "shutdown";
		break;
	case VIR_DOMAIN_CRASHED:
		state->name = "crashed";
		break;
	default:
		state->name = "running";
	}
}

int qemu_state_of(virDomainPtr domain, struct qemu_state *state, struct vmm_error **err)
{
	if (virDomainGetState(domain, &state->state, &state->reason, 0) < 0)
		return qemu_failed(err, "state of VM %s", virDomainGetName(domain));
	name_state(state);
	return 0;
}

/* ------------------------------------------------------------------ jobs */

static const char *operation_name(int operation)
{
	static const char *const names[] = {
		[VIR_DOMAIN_JOB_OPERATION_START] = "start",
		[VIR_DOMAIN_JOB_OPERATION_SAVE] = "save",
		[VIR_DOMAIN_JOB_OPERATION_RESTORE] = "restore",
		[VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN] = "migration",
		[VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT] = "migration",
		[VIR_DOMAIN_JOB_OPERATION_SNAPSHOT] = "snapshot",
		[VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT] = "snapshot",
		[VIR_DOMAIN_JOB_OPERATION_DUMP] = "dump",
		[VIR_DOMAIN_JOB_OPERATION_BACKUP] = "backup",
		[VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE] = "snapshot",
	};
	return PICK(names, operation);
}

/* libvirt has refused to say which job there is. "Unsupported" means an incoming migration, of which it has no
 * figures; a time-out means that some job keeps the guest busy. A guest that is off by now has no job. All else is an
 * error. */
static int job_unknown(virDomainPtr domain, char **job, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	bool incoming = qemu_last_is(VIR_ERR_OPERATION_UNSUPPORTED), late = qemu_last_is(VIR_ERR_OPERATION_TIMEOUT);
	qemu_failed(&problem, "job of VM %s", virDomainGetName(domain));
	bool active = virDomainIsActive(domain) == 1;
	if (active && !incoming && !late) {
		error_take(err, problem);
		return -1;
	}
	error_clear(&problem);
	if (active)
		*job = str_copy(incoming ? "migration" : "unknown");
	return 0;
}

int qemu_domain_job(virDomainPtr domain, char **job, struct vmm_error **err)
{
	virTypedParameterPtr values = NULL;
	int type = 0, count = 0, operation = 0;
	*job = NULL;
	if (virDomainGetJobStats(domain, &type, &values, &count, 0) < 0)
		return job_unknown(domain, job, err);
	if (type != VIR_DOMAIN_JOB_NONE && type != VIR_DOMAIN_JOB_COMPLETED && type != VIR_DOMAIN_JOB_FAILED &&
	    type != VIR_DOMAIN_JOB_CANCELLED) {
		virTypedParamsGetInt(values, count, VIR_DOMAIN_JOB_OPERATION, &operation);
		*job = str_copy(operation_name(operation));
	}
	virTypedParamsFree(values, count);
	return 0;
}

static int block_job(virDomainPtr domain, char **job, struct vmm_error **err)
{
	vmm_auto_json struct json_object *facts = NULL;
	char *definition = virDomainGetXMLDesc(domain, 0);
	if (!definition)
		return qemu_failed(err, "definition of VM %s", virDomainGetName(domain));
	int result = definition_facts(definition, &facts, err);
	free(definition);
	if (result < 0)
		return -1;
	json_each (volume, facts, "volumes") {
		virDomainBlockJobInfo info;
		const char *target = json_text(volume, "target");
		if (!*job && virDomainGetBlockJobInfo(domain, target, &info, 0) == 1)
			*job = str_format("block job on %s", target);
	}
	return 0;
}

int qemu_job_of(virDomainPtr domain, char **job, struct vmm_error **err)
{
	*job = NULL;
	if (virDomainIsActive(domain) != 1)
		return 0;
	if (qemu_domain_job(domain, job, err) < 0)
		return -1;
	return *job ? 0 : block_job(domain, job, err);
}

/* ------------------------------------------------------------------ guest_ops->state */

/* Asks libvirt as little as possible: this is called while a guest whose memory has moved waits to be released. */
static int state_now(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	vmm_auto_free char *job = NULL;
	char uuid[VIR_UUID_STRING_BUFLEN] = "";
	struct qemu_state now = {0};
	/* The state first, then the job: an incoming guest becomes paused/user while its job is still there. In the
	 * other order, the end of the job could be combined with a state from before it. */
	if (qemu_find(host, id, &domain, err) < 0 || qemu_state_of(domain, &now, err) < 0 ||
	    (now.state != VIR_DOMAIN_SHUTOFF && qemu_domain_job(domain, &job, err) < 0))
		return -1;
	virDomainGetUUIDString(domain, uuid);
	bool complete = now.state == VIR_DOMAIN_PAUSED && now.reason == VIR_DOMAIN_PAUSED_USER && !job;
	*state = json_make("state:s reason:s complete:b job:s uuid:s persistent:b", now.name, now.why, complete, job,
			   uuid, virDomainIsPersistent(domain) == 1);
	return 0;
}

int qemu_state(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	if (state_now(host, id, state, &problem) == 0)
		return 0;
	/* A transient guest can also disappear between two questions. */
	if (qemu_gone_is_fine(err, problem) < 0)
		return -1;
	*state = json_make("state:s complete:b persistent:b", "absent", 0, 0);
	return 0;
}
