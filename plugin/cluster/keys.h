/* keys.h: within the room - our key pair, who may come in with which, and the host keys that we know. */
#ifndef VMM_CLUSTER_KEYS_H
#define VMM_CLUSTER_KEYS_H

#include "cluster/cluster.h"

/* Where a node keeps what makes it part of a cluster, and what is run on the other one. */
struct cluster_places {
	const char *etc;	     /* vmmigrate.conf, id_vmmigrate, known_hosts */
	const char *authorized_keys; /* of the user whom the other nodes log in as */
	const char *agent;	     /* the command that their keys may run here */
	const char *engine;	     /* the engine on the other node */
};

int cluster_join_at(const struct cluster_places *places, const char *name, const char *address, bool accept,
		    struct json_object **report, struct vmm_error **err);
int cluster_accept_at(const struct cluster_places *places, struct json_object *request, struct json_object **reply,
		      struct vmm_error **err);

/* "ssh-ed25519 AAAA...", of the key pair in etc, which is made if it is not there. */
int key_own(const char *etc, const char *self, char **public, struct vmm_error **err);

/* True for what key_own gives: type and base64, nothing else. It becomes part of a line of authorized_keys. */
bool key_is_public(const char *key);

/* Lets the node's key run `agent`, and nothing else. An older key of the same node goes; all other lines stay. */
int key_authorize(const char *authorized_keys, const char *agent, const char *node, const char *key,
		  struct vmm_error **err);

/* A host key as ssh_fingerprint shows it. */
struct host_key {
	char *fingerprint, *line; /* line: "HOST TYPE BASE64" */
	char *host, *key;	  /* the line's parts: key is "TYPE BASE64" */
};
int host_key_fetch(const struct ssh_peer *peer, struct host_key *host_key, struct vmm_error **err);
void host_key_free(struct host_key *host_key);
/* Is it known in `file`? Error "host-key-changed" where another one of the type is. No file: not known. */
int host_key_known(const struct host_key *host_key, const char *file, bool *known, struct vmm_error **err);
/* Writes it into `file` in place of what the file knew of the host. */
int host_key_remember(const struct host_key *host_key, const char *file, struct vmm_error **err);

#define vmm_auto_host_key __attribute__((cleanup(host_key_free)))

#endif
