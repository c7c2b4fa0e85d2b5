/* cluster: the nodes and storages of the configuration (/etc/vmmigrate/vmmigrate.conf), and how a node joins the
 * cluster. */
#ifndef VMM_CLUSTER_H
#define VMM_CLUSTER_H

#include "base/base.h"
#include "link/link.h"

/* Reads the configuration as JSON; *config belongs to the caller:
 *   "self"      the name of this node: [migration] self = NAME, else the host name up to its first dot
 *   "node"      {NAME: {"address","port","user","maintenance","introduced_by","id"}}
 *   "cluster"   {"joins"}
 *   "storage"   {NAME: {"kind","path","shared","keep_seed"}}
 *   "migration" {"network","type","data_ports","bwlimit" (KiB/s),"max_downtime" (ms),"keep_tasks" (seconds)}
 * Keys that the file does not set are absent. Names of nodes and storages are sorted, and looked up with json_member. A
 * file that is not there is an empty configuration. A malformed file is an error "bad-configuration" (VMM_USAGE) with
 * file, line and reason: an unknown section or key (similar ones are suggested), a bad value or name, something set
 * twice. */
int cluster_load(const char *path, struct json_object **config, struct vmm_error **err);

/* How to reach a node by ssh: its address, port and user from the configuration, with the key id_vmmigrate and the file
 * known_hosts in etc_dir. Strings of `ssh` belong to config and to the peer, which is freed with cluster_peer_free
 * before config is. Error "target-unknown" (VMM_NOT_FOUND) for a node that is not configured; its hint suggests similar
 * names. */
struct cluster_peer {
	struct ssh_peer ssh;
	char *name, *key, *known_hosts; /* the node's name, and two paths */
	char *self_id;			/* our own id */
};
int cluster_peer(struct json_object *config, const char *etc_dir, const char *node, struct cluster_peer *peer,
		 struct vmm_error **err);
void cluster_peer_free(struct cluster_peer *peer);

/* This node's id, from the file node-id in etc_dir, which is made if it is not there; it belongs to the caller. Error
 * "bad-node-id". */
int cluster_node_id(const char *etc_dir, char **id, struct vmm_error **err);
/* The same, but *id is NULL if there is none yet. */
int cluster_read_id(const char *etc_dir, char **id, struct vmm_error **err);
/* Who this node is, for the hello of its agent. What cannot be found out is in `problem`. */
void cluster_identity(const char *etc_dir, struct identity *identity);
void cluster_identity_free(struct identity *identity);
#define vmm_auto_identity __attribute__((cleanup(cluster_identity_free)))
/* Is who says this hello a node of our configuration, with the id that is noted there? Error "wrong-node". */
int cluster_known(const char *etc_dir, struct json_object *hello, struct vmm_error **err);

/* Sets the address of a node in the file, and adds its section [node NAME] if there is none. All other bytes of the
 * file stay. Errors "bad-name" and "bad-configuration"; the file is not changed then. */
int cluster_add_node(const char *path, const char *name, const char *address, struct vmm_error **err);

/* `vmmigrate node add NAME ADDRESS`:
 *   - fetches the node's host key and compares it with the known ones
 *   - makes our key pair if there is none
 *   - asks the node to accept our key and to send its own: over our key if the node accepts it already, else over the
 *     administrator's own ssh access (keys of the user or of ssh-agent)
 *   - writes both nodes into both configurations, and tests the connection in both directions.
 * The nodes' keys can start vmmigrate-agent and nothing else. It may be repeated; what is done already stays.
 *   *report: {"node","address","fingerprint","known" (was the host key known?),"tests":[{"from","to","ok"}]}
 * If the host key is not known and `accept` is false, nothing is changed: error "host-key-unknown", whose message has
 * the fingerprint, so that the caller can ask the administrator. Further errors: those of ssh_open; "wrong-name" if the
 * machine has another node name; "agent-missing"; "ssh-refused" if the administrator's own ssh access does not work. */
int cluster_join(const char *etc_dir, const char *name, const char *address, bool accept, struct json_object **report,
		 struct vmm_error **err);

/* The other side of cluster_join: the engine's verb node-accept, which root runs on the node that is added.
 *   request: {"name","id","address","port"?,"key","host_key","you":{"name","address","port"?}}, and "by", the node over
 *   whose key it has come, which the engine sets; absent: an administrator asks
 *   *reply:  {"name","id","key"}
 * It connects back and checks that the host key there is the one in the request. Only then it writes anything. Errors
 * "malformed", "bad-name", "wrong-name", "joins-closed", "host-key-changed", and those of ssh_open. */
int cluster_accept(const char *etc_dir, struct json_object *request, struct json_object **reply,
		   struct vmm_error **err);

/* `vmmigrate node remove NAME`, on one node: its section in the configuration, its key in authorized_keys and its host
 * key. Error "target-unknown". */
int cluster_remove(const char *etc_dir, const char *name, struct vmm_error **err);

/* Connects to the node with our key and exchanges hellos with its agent. Errors are those of cluster_peer and
 * agent_open. */
int cluster_test(struct json_object *config, const char *etc_dir, const char *node, struct vmm_error **err);

#endif
