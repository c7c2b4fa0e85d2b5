/* checks-node.c: can the target be used as a node, and does the guest belong to the source? */
#include <string.h>

#include "plan/checks.h"

void look_target_is_source(const struct look *look)
{
	if (!json_text(look->facts->request, "target") || !str_same(look->name[SOURCE], look->name[TARGET]))
		return;
	struct json_object *finding =
		found(look, look->name[TARGET], "%s is on %s already", look->label, look->name[SOURCE]);
	finding_hint(finding, "there is nothing to do, or name another node (vmmigrate nodes)");
}

/* ------------------------------------------------------------------ why the target could not be asked */

enum trouble { TROUBLE_NONE, TROUBLE_UNKNOWN, TROUBLE_VERSION, TROUBLE_LINK };

/* Any other error counts as a failure to reach the target, so that none goes unreported. */
static enum trouble trouble_of(const struct look *look)
{
	const char *code = json_text(look->facts->target_error, "code");
	if (str_same(look->name[SOURCE], look->name[TARGET]) || !json_text(look->facts->request, "target"))
		return TROUBLE_NONE;
	if (!code)
		return look->node[TARGET] ? TROUBLE_NONE : TROUBLE_LINK;
	if (!strcmp(code, "target-unknown"))
		return TROUBLE_UNKNOWN;
	if (!strcmp(code, "agent-too-old") || !strcmp(code, "agent-too-new"))
		return TROUBLE_VERSION;
	return TROUBLE_LINK;
}

/* Makes a finding of the error; `otherwise` is the hint if it has none. */
static void report_error(const struct look *look, const char *otherwise)
{
	struct json_object *error = look->facts->target_error;
	const char *hint = json_text(error, "hint"), *code = json_text(error, "code");
	struct json_object *finding =
		found(look, look->name[TARGET], "%s", json_text_or(error, "message", "the target was not asked"));
	finding_hint(finding, "%s", hint ? hint : otherwise);
	if (code)
		json_put(finding, "cause:s", code);
}

void look_target_unknown(const struct look *look)
{
	if (trouble_of(look) == TROUBLE_UNKNOWN)
		report_error(look, "`vmmigrate nodes` lists the nodes; `vmmigrate node add NAME ADDRESS` adds one");
}

void look_target_unreachable(const struct look *look)
{
	if (trouble_of(look) == TROUBLE_LINK)
		report_error(look,
			     "`vmmigrate node test` tries the connection in both directions and says where it fails");
}

void look_target_agent_version(const struct look *look)
{
	static const char remedy[] = "install the same version of the package vmmigrate on both nodes";
	if (trouble_of(look) == TROUBLE_VERSION) {
		report_error(look, remedy);
		return;
	}
	if (!look->node[TARGET])
		return;
	int64_t major[SIDES], minor[SIDES];
	for (enum side side = SOURCE; side < SIDES; side++) {
		major[side] = json_number(look->node[side], "node.protocol.0");
		minor[side] = json_number(look->node[side], "node.protocol.1");
	}
	int64_t apart = minor[TARGET] > minor[SOURCE] ? minor[TARGET] - minor[SOURCE] : minor[SOURCE] - minor[TARGET];
	if (major[SOURCE] == major[TARGET] && apart <= 1)
		return;
	struct json_object *finding =
		found(look, look->name[TARGET], "the agent on %s speaks protocol %d.%d, %s speaks %d.%d: too far apart",
		      look->name[TARGET], (int)major[TARGET], (int)minor[TARGET], look->name[SOURCE],
		      (int)major[SOURCE], (int)minor[SOURCE]);
	finding_hint(finding, "%s", remedy);
}

/* ------------------------------------------------------------------ the state of the nodes */

void look_target_libvirt_down(const struct look *look)
{
	for (enum side side = SOURCE; side < SIDES; side++) {
		if (!look->node[side] || json_true(look->host[side], "up"))
			continue;
		const char *why = json_text(look->host[side], "error.message"),
			   *hint = json_text(look->host[side], "error.hint");
		struct json_object *finding = found(look, look->name[side], "libvirt does not answer on %s%s%s",
						    look->name[side], why ? ": " : "", why ? why : "");
		if (hint)
			finding_hint(finding, "%s", hint);
		else
			finding_hint(finding, "on %s: systemctl status libvirtd", look->name[side]);
	}
}

void look_target_maintenance(const struct look *look)
{
	struct json_object *nodes = json_at(look->facts->config, "node");
	struct json_object *section = json_member(nodes, look->name[TARGET]);
	if (!json_true(look->node[TARGET], "node.maintenance") && !json_true(section, "maintenance"))
		return;
	finding_hint(found(look, look->name[TARGET], "%s is under maintenance and takes no guests", look->name[TARGET]),
		     "choose another node, or take `maintenance` out of [node %s] in vmmigrate.conf",
		     look->name[TARGET]);
}

void look_clock_skew(const struct look *look)
{
	int64_t skew =
		json_number(look->node[TARGET], "node.time_us") - json_number(look->node[SOURCE], "node.time_us");
	if (skew >= -1000000 && skew <= 1000000)
		return;
	struct json_object *finding =
		found(look, look->name[TARGET], "the clock of %s is %.1f s %s that of %s", look->name[TARGET],
		      (double)(skew < 0 ? -skew : skew) / 1e6, skew < 0 ? "behind" : "ahead of", look->name[SOURCE]);
	finding_hint(
		finding,
		"the guest's clock may jump by as much; see that time is synchronised on both nodes (timedatectl)");
}

int facts_distinct_hosts(struct json_object *one, struct json_object *other, struct vmm_error **err)
{
	const char *uuid = json_text(one, "host.qemu.uuid");
	if (!uuid || !str_same(uuid, json_text(other, "host.qemu.uuid")))
		return 0;
	error_set(err, VMM_BLOCKED, "same-host-uuid",
		  "libvirt on %s and on %s has the same host UUID %s: it takes both for one host and refuses to "
		  "migrate a guest that runs",
		  json_text_or(one, "node.name", "?"), json_text_or(other, "node.name", "?"), uuid);
	return error_hint(err,
			  "give one of them its own: on %s, host_uuid = \"UUID\" (as uuidgen prints it) in "
			  "/etc/libvirt/libvirtd.conf, then: systemctl restart libvirtd (guests go on running)",
			  json_text_or(other, "node.name", "?"));
}

void look_same_host_uuid(const struct look *look)
{
	vmm_auto_error struct vmm_error *same = NULL;
	if (facts_distinct_hosts(look->node[SOURCE], look->node[TARGET], &same) < 0)
		finding_hint(found(look, look->name[TARGET], "%s", same->message), "%s", same->hint);
}

/* The node's addresses with ", " between them; the caller's. */
static char *address_list(struct json_object *node)
{
	struct text list = {0};
	json_each (address, node, "node.addresses")
		text_add(&list, "%s%s", list.length ? ", " : "", json_text_or(address, "", "?"));
	return text_take(&list);
}

void look_network_missing(const struct look *look)
{
	struct json_object *options = json_at(look->facts->request, "options");
	const char *network = json_text(options, "migration_network");
	if (!network || !str_same(json_text(options, "migration_type"), "insecure"))
		return;
	for (enum side side = SOURCE; side < SIDES; side++) {
		if (!look->node[side] || facts_memory_address(look->facts, side))
			continue;
		vmm_auto_free char *has = address_list(look->node[side]);
		struct json_object *finding =
			found(look, look->name[side], "%s has no address in the migration network %s (it has: %s)",
			      look->name[side], network, *has ? has : "none");
		finding_hint(finding,
			     "give %s one on an interface that has a link, or name another network "
			     "(--migration-network, or `network` in vmmigrate.conf), or use --migration-type secure",
			     look->name[side]);
	}
}

void look_guard_inactive(const struct look *look)
{
	static const struct {
		const char *state, *what, *remedy;
	} states[] = {
		{"missing", "is not installed",
		 "reinstall the package vmmigrate there, then: systemctl restart libvirtd"},
		{"not-executable", "is not executable",
		 "chmod 755 /etc/libvirt/hooks/qemu.d/*vmmigrate* there, then: systemctl restart libvirtd"},
		{"not-loaded", "came after libvirtd was started, which has not loaded it",
		 "on that node: systemctl restart libvirtd (guests go on running)"},
	};
	for (enum side side = SOURCE; side < SIDES; side++) {
		const char *guard = json_text_or(look->host[side], "guard", "missing");
		/* If libvirt does not answer, the check target-libvirt-down says so. */
		if (!json_true(look->host[side], "up") || !strcmp(guard, "active"))
			continue;
		size_t i = 0;
		while (i + 1 < VMM_COUNT(states) && strcmp(states[i].state, guard))
			i++;
		struct json_object *finding =
			found(look, look->name[side],
			      "the libvirt guard on %s %s: nothing would keep a guest from being started twice",
			      look->name[side], states[i].what);
		finding_hint(finding, "%s", states[i].remedy);
	}
}

void look_foreign_manager(const struct look *look)
{
	static const struct {
		const char *name, *title;
	} managers[] = {
		{"pve", "Proxmox VE (/etc/pve is mounted)"},
		{"vdsm", "oVirt (vdsm)"},
		{"nova", "OpenStack (nova-compute)"},
	};
	for (enum side side = SOURCE; side < SIDES; side++) {
		const char *manager = json_text(look->node[side], "node.manager");
		if (!manager)
			continue;
		const char *title = manager;
		for (size_t i = 0; i < VMM_COUNT(managers); i++)
			if (!strcmp(managers[i].name, manager))
				title = managers[i].title;
		struct json_object *finding =
			found(look, look->name[side], "%s is run by %s, which owns its guests' definitions",
			      look->name[side], title);
		finding_hint(finding,
			     "migrate with that manager's own tools: it would undo what we do, or work against it");
	}
}

/* ------------------------------------------------------------------ the node that owns the guest */

/* What the owner that the source's record names has said, and what to do about it. */
static void owner_hint(const struct look *look, struct json_object *finding, const char *owner)
{
	struct json_object *said = json_at(look->node[SOURCE], "record.owner_says");
	const char *answer = json_text_or(said, "answer", "silent"), *at = json_text_or(said, "node", owner),
		   *problem = json_text_or(said, "problem", "it was not asked");
	if (!strcmp(answer, "has"))
		finding_hint(finding, "migrate it from %s, which has it; what is here is to be renamed or removed", at);
	else if (!strcmp(answer, "busy"))
		finding_hint(finding, "on %s task %s moves it: wait for that one, or run: vmmigrate recover %s", at,
			     problem, problem);
	else
		finding_hint(
			finding,
			"%s cannot be asked whether it has the guest (%s): try again when it can be; if %s is lost "
			"for good, take it out of the cluster (vmmigrate node remove %s), then run on %s: vmmigrate "
			"recover %s --forget",
			at, problem, at, at, look->name[SOURCE], json_text_or(look->guest, "id", "ID"));
}

/* The source's guest record may name another node as the owner, and that node may have the guest or not be asked. If
 * the source has no record, or one of a lower generation, the target's record may say that a newer copy is elsewhere.
 */
void look_record_owner(const struct look *look)
{
	const char *owner = json_text(look->node[SOURCE], "record.owner");
	const char *there = json_text(look->node[TARGET], "record.owner");
	int64_t ours = json_number(look->node[SOURCE], "record.generation");
	int64_t theirs = json_number(look->node[TARGET], "record.generation");
	bool twin = false;
	json_each (other, look->node[TARGET], "guests")
		twin |= guest_same(look->facts, other);
	if (owner && !str_same(owner, look->name[SOURCE]) && !facts_record_yields(look->facts, SOURCE)) {
		struct json_object *finding = found(
			look, owner, "%s belongs to %s (record on %s, generation %lld): what is here is an old copy",
			look->label, owner, look->name[SOURCE], (long long)ours);
		owner_hint(look, finding, owner);
	} else if (there && twin && str_same(there, look->name[TARGET]) && theirs > ours) {
		struct json_object *finding = found(
			look, there,
			"%s belongs to %s (record there, generation %lld; here %lld): what is here is an old copy",
			look->label, there, (long long)theirs, (long long)ours);
		finding_hint(finding, "look at both guests before either is started; the newer one is on %s", there);
	} else if (there && !str_same(there, look->name[TARGET]) && !str_same(there, look->name[SOURCE]) &&
		   theirs > ours && !facts_record_yields(look->facts, TARGET)) {
		struct json_object *finding = found(
			look, there,
			"%s belongs to %s (record on %s, generation %lld; here %lld): what is here is an old copy",
			look->label, there, look->name[TARGET], (long long)theirs, (long long)ours);
		finding_hint(finding, "see which node has the newest one: vmmigrate list");
	}
}

void look_config_differs(const struct look *look)
{
	struct json_object *here = json_at(look->node[SOURCE], "node.config"),
			   *there = json_at(look->node[TARGET], "node.config");
	if (!here || !there || json_object_equal(here, there))
		return;
	struct json_object *finding = found(look, look->name[TARGET],
					    "/etc/vmmigrate/vmmigrate.conf of %s and of %s differ in nodes or storages",
					    look->name[SOURCE], look->name[TARGET]);
	finding_hint(finding, "make both files agree, so that either node gives the same answer");
}

/* ------------------------------------------------------------------ what administrators' hooks say */

void look_hook_veto(const struct look *look)
{
	for (enum side side = SOURCE; side < SIDES; side++)
		json_each (refusal, look->node[side], "hooks.refused") {
			const char *path = json_text_or(refusal, "hook", "?");
			struct json_object *finding = found(
				look, path_base(path), "the check hook %s on %s refuses the migration: %s",
				path_base(path), look->name[side], json_text_or(refusal, "reason", "no reason given"));
			finding_hint(finding, "try again when the reason is gone; the hook is %s on %s", path,
				     look->name[side]);
		}
}

void look_hook_odd(const struct look *look)
{
	for (enum side side = SOURCE; side < SIDES; side++)
		json_each (odd, look->node[side], "hooks.odd") {
			const char *path = json_text_or(odd, "", "?");
			struct json_object *finding = found(
				look, path_base(path),
				"%s on %s is not run as a check hook: it is not called NN-name, is not executable, or "
				"others than root can write it",
				path, look->name[side]);
			finding_hint(finding,
				     "on %s: call it like 50-name, give it to root and make it executable (chown root, "
				     "chmod 755), or remove it",
				     look->name[side]);
		}
}
