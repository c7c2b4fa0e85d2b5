/* moments.c: libvirt's records of a guest's snapshots and checkpoints (guest_ops->moments, define_moments).
 *
 * What an internal snapshot or a checkpoint's bitmap holds is in the qcow2 image and goes where the image goes. What
 * libvirt knows of it - name, parent, the definition of that time - is in files of its own: it is read here on the
 * source and recorded anew on the target. */
#include <string.h>

#include "qemu.h"

/* ------------------------------------------------------------------ read */

static void add_text(struct json_object *list, const char *text)
{
	if (text && *text)
		json_object_array_add(list, json_object_new_string(text));
}

/* The image that the disk had in the definition of that time; the disk's name where that does not tell it. */
static void add_image(struct json_object *files, struct json_object *volumes, const char *disk)
{
	json_each (volume, volumes, "")
		if (str_same(json_text(volume, "target"), disk)) {
			const char *path = json_text(volume, "path");
			add_text(files, path ? path : json_text(volume, "source"));
			return;
		}
	add_text(files, disk);
}

/* All files that it stands on: images of disks that belong to it, and a file with the guest's memory. */
static struct json_object *files_of(xmlNode *moment)
{
	struct json_object *files = json_object_new_array();
	vmm_auto_json struct json_object *volumes = NULL;
	vmm_auto_free char *memory = xml_attribute(xml_below(moment, "memory"), "file");
	if (xml_below(moment, "domain"))
		volumes = definition_volumes(xml_below(moment, "domain"));
	xml_each (disk, xml_below(moment, "disks"), "disk") {
		vmm_auto_free char *name = xml_attribute(disk, "name");
		bool part = !xml_attribute_is(disk, "snapshot", "no") && !xml_attribute_is(disk, "checkpoint", "no");
		if (name && part)
			add_image(files, volumes, name);
	}
	add_text(files, memory);
	return files;
}

/* Takes `xml` and adds what it says of a snapshot or checkpoint. */
static int add_moment(struct json_object *moments, const char *kind, char *xml, bool current, struct vmm_error **err)
{
	vmm_auto_free char *root = str_format("domain%s", kind), *held = xml;
	vmm_auto_xml xmlDoc *document = NULL;
	if (xml_open(held, root, &document, err) < 0)
		return -1;
	xmlNode *moment = xmlDocGetRootElement(document);
	vmm_auto_free char *name = xml_text(xml_below(moment, "name")),
			   *created = xml_text(xml_below(moment, "creationTime"));
	json_object_array_add(moments, json_make("kind:s name:s created:s current:b files:o xml:s", kind, name, created,
						 (int)current, files_of(moment), held));
	return 0;
}

static int add_snapshots(virDomainPtr domain, struct json_object *moments, struct vmm_error **err)
{
	virDomainSnapshotPtr *all = NULL;
	int done = 0, count = virDomainListAllSnapshots(domain, &all, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
	if (count < 0)
		return qemu_failed(err, "snapshots of VM %s", virDomainGetName(domain));
	for (int i = 0; i < count; i++) {
		char *xml = done < 0 ? NULL : virDomainSnapshotGetXMLDesc(all[i], VIR_DOMAIN_SNAPSHOT_XML_SECURE);
		if (xml)
			done = add_moment(moments, "snapshot", xml, virDomainSnapshotIsCurrent(all[i], 0) == 1, err);
		else if (done == 0)
			done = qemu_failed(err, "snapshot %s of VM %s", virDomainSnapshotGetName(all[i]),
					   virDomainGetName(domain));
		virDomainSnapshotFree(all[i]);
	}
	free(all);
	return done;
}

/* libvirt makes the last of a line of checkpoints the current one by itself. */
static int add_checkpoints(virDomainPtr domain, struct json_object *moments, struct vmm_error **err)
{
	virDomainCheckpointPtr *all = NULL;
	int done = 0, count = virDomainListAllCheckpoints(domain, &all, VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL);
	if (count < 0)
		return qemu_failed(err, "checkpoints of VM %s", virDomainGetName(domain));
	for (int i = 0; i < count; i++) {
		char *xml = done < 0 ? NULL : virDomainCheckpointGetXMLDesc(all[i], VIR_DOMAIN_CHECKPOINT_XML_SECURE);
		if (xml)
			done = add_moment(moments, "checkpoint", xml, false, err);
		else if (done == 0)
			done = qemu_failed(err, "checkpoint %s of VM %s", virDomainCheckpointGetName(all[i]),
					   virDomainGetName(domain));
		virDomainCheckpointFree(all[i]);
	}
	free(all);
	return done;
}

int qemu_moments_of(virDomainPtr domain, struct json_object **moments, struct vmm_error **err)
{
	vmm_auto_json struct json_object *found = json_object_new_array();
	if (add_snapshots(domain, found, err) < 0 || add_checkpoints(domain, found, err) < 0)
		return -1;
	*moments = json_object_get(found);
	return 0;
}

int qemu_moments(struct guest_host *host, const char *id, struct json_object **moments, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	return qemu_find(host, id, &domain, err) < 0 ? -1 : qemu_moments_of(domain, moments, err);
}

/* ------------------------------------------------------------------ rewrite */

/* The overlay that an external snapshot has made. */
static void rewrite_overlays(xmlNode *moment, struct json_object *changes)
{
	xml_each (disk, xml_below(moment, "disks"), "disk")
		json_each (change, changes, "") {
			xmlNode *source = xml_below(disk, "source");
			if (source && json_text(change, "from") &&
			    xml_attribute_is(source, "file", json_text(change, "from")))
				xml_set(source, "file", json_text(change, "path"));
		}
}

int moment_rewrite(struct json_object *moment, struct json_object *changes, char **rewritten, struct vmm_error **err)
{
	static const char *const definitions[] = {"domain", "inactiveDomain"};
	vmm_auto_free char *root = str_format("domain%s", json_text_or(moment, "kind", ""));
	vmm_auto_xml xmlDoc *document = NULL;
	if (xml_open(json_text_or(moment, "xml", ""), root, &document, err) < 0)
		return -1;
	xmlNode *top = xmlDocGetRootElement(document);
	for (size_t i = 0; i < VMM_COUNT(definitions); i++)
		if (xml_below(top, definitions[i]) &&
		    definition_follow(xml_below(top, definitions[i]), changes, err) < 0)
			return -1;
	rewrite_overlays(top, changes);
	*rewritten = xml_print(top);
	return 0;
}

/* ------------------------------------------------------------------ define */

static int define_snapshot(virDomainPtr domain, const char *name, bool current, const char *xml, struct vmm_error **err)
{
	virDomainSnapshotPtr snapshot = virDomainSnapshotLookupByName(domain, name, 0);
	unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | (current ? VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT : 0);
	if (!snapshot)
		snapshot = virDomainSnapshotCreateXML(domain, xml, flags);
	if (!snapshot)
		return qemu_failed(err, "snapshot %s of VM %s", name, virDomainGetName(domain));
	virDomainSnapshotFree(snapshot);
	return 0;
}

static int define_checkpoint(virDomainPtr domain, const char *name, const char *xml, struct vmm_error **err)
{
	virDomainCheckpointPtr checkpoint = virDomainCheckpointLookupByName(domain, name, 0);
	if (!checkpoint)
		checkpoint = virDomainCheckpointCreateXML(domain, xml, VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE);
	if (!checkpoint)
		return qemu_failed(err, "checkpoint %s of VM %s", name, virDomainGetName(domain));
	virDomainCheckpointFree(checkpoint);
	return 0;
}

/* Snapshots come first: libvirt takes no snapshot of a guest that is off once it has a checkpoint. */
int qemu_define_moments(struct guest_host *host, const char *id, struct json_object *moments,
			struct json_object *changes, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	if (qemu_find(host, id, &domain, err) < 0)
		return -1;
	json_each (moment, moments, "") {
		vmm_auto_free char *xml = NULL;
		const char *name;
		if (json_need(moment, "name", "snapshot", &name, err) < 0 ||
		    moment_rewrite(moment, changes, &xml, err) < 0)
			return -1;
		bool snapshot = str_same(json_text(moment, "kind"), "snapshot");
		if ((snapshot ? define_snapshot(domain, name, json_true(moment, "current"), xml, err)
			      : define_checkpoint(domain, name, xml, err)) < 0)
			return -1;
	}
	return 0;
}
