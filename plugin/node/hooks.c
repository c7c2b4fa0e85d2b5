/* hooks.c: administrators' programs that are run around a migration, and the table of when that is.
 *
 * They lie in /etc/vmmigrate/hooks.d/PHASE.d and in /usr/lib/vmmigrate/hooks.d/PHASE.d (for packages), and are called
 * NN-name. Of two with the same name the one in /etc is run; a link to /dev/null in /etc keeps the packaged one from
 * being run at all.
 */
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#include "node/local.h"

/* The Makefile takes the names of the directories from here. */
/* clang-format off */
const struct node_hook node_hooks[HOOK_COUNT] = {
	[HOOK_CHECK] = { .name = "check", .failure = HOOK_IS_FINDING, .limit_ms = 10000,
	  .help = "In every check, plan and dialog, and at the start of a run. It must change nothing." },
	[HOOK_PRE_MIGRATE] = { .name = "pre-migrate", .failure = HOOK_VETOES, .limit_ms = 60000,
	  .help = "Before anything is made on the target." },
	[HOOK_PRE_SWITCH] = { .name = "pre-switch", .failure = HOOK_VETOES, .limit_ms = 10000,
	  .help = "Just before the guest is stopped or its memory moves; the migration waits for it." },
	[HOOK_POST_MIGRATE] = { .name = "post-migrate", .failure = HOOK_WARNS, .limit_ms = 60000,
	  .help = "When the guest is on the target." },
	[HOOK_FAILED] = { .name = "failed", .failure = HOOK_WARNS, .limit_ms = 60000,
	  .help = "When the migration has failed and the guest is on the source." },
	[HOOK_CANCELLED] = { .name = "cancelled", .failure = HOOK_WARNS, .limit_ms = 60000,
	  .help = "When the migration was cancelled and the guest is on the source." },
};
/* clang-format on */

/* NULL where there is no hook of that name. */
static const struct node_hook *hook_named(const char *name)
{
	for (size_t i = 0; i < HOOK_COUNT; i++)
		if (!strcmp(node_hooks[i].name, name))
			return &node_hooks[i];
	return NULL;
}

/* ---------------------------------------------------------------- which programs are run */

/* NN-name: two digits, a dash, then letters, digits, '-' and '_'. This leaves out editors' backups and dpkg's
 * leftovers. */
static bool is_hook_name(const char *name)
{
	if (!isdigit((unsigned char)name[0]) || !isdigit((unsigned char)name[1]) || name[2] != '-' || !name[3])
		return false;
	return strspn(name + 3, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(name + 3);
}

/* Belongs to root (in tests: to us), and nobody else can write it. */
static bool is_ours(const struct stat *info)
{
	return (info->st_uid == 0 || info->st_uid == geteuid()) && !(info->st_mode & (S_IWGRP | S_IWOTH));
}

/* The same of all directories above a path, as sshd checks those above authorized_keys: who can write one of them can
 * put something else in the program's place. Not in one like /tmp, where each user can rename his own files only. */
static bool directories_are_ours(const char *path)
{
	vmm_auto_free char *above = str_copy(path);
	struct stat info;
	for (char *slash; (slash = strrchr(above, '/'));) {
		slash[slash == above] = 0;
		bool good = stat(above, &info) == 0 && (is_ours(&info) || (info.st_uid == 0 && info.st_mode & S_ISVTX));
		if (!good || !above[1])
			return good;
	}
	return false;
}

/* A program runs as root. Where the name is a link, both the link and what it leads to are looked at. */
static bool is_trusted(const char *path)
{
	struct stat info;
	vmm_auto_free char *real = realpath(path, NULL);
	return real && stat(real, &info) == 0 && S_ISREG(info.st_mode) && is_ours(&info) && (info.st_mode & S_IXUSR) &&
	       directories_are_ours(path) && directories_are_ours(real);
}

static bool is_masked(const char *path)
{
	char link[64];
	ssize_t length = readlink(path, link, sizeof(link) - 1);
	return length == 9 && !memcmp(link, "/dev/null", 9);
}

static int compare_base(const void *a, const void *b)
{
	return strcmp(path_base(json_object_get_string(*(struct json_object *const *)a)),
		      path_base(json_object_get_string(*(struct json_object *const *)b)));
}

/* The programs to run, as paths, in the order of their names. Files that are not run because of their name, owner or
 * mode are appended to odd[] of `reply`. */
static int find_programs(struct local_node *node, const struct node_hook *hook, struct json_object **programs,
			 struct json_object *reply, struct vmm_error **err)
{
	vmm_auto_free char *own = str_format("%s/hooks.d", node->paths->etc);
	const char *const roots[] = {own, node->paths->hooks};
	vmm_auto_json struct json_object *seen = json_object_new_object();
	vmm_auto_json struct json_object *found = json_object_new_array();
	for (size_t i = 0; i < VMM_COUNT(roots); i++) {
		vmm_auto_free char *dir = str_format("%s/%s.d", roots[i], hook->name);
		vmm_auto_json struct json_object *names = NULL;
		if (dir_list(dir, &names, err) < 0)
			return -1;
		json_each (item, names, "") {
			const char *name = json_text(item, "");
			vmm_auto_free char *path = str_format("%s/%s", dir, name);
			if (json_object_object_get_ex(seen, name, NULL))
				continue;
			json_object_object_add(seen, name, json_object_new_boolean(1));
			if (is_masked(path))
				continue;
			if (is_hook_name(name) && is_trusted(path))
				json_object_array_add(found, json_object_new_string(path));
			else
				json_append(reply, "odd", json_object_new_string(path));
		}
	}
	json_object_array_sort(found, compare_base);
	*programs = json_object_get(found);
	return 0;
}

/* ---------------------------------------------------------------- one program */

/* PATH, LC_ALL, VMMIGRATE_NODE and a VMMIGRATE_* variable for each member of the arguments' "environment" (null:
 * empty), in a list that ends in NULL. */
static char **environment_make(struct json_object *args, const char *node)
{
	struct json_object *members = json_at(args, "environment");
	size_t count = 4 + (members ? (size_t)json_object_object_length(members) : 0);
	char **list = mem_zero(count * sizeof(*list));
	size_t at = 0;
	list[at++] = str_copy("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	list[at++] = str_copy("LC_ALL=C.UTF-8");
	list[at++] = str_format("VMMIGRATE_NODE=%s", node);
	if (!members)
		return list;
	json_object_object_foreach(members, key, value)
	{
		char *line = str_format("VMMIGRATE_%s=%s", key, value ? json_object_get_string(value) : "");
		for (char *c = line; *c != '='; c++)
			*c = (char)toupper((unsigned char)*c);
		list[at++] = line;
	}
	return list;
}

static void environment_free(char **list)
{
	for (char **line = list; *line; line++)
		free(*line);
	free(list);
}

/* The last line of stderr that is not empty, cut out of `stderr_text`; "" where there is none. */
static const char *last_line(char *stderr_text)
{
	size_t length = strlen(stderr_text);
	while (length && isspace((unsigned char)stderr_text[length - 1]))
		stderr_text[--length] = 0;
	const char *line = strrchr(stderr_text, '\n');
	return line ? line + 1 : stderr_text;
}

/* How one program went. A program that cannot be run has failed, as one that ends with an error has. */
struct outcome {
	const char *code; /* NULL: it passed; else "vetoed" or "hook-timeout" */
	char *reason;	  /* of a failure; belongs to whoever ran it */
};

static struct outcome run_one(const struct node_hook *hook, const char *path, struct json_object *args, char **env)
{
	const char *const argv[] = {path, json_text_or(args, "id", ""), hook->name, NULL};
	struct run run = {.argv = argv,
			  .environment = (const char *const *)env,
			  .input = json_line(json_at(args, "input")),
			  .limit_ms = hook->limit_ms};
	struct run_result result;
	vmm_auto_error struct vmm_error *problem = NULL;
	struct outcome outcome = {0};
	if (run_program(&run, &result, &problem) < 0)
		return (struct outcome){"vetoed", str_copy(problem->message)};
	if (result.timed_out) {
		outcome.code = "hook-timeout";
		outcome.reason = str_format("it took longer than %d s and was ended", hook->limit_ms / 1000);
	} else if (result.status) {
		const char *line = last_line(result.err_out);
		outcome.code = "vetoed";
		outcome.reason = *line ? str_copy(line)
				       : str_format("it ended with status %d and gave no reason", result.status);
	}
	run_result_free(&result);
	return outcome;
}

/* ---------------------------------------------------------------- the operation */

/* Puts the outcome of one program into the reply; returns -1 where it ends the operation. */
static int take_outcome(const struct node_hook *hook, const char *path, const struct outcome *outcome,
			struct json_object *reply, struct vmm_error **err)
{
	if (!outcome->code)
		json_append(reply, "ran", json_object_new_string(path));
	else if (hook->failure == HOOK_VETOES)
		return error_set(err, VMM_BLOCKED, outcome->code, "hook %s: %s", path, outcome->reason);
	else if (hook->failure == HOOK_IS_FINDING)
		json_append(reply, "refused", json_make("hook:s reason:s", path, outcome->reason));
	else {
		vmm_auto_free char *line = str_format("hook %s: %s", path, outcome->reason);
		json_append(reply, "failed", json_object_new_string(line));
	}
	return 0;
}

static int run_all(struct local_node *node, const struct node_hook *hook, struct json_object *programs,
		   struct json_object *args, struct json_object *reply, struct vmm_error **err)
{
	char **env = environment_make(args, node->base.name);
	int done = 0;
	for (size_t i = 0; i < json_count(programs, "") && done == 0; i++) {
		const char *path = json_object_get_string(json_object_array_get_idx(programs, i));
		struct outcome outcome = run_one(hook, path, args, env);
		done = take_outcome(hook, path, &outcome, reply, err);
		free(outcome.reason);
	}
	environment_free(env);
	return done < 0 ? error_on_node(err, node->base.name) : 0;
}

int local_hooks(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *phase = json_text(args, "phase");
	const struct node_hook *hook = hook_named(phase);
	if (!hook)
		return error_set(err, VMM_FAILED, "not-supported", "node %s does not know the hook \"%s\"",
				 node->base.name, phase);
	vmm_auto_json struct json_object *programs = NULL;
	vmm_auto_json struct json_object *said =
		json_make("ran:o odd:o failed:o refused:o", json_object_new_array(), json_object_new_array(),
			  json_object_new_array(), json_object_new_array());
	if (find_programs(node, hook, &programs, said, err) < 0 || run_all(node, hook, programs, args, said, err) < 0)
		return -1;
	*reply = json_object_get(said);
	return 0;
}
