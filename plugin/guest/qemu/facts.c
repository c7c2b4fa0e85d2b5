/* facts.c: facts of guests from libvirt (guest_ops->facts, list). */
#include <string.h>

#include "qemu.h"

/* ------------------------------------------------------------------ definitions */

static int xml_of(virDomainPtr domain, unsigned flags, char **xml, struct vmm_error **err)
{
	*xml = virDomainGetXMLDesc(domain, flags);
	return *xml ? 0 : qemu_failed(err, "definition of VM %s", virDomainGetName(domain));
}

/* Without VIR_DOMAIN_XML_MIGRATABLE: that leaves out devices which libvirt added by itself (keyboard, audio ...), so
 * that an older libvirt accepts it; a whole definition keeps them. SECURE: with passwords, which would be lost
 * otherwise. */
int qemu_definition(virDomainPtr domain, char **definition, struct vmm_error **err)
{
	return xml_of(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE, definition, err);
}

/* What libvirt itself sends to the target of a migration. */
static int live_definition(virDomainPtr domain, char **definition, struct vmm_error **err)
{
	return xml_of(domain, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE, definition, err);
}

/* ------------------------------------------------------------------ volumes */

static const char *path_or_source(struct json_object *volume)
{
	const char *path = json_text(volume, "path");
	return path ? path : json_text(volume, "source");
}

static struct json_object *volume_named(struct json_object *facts, const char *target)
{
	json_each (volume, facts, "volumes")
		if (str_same(json_text(volume, "target"), target))
			return volume;
	return NULL;
}

/* `facts` are of the live definition. Sets "in" of each volume, and adds the volumes that only the persistent
 * definition has. */
static void compare_volumes(struct json_object *facts, struct json_object *persistent)
{
	json_each (volume, facts, "volumes") {
		struct json_object *other = volume_named(persistent, json_text(volume, "target"));
		const char *in = !other							   ? "live"
				 : str_same(path_or_source(volume), path_or_source(other)) ? "both"
											   : "differs";
		json_put(volume, "in:s open:b", in, !json_true(volume, "readonly"));
	}
	json_each (other, persistent, "volumes")
		if (!volume_named(facts, json_text(other, "target"))) {
			struct json_object *later = json_copy(other);
			json_put(later, "in:s open:b", "definition", 0);
			json_object_array_add(json_at(facts, "volumes"), later);
		}
}

/* Of a guest that is off. libvirt makes the files of its NVRAM and TPM at its next start, if they are missing. */
static void mark_volumes(struct json_object *facts)
{
	json_each (volume, facts, "volumes") {
		const char *device = json_text(volume, "device");
		bool made = str_same(device, "nvram") || str_same(device, "tpm");
		json_put(volume, "in:s open:b made_at_start:b", "both", 0, (int)made);
	}
}

/* ------------------------------------------------------------------ what the definitions name on the host */

static bool has_equal(struct json_object *list, struct json_object *thing)
{
	json_each (other, list, "")
		if (json_object_equal(other, thing))
			return true;
	return false;
}

/* As compare_volumes, for the things of an array that have no names of their own. */
static void compare_things(struct json_object *live, struct json_object *persistent)
{
	vmm_auto_json struct json_object *before = json_copy(live);
	json_each (thing, live, "")
		json_put(thing, "in:s", has_equal(persistent, thing) ? "both" : "live");
	json_each (thing, persistent, "") {
		if (has_equal(before, thing))
			continue;
		struct json_object *later = json_copy(thing);
		json_put(later, "in:s", "definition");
		json_object_array_add(live, later);
	}
}

static void compare_hosts(struct json_object *facts, struct json_object *persistent)
{
	static const char *const lists[] = {"networks", "devices", "needs", "arguments"};
	for (size_t i = 0; i < VMM_COUNT(lists); i++)
		compare_things(json_at(facts, lists[i]), json_at(persistent, lists[i]));
}

/* The guest fact "next": what the persistent definition says of itself. */
static struct json_object *next_of(struct json_object *persistent)
{
	static const char *const keys[] = {"memory", "vcpus", "pinned", "hugepages", "arch", "machine", "cpu"};
	struct json_object *next = json_object_new_object();
	for (size_t i = 0; i < VMM_COUNT(keys); i++)
		json_object_object_add(next, keys[i], json_object_get(json_at(persistent, keys[i])));
	return next;
}

/* ------------------------------------------------------------------ one guest */

static int64_t default_hugepage(void)
{
	vmm_auto_free char *meminfo = NULL;
	if (file_read("/proc/meminfo", 1 << 20, &meminfo, NULL, NULL) < 0)
		return 0;
	const char *line = strstr(meminfo, "Hugepagesize:");
	return line ? strtoll(line + strlen("Hugepagesize:"), NULL, 10) << 10 : 0;
}

/* What definition_facts says, with the size of huge pages where the definition leaves it to the node. */
static int definition_facts_here(const char *definition, struct json_object **facts, struct vmm_error **err)
{
	if (definition_facts(definition, facts, err) < 0)
		return -1;
	if (json_number(*facts, "hugepages") < 0)
		json_put(*facts, "hugepages:i", default_hugepage());
	return 0;
}

/* Facts go to the target and to hooks, which have no use for the records themselves. */
static int add_moments(virDomainPtr domain, struct json_object *facts, struct vmm_error **err)
{
	vmm_auto_json struct json_object *moments = NULL;
	if (qemu_moments_of(domain, &moments, err) < 0)
		return -1;
	json_each (moment, moments, "")
		json_object_object_del(moment, "xml");
	if (json_count(moments, ""))
		json_put(facts, "moments:O", moments);
	return 0;
}

/* Adds what libvirt knows beside the definitions. */
static int add_state(virDomainPtr domain, struct json_object *facts, struct vmm_error **err)
{
	struct qemu_state state = {0};
	vmm_auto_free char *job = NULL;
	int autostart = 0;
	if (qemu_state_of(domain, &state, err) < 0 || qemu_job_of(domain, &job, err) < 0)
		return -1;
	bool persistent = virDomainIsPersistent(domain) == 1;
	if (persistent && virDomainGetAutostart(domain, &autostart) < 0)
		return qemu_failed(err, "autostart of VM %s", virDomainGetName(domain));
	json_put(facts, "state:s reason:s persistent:b autostart:b managed_save:b job:s", state.name, state.why,
		 persistent, autostart, virDomainHasManagedSaveImage(domain, 0) == 1, job);
	if (add_moments(domain, facts, err) < 0)
		return -1;
	return 0;
}

/* The facts of both definitions in one: those of the live one, with id and title of the persistent one. */
static int facts_of(virDomainPtr domain, struct json_object **result, struct vmm_error **err)
{
	vmm_auto_json struct json_object *facts = NULL, *later = NULL;
	vmm_auto_free char *definition = NULL, *live = NULL;
	virConnectPtr connection = virDomainGetConnect(domain);
	bool active = virDomainIsActive(domain) == 1;
	if (qemu_definition(domain, &definition, err) < 0 || (active && live_definition(domain, &live, err) < 0) ||
	    definition_facts_here(live ? live : definition, &facts, err) < 0)
		return -1;
	qemu_pools_resolve(connection, facts);
	if (live) {
		if (definition_facts_here(definition, &later, err) < 0)
			return -1;
		qemu_pools_resolve(connection, later);
		compare_volumes(facts, later);
		compare_hosts(facts, later);
		json_put(facts, "next:o", next_of(later));
		json_put(facts, "id:s title:s", json_text(later, "id"), json_text(later, "title"));
		/* libvirt replaces a host-model by a custom CPU when the guest starts; the persistent definition has
		 * what was asked for. */
		json_put(json_at(facts, "cpu"), "mode:s", json_text(later, "cpu.mode"));
	} else {
		mark_volumes(facts);
	}
	json_put(facts, "kind:s definition:s live_definition:s", "qemu", definition, live);
	*result = json_object_get(facts);
	return 0;
}

int qemu_facts(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	if (qemu_find(host, who, &domain, err) < 0)
		return -1;
	vmm_auto_json struct json_object *found = NULL;
	if (facts_of(domain, &found, err) < 0 || add_state(domain, found, err) < 0)
		return -1;
	*facts = json_object_get(found);
	return 0;
}

/* ------------------------------------------------------------------ all guests, in short */

static struct json_object *shortened(struct json_object *whole)
{
	static const char *const kept[] = {"kind", "id", "name", "uuid", "title", "memory", "vcpus"};
	struct json_object *guest = json_object_new_object();
	struct json_object *macs = json_object_new_array(), *paths = json_object_new_array(),
			   *reads = json_object_new_array();
	for (size_t i = 0; i < VMM_COUNT(kept); i++)
		json_object_object_add(guest, kept[i], json_object_get(json_at(whole, kept[i])));
	json_each (network, whole, "networks")
		if (json_text(network, "mac"))
			json_object_array_add(macs, json_object_new_string(json_text(network, "mac")));
	json_each (volume, whole, "volumes")
		if (path_or_source(volume))
			json_object_array_add(paths, json_object_new_string(path_or_source(volume)));
	json_each (volume, whole, "volumes")
		if (json_text(volume, "path"))
			json_object_array_add(reads, json_make("path:s format:s", json_text(volume, "path"),
							       json_text(volume, "format")));
	json_put(guest, "macs:o volumes:o reads:o", macs, paths, reads);
	return guest;
}

static int short_facts(virDomainPtr domain, struct json_object **guest, struct vmm_error **err)
{
	vmm_auto_json struct json_object *whole = NULL;
	struct qemu_state state = {0};
	int autostart = 0;
	if (qemu_state_of(domain, &state, err) < 0 || facts_of(domain, &whole, err) < 0)
		return -1;
	if (virDomainIsPersistent(domain) == 1)
		virDomainGetAutostart(domain, &autostart);
	*guest = shortened(whole);
	json_put(*guest, "state:s autostart:b", state.name, autostart);
	return 0;
}

int qemu_list(struct guest_host *host, struct json_object **guests, struct vmm_error **err)
{
	vmm_auto_domains virDomainPtr *all = NULL;
	vmm_auto_json struct json_object *list = json_object_new_array();
	if (qemu_domains(host, &all, err) < 0)
		return -1;
	for (virDomainPtr *domain = all; domain && *domain; domain++) {
		struct vmm_error *problem = NULL;
		struct json_object *guest = NULL;
		if (short_facts(*domain, &guest, &problem) == 0)
			json_object_array_add(list, guest);
		else if (qemu_gone_is_fine(err, problem) < 0)
			return -1;
	}
	*guests = json_object_get(list);
	return 0;
}
