/* rewrite.c: guest_ops->rewrite: a domain's XML for another node. */
#include <string.h>

#include "qemu.h"

/* ------------------------------------------------------------------ what belongs to one run of the guest */

/* Removes the names that libvirt gave; an administrator's own begin with "ua-" and stay. */
static void drop_aliases(xmlNode *devices)
{
	for (xmlNode *device = devices ? devices->children : NULL; device; device = device->next) {
		xmlNode *alias = xml_below(device, "alias");
		vmm_auto_free char *name = xml_attribute(alias, "name");
		if (alias && !(name && str_starts(name, "ua-")))
			xml_remove(alias);
	}
}

static void drop_tap_names(xmlNode *devices)
{
	static const char *const given[] = {"vnet", "macvtap", "macvlan"};
	xml_each (interface, devices, "interface") {
		xmlNode *target = xml_below(interface, "target");
		vmm_auto_free char *name = xml_attribute(target, "dev");
		for (size_t i = 0; name && i < VMM_COUNT(given); i++)
			if (str_starts(name, given[i])) {
				xml_remove(target);
				break;
			}
	}
}

static void drop_found_chains(xmlNode *devices)
{
	xml_each (disk, devices, "disk") {
		static const char *const found[] = {"backingStore", "mirror"};
		for (size_t i = 0; i < VMM_COUNT(found); i++) {
			xmlNode *node = xml_below(disk, found[i]);
			if (node)
				xml_remove(node);
		}
		if (xml_below(disk, "source"))
			xml_unset(xml_below(disk, "source"), "index");
	}
}

static void drop_given_labels(xmlNode *domain)
{
	xmlNode *next;
	for (xmlNode *label = xml_below(domain, "seclabel"); label; label = next) {
		next = xml_next(label);
		if (xml_attribute_is(label, "type", "dynamic") && !xml_below(label, "baselabel"))
			xml_remove(label);
	}
}

/* Only a running guest's XML has an id, and then also what libvirt chose for this run: all that is removed here. */
static void drop_run_time_parts(xmlNode *domain)
{
	vmm_auto_free char *running = xml_attribute(domain, "id");
	xmlNode *devices = xml_below(domain, "devices");
	if (!running)
		return;
	xml_unset(domain, "id");
	drop_aliases(devices);
	drop_tap_names(devices);
	drop_found_chains(devices);
	drop_given_labels(domain);
}

/* ------------------------------------------------------------------ sources */

static void clear_source(xmlNode *source)
{
	static const char *const all[] = {"file", "dev", "dir", "pool", "volume", "mode", "index"};
	for (size_t i = 0; i < VMM_COUNT(all); i++)
		xml_unset(source, all[i]);
}

/* `kind`: of the storage, which tells whether it has devices or files. Where it is NULL, a path in /dev is a device. */
static const char *type_for(const char *path, const char *kind)
{
	bool device = kind ? str_same(kind, "block") : str_starts(path, "/dev/");
	return device ? "block" : "file";
}

/* Makes a disk, or an NVRAM with a source, use `path`. Nothing is changed where it does so already. */
static int set_source(xmlNode *disk, const char *target, const char *path, const char *kind, struct vmm_error **err)
{
	vmm_auto_free char *type = xml_attribute(disk, "type");
	const char *attribute = definition_path_attribute(type ? type : "file");
	xmlNode *source = xml_below(disk, "source"), *chain = xml_below(disk, "backingStore");
	if (!attribute && !str_same(type, "volume"))
		return error_set(err, VMM_FAILED, "volume-fixed", "volume %s is of type %s: its path cannot be changed",
				 target, type);
	if (attribute && xml_attribute_is(source, attribute, path))
		return 0;
	if (!source)
		source = xmlNewChild(disk, NULL, (const xmlChar *)"source", NULL);
	const char *new_type = type_for(path, kind);
	clear_source(source);
	xml_set(disk, "type", new_type);
	xml_set(source, definition_path_attribute(new_type), path);
	/* That was the old image's backing chain; libvirt reads the new one's from its header. An empty element says
	 * that there is none. */
	if (chain && xmlFirstElementChild(chain))
		xml_remove(chain);
	return 0;
}

static xmlNode *disk_named(xmlNode *domain, const char *target)
{
	xml_each (disk, xml_below(domain, "devices"), "disk")
		if (xml_attribute_is(xml_below(disk, "target"), "dev", target))
			return disk;
	return NULL;
}

static int no_such_volume(xmlNode *domain, const char *target, struct vmm_error **err)
{
	vmm_auto_free char *name = xml_text(xml_below(domain, "name"));
	return error_set(err, VMM_FAILED, "no-such-volume", "guest %s has no volume %s", name ? name : "?", target);
}

static int rewrite_nvram(xmlNode *domain, const char *path, struct vmm_error **err)
{
	xmlNode *nvram = xml_below(domain, "os/nvram");
	if (!nvram)
		return no_such_volume(domain, "nvram", err);
	if (xml_below(nvram, "source"))
		return set_source(nvram, "nvram", path, NULL, err);
	xml_set_text(nvram, path);
	return 0;
}

/* libvirt chooses the directory of TPM state, so the only path that can be asked for is that one. */
static int rewrite_tpm(xmlNode *domain, const char *path, struct vmm_error **err)
{
	vmm_auto_free char *fixed = definition_tpm_path(domain);
	if (!fixed)
		return no_such_volume(domain, "tpm", err);
	if (strcmp(fixed, path) != 0)
		return error_set(err, VMM_FAILED, "volume-fixed", "volume tpm can only be at %s, not at %s", fixed,
				 path);
	return 0;
}

static void rename_bridge(xmlNode *domain, const char *from, const char *to)
{
	xml_each (interface, xml_below(domain, "devices"), "interface") {
		xmlNode *source = xml_below(interface, "source");
		if (source && xml_attribute_is(source, "bridge", from))
			xml_set(source, "bridge", to);
	}
}

/* The path of a disk or NVRAM, or NULL; belongs to the caller. */
static char *path_of(xmlNode *volume)
{
	vmm_auto_free char *type = xml_attribute(volume, "type");
	const char *attribute = definition_path_attribute(type ? type : "file");
	xmlNode *source = xml_below(volume, "source");
	if (source)
		return attribute ? xml_attribute(source, attribute) : NULL;
	return xml_is(volume, "nvram") ? xml_text(volume) : NULL;
}

static int rewrite_volume(xmlNode *domain, struct json_object *volume, struct vmm_error **err)
{
	const char *target, *path;
	if (json_need(volume, "target", "volume", &target, err) < 0 ||
	    json_need(volume, "path", target, &path, err) < 0 || path_check(path, target, err) < 0)
		return -1;
	xmlNode *disk = disk_named(domain, target);
	if (disk)
		return set_source(disk, target, path, json_text(volume, "kind"), err);
	if (!strcmp(target, "nvram"))
		return rewrite_nvram(domain, path, err);
	if (!strcmp(target, "tpm"))
		return rewrite_tpm(domain, path, err);
	return no_such_volume(domain, target, err);
}

int definition_follow(xmlNode *domain, struct json_object *changes, struct vmm_error **err)
{
	json_each (change, changes, "") {
		const char *target = json_text(change, "target"), *from = json_text(change, "from");
		xmlNode *disk = target ? disk_named(domain, target) : NULL;
		vmm_auto_free char *path = path_of(disk ? disk : xml_below(domain, "os/nvram"));
		if (json_text(change, "network"))
			rename_bridge(domain, json_text(change, "network"), json_text_or(change, "path", ""));
		else if (from && str_same(path, from) && rewrite_volume(domain, change, err) < 0)
			return -1;
	}
	return 0;
}

int definition_rewrite(const char *definition, struct json_object *changes, char **rewritten, struct vmm_error **err)
{
	vmm_auto_xml xmlDoc *document = NULL;
	if (xml_open(definition, "domain", &document, err) < 0)
		return -1;
	xmlNode *domain = xmlDocGetRootElement(document);
	drop_run_time_parts(domain);
	json_each (change, changes, "") {
		if (json_text(change, "network"))
			rename_bridge(domain, json_text(change, "network"), json_text_or(change, "path", ""));
		else if (json_text(change, "target") && rewrite_volume(domain, change, err) < 0)
			return -1;
	}
	*rewritten = xml_print(domain);
	return 0;
}
