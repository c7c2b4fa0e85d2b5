/* volumes.c: reads volumes out of a domain's XML. */
#include <libxml/xmlmemory.h>
#include <string.h>

#include "qemu.h"

/* libvirt's own directory. The XML of a TPM names it from libvirt 10.10 on only. */
#define TPM_ROOT "/var/lib/libvirt/swtpm"

const char *definition_path_attribute(const char *type)
{
	static const char *const names[][2] = {{"file", "file"}, {"block", "dev"}, {"dir", "dir"}};
	for (size_t i = 0; i < VMM_COUNT(names); i++)
		if (str_same(type, names[i][0]))
			return names[i][1];
	return NULL;
}

/* ------------------------------------------------------------------ a network source in one canonical line */

static int by_name(const void *a, const void *b)
{
	return strcmp((const char *)(*(xmlAttr *const *)a)->name, (const char *)(*(xmlAttr *const *)b)->name);
}

static void print_attribute(struct text *line, xmlNode *node, xmlAttr *attribute)
{
	vmm_auto_free char *value = xml_attribute(node, (const char *)attribute->name);
	xmlChar *escaped = xmlEncodeSpecialChars(NULL, (const xmlChar *)value);
	text_add(line, " %s=\"%s\"", (const char *)attribute->name, (const char *)escaped);
	xmlFree(escaped);
}

/* An element's beginning, with its attributes in the order of their names. `index` is left out: the running QEMU
 * chose it. */
static void print_element(struct text *line, xmlNode *node)
{
	enum { MOST = 32 };
	xmlAttr *attributes[MOST] = {0};
	size_t count = 0;
	for (xmlAttr *a = node->properties; a && count < MOST; a = a->next)
		if (strcmp((const char *)a->name, "index") != 0)
			attributes[count++] = a;
	qsort(attributes, count, sizeof(attributes[0]), by_name);
	text_add(line, "<%s", (const char *)node->name);
	for (size_t i = 0; i < count; i++)
		print_attribute(line, node, attributes[i]);
}

/* The same line for the same network disk on any node: what identifies it (protocol, name, hosts; for RBD also
 * snapshot and configuration), without credentials, time-outs and what libvirt adds for itself. */
static char *network_source(xmlNode *source)
{
	static const char *const identifying[] = {"host", "snapshot", "config", "initiator"};
	struct text line = {0};
	print_element(&line, source);
	text_add(&line, ">");
	for (size_t i = 0; i < VMM_COUNT(identifying); i++)
		xml_each (child, source, identifying[i]) {
			xmlNode *iqn = xml_below(child, "iqn");
			print_element(&line, iqn ? iqn : child);
			text_add(&line, "/>");
		}
	text_add(&line, "</source>");
	return text_take(&line);
}

/* ------------------------------------------------------------------ disks */

static void add_source(struct json_object *volume, const char *type, xmlNode *source)
{
	const char *attribute = definition_path_attribute(type);
	vmm_auto_free char *path = attribute ? xml_attribute(source, attribute) : NULL;
	if (path)
		json_put(volume, "path:s", path);
	if (str_same(type, "network")) {
		vmm_auto_free char *line = network_source(source);
		json_put(volume, "source:s", line);
	}
	if (str_same(type, "volume")) {
		vmm_auto_free char *pool = xml_attribute(source, "pool"), *name = xml_attribute(source, "volume");
		json_put(volume, "pool:s volume:s", pool, name);
	}
}

static void add_disk(struct json_object *volumes, xmlNode *disk)
{
	xmlNode *source = xml_below(disk, "source"), *driver = xml_below(disk, "driver"),
		*target = xml_below(disk, "target");
	if (!source || !source->properties)
		return; /* an empty drive */
	vmm_auto_free char *type = xml_attribute(disk, "type"), *device = xml_attribute(disk, "device");
	vmm_auto_free char *name = xml_attribute(target, "dev"), *bus = xml_attribute(target, "bus");
	vmm_auto_free char *format = xml_attribute(driver, "type"), *cache = xml_attribute(driver, "cache");
	bool is_disk = !device || !strcmp(device, "lun"); /* a lun is a disk that also accepts SCSI commands */
	struct json_object *volume =
		json_make("target:s type:s device:s format:s bus:s cache:s", name, type ? type : "file",
			  is_disk ? "disk" : device, format ? format : "raw", bus, cache);
	/* type_fixed: SCSI commands need a device, so a lun cannot become a file. */
	json_put(volume, "readonly:b shareable:b type_fixed:b",
		 xml_below(disk, "readonly") || str_same(device, "cdrom"), xml_below(disk, "shareable") != NULL,
		 (int)str_same(device, "lun"));
	add_source(volume, json_text(volume, "type"), source);
	json_object_array_add(volumes, volume);
}

/* ------------------------------------------------------------------ NVRAM, TPM state */

/* <nvram>PATH</nvram>, or with a type and a source like a disk's. */
static void add_nvram(struct json_object *volumes, xmlNode *nvram)
{
	xmlNode *source = xml_below(nvram, "source");
	vmm_auto_free char *type = xml_attribute(nvram, "type"), *format = xml_attribute(nvram, "format");
	vmm_auto_free char *path = source ? NULL : xml_text(nvram);
	if (!source && (!path || !*path))
		return; /* libvirt chooses its path at the next start */
	struct json_object *volume = json_make("target:s type:s device:s format:s readonly:b shareable:b", "nvram",
					       type ? type : "file", "nvram", format ? format : "raw", 0, 0);
	if (source)
		add_source(volume, json_text(volume, "type"), source);
	else
		json_put(volume, "path:s", path);
	json_object_array_add(volumes, volume);
}

char *definition_tpm_path(xmlNode *domain)
{
	vmm_auto_free char *uuid = xml_text(xml_below(domain, "uuid"));
	xml_each (tpm, xml_below(domain, "devices"), "tpm")
		if (uuid && xml_attribute_is(xml_below(tpm, "backend"), "type", "emulator"))
			return str_format(TPM_ROOT "/%s", uuid);
	return NULL;
}

struct json_object *definition_volumes(xmlNode *domain)
{
	struct json_object *volumes = json_object_new_array();
	xml_each (disk, xml_below(domain, "devices"), "disk")
		add_disk(volumes, disk);
	xmlNode *nvram = xml_below(domain, "os/nvram");
	if (nvram)
		add_nvram(volumes, nvram);
	vmm_auto_free char *tpm = definition_tpm_path(domain);
	if (tpm)
		json_object_array_add(volumes,
				      json_make("target:s type:s device:s format:s path:s readonly:b shareable:b",
						"tpm", "tree", "tpm", "tree", tpm, 0, 0));
	return volumes;
}
