/* checks.h: what the checks and the plan share; private to checks*.c, volume-action.c, facts-read.c and plan.c.
 *
 * All of it is pure: it reads facts and never asks a node. What the facts leave out counts as not known: where not
 * knowing could cost data a check refuses, else it is silent.
 */
#ifndef VMM_CHECKS_H
#define VMM_CHECKS_H

#include "plan/plan.h"

/* ------------------------------------------------------------------ facts, read (facts-read.c) */

/* The guest on the source, its kind ("qemu" where nothing is known), and what the hypervisor of that kind says. */
struct json_object *facts_guest(const struct facts *facts);
const char *facts_kind(const struct facts *facts);
struct json_object *facts_host(const struct facts *facts, enum side side);
/* "VM 100" or "container 200"; belongs to the caller. */
char *facts_label(const struct facts *facts) VMM_MUST_USE;
bool facts_option(const struct facts *facts, const char *name);
/* True where the target is another node than the source and its facts are there. */
bool facts_have_target(const struct facts *facts);
/* True where the guest is not shut off. */
bool facts_active(const struct facts *facts);

/* ------------------------------------------------------------------ guests that are in the way (facts-read.c) */

/* True where the target's guest `other` (short facts) has the id, name or UUID of ours. */
bool guest_same(const struct facts *facts, struct json_object *other);
/* True where it is a stopped leftover of ours: same id and UUID, and its record says that the guest has moved on since.
 */
bool guest_leftover(const struct facts *facts, struct json_object *other);
/* True where a record on the target says that the guest was there once and has moved on: an older one, or one that names the source
 * as the owner. */
bool facts_record_moved_on(const struct facts *facts, struct json_object *record);
/* The storage of that name, or NULL; the storage that a path lies on (the longest path that contains it), or NULL. */
struct json_object *storage_named(struct json_object *node, const char *name);
struct json_object *storage_under(struct json_object *node, const char *path);

/* ------------------------------------------------------------------ volumes (volume-action.c) */

enum { MEDIA_LIMIT = 64 << 20 }; /* bytes; images up to this size travel with the preparation */

enum action {
	VOLUME_KEEP,  /* stays where it is: shared, or the memory stream carries it, or the target has it */
	VOLUME_COPY,  /* round by round, then the last delta */
	VOLUME_MEDIA, /* copied once in prepare: read-only, or rewritten by the memory stream (NVRAM) */
};
enum action volume_action(const struct facts *facts, struct json_object *volume, size_t index, enum mode mode);

/* What the target says of the volume at that place of the guest's array, or NULL. */
struct json_object *volume_there(const struct facts *facts, size_t index);
/* What the token (or the identity of the device) has proven of its storage: "shared", "local" or "unproven". */
const char *volume_proof(const struct facts *facts, struct json_object *volume, size_t index);
/* True for CD-ROMs and floppies that the guest cannot write. */
bool volume_is_disc(struct json_object *volume);
const char *volume_name(struct json_object *volume);
/* The target's storage for a copy of the volume: the one that was asked for, else that of the same name, else the one that its
 * path lies on there; or NULL. */
struct json_object *volume_destination(const struct facts *facts, struct json_object *volume, size_t index);
/* What a copy of it will be there: "dir", "tree", "block", ... */
const char *volume_kind_there(const struct facts *facts, struct json_object *volume, size_t index);
/* True where that is a device; *device is what the target says of it, NULL where there is none of that name. */
bool volume_device_there(const struct facts *facts, struct json_object *volume, size_t index,
			 struct json_object **device);
/* The storage that --targetstorage sends the volume to, or NULL. */
const char *volume_asked(const struct facts *facts, size_t index);
/* Where the copy will lie; whether something is there already, and is in use. */
const char *volume_place(const struct facts *facts, struct json_object *volume, size_t index);
bool volume_is_taken(const struct facts *facts, size_t index);
bool volume_is_open_there(const struct facts *facts, size_t index);
/* True where the file that the target has in a copy's place was this guest's own, so that it is set aside unasked. */
bool volume_is_ours_there(const struct facts *facts, struct json_object *volume, size_t index);

/* How long a restart would have the guest off, in ms (plan.c). */
int64_t plan_restart_ms(const struct facts *facts);

/* ------------------------------------------------------------------ looking (checks.c) */

/* What a check sees. Strings and objects belong to the facts. */
struct look {
	const struct facts *facts;
	enum mode mode;
	const struct check *check;
	struct json_object *findings;
	struct json_object *guest;
	struct json_object *node[SIDES]; /* TARGET is NULL where there are no facts, or it is the source itself */
	struct json_object *host[SIDES]; /* the hypervisor's, or NULL */
	struct json_object *fit;	 /* the target's, or NULL */
	const char *name[SIDES];
	const char *label; /* "VM 100" */
};

/* finding_add with the check's own severity, or another. */
struct json_object *found(const struct look *look, const char *object, const char *format, ...) VMM_PRINTF(3, 4);
struct json_object *found_as(const struct look *look, enum severity severity, const char *object, const char *format,
			     ...) VMM_PRINTF(4, 5);

/* Every look function, by the file that it is in. */
typedef void look_fn(const struct look *look);
/* checks-node.c */
look_fn look_target_is_source, look_target_unknown, look_target_unreachable, look_target_agent_version,
	look_target_libvirt_down, look_target_maintenance, look_clock_skew, look_guard_inactive, look_foreign_manager,
	look_record_owner, look_config_differs;
/* checks-host.c */
look_fn look_arch_mismatch, look_backward_qemu, look_backward_libvirt, look_version_differs, look_machine_type,
	look_definition_refused, look_cpu_incompatible, look_cpu_host_model, look_microcode_differs, look_memory_short,
	look_vcpu_short;
/* checks-guest.c */
look_fn look_guest_locked, look_guest_job_active, look_guest_state, look_name_taken, look_mac_taken, look_ct_online,
	look_passthrough_pci, look_passthrough_usb, look_filesystem_passthrough, look_snapshots, look_bridge_missing,
	look_conntrack_lost;
/* checks-disk.c */
look_fn look_volume_taken, look_local_disk_online, look_local_cdrom, look_sata_disk, look_linked_clone,
	look_shared_by_other, look_unsafe_cache, look_pending_changes, look_tpm_state;
/* checks-container.c */
look_fn look_target_lxc_missing, look_ct_bind_mount, look_ct_idmap, look_ct_features;
/* checks-storage.c */
look_fn look_volume_missing, look_space_short, look_storage_missing, look_storage_format, look_storage_shared_unawares,
	look_storage_not_shared, look_storage_path, look_volume_in_use;

#endif
