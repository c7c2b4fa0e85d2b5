/* options.c: the table of options. Names and meanings are Proxmox VE's where it has one, virsh's for the rest. */
#include <string.h>

#include "plan/plan.h"

/* clang-format off */
const struct option request_options[] = {
	{ .name = "online", .type = OPTION_FLAG, .group = "mode",
	  .help = "Move a running VM live: it goes on running, and stands for a fraction of a second." },
	{ .name = "non_live", .type = OPTION_FLAG, .group = "mode",
	  .help = "Move a running VM with its memory, but let it stand meanwhile: for guests that write too fast "
		  "to move live." },
	{ .name = "restart", .type = OPTION_FLAG, .group = "mode",
	  .help = "Shut the guest down here and start it on the target; local disks are copied before, while it "
		  "still runs." },

	{ .name = "no_precopy", .type = OPTION_FLAG, .group = "mode",
	  .help = "Do not copy local disks while the guest still runs: shut it down first." },
	{ .name = "track", .type = OPTION_CHOICE, .argument = "HOW", .choices = "reflink|none", .group = "mode",
	  .help = "How to learn what a running guest has written meanwhile: from a snapshot that shares its "
		  "blocks (XFS, btrfs; there by itself), or by reading all again." },
	{ .name = "targetstorage", .type = OPTION_STORAGES, .argument = "STORAGE|FROM:TO,...", .group = "mode",
	  .help = "Storage of the target that copied volumes go to; FROM:TO says it for those that lie on the "
		  "storage FROM." },
	{ .name = "timeout", .type = OPTION_NUMBER, .argument = "SECONDS", .group = "limits", .standard = "180",
	  .least = 1, .most = 86400,
	  .help = "Seconds that the guest has for an orderly shutdown; then the migration is undone and the guest "
		  "goes on running." },
	{ .name = "force_stop", .type = OPTION_FLAG, .group = "limits",
	  .help = "Kill the guest when the time for its shutdown is over, as if its power were cut." },
	{ .name = "max_downtime", .type = OPTION_NUMBER, .argument = "MS", .group = "limits", .setting = "max_downtime",
	  .least = 1, .most = 2000000,
	  .help = "Milliseconds that a live migration may make the guest stand at most; reached in steps from 100." },
	{ .name = "on_stall", .type = OPTION_CHOICE, .argument = "WHAT", .choices = "abort|suspend",
	  .group = "limits", .standard = "abort",
	  .help = "What to do when a guest writes memory faster than it can be moved: give up, or let it stand "
		  "for the rest." },
	{ .name = "bwlimit", .type = OPTION_NUMBER, .argument = "KIB/S", .group = "limits", .setting = "bwlimit",
	  .least = 0, .most = INT64_C(1) << 40,
	  .help = "KiB a second that disks and memory may take together (memory: 1024 at least); 0 is no limit." },
	{ .name = "parallel_connections", .type = OPTION_NUMBER, .argument = "N", .group = "limits", .least = 1,
	  .most = 8,
	  .help = "Connections over which disks are copied at the same time; without it one, and more as long as "
		  "they make it faster." },

	{ .name = "migration_network", .type = OPTION_NETWORK, .argument = "CIDR", .group = "network",
	  .setting = "network",
	  .help = "The network, such as 10.0.0.0/24, whose addresses of the nodes carry an insecure migration's "
		  "memory." },
	{ .name = "migration_type", .type = OPTION_CHOICE, .argument = "TYPE", .choices = "secure|insecure",
	  .group = "network",
	  .standard = "secure", .setting = "type",
	  .help = "Memory goes through ssh or TLS, or in the clear over the migration network." },

	{ .name = "data", .type = OPTION_CHOICE, .argument = "HOW", .choices = "ssh|tls", .group = "network",
	  .standard = "ssh",
	  .help = "Disks are copied over ssh, or over TLS on a port of the target (data_ports in its "
		  "vmmigrate.conf), with a key that ssh has brought." },

	{ .name = "map_network", .type = OPTION_MAP, .argument = "FROM=TO,...", .group = "network",
	  .help = "Bridges by another name on the target, for a guest that is started there." },
	{ .name = "map_mount", .type = OPTION_MAP, .argument = "FROM=TO,...", .group = "safety",
	  .help = "Directories of the host that a container mounts, by another path on the target." },

	{ .name = "force", .type = OPTION_FLAG, .group = "safety",
	  .help = "Move a running VM that uses USB, serial or parallel devices of its host; they do not come along." },
	{ .name = "unsafe", .type = OPTION_FLAG, .group = "safety",
	  .help = "Move a VM live although the cache mode of a disk makes it possible that the target reads old "
		  "data." },
	{ .name = "replace", .type = OPTION_FLAG, .group = "safety",
	  .help = "Set aside a stopped guest or a file that is in the way on the target; it is removed when the "
		  "migration has succeeded." },
	{ .name = "keep_seed", .type = OPTION_FLAG, .group = "safety",
	  .help = "Keep the source's copied volumes as seeds: the way back then sends only what has changed." },
	{ .name = "digest", .type = OPTION_CHOICE, .argument = "NAME", .choices = "poly1305|sha256",
	  .group = "safety", .standard = "poly1305",
	  .help = "What disks are compared and verified by; sha256, for who has to name it in an audit, takes "
		  "more time." },
	{ .name = "verify", .type = OPTION_CHOICE, .argument = "WHAT", .choices = "changed|full",
	  .group = "safety", .standard = "changed",
	  .help = "Of a container's files, compare the contents of those that were touched since the first round, "
		  "or of all." },
	{ .name = "ignore", .type = OPTION_LIST, .argument = "CODE,...", .group = "safety",
	  .help = "Checks whose refusal is overridden, by their codes; only some can be." },
};
/* clang-format on */
const size_t request_option_count = VMM_COUNT(request_options);

static bool alike(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && (*a != '-' || *b != '_') && (*a != '_' || *b != '-'))
			return false;
	return *a == *b;
}

const struct option *option_find(const char *name)
{
	for (size_t i = 0; i < request_option_count; i++)
		if (alike(request_options[i].name, name))
			return &request_options[i];
	return NULL;
}

static struct json_object *choices_of(const struct option *option)
{
	struct json_object *choices = json_object_new_array();
	for (const char *at = option->choices; at && *at; at += strspn(at, "|")) {
		size_t length = strcspn(at, "|");
		json_object_array_add(choices, json_object_new_string_len(at, (int)length));
		at += length;
	}
	return choices;
}

struct json_object *options_to_json(void)
{
	static const char *const types[] = {
		[OPTION_FLAG] = "flag",	      [OPTION_NUMBER] = "number", [OPTION_CHOICE] = "choice",
		[OPTION_NETWORK] = "network", [OPTION_LIST] = "list",	  [OPTION_STORAGES] = "list",
		[OPTION_MAP] = "list",
	};
	struct json_object *all = json_object_new_array();
	for (size_t i = 0; i < request_option_count; i++) {
		const struct option *option = &request_options[i];
		struct json_object *row =
			json_make("name:s type:s argument:s default:s group:s help:s", option->name,
				  types[option->type], option->argument, option->standard, option->group, option->help);
		if (option->type == OPTION_CHOICE)
			json_put(row, "choices:o", choices_of(option));
		if (option->type == OPTION_NUMBER)
			json_put(row, "least:i most:i", option->least, option->most);
		json_object_array_add(all, row);
	}
	return all;
}
