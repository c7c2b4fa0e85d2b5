/* cluster: which nodes and storages there are, from /etc/vmmigrate/vmmigrate.conf. */
#ifndef VMM_CLUSTER_H
#define VMM_CLUSTER_H

#include "base/base.h"
#include "link/link.h"

/* The configuration as JSON:
 *   "self"      our own node's name ([migration] self = NAME, else the host name without its domain)
 *   "node"      {NAME: {"address","port","user","maintenance"}}
 *   "storage"   {NAME: {"kind","path","shared","keep_seed"}}
 *   "migration" {"network","type","data_ports","bwlimit","max_downtime","keep_tasks" (seconds),...}
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

/* `vmmigrate node add NAME ADDRESS` (join.c): fetches the node's host key and compares it with those that are known; makes our
 * own key pair if there is none; has the node authorise our key and give us its own - with our key where it is accepted already,
 * else with the administrator's own ssh access (keys of the user, or of an agent) - and tests both directions. Each key may do
 * nothing but start vmmigrate-agent. Both nodes are written into both configurations. Idempotent.
 *   *report: {"node","address","fingerprint","known" (the host key was), "tests":[{"from","to","ok"}]}
 * With an unknown host key and without `accept` nothing is changed: error "host-key-unknown", whose message has the fingerprint,
 * so that the caller can ask. Further errors: those of ssh_open; "wrong-name" where the machine calls itself otherwise; "agent-missing";
 * "ssh-refused" where the administrator's own access does not suffice. */
int cluster_join(const char *etc_dir, const char *name, const char *address, bool accept, struct json_object **report,
		 struct vmm_error **err);

/* The other side of cluster_join (the engine's verb node-accept, run by root there). Request: {"name","address","port"?,"key","host_key",
 * "you":{"name","address","port"?}}; reply: {"name","key"}. Connects back to see that the host key is the one said. */
int cluster_accept(const char *etc_dir, struct json_object *request, struct json_object **reply,
		   struct vmm_error **err);

/* Connects to the node with our own key and exchanges hellos with its agent. Errors: those of ssh_open, "agent-missing",
 * "not-our-agent", "agent-too-old", "agent-too-new". */
int cluster_test(struct json_object *config, const char *etc_dir, const char *node, struct vmm_error **err);

#endif
