/* find.c: finds the domain that an id, a name or a UUID means. */
#include <string.h>

#include "qemu.h"

void qemu_cleanup_domains(virDomainPtr **domains)
{
	for (virDomainPtr *domain = *domains; domain && *domain; domain++)
		virDomainFree(*domain);
	free(*domains);
	*domains = NULL;
}

int qemu_domains(struct guest_host *host, virDomainPtr **domains, struct vmm_error **err)
{
	virConnectPtr connection = qemu_connection(host, err);
	*domains = NULL;
	if (!connection)
		return -1;
	return virConnectListAllDomains(connection, domains, 0) < 0 ? qemu_failed(err, "list the guests") : 0;
}

static char *metadata(virDomainPtr domain, unsigned of)
{
	return virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, DEFINITION_NAMESPACE, of);
}

/* The id in our metadata, or NULL. The persistent definition is read, since that one stays; a transient domain has
 * none, and libvirt answers with another error than for a definition without our metadata: only then is the running
 * one read. So most domains take one question. */
static char *metadata_id(virDomainPtr domain)
{
	char *text = metadata(domain, VIR_DOMAIN_AFFECT_CONFIG);
	if (!text && !qemu_last_is(VIR_ERR_NO_DOMAIN_METADATA))
		text = metadata(domain, VIR_DOMAIN_AFFECT_CURRENT);
	vmm_auto_xml xmlDoc *document = NULL;
	if (!text)
		return NULL;
	char *id = xml_open(text, "guest", &document, NULL) == 0 ? xml_attribute(xmlDocGetRootElement(document), "id")
								 : NULL;
	free(text);
	return id;
}

static bool answers_to(virDomainPtr domain, const char *who)
{
	char uuid[VIR_UUID_STRING_BUFLEN] = "";
	if (str_same(virDomainGetName(domain), who))
		return true;
	if (virDomainGetUUIDString(domain, uuid) == 0 && !strcasecmp(uuid, who))
		return true;
	vmm_auto_free char *id = metadata_id(domain);
	return str_same(id, who);
}

static int ambiguous(const char *who, virDomainPtr one, virDomainPtr other, struct vmm_error **err)
{
	char a[VIR_UUID_STRING_BUFLEN] = "?", b[VIR_UUID_STRING_BUFLEN] = "?";
	virDomainGetUUIDString(one, a);
	virDomainGetUUIDString(other, b);
	error_set(err, VMM_USAGE, "ambiguous", "\"%s\" means two VMs: %s (UUID %s) and %s (UUID %s)", who,
		  virDomainGetName(one), a, virDomainGetName(other), b);
	return error_hint(err, "name it by its UUID, or give each an id of its own");
}

/* The domain that was found for the same `who` last time, if it still answers to it: then the others are not asked. */
static virDomainPtr find_again(struct qemu_host *qemu, const char *who)
{
	if (!str_same(qemu->known, who))
		return NULL;
	virDomainPtr domain = virDomainLookupByUUIDString(qemu->connection, qemu->known_uuid);
	if (domain && !answers_to(domain, who))
		qemu_cleanup_domain(&domain);
	return domain;
}

static int find_among_all(struct guest_host *host, const char *who, virDomainPtr *domain, struct vmm_error **err)
{
	vmm_auto_domains virDomainPtr *all = NULL;
	virDomainPtr found = NULL;
	if (qemu_domains(host, &all, err) < 0)
		return -1;
	for (virDomainPtr *each = all; each && *each; each++) {
		if (!answers_to(*each, who))
			continue;
		if (found)
			return ambiguous(who, found, *each, err);
		found = *each;
	}
	if (!found) {
		error_set(err, VMM_NOT_FOUND, "no-such-guest", "there is no VM %s here", who);
		return error_hint(err, "list them: vmmigrate list");
	}
	virDomainRef(found);
	*domain = found;
	return 0;
}

int qemu_find(struct guest_host *host, const char *who, virDomainPtr *domain, struct vmm_error **err)
{
	struct qemu_host *qemu = (struct qemu_host *)host;
	*domain = NULL;
	if (!qemu_connection(host, err))
		return -1;
	*domain = find_again(qemu, who);
	if (*domain)
		return 0;
	if (find_among_all(host, who, domain, err) < 0)
		return -1;
	if (virDomainGetUUIDString(*domain, qemu->known_uuid) == 0)
		str_replace(&qemu->known, who);
	return 0;
}
