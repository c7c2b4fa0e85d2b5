/* checks.c: the table of checks; runs them, and makes an error of their findings. */
#include <string.h>

#include "plan/checks.h"

#define ALL	(MODE_LIVE | MODE_PAUSED | MODE_RESTART | MODE_OFFLINE)
#define RUNNING (MODE_LIVE | MODE_PAUSED | MODE_RESTART)
#define MEMORY	(MODE_LIVE | MODE_PAUSED)

#define E CHECK_ERROR
#define O CHECK_OVERRIDE
#define W CHECK_WARNING

/* clang-format off */
const struct check checks[] = {
	/* code, chapter, modes, guest kind, severity, option that overrides it, asked without a target's facts */
#define CHECK(CODE, CHAPTER, MODES, KIND, SEVERITY, OPTION, ALONE, LOOK, WHAT) \
	{ .code = CODE, .group = CHAPTER, .what = WHAT, .modes = MODES, .kind = KIND, .severity = SEVERITY, \
	  .option = OPTION, .alone = ALONE, .look = look_##LOOK }

	CHECK("target-is-source", "target", ALL, NULL, E, NULL, true, target_is_source,
	      "The target is another node than the one that the guest is on."),
	CHECK("target-unknown", "target", ALL, NULL, E, NULL, true, target_unknown,
	      "The target is a node of the cluster."),
	CHECK("target-unreachable", "target", ALL, NULL, E, NULL, true, target_unreachable,
	      "The target answers over ssh with the host key that is known, and takes our key."),
	CHECK("target-agent-version", "target", ALL, NULL, E, NULL, true, target_agent_version,
	      "The target's agent speaks a protocol that we know."),
	CHECK("target-libvirt-down", "target", ALL, "qemu", E, NULL, true, target_libvirt_down,
	      "Both nodes' libvirt answers."),
	CHECK("target-lxc-missing", "target", ALL, "lxc", E, NULL, true, target_lxc_missing,
	      "Both nodes have LXC."),
	CHECK("target-maintenance", "target", ALL, NULL, O, NULL, false, target_maintenance,
	      "The target is not marked as under maintenance."),
	CHECK("arch-mismatch", "target", ALL, NULL, E, NULL, false, arch_mismatch,
	      "Both nodes have the same architecture."),
	CHECK("backward-qemu", "target", MEMORY, "qemu", O, NULL, false, backward_qemu,
	      "QEMU on the target is not older than on the source."),
	CHECK("backward-libvirt", "target", MEMORY, "qemu", W, NULL, false, backward_libvirt,
	      "The target's libvirt is not older than the source's."),
	CHECK("version-differs", "target", MEMORY, "qemu", W, NULL, false, version_differs,
	      "QEMU and libvirt are of the same version on both nodes."),
	CHECK("machine-type", "target", ALL, "qemu", E, NULL, false, machine_type,
	      "The guest's machine type is one that the target's QEMU offers."),
	CHECK("definition-refused", "target", ALL, NULL, E, NULL, false, definition_refused,
	      "The target's hypervisor accepts the guest's definition."),
	CHECK("cpu-incompatible", "target", ALL, "qemu", E, NULL, false, cpu_incompatible,
	      "The target can provide the guest's CPU."),
	CHECK("cpu-host-model", "target", MEMORY, "qemu", O, NULL, false, cpu_host_model,
	      "A guest that sees its host's CPU moves to a host with the same one."),
	CHECK("microcode-differs", "target", MEMORY, "qemu", W, NULL, false, microcode_differs,
	      "The CPUs of both nodes run the same microcode."),
	CHECK("memory-short", "target", RUNNING, NULL, O, NULL, false, memory_short,
	      "The target has memory (huge pages where the guest uses them) for the guest."),
	CHECK("vcpu-short", "target", RUNNING, NULL, W, NULL, false, vcpu_short,
	      "The target has as many CPUs as the guest's, and those that they are pinned to."),
	CHECK("clock-skew", "target", MEMORY, NULL, W, NULL, false, clock_skew,
	      "The nodes' clocks differ by a second at most."),
	CHECK("same-host-uuid", "target", MEMORY, "qemu", E, NULL, false, same_host_uuid,
	      "Each node's libvirt has a host UUID of its own, by which it tells another host from itself."),
	CHECK("network-missing", "target", MEMORY, NULL, E, NULL, true, network_missing,
	      "Both nodes have an address in the migration network that an insecure migration is to use."),
	CHECK("guard-inactive", "target", ALL, "qemu", E, NULL, true, guard_inactive,
	      "The guard that keeps libvirt from starting a guest twice is active on both nodes."),
	CHECK("foreign-manager", "target", ALL, NULL, O, NULL, true, foreign_manager,
	      "Neither node is run by a manager that owns its guests' definitions."),
	CHECK("record-owner", "target", ALL, NULL, E, NULL, true, record_owner,
	      "The guest is the source's to give away, by the records on both nodes."),
	CHECK("config-differs", "target", ALL, NULL, W, NULL, false, config_differs,
	      "The nodes' configurations agree on nodes and storages."),
	CHECK("hook-veto", "target", ALL, NULL, E, NULL, true, hook_veto,
	      "No check hook of an administrator refuses the migration, on either node."),
	CHECK("hook-odd", "target", ALL, NULL, W, NULL, true, hook_odd,
	      "Every file in the directories of check hooks is called NN-name, and only root can write it."),
	CHECK("space-short", "target", ALL, NULL, E, NULL, false, space_short,
	      "The target's storages have room for what is copied."),

	CHECK("guest-locked", "guest", ALL, NULL, E, NULL, true, guest_locked,
	      "No other task holds the guest on either node."),
	CHECK("guest-job-active", "guest", ALL, NULL, E, NULL, true, guest_job_active,
	      "No block job, backup, snapshot or save of the guest is under way."),
	CHECK("guest-state", "guest", ALL, NULL, E, NULL, true, guest_state,
	      "The guest runs, or is shut off."),
	CHECK("pending-changes", "guest", RUNNING, "qemu", E, NULL, true, pending_changes,
	      "The running guest and its definition name the same disks."),
	CHECK("managed-save", "guest", ALL, "qemu", E, NULL, true, managed_save,
	      "The memory of a guest that is off is not saved on the source."),
	CHECK("poweroff-restart", "guest", MODE_RESTART, "qemu", E, NULL, true, poweroff_restart,
	      "A guest that is shut down stays off (on_poweroff)."),
	CHECK("transient", "guest", ALL & ~MODE_LIVE, "qemu", E, NULL, true, transient,
	      "The guest has a persistent definition; else it can only move live."),
	CHECK("name-taken", "guest", ALL, NULL, O, "replace", false, name_taken,
	      "The target has no other guest of the same id, name or UUID."),
	CHECK("ct-shared-definition", "guest", ALL, "lxc", E, NULL, false, ct_shared_definition,
	      "The directory of the container's definition is not the same one on both nodes."),
	CHECK("ct-logs", "guest", ALL, "lxc", W, NULL, true, ct_logs,
	      "The container's directory has no logs, which stay on the source."),
	CHECK("include-mapped", "guest", ALL, "lxc", E, NULL, false, include_mapped,
	      "What an option puts in another one's place is not set by a file that the container's config includes."),
	CHECK("volume-taken", "guest", ALL, NULL, O, "replace", false, volume_taken,
	      "No file on the target is in the place of one that is copied."),
	CHECK("mac-taken", "guest", ALL, NULL, W, NULL, false, mac_taken,
	      "No other guest on the target uses a MAC address of this one."),
	CHECK("local-disk-online", "guest", MEMORY, NULL, E, NULL, true, local_disk_online,
	      "A guest that moves while it runs has all its disks on shared storage."),
	CHECK("ct-online", "guest", MEMORY, "lxc", E, NULL, true, ct_online,
	      "Containers move by restart: they have no live migration."),
	CHECK("ct-bind-mount", "guest", ALL, "lxc", O, NULL, false, ct_bind_mount,
	      "Directories and devices of the host that the container mounts are on the target."),
	CHECK("ct-idmap", "guest", ALL, "lxc", E, NULL, false, ct_idmap,
	      "The uids and gids that the container is mapped to can be used on the target (subuid, subgid)."),
	CHECK("ct-ephemeral", "guest", MODE_RESTART, "lxc", E, NULL, true, ct_ephemeral,
	      "LXC does not destroy the container when it stops."),
	CHECK("ct-features", "guest", ALL, "lxc", W, NULL, false, ct_features,
	      "The target has the cgroup layout, AppArmor and kernel features that the container asks for."),
	CHECK("local-cdrom", "guest", ALL, NULL, O, NULL, false, local_cdrom,
	      "CD-ROM and floppy images are on the target, or are small enough to be copied along."),
	CHECK("passthrough-pci", "guest", ALL, NULL, E, NULL, true, passthrough_pci,
	      "The guest has no PCI, mediated or other device of its host that memory depends on."),
	CHECK("passthrough-usb", "guest", MEMORY, NULL, O, "force", true, passthrough_usb,
	      "The guest has no USB, serial or parallel device of its host."),
	CHECK("filesystem-passthrough", "guest", ALL, "qemu", E, NULL, true, filesystem_passthrough,
	      "The guest has no directory of its host (virtiofs, 9p)."),
	CHECK("sata-disk", "guest", MODE_LIVE, "qemu", W, NULL, true, sata_disk,
	      "The guest has no SATA disk, whose controller older QEMU cannot migrate."),
	CHECK("tpm-state", "guest", ALL, "qemu", E, NULL, false, tpm_state,
	      "The state of an emulated TPM that is copied can be used on the target: tss has the same id there."),
	CHECK("snapshots", "guest", ALL, NULL, E, NULL, true, snapshots,
	      "The guest has no snapshots that would be lost, and none at all where its memory moves."),
	CHECK("checkpoints", "guest", ALL, NULL, O, NULL, true, checkpoints,
	      "The bitmaps of the guest's checkpoints go along with its images."),
	CHECK("linked-clone", "guest", ALL, NULL, O, NULL, true, linked_clone,
	      "The backing file of each volume goes where the volume goes."),
	CHECK("base-differs", "guest", ALL, NULL, O, NULL, false, base_differs,
	      "A backing file that the target has already has the same content there."),
	CHECK("host-file-differs", "guest", ALL, "qemu", O, NULL, false, host_file_differs,
	      "The guest's kernel, initrd, device tree, ACPI tables and firmware are the same on the target."),
	CHECK("readonly-differs", "guest", ALL, NULL, O, "replace", false, readonly_differs,
	      "A read-only volume or lower layer that the target has already has the same content there."),
	CHECK("shared-by-other", "guest", ALL, NULL, E, NULL, true, shared_by_other,
	      "No other guest of the source uses a copied volume as a disk, backing file, data file or layer."),
	CHECK("volume-alias", "guest", ALL, NULL, E, NULL, true, volume_alias,
	      "No two disks of the guest, and no disk of another guest, are the same file by a link or another mount."),
	CHECK("unsafe-cache", "guest", MEMORY, "qemu", O, "unsafe", true, unsafe_cache,
	      "The disks' cache modes are safe for a guest whose memory moves."),

	CHECK("volume-missing", "storage", ALL, NULL, E, NULL, true, volume_missing,
	      "Every volume of the guest is where its definition says."),
	CHECK("tree-too-deep", "storage", ALL, NULL, E, NULL, true, tree_too_deep,
	      "No path in a copied tree is longer than rsync takes, and no directory more than 512 levels down."),
	CHECK("tree-mixed", "storage", ALL, NULL, E, NULL, true, tree_mixed,
	      "A copied tree is one filesystem: it has no subvolumes (btrfs), and nothing is mounted in it."),
	CHECK("storage-missing", "storage", ALL, NULL, O, NULL, false, storage_missing,
	      "The storage of each volume that is copied is on the target, and active."),
	CHECK("storage-format", "storage", ALL, NULL, E, NULL, false, storage_format,
	      "The storage is of the same type on both nodes, so that it can hold the volume as it is."),
	CHECK("storage-shared-unawares", "storage", ALL, NULL, E, NULL, false, storage_shared_unawares,
	      "Storage that counts as local is proven not to be the same on both nodes: a copy would overwrite its "
	      "source."),
	CHECK("destination-taken-twice", "storage", ALL, NULL, E, NULL, false, destination_taken_twice,
	      "No two volumes go to one destination."),
	CHECK("destination-is-source", "storage", ALL, NULL, E, NULL, false, destination_is_source,
	      "The destination of a copy is not its own source, seen through another mount."),
	CHECK("storage-not-shared", "storage", ALL, NULL, E, NULL, false, storage_not_shared,
	      "Storage that counts as shared is proven to be the same on both nodes."),
	CHECK("storage-path", "storage", ALL, NULL, E, NULL, false, storage_path,
	      "Shared storage is mounted at the same path on both nodes."),
	CHECK("volume-in-use", "storage", ALL, NULL, E, NULL, false, volume_in_use,
	      "No shared volume is open on the target, and no volume of a guest that is off on the source."),
	CHECK("needs-missing", "storage", ALL, NULL, O, NULL, false, needs_missing,
	      "What the definition names on its host is on the target: files, directories, devices, sockets, "
	      "addresses, interfaces, network filters."),
	CHECK("port-taken", "storage", ALL, NULL, O, NULL, false, port_taken,
	      "The fixed ports on which the guest's displays and serial lines listen are free on the target."),
	CHECK("qemu-arguments", "storage", ALL, "qemu", W, NULL, false, qemu_arguments,
	      "The definition passes no arguments to QEMU that cannot be judged."),
	CHECK("interface-taken", "storage", ALL, NULL, E, NULL, false, interface_taken,
	      "The names that the guest gives its interfaces on the host are free on the target."),
	CHECK("mtu-smaller", "storage", ALL, NULL, W, NULL, false, mtu_smaller,
	      "The target's bridges carry packets as large as the source's, and as the guest's interfaces send."),
	CHECK("secret-missing", "storage", ALL, "qemu", O, NULL, false, secret_missing,
	      "The target has every libvirt secret that the guest's disks and TPM need, with its value."),
	CHECK("bridge-missing", "storage", ALL, NULL, O, NULL, false, bridge_missing,
	      "Every bridge and libvirt network of the guest is on the target."),
	CHECK("conntrack-lost", "storage", MODE_LIVE, NULL, W, NULL, false, conntrack_lost,
	      "No connection tracking filters what the guest sends over its bridge: its state does not travel."),
#undef CHECK
};
/* clang-format on */
const size_t check_count = VMM_COUNT(checks);

const struct check *check_find(const char *code)
{
	for (size_t i = 0; i < check_count; i++)
		if (str_same(checks[i].code, code))
			return &checks[i];
	return NULL;
}

const char *severity_name(enum severity severity)
{
	static const char *const names[] = {[E] = "error", [O] = "override", [W] = "warning"};
	return names[severity];
}

struct json_object *checks_to_json(void)
{
	static const enum mode modes[] = {MODE_LIVE, MODE_PAUSED, MODE_RESTART, MODE_OFFLINE};
	struct json_object *all = json_object_new_array();
	for (size_t i = 0; i < check_count; i++) {
		const struct check *check = &checks[i];
		struct json_object *row = json_make("code:s group:s what:s modes:o kind:s severity:s option:s",
						    check->code, check->group, check->what, json_object_new_array(),
						    check->kind, severity_name(check->severity), check->option);
		for (size_t m = 0; m < VMM_COUNT(modes); m++)
			if (check->modes & modes[m])
				json_append(row, "modes", json_object_new_string(mode_name(modes[m])));
		json_object_array_add(all, row);
	}
	return all;
}

/* ------------------------------------------------------------------ findings */

static struct json_object *finding_vadd(struct json_object *findings, const struct check *check, enum severity severity,
					const char *object, const char *format, va_list args)
{
	vmm_auto_free char *message = NULL;
	if (vasprintf(&message, format, args) < 0)
		abort();
	struct json_object *finding = json_make("code:s severity:s object:s message:s hint:s ignored:b", check->code,
						severity_name(severity), object, message, NULL, false);
	json_object_array_add(findings, finding);
	return finding;
}

struct json_object *finding_add(struct json_object *findings, const struct check *check, enum severity severity,
				const char *object, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	struct json_object *finding = finding_vadd(findings, check, severity, object, format, args);
	va_end(args);
	return finding;
}

struct json_object *found(const struct look *look, const char *object, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	struct json_object *finding =
		finding_vadd(look->findings, look->check, look->check->severity, object, format, args);
	va_end(args);
	return finding;
}

struct json_object *found_as(const struct look *look, enum severity severity, const char *object, const char *format,
			     ...)
{
	va_list args;
	va_start(args, format);
	struct json_object *finding = finding_vadd(look->findings, look->check, severity, object, format, args);
	va_end(args);
	return finding;
}

void finding_hint(struct json_object *finding, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vmm_auto_free char *hint = NULL;
	if (vasprintf(&hint, format, args) < 0)
		abort();
	va_end(args);
	json_put(finding, "hint:s", hint);
}

/* A finding of the severity "override" is ignored if the request says so; else its hint says how to override it. */
static void apply_override(const struct facts *facts, const struct check *check, struct json_object *finding)
{
	if (!str_same(json_text(finding, "severity"), severity_name(O)))
		return;
	if (json_has(facts->request, "options.ignore", check->code) ||
	    (check->option && facts_option(facts, check->option))) {
		json_put(finding, "ignored:b", true);
		return;
	}
	const char *hint = json_text(finding, "hint");
	vmm_auto_free char *named = check->option ? str_format("--%s", check->option) : NULL;
	if (named && hint && strstr(hint, named))
		return;
	vmm_auto_free char *option = check->option ? str_format("--%s or ", check->option) : str_copy("");
	finding_hint(finding, "%s%s%s--ignore %s overrides this", hint ? hint : "", hint ? "; " : "", option,
		     check->code);
}

static bool check_applies(const struct check *check, const struct look *look)
{
	if (check->kind && !str_same(check->kind, facts_kind(look->facts)))
		return false;
	if (!check->alone && !look->node[TARGET])
		return false;
	return look->mode == MODE_NONE ? check->modes == ALL : (check->modes & look->mode) != 0;
}

/* What is judged: of a running guest that will be shut down, the definition with which it will be started ("next",
 * guest.h, and the target's answer about that), in place of the running one. The caller's. */
static struct json_object *with_next(struct json_object *facts, enum mode mode)
{
	struct json_object *next = json_at(facts, "next"), *merged = json_object_new_object();
	if (!next || mode != MODE_RESTART) {
		json_object_put(merged);
		return json_object_get(facts);
	}
	json_object_object_foreach(facts, key, value)
	{
		json_object_object_add(merged, key, json_object_get(value));
	}
	json_object_object_foreach(next, later, instead)
	{
		json_object_object_add(merged, later, json_object_get(instead));
	}
	return merged;
}

static struct json_object *run_checks(const struct facts *facts, enum mode mode, bool considered)
{
	struct json_object *findings = json_object_new_array();
	vmm_auto_free char *label = facts_label(facts);
	vmm_auto_json struct json_object *guest = with_next(facts_guest(facts), mode), *fit = NULL;
	struct look look = {.facts = facts,
			    .mode = mode,
			    .findings = findings,
			    .guest = guest,
			    .label = label,
			    .considered = considered};
	for (enum side side = SOURCE; side < SIDES; side++) {
		bool there = side == SOURCE || facts_have_target(facts);
		look.name[side] = facts_name(facts, side);
		look.node[side] = there ? facts->node[side] : NULL;
		look.host[side] = there ? facts_host(facts, side) : NULL;
	}
	look.fit = fit = with_next(json_at(look.node[TARGET], "fit"), mode);
	for (size_t i = 0; i < check_count; i++) {
		look.check = &checks[i];
		if (!check_applies(look.check, &look))
			continue;
		size_t before = json_count(findings, "");
		look.check->look(&look);
		for (size_t n = before; n < json_count(findings, ""); n++)
			apply_override(facts, look.check, json_object_array_get_idx(findings, n));
	}
	return findings;
}

struct json_object *checks_run(const struct facts *facts, enum mode mode)
{
	return run_checks(facts, mode, false);
}

struct json_object *checks_consider(const struct facts *facts, enum mode mode)
{
	return run_checks(facts, mode, true);
}

bool finding_refuses(struct json_object *finding)
{
	return !str_same(json_text(finding, "severity"), severity_name(W)) && !json_true(finding, "ignored");
}

bool findings_refuse(struct json_object *findings)
{
	json_each (finding, findings, "")
		if (finding_refuses(finding))
			return true;
	return false;
}

enum vmm_exit findings_exit(struct json_object *findings)
{
	static const struct {
		const char *code;
		enum vmm_exit exit;
	} own[] = {{"guest-locked", VMM_BUSY}, {"target-unknown", VMM_NOT_FOUND}};
	json_each (finding, findings, "") {
		if (!finding_refuses(finding))
			continue;
		for (size_t i = 0; i < VMM_COUNT(own); i++)
			if (str_same(json_text(finding, "code"), own[i].code))
				return own[i].exit;
		return VMM_BLOCKED;
	}
	return VMM_DONE;
}

int findings_error(struct json_object *findings, struct vmm_error **err)
{
	struct json_object *first = NULL;
	vmm_auto_text struct text others = {0};
	json_each (finding, findings, "") {
		if (!finding_refuses(finding))
			continue;
		if (first)
			text_add(&others, "%s%s", others.length ? ", " : "", json_text(finding, "code"));
		else
			first = finding;
	}
	if (!first)
		return 0;
	const char *code = json_text(first, "code"), *hint = json_text(first, "hint");
	error_set(err, findings_exit(findings), code, "%s%s%s%s", json_text(first, "message"),
		  others.length ? " (and: " : "", others.length ? others.data : "", others.length ? ")" : "");
	return hint ? error_hint(err, "%s", hint) : -1;
}
