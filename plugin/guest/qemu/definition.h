/* definition: what a domain's XML says, and the same XML for another node. Pure: text in, facts or text out, no
 * libvirt. */
#ifndef VMM_QEMU_DEFINITION_H
#define VMM_QEMU_DEFINITION_H

#include "base/base.h"

/* The namespace of our element in a domain's <metadata>: <guest xmlns="…" id="100"/>. */
#define DEFINITION_NAMESPACE "https://vmmigrate.org/xmlns/1"

/* What the text alone says, as JSON: the guest facts (guest.h) "id" "name" "uuid" "title" "memory" "vcpus" "pinned"
 * "hugepages"
 * (-1: of the node's default size) "arch" "machine" "cpu" "volumes" "networks" "devices", and "virt" (kvm|qemu),
 * "emulator". A disk that is a volume of a libvirt pool has "type":"volume", "pool", "volume" and no path. Empty drives
 * are left out. Error "bad-definition" where it is not a domain's XML. */
int definition_facts(const char *definition, struct json_object **facts, struct vmm_error **err);

/* The <cpu> element as text, or NULL where there is none. */
int definition_cpu(const char *definition, char **cpu, struct vmm_error **err);

/* guest_ops->rewrite. Errors: "bad-definition"; "no-such-volume" for a target that the definition does not have;
 * "volume-fixed" for one whose place cannot be chosen (a network disk, TPM state); "bad-path". */
int definition_rewrite(const char *definition, struct json_object *volumes, char **rewritten, struct vmm_error **err);

#endif
