/* checks-needs.c: is what the guest's definition names on its host (guest.h, "needs") on the target, and free there? A
 * guest that is shut down and cannot be started on the target has been off for nothing. */
#include <string.h>

#include "plan/checks.h"

/* What is said of a need that is not met, by its kind. `remedy` is followed by the name of the target. */
static const struct kind {
	const char *name, *lacks, *remedy;
} kinds[] = {
	{"file", "has no such file", "put it under the same path on"},
	{"directory", "has no such directory", "make it, with the content that the guest expects, on"},
	{"parent", "has no such directory to make it in", "make that directory (mkdir -p) on"},
	{"device", "has no such device", "see that there is one of that name on"},
	{"socket", "has nothing that listens there", "start what listens on that socket on"},
	{"pipe", "has no such pipe", "make it (mkfifo) on"},
	{"program", "has no such program", "install it on"},
	{"link", "has no such interface", "make an interface of that name, in the same network as here, on"},
	{"address", "does not have this address", "give the guest an address such as 0.0.0.0, or add this one on"},
	{"tcp", "does not have this address", "give the guest an address such as 0.0.0.0, or add this one on"},
	{"udp", "does not have this address", "give the guest an address such as 0.0.0.0, or add this one on"},
	{"pci", "has no such PCI device", "see that there is one of that name on"},
	{"usb", "has no such USB device", "plug one in on"},
	{"mdev", "has no such mediated device", "make one of that name on"},
	{"scsi", "has no such SCSI host", "see that there is one of that name on"},
	{"numa", "has no NUMA node of that number", "change <numatune>, or choose another node than"},
	{"nwfilter", "has no such network filter", "copy it: virsh nwfilter-dumpxml here, virsh nwfilter-define on"},
	{"network", "has no such libvirt network that is active",
	 "copy it: virsh net-dumpxml here, virsh net-define and net-start on"},
};

static const struct kind *kind_of(struct json_object *need)
{
	for (size_t i = 0; i < VMM_COUNT(kinds); i++)
		if (str_same(kinds[i].name, json_text(need, "kind")))
			return &kinds[i];
	return NULL;
}

static bool has_active_network(const struct look *look, const char *name)
{
	json_each (network, look->host[TARGET], "networks")
		if (str_same(json_text(network, "name"), name))
			return json_true(network, "active");
	return false;
}

/* "ok", "missing", "taken", "small", or "unknown": as the target answered, or by what its libvirt lists. */
static const char *answer_to(const struct look *look, struct json_object *need, size_t index)
{
	const char *kind = json_text_or(need, "kind", "?"), *name = json_text_or(need, "name", "");
	struct json_object *answers = json_at(look->fit, "needs");
	if (!strcmp(kind, "nwfilter") && json_at(look->host[TARGET], "nwfilters"))
		return json_has(look->host[TARGET], "nwfilters", name) ? "ok" : "missing";
	if (!strcmp(kind, "network") && json_at(look->host[TARGET], "networks"))
		return has_active_network(look, name) ? "ok" : "missing";
	if (!json_object_is_type(answers, json_type_array) || index >= json_object_array_length(answers))
		return "unknown";
	return json_text_or(json_object_array_get_idx(answers, index), "", "unknown");
}

static struct json_object *unmet(const struct look *look, struct json_object *need, const char *what)
{
	const char *name = json_text_or(need, "name", "?");
	return found(look, name, "%s needs %s for %s%s; %s %s", look->label, name,
		     json_text_or(need, "for", "a device"), look_when(look, need), look->name[TARGET], what);
}

void look_needs_missing(const struct look *look)
{
	json_each (need, look->guest, "needs") {
		const struct kind *kind = kind_of(need);
		const char *answer = answer_to(look, need, need_i), *edit = facts_ops(look->facts)->edit;
		if (!kind || !look_concerns(look, need))
			continue;
		if (!strcmp(answer, "missing"))
			finding_hint(unmet(look, need, kind->lacks), "%s %s; or take it out of the definition (%s)",
				     kind->remedy, look->name[TARGET], edit);
		if (!strcmp(answer, "small"))
			finding_hint(unmet(look, need, "has a smaller file under that path"),
				     "put one of the same size there: %lld bytes",
				     (long long)json_number(need, "size"));
	}
}

void look_port_taken(const struct look *look)
{
	json_each (need, look->guest, "needs")
		if (look_concerns(look, need) && !strcmp(answer_to(look, need, need_i), "taken"))
			finding_hint(unmet(look, need, "uses that port already"),
				     "see who has it (ss -lntup on %s), or give the guest a port that is free on both "
				     "nodes (%s)",
				     look->name[TARGET], facts_ops(look->facts)->edit);
}

void look_qemu_arguments(const struct look *look)
{
	vmm_auto_text struct text all = {0};
	json_each (argument, look->guest, "arguments")
		if (look_concerns(look, argument))
			text_add(&all, "%s%s", all.length ? " " : "", json_text_or(argument, "name", "?"));
	if (all.length)
		finding_hint(found(look, look->label,
				   "%s passes arguments of its own to QEMU, which cannot be judged: %s", look->label,
				   all.data),
			     "see that what they name - files, devices, ports - is on %s too: else the guest does not "
			     "start there",
			     look->name[TARGET]);
}
