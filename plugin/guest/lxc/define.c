/* define.c: definitions come, get their name, lose it, and go. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

static int nobody_in_the_way(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	vmm_auto_free char *own = lxc_config(host, id);
	struct vmm_error *problem = NULL;
	if (file_there(own))
		return error_set(err, VMM_BLOCKED, "name-taken", "container %s is here already", id);
	if (lxc_load(host, id, &c, &problem) < 0) {
		error_clear(&problem);
		return 0;
	}
	return str_same(lxc_state_of(c), "shutoff")
		       ? 0
		       : error_set(err, VMM_BLOCKED, "name-taken", "container %s runs here", id);
}

/* Under its name aside: `own` gives it the real one. */
int lxc_define(struct guest_host *host, const char *definition, struct vmm_error **err)
{
	vmm_auto_json struct json_object *json = NULL;
	const char *id, *config;
	if (json_parse(definition, -1, "definition", &json, err) < 0 ||
	    json_need(json, "name", "definition", &id, err) < 0 ||
	    json_need(json, "config", "definition", &config, err) < 0)
		return -1;
	if (!lxc_name_good(id))
		return error_set(err, VMM_BLOCKED, "bad-name", "container \"%s\": its name has odd characters", id);
	if (nobody_in_the_way(host, id, err) < 0)
		return -1;
	vmm_auto_free char *directory = lxc_directory(host, id), *aside = lxc_aside(host, id);
	if (dir_make(directory, 0700, err) < 0 || lxc_belongings_make(directory, json_at(json, "files"), err) < 0 ||
	    file_write(aside, config, strlen(config), 0640, err) < 0)
		return -1;
	if (chmod(aside, 0644) < 0 ||
	    chown(directory, (uid_t)json_number(json, "uid"), (gid_t)json_number(json, "gid")) < 0 ||
	    chmod(directory, (mode_t)json_number(json, "mode") & 07777) < 0)
		return error_errno(err, errno, "owner and mode of %s", directory);
	return 0;
}

int lxc_own(struct guest_host *host, const char *id, bool own, struct vmm_error **err)
{
	if (name_check(id, "container", err) < 0)
		return -1;
	vmm_auto_free char *config = lxc_config(host, id), *aside = lxc_aside(host, id);
	const char *from = own ? aside : config, *to = own ? config : aside;
	if (!file_there(from))
		return 0;
	/* Both are there only where somebody wrote a config while the other was aside. */
	return file_rename_new(from, to, err);
}

int lxc_undefine(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	vmm_auto_json struct json_object *files = NULL, *left = json_object_new_array();
	struct vmm_error *problem = NULL;
	if (lxc_load(host, id, &c, &problem) < 0) {
		if (error_is(problem, "no-such-guest")) {
			error_clear(&problem);
			return 0;
		}
		error_take(err, problem);
		return -1;
	}
	if (!str_same(lxc_state_of(c), "shutoff"))
		return error_set(err, VMM_FAILED, "guest-state", "container %s runs: its definition stays", id);
	vmm_auto_free char *directory = lxc_directory(host, id), *config = lxc_config(host, id),
			   *aside = lxc_aside(host, id);
	vmm_auto_json struct json_object *volumes = lxc_volumes(host, c);
	if (lxc_belongings(directory, volumes, &files, left, err) < 0)
		return -1;
	lxc_belongings_remove(directory, files);
	if (file_remove(config, err) < 0 || file_remove(aside, err) < 0)
		return -1;
	rmdir(directory); /* its volumes may still be in it */
	return 0;
}

/* Autostart and groups are lines of the config, which has its name on one node only: there is nothing to switch. */
int lxc_autostart(struct guest_host *host, const char *id, bool on, struct vmm_error **err)
{
	(void)host, (void)id, (void)on, (void)err;
	return 0;
}
