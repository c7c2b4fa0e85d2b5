/* record: the guest record, what a node has noted about a guest: which node owns it, and which task is moving it.
 *
 * It is the file <state>/guests/KIND-UUID, or KIND-ID for a guest that has no UUID (a container). So it follows a VM
 * through renames, and another VM under an old name has no record. It has lines of key=value, because the guard that
 * libvirt runs reads it with libc alone. On the wire and in replies it is JSON. One table in record.c names its fields
 * for both.
 */
#ifndef VMM_RECORD_H
#define VMM_RECORD_H

#include "base/base.h"

/* A record that is not idle belongs to a task, and only that task (or an administrator) changes it. */
enum record_state {
	RECORD_IDLE,	  /* no task moves the guest; its owner may start it */
	RECORD_SOURCE,	  /* locked: a task moves the guest away from this node */
	RECORD_TARGET,	  /* locked: a task moves the guest to this node */
	RECORD_HANDOVER,  /* the guest's memory, or its held start, is on its way to the target */
	RECORD_COMMITTED, /* this node knows of the commit: `owner` is the node that has the guest now */
	RECORD_ABANDONED, /* the target will never commit: this outranks the commit in the source's journal */
	RECORD_STATES,
};

/* All zero where there is no record of the guest: `guest` is NULL then. */
struct guest_record {
	char *guest;		       /* the file's name */
	char *kind, *id, *name, *uuid; /* as they were when a task last moved it */
	char *owner;		       /* the node that has the guest */
	enum record_state state;
	char *task, *peer; /* NULL while idle; `peer` is the other node */
	/* For the guard (local_permit): NULL, or whom it admits all the same, in the boot of that id only:
	 * "start:PID:STARTED:BOOT-ID" a start while that process of ours lives; "incoming:BOOT-ID" incoming memory;
	 * "BOOT-ID" any start, since the guest has been released here. */
	char *permit;
	int64_t generation;
	int64_t peer_generation; /* on the target: the source's generation when the task began */
	int64_t since_us;	 /* when the task locked the guest */
	int64_t fresh;		 /* 1: its task has made this record, which is removed if the task does not commit */
	int64_t runs;		 /* 1: the guest ran when the task began, and shall run on the target */
	int64_t autostart;	 /* 1: likewise, it shall start with its node */
};
#define vmm_auto_record __attribute__((cleanup(record_free)))
void record_free(struct guest_record *record); /* what it owns; all zero afterwards */

/* Whether a record's state may change like that. LOCK makes source and target, ADVANCE handover, committed and
 * abandoned, which it may repeat; UNLOCK makes idle. RECLAIM, an administrator's decision, does not ask. */
bool record_may_become(enum record_state from, enum record_state to);
const char *record_state_name(enum record_state state);
/* The state of that name; false where there is none, or `name` is NULL. */
bool record_state_find(const char *name, enum record_state *state);

/* Reads the record; *record is all zero before. No error where there is none. Error "bad-record" (VMM_NEEDS_DECISION)
 * where the file is incomplete or damaged. */
int record_read(const char *state_dir, const char *guest, struct guest_record *record, struct vmm_error **err);
/* The record of the guest that an administrator calls `who`: its id, name, UUID, or the record's name. `kind` may be
 * NULL. *record stays all zero where there is none. Error "ambiguous" (VMM_USAGE). */
int record_find(const char *state_dir, const char *who, const char *kind, struct guest_record *record,
		struct vmm_error **err);
/* What messages call the guest; borrowed. */
const char *record_label(const struct guest_record *record);
/* Writes the record durably, with what the guard of the node `self` shall do. Error "bad-record" where a field that
 * it must have is missing; the file is unchanged then. Gives back what record_reserve took where no task has it. */
int record_write(const char *state_dir, const char *self, const struct guest_record *record, struct vmm_error **err);
/* Reserves disk space for every later change of the record, until no task has it: a full disk must not stop the
 * commit or the release. Error "no-space". */
int record_reserve(const char *state_dir, const char *guest, struct vmm_error **err);
int record_remove(const char *state_dir, const char *guest, struct vmm_error **err);

/* The record as JSON, which belongs to the caller; NULL where there is no record. */
struct json_object *record_to_json(const struct guest_record *record);
/* The record that `node` has sent (NULL: it has none); *record is all zero before. Error "bad-record" as above. */
int record_from_json(struct json_object *json, const char *node, struct guest_record *record, struct vmm_error **err);

#endif
