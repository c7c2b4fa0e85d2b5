/* checks.h: what the checks and the plan share; private to checks*.c, ways.c, volume-action.c,
 * facts-read.c and plan.c.
 *
 * All of it is pure: it reads facts and never asks a node. A fact that is absent is not known. If that could lead to a
 * loss of data, a check refuses; else it finds nothing.
 */
#ifndef VMM_CHECKS_H
#define VMM_CHECKS_H

#include "plan/plan.h"

/* ------------------------------------------------------------------ facts, read (facts-read.c) */

/* The guest on the source, its kind ("qemu" if nothing is known), and what the hypervisor of that kind says. */
struct json_object *facts_guest(const struct facts *facts);
const char *facts_kind(const struct facts *facts);
struct json_object *facts_host(const struct facts *facts, enum side side);
/* "VM 100" or "container 200"; belongs to the caller. */
char *facts_label(const struct facts *facts) VMM_MUST_USE;
bool facts_option(const struct facts *facts, const char *name);
/* True if the target is another node than the source and its facts are there. */
bool facts_have_target(const struct facts *facts);
/* True if the guest is not shut off. */
bool facts_active(const struct facts *facts);

/* ------------------------------------------------------------------ guests that are in the way (facts-read.c) */

/* True if the target's guest `other` (short facts) has the id, name or UUID of ours. */
bool guest_same(const struct facts *facts, struct json_object *other);
/* Of a container: what a token has proven of its directory, where the target has a directory of that name: "shared",
 * "local" or "unproven". NULL: the target has none. Unless it is "local", the target's definition may be our own. */
const char *facts_directory_proof(const struct facts *facts);
/* True if it is a stopped leftover of our guest: same id and UUID, and its record says that the guest has moved on
 * since. */
bool guest_leftover(const struct facts *facts, struct json_object *other);
/* True if a guest record of the target says that the guest was there once and has moved on: it is older than the
 * source's, or it names the source as the owner. */
/* The record on that side names an owner that has no such guest any more (it was asked). */
bool facts_record_yields(const struct facts *facts, enum side side);
bool facts_record_moved_on(const struct facts *facts, struct json_object *record);
/* The node's storage of that name, or NULL; the storage that a path is on (the one with the longest path above it), or
 * NULL. */
struct json_object *storage_named(struct json_object *node, const char *name);
struct json_object *storage_under(struct json_object *node, const char *path);

/* ------------------------------------------------------------------ volumes (volume-action.c) */

enum { MEDIA_LIMIT = 64 << 20 }; /* bytes: what is only read is copied also with a guest that runs, up to this size */

enum action {
	VOLUME_KEEP,  /* it stays where it is: it is shared, or in the memory stream, or the target has it */
	VOLUME_COPY,  /* it is copied */
	VOLUME_MEDIA, /* copied even if the memory moves: it is read-only, or the memory stream rewrites it (NVRAM) */
};
enum action volume_action(const struct facts *facts, struct json_object *volume, size_t index, enum mode mode);

/* What is known of a read-only volume of which the target has a file of that path already: "same", "alike" (its samples
 * are equal: it is too large to be compared whole), "differs", or "unknown". NULL: the volume may be written to, or is
 * on storage that both nodes share, or the target has nothing of that path. */
const char *volume_content_there(const struct facts *facts, struct json_object *volume, size_t index);
/* What the target says of the guest's volume of that index ("fit.volumes"), or NULL. */
struct json_object *volume_there(const struct facts *facts, size_t index);
/* What the token, or the identity of the device, has proven of the volume: "shared", "local" or "unproven". */
const char *volume_proof(const struct facts *facts, struct json_object *volume, size_t index);
/* True for CD-ROMs and floppies that the guest cannot write. */
bool volume_is_disc(struct json_object *volume);
/* Is the destination of its copy the very file that is read, by whatever mount? What a token has proven: "shared": it
 * is, "local" or "unproven". */
const char *volume_destination_proof(const struct facts *facts, struct json_object *volume, size_t index);
const char *volume_name(struct json_object *volume);
/* The target's storage for a copy of the volume: the one that --targetstorage names, else that of the same name, else
 * the one that the volume's path is on there; or NULL. */
struct json_object *volume_storage_there(const struct facts *facts, struct json_object *volume, size_t index);
/* The kind that a copy of the volume will have on the target: "dir", "tree", "block", ... */
const char *volume_kind_there(const struct facts *facts, struct json_object *volume, size_t index);
/* True if that is a device; *device is what the target says of it, or NULL if there is no device at that path. */
bool volume_device_there(const struct facts *facts, struct json_object *volume, size_t index,
			 struct json_object **device);
/* The storage that --targetstorage sends the volume to, or NULL. */
const char *volume_asked(const struct facts *facts, size_t index);
/* The destination: the path of the copy on the target; whether something is there already, and is in use. */
const char *volume_destination(const struct facts *facts, struct json_object *volume, size_t index);
bool volume_is_taken(const struct facts *facts, size_t index);
bool volume_is_open_there(const struct facts *facts, size_t index);
/* True if the file at the destination was this guest's own, so that it is set aside even without --replace. */
bool volume_is_ours_there(const struct facts *facts, struct json_object *volume, size_t index);

/* For how long the guest would be off in a restart, in ms (plan.c). */
int64_t plan_restart_ms(const struct facts *facts);

/* ------------------------------------------------------------------ looking (checks.c) */

/* What a check sees. Strings and objects belong to the facts. */
struct look {
	const struct facts *facts;
	enum mode mode;
	const struct check *check;
	struct json_object *findings;
	struct json_object *guest;
	struct json_object *node[SIDES]; /* TARGET is NULL if there are no facts, or it is the source itself */
	struct json_object *host[SIDES]; /* the hypervisor's, or NULL */
	struct json_object *fit;	 /* the target's, or NULL */
	const char *name[SIDES];
	const char *label; /* "VM 100" */
	bool considered;   /* the mode is not the one that was asked for (ways.c) */
};

/* finding_add with the check's own severity, or another. */
struct json_object *found(const struct look *look, const char *object, const char *format, ...) VMM_PRINTF(3, 4);
struct json_object *found_as(const struct look *look, enum severity severity, const char *object, const char *format,
			     ...) VMM_PRINTF(4, 5);

/* Of a running guest a thing is in one of its definitions, or in both ("in", guest.h). Does it matter in this mode? A
 * restart starts the persistent definition. A guest whose memory moves needs what it has now, and what it will be
 * started with the next time: look_when then says that it is not needed before, else "". */
bool look_concerns(const struct look *look, struct json_object *thing);
const char *look_when(const struct look *look, struct json_object *thing);

/* ------------------------------------------------------------------ other ways (ways.c) */

/* The option that asks for that mode, without its dashes. */
const char *mode_option(enum mode mode);
/* NULL if the checks of that mode refuse nothing; else the first of their findings that does, the caller's. */
struct json_object *way_refusal(const struct facts *facts, enum mode mode);
/* Gives the finding the remedy, and names those of the other ways (MODE_*) that are open; where none is, why not. */
void hint_ways(const struct look *look, struct json_object *finding, unsigned ways, const char *format, ...)
	VMM_PRINTF(4, 5);
/* Likewise for a guest that cannot move while it runs: that a restart works, what it does (`how`), and how long the
 * guest will be off; or that no way is open. */
void hint_restart(const struct look *look, struct json_object *finding, const char *how);

/* checks_run for the findings of a mode that is only considered: their hints name no further ways. */
struct json_object *checks_consider(const struct facts *facts, enum mode mode);

/* True if the file (or a network disk's source) is on the target as well afterwards: a volume of the guest itself, a
 * backing file that the target has too, or a file on storage that both nodes share (checks-read.c). */
bool file_comes_along(const struct look *look, const char *path);

/* Every look function, by the file that it is in. */
typedef void look_fn(const struct look *look);
/* checks-node.c */
look_fn look_target_is_source, look_target_unknown, look_target_unreachable, look_target_agent_version,
	look_target_libvirt_down, look_target_maintenance, look_clock_skew, look_same_host_uuid, look_network_missing,
	look_guard_inactive, look_foreign_manager, look_record_owner, look_config_differs, look_hook_veto,
	look_hook_odd;
/* checks-host.c */
look_fn look_arch_mismatch, look_backward_qemu, look_backward_libvirt, look_version_differs, look_machine_type,
	look_definition_refused, look_cpu_incompatible, look_cpu_host_model, look_microcode_differs, look_memory_short,
	look_vcpu_short;
/* checks-guest.c */
look_fn look_guest_locked, look_guest_job_active, look_guest_state, look_transient, look_name_taken, look_ct_online,
	look_passthrough_pci, look_passthrough_usb, look_filesystem_passthrough, look_secret_missing;
/* checks-network.c */
look_fn look_mac_taken, look_bridge_missing, look_mtu_smaller, look_interface_taken, look_conntrack_lost;
/* checks-needs.c */
look_fn look_needs_missing, look_port_taken, look_qemu_arguments;
/* checks-disk.c */
look_fn look_volume_taken, look_local_disk_online, look_local_cdrom, look_sata_disk, look_shared_by_other,
	look_volume_alias, look_unsafe_cache, look_pending_changes, look_tpm_state;
/* checks-read.c */
look_fn look_readonly_differs, look_base_differs, look_host_file_differs, look_linked_clone;
/* checks-saved.c */
look_fn look_managed_save, look_snapshots, look_checkpoints, look_poweroff_restart;
/* checks-container.c */
look_fn look_target_lxc_missing, look_ct_bind_mount, look_ct_idmap, look_ct_ephemeral, look_ct_features,
	look_ct_shared_definition, look_ct_logs, look_include_mapped;
/* checks-tree.c */
look_fn look_tree_too_deep, look_tree_mixed;
/* checks-storage.c */
look_fn look_volume_missing, look_space_short, look_storage_missing, look_storage_format, look_storage_shared_unawares,
	look_destination_is_source, look_destination_taken_twice, look_storage_not_shared, look_storage_path,
	look_volume_in_use;

#endif
