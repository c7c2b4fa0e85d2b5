/* cluster-internal.h: what the files of the room share - the tables that vmmigrate.conf is parsed by, its parser,
 * keys. */
#ifndef VMM_CLUSTER_INTERNAL_H
#define VMM_CLUSTER_INTERNAL_H

#include "cluster/cluster.h"

/* ------------------------------------------------------------------ the configuration (config.c) */

/* libinih keeps at most so many characters of what is between the brackets, "node " or "storage " included. */
enum { CONFIG_NAME_LIMIT = 48 };

/* What a value may be, and what it becomes in the JSON. */
enum config_type {
	CONFIG_FLAG,	 /* yes or no: a boolean */
	CONFIG_NUMBER,	 /* an integer from `least` to `most`: a number */
	CONFIG_DURATION, /* "30d", "12h", "90m" or "45s": the number of seconds */
	CONFIG_KEEP,	 /* yes or no: a boolean; or a number of days from `least` to `most`: a number */
	CONFIG_CHOICE,	 /* one of `choices`; this and all below become a string */
	CONFIG_ADDRESS,	 /* a host name, IPv4 or IPv6 address */
	CONFIG_NETWORK,	 /* a network in CIDR notation */
	CONFIG_PORTS,	 /* "A-B", or one port */
	CONFIG_PATH,	 /* an absolute path */
	CONFIG_NODE,	 /* the name of a node */
	CONFIG_NAME,	 /* the name of a user */
};

struct config_key {
	const char *name;
	enum config_type type;
	const char *choices; /* "a|b", for CONFIG_CHOICE; else NULL */
	int64_t least, most;
	const char *help; /* one sentence */
};

struct config_section {
	const char *name;
	bool named; /* true: [node NAME], false: [migration] */
	const struct config_key *keys;
	size_t key_count;
	const char *help; /* one sentence */
};

extern const struct config_section config_sections[];
extern const size_t config_section_count;

/* As cluster_load, but from text and without "self"; `file` is for messages. */
int config_parse(const char *file, const char *text, struct json_object **config, struct vmm_error **err);

/* What is between the brackets of a section's line, without the spaces around it; NULL if the line is none. The string
 * belongs to the caller. */
char *config_section_of(const char *line, size_t length);

/* True for what may name a node: letters, digits, '-' and '_'. */
bool config_node_name(const char *name);
/* True for what may be an address. It becomes an argument of ssh. */
bool config_address(const char *address);

/* Compares two strings in a JSON array, for json_object_array_sort. */
int config_by_text(const void *a, const void *b);

/* ------------------------------------------------------------------ nodes (nodes.c) */

/* Checks a node's name and address for the configuration. Error "bad-name". */
int cluster_node_check(const char *name, const char *address, struct vmm_error **err);
/* Removes the node's section; all other bytes of the file stay. */
int cluster_drop_node(const char *path, const char *name, struct vmm_error **err);
/* Sets a key of the node's section. */
int cluster_note(const char *path, const char *name, const char *key, const char *value, struct vmm_error **err);
/* As cluster_add_node, and sets the port of ssh too, if it is not 0, and the node's id, if it is not NULL. */
int cluster_add_node_at(const char *path, const char *name, const char *address, int port, const char *id,
			struct vmm_error **err);

/* ------------------------------------------------------------------ keys (keys.c) */

/* The public key "ssh-ed25519 BASE64" of the key pair id_vmmigrate in the directory etc, which is made if it is not
 * there. `self` is this node's name, for the key's comment. Error "key-unreadable". */
int key_own(const char *etc, const char *self, char **public, struct vmm_error **err);

/* True for keys as key_own returns them: type and base64, nothing else. The key becomes part of a line in
 * authorized_keys. */
bool key_is_public(const char *key);

/* Whose key it is. */
struct key_owner {
	const char *node;
	const char *address; /* its own, by which the other nodes reach it */
	const char *seen;    /* the address from which it connects, where that is known; or NULL */
};
/* Allows the node's key to run the command `agent NODE`, from the node's addresses, and nothing else. An older key of
 * the same node is removed, and so are other lines with this key; all other lines stay. */
int key_authorize(const char *authorized_keys, const char *agent, const struct key_owner *owner, const char *key,
		  struct vmm_error **err);

/* Removes the lines that key_authorize has written for the node. */
int key_withdraw(const char *authorized_keys, const char *agent, const char *node, struct vmm_error **err);

/* A host key as ssh_fingerprint gives it. */
struct host_key {
	char *fingerprint, *line; /* line: "HOST TYPE BASE64" */
	char *host, *key;	  /* parts of the line; key is "TYPE BASE64" */
};
/* Fetches the host key of a peer, without authenticating. Errors are those of ssh_open. */
int host_key_fetch(const struct ssh_peer *peer, struct host_key *host_key, struct vmm_error **err);
void host_key_free(struct host_key *host_key);
/* Is the key in the known_hosts file `file`? A file that is not there knows no key. Error "host-key-changed" if it has
 * another key of that type for the host. */
int host_key_known(const struct host_key *host_key, const char *file, bool *known, struct vmm_error **err);
/* Writes the key into `file` in place of the keys that it has for the host. */
int host_key_remember(const struct host_key *host_key, const char *file, struct vmm_error **err);

/* Removes the keys that `file` has for the host. */
int host_key_forget(const char *host, const char *file, struct vmm_error **err);

#define vmm_auto_host_key __attribute__((cleanup(host_key_free)))

/* ------------------------------------------------------------------ joining (join.c) */

/* Paths that a node uses as a member of a cluster; tests have paths of their own. */
struct cluster_paths {
	const char *etc;	     /* directory of vmmigrate.conf, id_vmmigrate and known_hosts */
	const char *authorized_keys; /* of the user as whom the other nodes log in */
	const char *agent;	     /* the command that their keys may run here */
	const char *engine;	     /* the engine's path on the other node */
};

/* cluster_join and cluster_accept with these paths. */
int cluster_join_at(const struct cluster_paths *paths, const char *name, const char *address, bool accept,
		    struct json_object **report, struct vmm_error **err);
int cluster_remove_at(const struct cluster_paths *paths, const char *name, struct vmm_error **err);
int cluster_accept_at(const struct cluster_paths *paths, struct json_object *request, struct json_object **reply,
		      struct vmm_error **err);

#endif
