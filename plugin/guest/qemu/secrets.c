/* secrets.c: libvirt secrets that a definition names: keys of encrypted disks (LUKS) and of TPM states, passwords of
 * Ceph and iSCSI. A secret is only named in a definition: each node has to have it itself, and its value is never sent.
 */
#include <string.h>

#include "qemu.h"

/* A <secret uuid='..'/> or <secret type='ceph' usage='..'/>, or the attribute `secret` of a TPM's encryption. */
static void add_secret(struct json_object *secrets, const char *of, const char *uuid, const char *type,
		       const char *usage)
{
	if (uuid || usage)
		json_object_array_add(secrets, json_make("of:s uuid:s type:s usage:s", of, uuid, uuid ? NULL : type,
							 uuid ? NULL : usage));
}

/* `holder` is an <auth> or <encryption> element, or NULL. libvirt's name for the usage of a disk's key is "volume". */
static void add_held(struct json_object *secrets, const char *of, xmlNode *holder)
{
	xml_each (secret, holder, "secret") {
		vmm_auto_free char *uuid = xml_attribute(secret, "uuid"), *type = xml_attribute(secret, "type"),
				   *usage = xml_attribute(secret, "usage");
		add_secret(secrets, of, uuid, str_same(type, "passphrase") ? "volume" : type, usage);
	}
}

/* Those of a disk, of its source, and of the images that it stands on. */
static void add_of_source(struct json_object *secrets, const char *of, xmlNode *node)
{
	static const char *const holders[] = {"auth", "encryption", "source/auth", "source/encryption"};
	for (size_t i = 0; i < VMM_COUNT(holders); i++)
		add_held(secrets, of, xml_below(node, holders[i]));
	xmlNode *below = xml_below(node, "backingStore");
	if (below)
		add_of_source(secrets, of, below);
}

struct json_object *definition_secrets(xmlNode *domain)
{
	struct json_object *secrets = json_object_new_array();
	xmlNode *devices = xml_below(domain, "devices");
	xml_each (disk, devices, "disk") {
		vmm_auto_free char *name = xml_attribute(xml_below(disk, "target"), "dev");
		add_of_source(secrets, name ? name : "disk", disk);
	}
	xml_each (hostdev, devices, "hostdev")
		add_held(secrets, "hostdev", xml_below(hostdev, "source/auth"));
	xml_each (tpm, devices, "tpm") {
		vmm_auto_free char *uuid = xml_attribute(xml_below(tpm, "backend/encryption"), "secret");
		add_secret(secrets, "tpm", uuid, NULL, NULL);
	}
	return secrets;
}

/* libvirt's number for a usage type. */
static int usage_of(const char *type)
{
	static const struct {
		const char *name;
		int number;
	} types[] = {{"volume", VIR_SECRET_USAGE_TYPE_VOLUME},
		     {"ceph", VIR_SECRET_USAGE_TYPE_CEPH},
		     {"iscsi", VIR_SECRET_USAGE_TYPE_ISCSI},
		     {"tls", VIR_SECRET_USAGE_TYPE_TLS},
		     {"vtpm", VIR_SECRET_USAGE_TYPE_VTPM}};
	for (size_t i = 0; i < VMM_COUNT(types); i++)
		if (str_same(types[i].name, type))
			return types[i].number;
	return VIR_SECRET_USAGE_TYPE_NONE;
}

/* Why the secret cannot be used here, or NULL. The value of a private one is not told to anybody, so whether it has one
 * is not known. */
static const char *missing(virConnectPtr connection, struct json_object *secret)
{
	const char *uuid = json_text(secret, "uuid");
	virSecretPtr found = uuid ? virSecretLookupByUUIDString(connection, uuid)
				  : virSecretLookupByUsage(connection, usage_of(json_text(secret, "type")),
							   json_text_or(secret, "usage", ""));
	size_t size = 0;
	if (!found)
		return "is not defined";
	unsigned char *value = virSecretGetValue(found, &size, 0);
	bool none = !value && qemu_last_is(VIR_ERR_NO_SECRET);
	if (value)
		explicit_bzero(value, size);
	free(value);
	virSecretFree(found);
	return none ? "has no value" : NULL;
}

struct json_object *qemu_secrets_missing(virConnectPtr connection, struct json_object *guest)
{
	struct json_object *lacking = json_object_new_array();
	json_each (secret, guest, "secrets") {
		const char *why = missing(connection, secret);
		if (!why)
			continue;
		struct json_object *found = json_copy(secret);
		json_put(found, "why:s", why);
		json_object_array_add(lacking, found);
	}
	return lacking;
}
