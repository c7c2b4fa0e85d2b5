/* checks-guest.c: is the guest in a state in which it can be moved, is its name free on the target, and are its devices
 * and networks there? */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "plan/checks.h"

/* "2026-03-01 12:00:00 UTC". */
static char *time_text(int64_t time_us)
{
	char text[64];
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm parts;
	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
	return str_copy(text);
}

static void locked(const struct look *look, enum side side, struct json_object *record)
{
	const char *task = json_text(record, "task"), *state = json_text_or(record, "state", "idle");
	const char *handle = task ? task : json_text_or(look->guest, "id", "");
	if (!task && (str_same(state, "idle") || str_same(state, "committed")))
		return;
	vmm_auto_free char *since = time_text(json_number(record, "since_us"));
	struct json_object *finding =
		found(look, look->label, "%s is locked on %s by task %s (state %s, peer %s, since %s)", look->label,
		      look->name[side], task ? task : "?", state, json_text_or(record, "peer", "?"), since);
	struct json_object *alive = json_at(record, "worker_alive");
	if (json_object_get_boolean(alive))
		finding_hint(finding, "wait for it (vmmigrate status %s), or end it (vmmigrate cancel %s)", handle,
			     handle);
	else if (alive)
		finding_hint(finding, "its worker is dead: `vmmigrate recover %s` on %s finishes or undoes it", handle,
			     look->name[side]);
	else
		finding_hint(finding, "wait for it (vmmigrate status %s); if its worker is dead: vmmigrate recover %s",
			     handle, handle);
}

void look_guest_locked(const struct look *look)
{
	for (enum side side = SOURCE; side < SIDES; side++)
		if (json_at(look->node[side], "record"))
			locked(look, side, json_at(look->node[side], "record"));
}

void look_guest_job_active(const struct look *look)
{
	const char *job = json_text(look->guest, "job");
	if (job)
		finding_hint(found(look, look->label, "%s is busy: %s is under way", look->label, job),
			     "wait until it is done, or end it (virsh domjobabort, virsh blockjob --abort)");
}

static void shut_off(const struct look *look)
{
	if (json_true(look->guest, "managed_save"))
		finding_hint(found(look, look->label, "%s has a saved memory image, which is not moved", look->label),
			     "start it and migrate it running, or drop the image (virsh managedsave-remove)");
}

static void paused(const struct look *look)
{
	const struct guest_ops *ops = facts_ops(look->facts);
	if (look->mode == MODE_RESTART)
		finding_hint(found(look, look->label, "%s is paused, so that it cannot be shut down", look->label),
			     "resume it (%s)%s", ops->resume,
			     ops->migrate ? ", or move it with --non-live, which leaves it paused" : "");
}

void look_guest_state(const struct look *look)
{
	static const struct {
		const char *state, *what, *remedy;
	} states[] = {
		{"crashed", "has crashed",
		 "save what you need of it, then `virsh destroy` it and migrate it while it is off"},
		{"shutdown", "is being shut down", "wait until it is off, then migrate it"},
		{"io-error", "is paused by an I/O error on a disk",
		 "repair the storage and resume it (virsh resume), or shut it down first"},
	};
	const char *state = json_text_or(look->guest, "state", "unknown");
	if (!strcmp(state, "running"))
		return;
	if (!strcmp(state, "shutoff")) {
		shut_off(look);
		return;
	}
	if (!strcmp(state, "paused")) {
		paused(look);
		return;
	}
	for (size_t i = 0; i < VMM_COUNT(states); i++)
		if (!strcmp(states[i].state, state)) {
			finding_hint(found(look, look->label, "%s %s", look->label, states[i].what), "%s",
				     states[i].remedy);
			return;
		}
	finding_hint(found(look, look->label, "%s is in the state \"%s\"", look->label, state),
		     "see that it runs, or shut it down");
}

/* ------------------------------------------------------------------ guests of the target with the same name */

static const char *same_by(struct json_object *guest, struct json_object *other)
{
	static const char *const keys[] = {"id", "uuid", "name"};
	for (size_t i = 0; i < VMM_COUNT(keys); i++)
		if (json_text(guest, keys[i]) && str_same(json_text(guest, keys[i]), json_text(other, keys[i])))
			return keys[i];
	return "name";
}

void look_transient(const struct look *look)
{
	if (json_at(look->guest, "persistent") && !json_true(look->guest, "persistent"))
		finding_hint(found(look, look->label,
				   "%s is transient: it has no persistent definition, and would be gone at its stop",
				   look->label),
			     "define it, which does not disturb it: virsh dumpxml %s >FILE && virsh define FILE",
			     json_text_or(look->guest, "name", json_text_or(look->guest, "id", "?")));
}

void look_name_taken(const struct look *look)
{
	const char *directory = facts_directory_proof(look->facts);
	if (directory && strcmp(directory, "local") != 0)
		return; /* ct-shared-definition: that guest may be this one, and must not be removed or replaced */
	json_each (other, look->node[TARGET], "guests") {
		if (!guest_same(look->facts, other) || guest_leftover(look->facts, other))
			continue;
		bool off = str_same(json_text(other, "state"), "shutoff");
		const char *by = same_by(look->guest, other);
		struct json_object *finding =
			found_as(look, off ? CHECK_OVERRIDE : CHECK_ERROR, json_text_or(other, "id", look->label),
				 "%s has a guest with the %s %s already (id %s, name %s, %s)", look->name[TARGET],
				 strcmp(by, "uuid") ? by : "UUID", json_text(other, by), json_text_or(other, "id", "?"),
				 json_text_or(other, "name", "?"), json_text_or(other, "state", "?"));
		if (off)
			finding_hint(finding, "rename or remove that guest on %s, or give --replace to set it aside",
				     look->name[TARGET]);
		else
			finding_hint(finding, "look at it first: if it is the same guest, it runs twice; a guest that "
					      "runs is never replaced");
	}
}

static bool has_mac(struct json_object *other, const char *mac)
{
	json_each (theirs, other, "macs")
		if (!strcasecmp(json_text_or(theirs, "", ""), mac))
			return true;
	return false;
}

void look_mac_taken(const struct look *look)
{
	json_each (network, look->guest, "networks") {
		const char *mac = json_text(network, "mac");
		json_each (other, look->node[TARGET], "guests") {
			if (!mac || guest_same(look->facts, other) || !has_mac(other, mac))
				continue;
			const char *name = json_text_or(other, "name", json_text_or(other, "id", "?"));
			finding_hint(found(look, mac, "the MAC address %s of %s is that of %s on %s too", mac,
					   look->label, name, look->name[TARGET]),
				     "give one of them another address before both are up on one network");
		}
	}
}

/* ------------------------------------------------------------------ what cannot leave the host */

void look_ct_online(const struct look *look)
{
	finding_hint(found(look, look->label, "%s cannot move while it runs: containers have no live migration",
			   look->label),
		     "`vmmigrate lxc/%s %s --restart` works: it copies the container while it runs, shuts it down, "
		     "sends what has changed and starts it there; it is off for about %.1f s",
		     json_text_or(look->guest, "id", "?"), look->name[TARGET],
		     (double)plan_restart_ms(look->facts) / 1000);
}

static bool class_is(const char *class, const char *list)
{
	for (size_t length; *list; list += length + (list[length] == ' ')) {
		length = strcspn(list, " ");
		if (strlen(class) == length && !strncmp(class, list, length))
			return true;
	}
	return false;
}

#define USB_CLASSES	   "usb serial parallel"
#define FILESYSTEM_CLASSES "filesystem"

static const char *class_of(struct json_object *device)
{
	return json_text_or(device, "class", "?");
}

/* A device of a class that is not known counts as PCI. */
void look_passthrough_pci(const struct look *look)
{
	bool memory = look->mode == MODE_LIVE || look->mode == MODE_PAUSED;
	json_each (device, look->guest, "devices") {
		const char *name = json_text_or(device, "name", "?"), *class = class_of(device);
		if (class_is(class, USB_CLASSES) || class_is(class, FILESYSTEM_CLASSES))
			continue;
		struct json_object *finding = found_as(
			look, memory ? CHECK_ERROR : CHECK_WARNING, name, "%s has the %s device %s of %s%s",
			look->label, class, name, look->name[SOURCE], memory ? ": its memory cannot be moved" : "");
		if (memory)
			finding_hint(finding,
				     "detach it (virsh detach-device --live), or move the guest with --restart");
		else
			finding_hint(finding,
				     "see that %s has such a device under that name, or the guest does not start there",
				     look->name[TARGET]);
	}
}

void look_passthrough_usb(const struct look *look)
{
	json_each (device, look->guest, "devices") {
		const char *name = json_text_or(device, "name", "?"), *class = class_of(device);
		if (class_is(class, USB_CLASSES))
			finding_hint(found(look, name, "%s has the %s device %s of %s, which does not come along",
					   look->label, class, name, look->name[SOURCE]),
				     "detach it (virsh detach-device --live), or move the guest with --restart");
	}
}

void look_filesystem_passthrough(const struct look *look)
{
	bool memory = look->mode == MODE_LIVE || look->mode == MODE_PAUSED;
	json_each (device, look->guest, "devices") {
		const char *name = json_text_or(device, "name", "?");
		if (!class_is(class_of(device), FILESYSTEM_CLASSES))
			continue;
		struct json_object *finding =
			found_as(look, memory ? CHECK_ERROR : CHECK_WARNING, name,
				 "%s has the directory %s of %s mounted%s", look->label, name, look->name[SOURCE],
				 memory ? ": its memory cannot be moved" : "; it is not copied");
		if (memory)
			finding_hint(finding,
				     "unmount it in the guest and detach it, or move the guest with --restart");
		else
			finding_hint(finding, "see that %s is on %s too, with the content that the guest expects", name,
				     look->name[TARGET]);
	}
}

void look_snapshots(const struct look *look)
{
	int64_t count = json_number(look->guest, "snapshots");
	const char *remedy = json_text(look->guest, "snapshots_remedy"); /* of kinds other than qemu */
	if (count > 0)
		finding_hint(
			found(look, look->label, "%s has %lld snapshot%s, which do not come along", look->label,
			      (long long)count, count == 1 ? "" : "s"),
			"%s",
			remedy ? remedy
			       : "delete them (virsh snapshot-list, virsh snapshot-delete), or only libvirt's record "
				 "of them (virsh snapshot-delete --metadata): those inside a qcow2 image are copied "
				 "with it");
}

/* ------------------------------------------------------------------ networks */

static struct json_object *network_named(struct json_object *host, const char *name)
{
	json_each (network, host, "networks")
		if (str_same(json_text(network, "name"), name))
			return network;
	return NULL;
}

static bool seen_before(struct json_object *guest, size_t index, const char *type, const char *name)
{
	json_each (network, guest, "networks")
		if (network_i < index && str_same(json_text(network, "type"), type) &&
		    str_same(json_text(network, "name"), name))
			return true;
	return false;
}

static void check_bridge(const struct look *look, const char *name)
{
	if (!json_has(look->node[TARGET], "bridges", name))
		finding_hint(found(look, name, "%s uses the bridge %s, which %s does not have", look->label, name,
				   look->name[TARGET]),
			     "make the bridge %s on %s, in the same network as here, or name another: --map-network "
			     "%s=OTHER",
			     name, look->name[TARGET], name);
}

static void check_network(const struct look *look, const char *name)
{
	struct json_object *network = network_named(look->host[TARGET], name);
	if (!json_true(look->host[TARGET], "up"))
		return;
	if (!network)
		finding_hint(found(look, name, "%s uses the libvirt network %s, which %s does not have", look->label,
				   name, look->name[TARGET]),
			     "copy it: virsh net-dumpxml %s here, virsh net-define there, then net-start and "
			     "net-autostart",
			     name);
	else if (!json_true(network, "active"))
		finding_hint(found(look, name, "the libvirt network %s of %s is not active on %s", name, look->label,
				   look->name[TARGET]),
			     "on %s: virsh net-start %s; virsh net-autostart %s", look->name[TARGET], name, name);
}

void look_bridge_missing(const struct look *look)
{
	json_each (network, look->guest, "networks") {
		const char *type = json_text_or(network, "type", "?"), *name = json_text(network, "name");
		if (!name || seen_before(look->guest, network_i, type, name))
			continue;
		if (str_same(type, "bridge"))
			check_bridge(look, facts_mapped(look->facts, "map_network", name));
		else if (str_same(type, "network"))
			check_network(look, name);
	}
}

void look_conntrack_lost(const struct look *look)
{
	json_each (network, look->guest, "networks") {
		const char *type = json_text_or(network, "type", "?"), *name = json_text(network, "name");
		bool bridged = str_same(type, "bridge") || str_same(type, "network");
		if (!bridged || !name || !json_true(look->node[SOURCE], "node.bridge_conntrack"))
			continue;
		finding_hint(
			found(look, name,
			      "%s tracks connections over bridges, and what it knows of those of %s is not moved",
			      look->name[SOURCE], look->label),
			"filters that ask for the state of a connection may cut those that are open; let them "
			"accept connections that they have not seen begin on %s, or expect clients to connect again",
			look->name[TARGET]);
		return;
	}
}
