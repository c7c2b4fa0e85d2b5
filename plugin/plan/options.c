/* options.c: the table of options. Their names and meanings are Proxmox VE's, or virsh's where Proxmox VE has none. */
#include <string.h>

#include "plan/plan.h"

/* clang-format off */
const struct option request_options[] = {
	{ .name = "online", .type = OPTION_FLAG, .group = "mode",
	  .help = "Move a running VM live: it keeps running, and pauses for a fraction of a second." },
	{ .name = "non_live", .type = OPTION_FLAG, .group = "mode",
	  .help = "Pause a running VM while its memory moves: for guests that write too fast to move live." },
	{ .name = "restart", .type = OPTION_FLAG, .group = "mode",
	  .help = "Shut the guest down here and start it on the target; local disks are copied before that, while it "
		  "still runs." },

	{ .name = "no_precopy", .type = OPTION_FLAG, .group = "mode",
	  .help = "Shut the guest down first, and copy its local disks only then." },
	{ .name = "track", .type = OPTION_CHOICE, .argument = "HOW", .choices = "reflink|none", .group = "mode",
	  .help = "How to find what a running guest has written since the last round: from a reflink snapshot (the "
		  "default on XFS and btrfs), or by reading everything again." },
	{ .name = "targetstorage", .type = OPTION_STORAGES, .argument = "STORAGE|FROM:TO,...", .group = "mode",
	  .help = "Storage on the target for the volumes that are copied; FROM:TO applies to volumes on the storage "
		  "FROM only." },
	{ .name = "timeout", .type = OPTION_NUMBER, .argument = "SECONDS", .group = "limits", .standard = "180",
	  .least = 1, .most = 86400,
	  .help = "Seconds that the guest has for an orderly shutdown; after that the migration is undone and the "
		  "guest keeps running." },
	{ .name = "force_stop", .type = OPTION_FLAG, .group = "limits",
	  .help = "If the guest has not shut down within --timeout, kill it, as a power cut would." },
	{ .name = "max_downtime", .type = OPTION_NUMBER, .argument = "MS", .group = "limits", .setting = "max_downtime",
	  .least = 1, .most = 2000000,
	  .help = "Longest pause of the guest in a live migration, in milliseconds; it begins with 100 and is raised "
		  "in steps up to this." },
	{ .name = "on_stall", .type = OPTION_CHOICE, .argument = "WHAT", .choices = "abort|suspend",
	  .group = "limits", .standard = "abort",
	  .help = "What to do if a guest writes memory faster than it crosses: abort the migration, or suspend the "
		  "guest until the rest has crossed." },
	{ .name = "bwlimit", .type = OPTION_NUMBER, .argument = "KIB/S", .group = "limits", .setting = "bwlimit",
	  .least = 0, .most = INT64_C(1) << 40,
	  .help = "Rate limit for disks and memory together, in KiB/s (memory gets at least 1024); 0: no limit." },
	{ .name = "parallel_connections", .type = OPTION_NUMBER, .argument = "N", .group = "limits", .least = 1,
	  .most = 8,
	  .help = "Number of connections that disks are copied over in parallel; by default it is raised from one for "
		  "as long as that makes the copy faster." },

	{ .name = "migration_network", .type = OPTION_NETWORK, .argument = "CIDR", .group = "network",
	  .setting = "network",
	  .help = "With --migration-type insecure: memory crosses between the nodes' addresses in this network "
		  "(10.0.0.0/24), and the target listens at no other." },
	{ .name = "migration_type", .type = OPTION_CHOICE, .argument = "TYPE", .choices = "secure|insecure",
	  .group = "network",
	  .standard = "secure", .setting = "type",
	  .help = "Memory crosses through ssh, to the target's address in vmmigrate.conf (secure), or unencrypted "
		  "over TCP (insecure)." },

	{ .name = "data", .type = OPTION_CHOICE, .argument = "HOW", .choices = "ssh|tls", .group = "network",
	  .standard = "ssh",
	  .help = "Copy disks over ssh, or over TLS on a port of the target (data_ports in its vmmigrate.conf) with a "
		  "key that is sent over ssh." },

	{ .name = "map_network", .type = OPTION_MAP, .argument = "FROM=TO,...", .group = "network",
	  .help = "Bridges that have another name on the target; for a guest that is started there." },
	{ .name = "map_mount", .type = OPTION_MAP, .argument = "FROM=TO,...", .group = "safety",
	  .help = "Host directories that a container mounts and that have another path on the target." },

	{ .name = "force", .type = OPTION_FLAG, .group = "safety",
	  .help = "Move a running VM although it uses USB, serial or parallel devices of its host, which stay "
		  "behind." },
	{ .name = "unsafe", .type = OPTION_FLAG, .group = "safety",
	  .help = "Move a VM live although the cache mode of one of its disks means that the target may read old "
		  "data." },
	{ .name = "replace", .type = OPTION_FLAG, .group = "safety",
	  .help = "Set aside a stopped guest or a file that is in the way on the target; it is removed after a "
		  "successful migration." },
	{ .name = "keep_seed", .type = OPTION_FLAG, .group = "safety",
	  .help = "Keep the copied volumes on the source as seeds: a migration back then sends only what has "
		  "changed." },
	{ .name = "digest", .type = OPTION_CHOICE, .argument = "NAME", .choices = "poly1305|sha256",
	  .group = "safety", .standard = "poly1305",
	  .help = "Digest that disks are compared and verified with; sha256 takes longer, and is for audits that ask "
		  "for it." },
	{ .name = "verify", .type = OPTION_CHOICE, .argument = "WHAT", .choices = "changed|full",
	  .group = "safety", .standard = "changed",
	  .help = "Compare the contents of a container's files that have changed since the first round, or of all its "
		  "files." },
	{ .name = "ignore", .type = OPTION_LIST, .argument = "CODE,...", .group = "safety",
	  .help = "Codes of checks whose refusal is overridden; the manual says which can be." },
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
