/* lxc.c: the paths and the config of a container, and at the end the table of the kind. */
#include <string.h>

#include "lxc.h"

static int lxc_open(const struct guest_env *env, struct guest_host **host, struct vmm_error **err)
{
	const char *path = lxc_get_global_config_item("lxc.lxcpath");
	if (!file_there("/usr/bin/lxc-start")) {
		error_set(err, VMM_BLOCKED, "target-lxc-missing", "node %s has no LXC", env->node);
		return error_hint(err, "install the package lxc there");
	}
	struct lxc_host *lxc = mem_zero(sizeof(*lxc));
	lxc->base.ops = &guest_lxc;
	lxc->path = str_copy(path ? path : "/var/lib/lxc");
	*host = &lxc->base;
	return 0;
}

static void lxc_close(struct guest_host *host)
{
	free(((struct lxc_host *)host)->path);
	free(host);
}

/* ------------------------------------------------------------------ one container */

char *lxc_directory(struct guest_host *host, const char *id)
{
	return str_format("%s/%s", ((struct lxc_host *)host)->path, id);
}

char *lxc_active_config(struct guest_host *host, const char *id)
{
	return str_format("%s/%s/config", ((struct lxc_host *)host)->path, id);
}

char *lxc_inactive_config(struct guest_host *host, const char *id)
{
	return str_format("%s/%s/config.vmmigrate", ((struct lxc_host *)host)->path, id);
}

char *lxc_present_config(struct guest_host *host, const char *id)
{
	char *path = lxc_active_config(host, id);
	if (file_there(path))
		return path;
	free(path);
	path = lxc_inactive_config(host, id);
	if (file_there(path))
		return path;
	free(path);
	return NULL;
}

bool lxc_name_good(const char *id)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@:";
	return *id && strspn(id, good) == strlen(id) && name_check(id, "container", NULL) == 0;
}

void lxc_cleanup_container(struct lxc_container **container)
{
	if (*container)
		lxc_container_put(*container);
	*container = NULL;
}

int lxc_load(struct guest_host *host, const char *id, struct lxc_container **container, struct vmm_error **err)
{
	*container = NULL;
	if (name_check(id, "container", err) < 0)
		return -1;
	vmm_auto_free char *config = lxc_present_config(host, id), *active = lxc_active_config(host, id);
	if (!config) {
		error_set(err, VMM_NOT_FOUND, "no-such-guest", "there is no container %s here", id);
		return error_hint(err, "list them: vmmigrate list");
	}
	struct lxc_container *c = lxc_container_new(id, ((struct lxc_host *)host)->path);
	/* lxc_container_new reads the active config by itself. */
	if (!c || (strcmp(config, active) != 0 && !c->load_config(c, config))) {
		lxc_cleanup_container(&c);
		return error_set(err, VMM_FAILED, "bad-definition", "container %s: LXC cannot read %s", id, config);
	}
	*container = c;
	return 0;
}

char *lxc_item(struct lxc_container *c, const char *key)
{
	int length = c->get_config_item(c, key, NULL, 0);
	if (length <= 0)
		return NULL;
	char *value = mem_zero((size_t)length + 1);
	c->get_config_item(c, key, value, length + 1);
	while (length && value[length - 1] == '\n')
		value[--length] = 0;
	return value;
}

const char *lxc_value(const char *line, const char *key)
{
	size_t length = strlen(key);
	line += strspn(line, " \t");
	if (strncmp(line, key, length) != 0)
		return NULL;
	line += length;
	line += strspn(line, " \t");
	return *line == '=' ? line + 1 + strspn(line + 1, " \t") : NULL;
}

bool lxc_text_has(const char *text, const char *key, const char *value)
{
	vmm_auto_free char *copy = str_copy(text);
	for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
		const char *found = lxc_value(line, key);
		if (found && (!value || (strcspn(found, " \t\r") == strlen(value) && str_starts(found, value))))
			return true;
	}
	return false;
}

const char *lxc_state_of(struct lxc_container *c)
{
	static const char *const states[][2] = {
		{"STOPPED", "shutoff"}, {"RUNNING", "running"},	  {"FROZEN", "paused"},	    {"FREEZING", "paused"},
		{"THAWED", "running"},	{"STARTING", "starting"}, {"STOPPING", "shutdown"}, {"ABORTING", "shutdown"},
	};
	if (lxc_is_held(c->name))
		return "paused";
	const char *state = c->state(c);
	for (size_t i = 0; i < VMM_COUNT(states); i++)
		if (str_same(states[i][0], state))
			return states[i][1];
	return "shutoff";
}

const struct guest_ops guest_lxc = {
	.kind = "lxc",
	.label = "container",
	.edit = "its config",
	.resume = "lxc-unfreeze",
	.open = lxc_open,
	.close = lxc_close,
	.host_facts = lxc_host_facts,
	.list = lxc_list,
	.facts = lxc_facts,
	.fit = lxc_fit,
	.state = lxc_state,
	.rewrite = lxc_rewrite,
	.define = lxc_define,
	.undefine = lxc_undefine,
	.autostart = lxc_autostart,
	.own = lxc_own,
	.start = lxc_start,
	.release = lxc_release,
	.stop = lxc_stop,
	.destroy = lxc_destroy,
};
