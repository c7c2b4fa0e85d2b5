/* checks-guest.c: is the guest in a state in which it can be moved, is its name free on the target, and can its devices
 * go there? */
#include <string.h>
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

/* The memory of a guest that has suspended itself would move, but QEMU on the target could not wake it. */
static void paused(const struct look *look)
{
	const struct guest_ops *ops = facts_ops(look->facts);
	const char *name = json_text_or(look->guest, "name", json_text_or(look->guest, "id", "?"));
	if (str_same(json_text(look->guest, "reason"), "guest-suspended"))
		finding_hint(found(look, look->label, "%s has been suspended by its own system (sleep)", look->label),
			     "wake it: virsh dompmwakeup %s", name);
	else if (look->mode == MODE_RESTART)
		hint_ways(look, found(look, look->label, "%s is paused, so that it cannot be shut down", look->label),
			  ops->migrate ? MODE_PAUSED : 0, "resume it (%s)", ops->resume);
}

void look_guest_state(const struct look *look)
{
	static const struct {
		const char *state, *what, *remedy;
	} states[] = {
		{"crashed", "has crashed",
		 "save what you need of it (virsh dump), then end it (virsh destroy), and migrate it while it is off "
		 "or "
		 "after a new start"},
		{"shutdown", "is being shut down", "wait until it is off, then migrate it"},
		{"io-error", "is paused by an I/O error on a disk",
		 "make room on the storage or repair it, then resume it (virsh resume): it repeats what has failed"},
	};
	const char *state = json_text_or(look->guest, "state", "unknown");
	if (!strcmp(state, "running") || !strcmp(state, "shutoff"))
		return;
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
		hint_ways(look,
			  found(look, look->label,
				"%s is transient: it has no persistent definition, and would be gone at its stop",
				look->label),
			  MODE_LIVE,
			  "define it, which does not disturb it: virsh dumpxml --inactive --security-info %s >FILE && "
			  "virsh define FILE",
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

/* ------------------------------------------------------------------ what cannot leave the host */

void look_ct_online(const struct look *look)
{
	hint_restart(look,
		     found(look, look->label, "%s cannot move while it runs: containers have no live migration",
			   look->label),
		     "copies the container while it runs");
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

/* True if the guest's memory moves and has to do with the device: it is plugged in, not only in the definition. */
static bool holds_memory(const struct look *look, struct json_object *device)
{
	return (look->mode == MODE_LIVE || look->mode == MODE_PAUSED) &&
	       !str_same(json_text(device, "in"), "definition");
}

/* A device of a class that is not known counts as PCI. */
void look_passthrough_pci(const struct look *look)
{
	json_each (device, look->guest, "devices") {
		const char *name = json_text_or(device, "name", "?"), *class = class_of(device);
		bool memory = holds_memory(look, device);
		if (class_is(class, USB_CLASSES) || class_is(class, FILESYSTEM_CLASSES) || !look_concerns(look, device))
			continue;
		struct json_object *finding = found_as(
			look, memory ? CHECK_ERROR : CHECK_WARNING, name, "%s has the %s device %s of %s%s",
			look->label, class, name, look->name[SOURCE], memory ? ": its memory cannot be moved" : "");
		if (memory)
			hint_ways(look, finding, MODE_RESTART, "detach it (virsh detach-device --live)");
		else
			finding_hint(
				finding,
				"see that the one of that name on %s is one that the guest can use: its content does "
				"not come along",
				look->name[TARGET]);
	}
}

void look_passthrough_usb(const struct look *look)
{
	json_each (device, look->guest, "devices") {
		const char *name = json_text_or(device, "name", "?"), *class = class_of(device);
		if (class_is(class, USB_CLASSES) && holds_memory(look, device))
			hint_ways(look,
				  found(look, name, "%s has the %s device %s of %s, which does not come along",
					look->label, class, name, look->name[SOURCE]),
				  MODE_RESTART, "detach it (virsh detach-device --live)");
	}
}

void look_filesystem_passthrough(const struct look *look)
{
	json_each (device, look->guest, "devices") {
		const char *name = json_text_or(device, "name", "?");
		bool memory = holds_memory(look, device);
		if (!class_is(class_of(device), FILESYSTEM_CLASSES) || !look_concerns(look, device))
			continue;
		struct json_object *finding =
			found_as(look, memory ? CHECK_ERROR : CHECK_WARNING, name,
				 "%s has the directory %s of %s mounted%s", look->label, name, look->name[SOURCE],
				 memory ? ": its memory cannot be moved" : "; it is not copied");
		if (memory)
			hint_ways(look, finding, MODE_RESTART, "unmount it in the guest and detach it");
		else
			finding_hint(finding, "see that %s is on %s too, with the content that the guest expects", name,
				     look->name[TARGET]);
	}
}

/* A secret is named in the definition only; its value is never sent. */
void look_secret_missing(const struct look *look)
{
	json_each (secret, look->fit, "secrets_missing") {
		const char *of = json_text_or(secret, "of", "?"), *uuid = json_text(secret, "uuid");
		vmm_auto_free char *name = uuid ? str_copy(uuid)
						: str_format("of %s usage \"%s\"", json_text_or(secret, "type", "?"),
							     json_text_or(secret, "usage", "?"));
		finding_hint(found(look, of, "%s needs the libvirt secret %s, which %s on %s", of, name,
				   json_text_or(secret, "why", "is missing"), look->name[TARGET]),
			     "its value is never sent: define the same secret there (virsh secret-dumpxml here, "
			     "virsh secret-define there) and give it its value (virsh secret-set-value)");
	}
}
