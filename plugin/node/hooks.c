/* hooks.c: administrators' scripts round a migration.
 *
 * /etc/vmmigrate/hooks.d/PHASE.d/NN-name over /usr/lib/vmmigrate/hooks.d: the same name overrides, a link to /dev/null masks.
 */
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#include "node/local.h"

enum { HOOK_LIMIT_MS = 60000, HOOK_SWITCH_LIMIT_MS = 10000 };

/* Phases in which a non-zero exit vetoes. */
static const char *const hook_vetoes[] = {"check", "pre-migrate", "pre-switch"};

static bool may_veto(const char *phase)
{
	for (size_t i = 0; i < VMM_COUNT(hook_vetoes); i++)
		if (!strcmp(hook_vetoes[i], phase))
			return true;
	return false;
}

/* NN-name: two digits, a dash, then letters, digits, '-' and '_'. So editors' backups and dpkg's leftovers do not run. */
static bool is_hook_name(const char *name)
{
	if (!isdigit((unsigned char)name[0]) || !isdigit((unsigned char)name[1]) || name[2] != '-' || !name[3])
		return false;
	return strspn(name + 3, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(name + 3);
}

/* Nothing that others than root (or, in a test, ourselves) can write is run. */
static bool is_trusted(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && S_ISREG(info.st_mode) && (info.st_uid == 0 || info.st_uid == geteuid()) &&
	       !(info.st_mode & (S_IWGRP | S_IWOTH)) && (info.st_mode & S_IXUSR);
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

/* Paths to run, in the order of their names; what looks odd is reported in `odd`. */
static int find(struct local_node *node, const char *phase, struct json_object **paths, struct json_object *odd,
		struct vmm_error **err)
{
	vmm_auto_free char *own = str_format("%s/hooks.d", node->paths->etc);
	const char *const rooms[] = {own, node->paths->hooks};
	vmm_auto_json struct json_object *seen = json_object_new_object();
	vmm_auto_json struct json_object *found = json_object_new_array();
	for (size_t i = 0; i < VMM_COUNT(rooms); i++) {
		vmm_auto_free char *dir = str_format("%s/%s.d", rooms[i], phase);
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
				json_append(odd, "odd", json_object_new_string(path));
		}
	}
	json_object_array_sort(found, compare_base);
	*paths = json_object_get(found);
	return 0;
}

/* VMMIGRATE_* variables from the arguments' "environment", in a list that ends in NULL. */
static char **environment(struct json_object *args, const char *node)
{
	size_t count = 4;
	json_object_object_foreach(json_at(args, "environment"), unused_key, unused_value)
	{
		(void)unused_key, (void)unused_value;
		count++;
	}
	char **list = mem_zero((count + 1) * sizeof(*list));
	size_t at = 0;
	list[at++] = str_copy("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	list[at++] = str_copy("LC_ALL=C.UTF-8");
	list[at++] = str_format("VMMIGRATE_NODE=%s", node);
	json_object_object_foreach(json_at(args, "environment"), key, value)
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

/* The last line that says something: the hook's own reason. */
static const char *reason_of(char *text)
{
	size_t length = strlen(text);
	while (length && isspace((unsigned char)text[length - 1]))
		text[--length] = 0;
	const char *line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

static int run_one(const char *path, struct json_object *args, const char *phase, char **env, struct vmm_error **err)
{
	const char *const argv[] = {path, json_text_or(args, "id", ""), phase, NULL};
	struct run run = {.argv = argv,
			  .environment = (const char *const *)env,
			  .input = json_line(json_at(args, "input")),
			  .limit_ms = strcmp(phase, "pre-switch") ? HOOK_LIMIT_MS : HOOK_SWITCH_LIMIT_MS};
	struct run_result result;
	if (run_program(&run, &result, err) < 0)
		return -1;
	int done = 0;
	if (result.timed_out)
		done = error_set(err, VMM_BLOCKED, "hook-timeout", "hook %s took longer than %d s and was ended", path,
				 run.limit_ms / 1000);
	else if (result.status)
		done = error_set(err, VMM_BLOCKED, "vetoed", "hook %s: %s", path,
				 *result.err_out ? reason_of(result.err_out) : "ended with an error and no words");
	run_result_free(&result);
	return done;
}

int local_hooks(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *phase;
	if (json_need(args, "phase", "call", &phase, err) < 0 || name_check(phase, "phase", err) < 0)
		return -1;
	*reply = json_make("ran:o odd:o failed:o", json_object_new_array(), json_object_new_array(),
			   json_object_new_array());
	vmm_auto_json struct json_object *paths = NULL;
	if (find(node, phase, &paths, *reply, err) < 0)
		return -1;
	char **env = environment(args, node->base.name);
	int done = 0;
	json_each (path, paths, "") {
		struct vmm_error *problem = NULL;
		if (done < 0)
			continue;
		if (run_one(json_text(path, ""), args, phase, env, &problem) == 0) {
			json_append(*reply, "ran", json_object_get(path));
			continue;
		}
		if (may_veto(phase)) {
			error_take(err, problem);
			error_on_node(err, node->base.name);
			done = -1;
		} else {
			json_append(*reply, "failed", json_object_new_string(problem->message));
			error_clear(&problem);
		}
	}
	environment_free(env);
	if (done < 0) {
		json_object_put(*reply);
		*reply = NULL;
	}
	return done;
}
