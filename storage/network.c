/* network.c: disks that QEMU itself reaches over the network - iSCSI, RBD, NBD, Gluster, Sheepdog. The same source
 * element means the same disk on every node, so that nothing has to be copied, allocated or examined. */
#include <string.h>

#include "storage.h"

static bool network_is_mine(struct json_object *volume)
{
	return str_same(json_text(volume, "type"), "network");
}

static int network_describe(struct json_object *volume, struct vmm_error **err)
{
	const char *source;
	return json_need(volume, "source", json_text_or(volume, "target", "network disk"), &source, err);
}

/* The storage is named after the protocol: "rbd". */
static void network_default_storage(struct json_object *volume, char **name, char **path)
{
	static const char attribute[] = "protocol=";
	const char *found = strstr(json_text_or(volume, "source", ""), attribute);
	size_t length = 0;
	if (found) {
		found += sizeof(attribute) - 1;
		found += strspn(found, "'\"");
		length = strspn(found, "abcdefghijklmnopqrstuvwxyz0123456789+-");
	}
	*name = length ? str_format("%.*s", (int)length, found) : str_copy("network");
	*path = NULL;
}

const struct storage_ops storage_network = {
	.kind = "network",
	.is_mine = network_is_mine,
	.describe = network_describe,
	.default_storage = network_default_storage,
};
