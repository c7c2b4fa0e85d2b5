/* cluster: which nodes and storages there are, from /etc/vmmigrate/vmmigrate.conf. */
#ifndef VMM_CLUSTER_H
#define VMM_CLUSTER_H

#include "base/base.h"
#include "link/link.h"

/* The configuration as JSON:
 *   "self"      our own node's name ([migration] self = NAME, else the host name without its domain)
 *   "node"      {NAME: {"address","port","user","maintenance"}}
 *   "storage"   {NAME: {"kind","path","shared","keep_seed"}}
 *   "migration" {"network","type","bwlimit","max_downtime","jobs","keep_tasks",...}
 * A file that is not there is an empty configuration. A malformed one is an error "bad-configuration" (VMM_USAGE) that names
 * file and line and says what is wrong: unknown section or key (near names are suggested), bad number, bad name, a key twice. */
int cluster_load(const char *path, struct json_object **config, struct vmm_error **err);

/* The node's ssh peer (strings are borrowed from config and etc_dir's key files `id_vmmigrate`, `known_hosts`). `paths` keeps
 * the two built strings and is freed with cluster_peer_free. Error "target-unknown" (VMM_BLOCKED) suggests near names. */
struct cluster_peer {
	struct ssh_peer ssh;
	char *key, *known_hosts;
};
int cluster_peer(struct json_object *config, const char *etc_dir, const char *node, struct cluster_peer *peer,
		 struct vmm_error **err);
void cluster_peer_free(struct cluster_peer *peer);

/* Adds (or changes the address of) a [node NAME] section, keeping everything else of the file as it is. */
int cluster_add_node(const char *path, const char *name, const char *address, struct vmm_error **err);

/* `vmmigrate node add NAME ADDRESS` (keys.c): makes our own key pair if there is none, fetches the host key (its fingerprint
 * is in *report, which the caller shows; `accept` says that the administrator has agreed, or that the key was known), installs
 * our public key on the peer as `restrict,command="/usr/libexec/vmmigrate/vmmigrate-agent" …` with the administrator's own
 * ssh access, and does the same for the way back. Tests both directions. Idempotent. */
int cluster_join(const char *etc_dir, const char *name, const char *address, bool accept, struct json_object **report,
		 struct vmm_error **err);

/* The far side of cluster_join (verb node-accept): authorises the asking node's key here and answers with our own. */
int cluster_accept(const char *etc_dir, struct json_object *request, struct json_object **reply,
		   struct vmm_error **err);

/* The name of `candidates` (array of strings) nearest to `name` (edit distance of at most 2), or NULL; borrowed. */
const char *cluster_near(const char *name, struct json_object *candidates);

#endif
