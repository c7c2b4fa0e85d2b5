/* config.h: within the room - the tables that vmmigrate.conf and its manual page are made of, and the parser. */
#ifndef VMM_CLUSTER_CONFIG_H
#define VMM_CLUSTER_CONFIG_H

#include "cluster/cluster.h"

/* libinih keeps that much of a section's words, "node " or "storage " included. */
enum { CONFIG_NAME_LIMIT = 48 };

enum config_type {
	CONFIG_FLAG,	 /* yes or no → a boolean */
	CONFIG_NUMBER,	 /* an integer from `least` to `most` */
	CONFIG_DURATION, /* "30d" → seconds */
	CONFIG_KEEP,	 /* yes, no, or days: a boolean, or the number of days */
	CONFIG_CHOICE,	 /* one of "a|b" */
	CONFIG_ADDRESS,	 /* host name, IPv4 or IPv6 address */
	CONFIG_NETWORK,	 /* CIDR */
	CONFIG_PORTS,	 /* "A-B", or one */
	CONFIG_PATH,	 /* absolute */
	CONFIG_NODE,	 /* a node's name */
	CONFIG_NAME,	 /* a user's name */
};

struct config_key {
	const char *name;
	enum config_type type;
	const char *choices;
	int64_t least, most;
	const char *help; /* for the manual */
};

struct config_section {
	const char *name;
	bool named; /* [node NAME], or [migration] */
	const struct config_key *keys;
	size_t key_count;
	const char *help;
};

extern const struct config_section config_sections[];
extern const size_t config_section_count;

/* As cluster_load, from text; `file` is for messages. Without "self". */
int config_parse(const char *file, const char *text, struct json_object **config, struct vmm_error **err);

/* What stands between the brackets of a line, or NULL where it is no section's; belongs to the caller. */
char *config_section_of(const char *line, size_t length);

/* Letters, digits, '-' and '_': what may name a node. */
bool config_node_name(const char *name);
/* What may be an address: it becomes an argument of ssh. */
bool config_address(const char *address);

/* Error "bad-name" where one of them is not what may stand in the file. */
int cluster_node_check(const char *name, const char *address, struct vmm_error **err);
/* As cluster_add_node, with the port of ssh; 0: it is left as it is. */
int cluster_add_node_at(const char *path, const char *name, const char *address, int port, struct vmm_error **err);

/* For json_object_array_sort, on arrays of strings. */
int config_by_text(const void *a, const void *b);

#endif
