/* places.c: where the volumes of another node's guest may be made on this node.
 *
 * A node's key is not to be more than it has to be: a peer names the path of a volume, and a file below /etc or
 * /usr would be anything but a volume. So what the system itself lives from is no place for volumes, unless it belongs
 * to a storage: a [storage NAME] section, a libvirt pool, or a directory of libvirt's or LXC's own. */
#include <limits.h>
#include <string.h>

#include "node/local.h"

static const char *const of_the_system[] = {"/bin",  "/boot", "/etc", "/lib",  "/lib32", "/lib64", "/libx32",
					    "/proc", "/root", "/run", "/sbin", "/sys",	 "/usr",   "/var"};
static const char *const of_hypervisors[] = {"/var/lib/libvirt", "/var/lib/lxc"};

static bool is_below(const char *path, const char *dir)
{
	size_t length = strlen(dir);
	while (length > 1 && dir[length - 1] == '/')
		length--;
	return !strncmp(path, dir, length) && path[length] == '/';
}

static bool is_below_one_of(const char *path, const char *const *dirs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_below(path, dirs[i]))
			return true;
	return false;
}

static bool is_in_pool(struct local_node *node, const char *path)
{
	struct guest_host *host = NULL;
	vmm_auto_json struct json_object *facts = NULL;
	vmm_auto_error struct vmm_error *problem = NULL;
	bool found = false;
	if (local_host_open(node, &guest_qemu, &host, &problem) == 0)
		host->ops->host_facts(host, &facts, &problem);
	json_each (pool, facts, "pools")
		found |= json_text(pool, "path") && is_below(path, json_text(pool, "path"));
	local_host_close(node, host);
	return found;
}

static bool is_in_storage(struct local_node *node, const char *path)
{
	struct json_object *storages = json_at(node->config, "storage");
	if (storages) {
		json_object_object_foreach(storages, name, storage)
		{
			(void)name;
			if (json_text(storage, "path") && is_below(path, json_text(storage, "path")))
				return true;
		}
	}
	return is_in_pool(node, path);
}

int local_place_check(struct local_node *node, const char *path, struct vmm_error **err)
{
	char links[PATH_MAX];
	vmm_auto_free char *dir = path_dir(path);
	/* Links in its directory are followed: /srv/vm may lead to /etc. */
	vmm_auto_free char *real = str_format("%s/%s", realpath(dir, links) ? links : dir, path_base(path));
	if (!is_below_one_of(real, of_the_system, VMM_COUNT(of_the_system)) ||
	    is_below_one_of(real, of_hypervisors, VMM_COUNT(of_hypervisors)) || is_in_storage(node, real) ||
	    is_in_storage(node, path))
		return 0;
	error_set(err, VMM_BLOCKED, "no-storage", "%s on %s is in no storage, but among the files of the system", path,
		  node->base.name);
	return error_hint(
		err,
		"if it is meant: name its directory in a section [storage NAME] of /etc/vmmigrate/vmmigrate.conf "
		"on %s; or send it elsewhere: --targetstorage",
		node->base.name);
}
