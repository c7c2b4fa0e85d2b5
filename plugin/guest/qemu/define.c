/* define.c: makes and removes definitions, sets autostart (guest_ops->define, undefine, autostart). */
#include <string.h>

#include "qemu.h"

/* ------------------------------------------------------------------ define */

static int taken(virDomainPtr other, const char *who, struct vmm_error **err)
{
	char uuid[VIR_UUID_STRING_BUFLEN] = "?";
	virDomainGetUUIDString(other, uuid);
	error_set(err, VMM_BLOCKED, "name-taken", "VM %s (UUID %s) answers to \"%s\" already", virDomainGetName(other),
		  uuid, who);
	return error_hint(err, "rename or remove it");
}

/* A domain of the same name and UUID is the same guest: libvirt replaces its definition, and we let it as long as the
 * domain is off. Error "name-taken" where another domain answers to the id, the name or the UUID. */
static int check_name_free(struct guest_host *host, struct json_object *facts, struct vmm_error **err)
{
	static const char *const keys[] = {"id", "name", "uuid"};
	for (size_t i = 0; i < VMM_COUNT(keys); i++) {
		struct vmm_error *problem = NULL;
		vmm_auto_domain virDomainPtr other = NULL;
		char uuid[VIR_UUID_STRING_BUFLEN] = "";
		const char *key = json_text(facts, keys[i]);
		if (!key)
			continue;
		if (qemu_find(host, key, &other, &problem) < 0) {
			if (qemu_gone_is_fine(err, problem) == 0)
				continue;
			return -1;
		}
		virDomainGetUUIDString(other, uuid);
		if (!str_same(virDomainGetName(other), json_text(facts, "name")) ||
		    !str_same(uuid, json_text(facts, "uuid")))
			return taken(other, key, err);
		if (virDomainIsActive(other) == 1)
			return error_set(err, VMM_BLOCKED, "name-taken", "VM %s runs on this node",
					 virDomainGetName(other));
	}
	return 0;
}

int qemu_define(struct guest_host *host, const char *definition, struct vmm_error **err)
{
	vmm_auto_json struct json_object *facts = NULL;
	virConnectPtr connection = qemu_connection(host, err);
	if (!connection || definition_facts(definition, &facts, err) < 0 || check_name_free(host, facts, err) < 0)
		return -1;
	qemu_pools_refresh(connection, facts);
	vmm_auto_domain virDomainPtr domain = virDomainDefineXMLFlags(connection, definition, 0);
	return domain ? 0 : qemu_failed(err, "define VM %s", json_text(facts, "name"));
}

/* ------------------------------------------------------------------ undefine */

/* Removes what libvirt itself wrote about the domain, and nothing else. A managed save is the guest's memory, so the
 * definition is not removed where there is one. */
static int undefine(virDomainPtr domain, struct vmm_error **err)
{
	const char *name = virDomainGetName(domain);
	if (virDomainIsActive(domain) == 1) {
		error_set(err, VMM_FAILED, "guest-state", "VM %s runs: its definition is not removed", name);
		return error_hint(err, "stop it first");
	}
	if (virDomainHasManagedSaveImage(domain, 0) == 1) {
		error_set(err, VMM_FAILED, "managed-save", "VM %s has a managed save: its definition is not removed",
			  name);
		return error_hint(err, "start it, or remove its saved memory: virsh managedsave-remove %s", name);
	}
	if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | VIR_DOMAIN_UNDEFINE_KEEP_TPM |
						   VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
						   VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA) < 0)
		return qemu_failed(err, "undefine VM %s", name);
	return 0;
}

int qemu_undefine(struct guest_host *host, const char *id, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	vmm_auto_domain virDomainPtr domain = NULL;
	if (qemu_find(host, id, &domain, &problem) == 0 && undefine(domain, &problem) == 0)
		return 0;
	return qemu_gone_is_fine(err, problem);
}

int qemu_autostart(struct guest_host *host, const char *id, bool on, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	if (qemu_find(host, id, &domain, err) < 0)
		return -1;
	if (!on && virDomainIsPersistent(domain) == 0)
		return 0; /* a transient domain has no autostart */
	if (virDomainSetAutostart(domain, on) < 0)
		return qemu_failed(err, "set autostart of VM %s %s", virDomainGetName(domain), on ? "on" : "off");
	return 0;
}
