/* volumes: the disks of a domain's XML, and what lies beside them (NVRAM, TPM state). */
#ifndef VMM_QEMU_VOLUMES_H
#define VMM_QEMU_VOLUMES_H

#include <libxml/tree.h>

#include "base/base.h"

/* All volumes of a <domain> as an array (storage.h, guest.h); without "open" and "in", which the text alone does not
 * tell. */
struct json_object *volumes_of(xmlNode *domain);

/* The source attribute that names the path for this type of disk or NVRAM ("file", "block", "dir"), or NULL. */
const char *volume_attribute(const char *type);

/* Where libvirt keeps the state of the domain's emulated TPM, or NULL where it has none. */
char *volume_tpm_path(xmlNode *domain) VMM_MUST_USE;

#endif
