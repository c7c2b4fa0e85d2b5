/* identity.c: who this node is, and whether who connects to it is a node of the cluster.
 *
 * A node has a name and an id. The id is made by chance by the first `vmmigrate node add`, which notes it in both
 * configurations: so a node that was renamed or installed anew, or another machine at its address, is found before
 * anything is touched. Nodes that were cloned from one image after that have one id, and are refused. */
#include <string.h>

#include "cluster/cluster-internal.h"

enum { ID_LIMIT = 256 };

static int read_id(const char *path, char **id, struct vmm_error **err)
{
	if (file_read(path, ID_LIMIT, id, NULL, err) < 0)
		return -1;
	(*id)[strcspn(*id, " \t\r\n")] = 0;
	if (config_node_name(*id))
		return 0;
	free(*id);
	*id = NULL;
	error_set(err, VMM_BLOCKED, "bad-node-id", "%s does not hold the id of a node", path);
	return error_hint(err, "remove it, then add this node again: vmmigrate node add, on another node");
}

int cluster_read_id(const char *etc_dir, char **id, struct vmm_error **err)
{
	vmm_auto_free char *path = str_format("%s/node-id", etc_dir);
	*id = NULL;
	return file_there(path) ? read_id(path, id, err) : 0;
}

int cluster_node_id(const char *etc_dir, char **id, struct vmm_error **err)
{
	vmm_auto_free char *path = str_format("%s/node-id", etc_dir), *lock_path = str_format("%s/.lock", etc_dir);
	vmm_auto_free char *fresh = NULL;
	*id = NULL;
	if (file_there(path))
		return read_id(path, id, err);
	if (dir_make(etc_dir, 0755, err) < 0)
		return -1;
	vmm_auto_close int lock = file_lock(lock_path, 10000, err);
	if (lock < 0)
		return -1;
	if (file_there(path)) /* made by another process meanwhile */
		return read_id(path, id, err);
	if (file_read("/proc/sys/kernel/random/uuid", ID_LIMIT, &fresh, NULL, err) < 0 ||
	    file_write(path, fresh, strlen(fresh), 0644, err) < 0)
		return -1;
	return read_id(path, id, err);
}

void cluster_identity(const char *etc_dir, struct identity *identity)
{
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", etc_dir);
	vmm_auto_json struct json_object *config = NULL;
	*identity = (struct identity){0};
	if (cluster_load(conf, &config, &identity->problem) < 0 ||
	    cluster_read_id(etc_dir, &identity->id, &identity->problem) < 0)
		return;
	identity->name = str_copy(json_text_or(config, "self", ""));
}

void cluster_identity_free(struct identity *identity)
{
	free(identity->name);
	free(identity->id);
	error_clear(&identity->problem);
}

int cluster_known(const char *etc_dir, struct json_object *hello, struct vmm_error **err)
{
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", etc_dir);
	vmm_auto_json struct json_object *config = NULL;
	const char *name = json_text(hello, "node"), *id = json_text(hello, "id");
	if (!name)
		return frame_is_anonymous(hello) ? 0
						 : error_set(err, VMM_BLOCKED, "wrong-node",
							     "what connects does not say which node it is");
	if (cluster_load(conf, &config, err) < 0)
		return -1;
	const char *self = json_text_or(config, "self", "?");
	struct json_object *section = json_member(json_at(config, "node"), name);
	const char *noted = json_text(section, "id");
	if (!section) {
		error_set(err, VMM_BLOCKED, "wrong-node", "%s knows no node %s", self, name);
		return error_hint(
			err,
			"if %s was renamed: set self in [migration] of its vmmigrate.conf to the name that the "
			"other nodes know; if it is new: vmmigrate node add %s ADDRESS, on %s",
			name, name, self);
	}
	if (!noted || str_same(noted, id))
		return 0;
	error_set(err, VMM_BLOCKED, "wrong-node",
		  "what connects to %s as node %s has another id than %s had when it was "
		  "added: it was installed anew, or is another machine",
		  self, name, name);
	return error_hint(err, "if it is the right one: vmmigrate node add %s ADDRESS, on %s", name, self);
}
