/* host.c: what this node's libvirt and QEMU offer (guest_ops->host_facts). */
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "qemu.h"

/* ------------------------------------------------------------------ capabilities */

static void add_new(struct json_object *names, const char *name)
{
	if (name && !json_has(names, "", name))
		json_object_array_add(names, json_object_new_string(name));
}

static void add_machines(struct json_object *names, xmlNode *holder)
{
	xml_each (machine, holder, "machine") {
		vmm_auto_free char *name = xml_text(machine);
		add_new(names, name);
	}
}

static struct json_object *machines_of(xmlNode *capabilities, const char *arch)
{
	struct json_object *names = json_object_new_array();
	xml_each (guest, capabilities, "guest") {
		xmlNode *holder = xml_below(guest, "arch");
		if (!xml_attribute_is(holder, "name", arch))
			continue;
		add_machines(names, holder);
		xml_each (domain, holder, "domain")
			add_machines(names, domain);
	}
	return names;
}

static int capabilities(virConnectPtr connection, xmlDoc **document, struct vmm_error **err)
{
	char *text = virConnectGetCapabilities(connection);
	if (!text)
		return qemu_failed(err, "capabilities of this node");
	int result = xml_open(text, "capabilities", document, err);
	free(text);
	return result;
}

int qemu_machines(virConnectPtr connection, const char *arch, struct json_object **machines, struct vmm_error **err)
{
	vmm_auto_xml xmlDoc *document = NULL;
	if (capabilities(connection, &document, err) < 0)
		return -1;
	*machines = machines_of(xmlDocGetRootElement(document), arch);
	return 0;
}

/* The host's CPU: compared between two nodes where a guest uses it as it is (host-passthrough). */
static struct json_object *cpu_of(xmlNode *host)
{
	xmlNode *cpu = xml_below(host, "cpu"), *signature = xml_below(cpu, "signature");
	static const char *const parts[] = {"family", "model", "stepping"};
	vmm_auto_free char *arch = xml_text(xml_below(cpu, "arch")), *model = xml_text(xml_below(cpu, "model"));
	vmm_auto_free char *vendor = xml_text(xml_below(cpu, "vendor"));
	vmm_auto_free char *microcode = xml_attribute(xml_below(cpu, "microcode"), "version");
	struct json_object *features = json_object_new_array();
	struct text line = {0};
	for (size_t i = 0; i < VMM_COUNT(parts); i++) {
		vmm_auto_free char *number = xml_attribute(signature, parts[i]);
		text_add(&line, "%s%s", i ? "-" : "", number ? number : "?");
	}
	vmm_auto_free char *identity = text_take(&line);
	xml_each (feature, cpu, "feature") {
		vmm_auto_free char *name = xml_attribute(feature, "name");
		add_new(features, name);
	}
	return json_make("arch:s model:s vendor:s signature:s microcode:s features:o", arch, model, vendor, identity,
			 microcode, features);
}

/* ------------------------------------------------------------------ owners of files */

static void add_group(struct json_object *uids, const char *name)
{
	char buffer[4096];
	struct group entry, *found = NULL;
	if (getgrnam_r(name, &entry, buffer, sizeof(buffer), &found) == 0 && found)
		json_object_object_add(uids, name, json_object_new_int64((int64_t)found->gr_gid));
}

/* The user under whom swtpm keeps the state of emulated TPMs, in Debian. */
static void add_swtpm_user(struct json_object *uids)
{
	char buffer[4096];
	struct passwd entry, *found = NULL;
	if (getpwnam_r("tss", &entry, buffer, sizeof(buffer), &found) == 0 && found)
		json_put(uids, "swtpm:i", (int64_t)found->pw_uid);
}

/* {"user","group": what QEMU runs as, "swtpm": the user of TPM states, "kvm","qemu","libvirt","libvirt-qemu": gids of
 * those of these groups that exist}. libvirt gives the first two as the base label "+64055:+106" of its security model
 * "dac". */
static struct json_object *uids_of(xmlNode *host)
{
	static const char *const groups[] = {"kvm", "qemu", "libvirt", "libvirt-qemu"};
	struct json_object *uids = json_object_new_object();
	xml_each (model, host, "secmodel") {
		vmm_auto_free char *name = xml_text(xml_below(model, "model")),
				   *label = xml_text(xml_below(model, "baselabel"));
		long user, group;
		if (str_same(name, "dac") && label && sscanf(label, "+%ld:+%ld", &user, &group) == 2)
			json_put(uids, "user:i group:i", (int64_t)user, (int64_t)group);
	}
	for (size_t i = 0; i < VMM_COUNT(groups); i++)
		add_group(uids, groups[i]);
	add_swtpm_user(uids);
	return uids;
}

/* ------------------------------------------------------------------ pools, networks, network filters */

static int add_pool(struct json_object *pools, virStoragePoolPtr pool, struct vmm_error **err)
{
	vmm_auto_xml xmlDoc *document = NULL;
	char *text = virStoragePoolGetXMLDesc(pool, 0);
	int result = text ? xml_open(text, "pool", &document, err) : 0;
	free(text);
	if (result < 0 || !document)
		return result; /* no error: a pool may disappear after it was listed */
	xmlNode *top = xmlDocGetRootElement(document);
	vmm_auto_free char *type = xml_attribute(top, "type"), *path = xml_text(xml_below(top, "target/path"));
	json_object_array_add(pools, json_make("name:s type:s path:s active:b", virStoragePoolGetName(pool), type, path,
					       virStoragePoolIsActive(pool) == 1));
	return 0;
}

/* A libvirt without a storage driver has no pools; that is no error. */
static int pools_of(virConnectPtr connection, struct json_object **result, struct vmm_error **err)
{
	virStoragePoolPtr *all = NULL;
	struct json_object *pools = json_object_new_array();
	int count = virConnectListAllStoragePools(connection, &all, 0), failed = 0;
	if (count < 0 && !qemu_last_is(VIR_ERR_NO_SUPPORT))
		failed = qemu_failed(err, "list the storage pools");
	for (int i = 0; i < count; i++) {
		failed = failed < 0 ? failed : add_pool(pools, all[i], err);
		virStoragePoolFree(all[i]);
	}
	free(all);
	*result = pools;
	return failed;
}

static int networks_of(virConnectPtr connection, struct json_object **result, struct vmm_error **err)
{
	virNetworkPtr *all = NULL;
	struct json_object *networks = json_object_new_array();
	int count = virConnectListAllNetworks(connection, &all, 0), failed = 0;
	if (count < 0 && !qemu_last_is(VIR_ERR_NO_SUPPORT))
		failed = qemu_failed(err, "list the networks");
	for (int i = 0; i < count; i++) {
		char *bridge = virNetworkGetBridgeName(all[i]); /* NULL: it has none */
		json_object_array_add(networks, json_make("name:s active:b bridge:s", virNetworkGetName(all[i]),
							  virNetworkIsActive(all[i]) == 1, bridge));
		free(bridge);
		virNetworkFree(all[i]);
	}
	free(all);
	*result = networks;
	return failed;
}

static int nwfilters_of(virConnectPtr connection, struct json_object **result, struct vmm_error **err)
{
	virNWFilterPtr *all = NULL;
	struct json_object *filters = json_object_new_array();
	int count = virConnectListAllNWFilters(connection, &all, 0), failed = 0;
	if (count < 0 && !qemu_last_is(VIR_ERR_NO_SUPPORT))
		failed = qemu_failed(err, "list the network filters");
	for (int i = 0; i < count; i++) {
		json_object_array_add(filters, json_object_new_string(virNWFilterGetName(all[i])));
		virNWFilterFree(all[i]);
	}
	free(all);
	*result = filters;
	return failed;
}

/* ------------------------------------------------------------------ guest_ops->host_facts */

static int add_versions(virConnectPtr connection, struct json_object *facts, struct vmm_error **err)
{
	unsigned long hypervisor = 0, library = 0;
	if (virConnectGetVersion(connection, &hypervisor) < 0 || virConnectGetLibVersion(connection, &library) < 0)
		return qemu_failed(err, "versions of QEMU and libvirt");
	json_put(facts, "version:i libvirt:i", (int64_t)hypervisor, (int64_t)library);
	return 0;
}

int qemu_host_facts(struct guest_host *host, struct json_object **facts, struct vmm_error **err)
{
	virConnectPtr connection = qemu_connection(host, err);
	vmm_auto_xml xmlDoc *document = NULL;
	vmm_auto_json struct json_object *found = json_make("up:b", 1), *pools = NULL, *networks = NULL,
					 *filters = NULL;
	if (!connection || add_versions(connection, found, err) < 0 || capabilities(connection, &document, err) < 0 ||
	    pools_of(connection, &pools, err) < 0 || networks_of(connection, &networks, err) < 0 ||
	    nwfilters_of(connection, &filters, err) < 0)
		return -1;
	xmlNode *top = xmlDocGetRootElement(document), *node = xml_below(top, "host");
	vmm_auto_free char *arch = xml_text(xml_below(node, "cpu/arch")), *uuid = xml_text(xml_below(node, "uuid"));
	json_put(found, "uuid:s arch:s machines:o cpu:o", uuid, arch, machines_of(top, arch), cpu_of(node));
	json_put(found, "guard:s pools:O networks:O nwfilters:O uids:o", qemu_guard_status(), pools, networks, filters,
		 uids_of(node));
	*facts = json_object_get(found);
	return 0;
}
