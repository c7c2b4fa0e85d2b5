/* define.c: makes, activates, deactivates and removes a container's definition. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

/* A definition that an earlier call has written is no obstacle: its config is inactive and the container is off. */
static int check_name_free(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	vmm_auto_free char *active = lxc_active_config(host, id);
	struct vmm_error *problem = NULL;
	if (file_there(active))
		return error_set(err, VMM_BLOCKED, "name-taken", "container %s exists on this node already", id);
	if (lxc_load(host, id, &c, &problem) < 0) {
		error_clear(&problem);
		return 0;
	}
	return str_same(lxc_state_of(c), "shutoff")
		       ? 0
		       : error_set(err, VMM_BLOCKED, "name-taken", "container %s runs on this node", id);
}

/* The config gets its inactive name; lxc_own activates it. */
int lxc_define(struct guest_host *host, const char *definition, struct vmm_error **err)
{
	vmm_auto_json struct json_object *json = NULL;
	const char *id, *config;
	if (json_parse(definition, -1, "definition", &json, err) < 0 ||
	    json_need(json, "name", "definition", &id, err) < 0 ||
	    json_need(json, "config", "definition", &config, err) < 0)
		return -1;
	if (!lxc_name_good(id))
		return error_set(
			err, VMM_BLOCKED, "bad-name",
			"container \"%s\": its name has other characters than letters, digits and . _ - + @ :", id);
	if (check_name_free(host, id, err) < 0)
		return -1;
	vmm_auto_free char *directory = lxc_directory(host, id), *inactive = lxc_inactive_config(host, id);
	if (dir_make(directory, 0700, err) < 0 || lxc_extra_files_write(directory, json_at(json, "files"), err) < 0 ||
	    file_write(inactive, config, strlen(config), 0640, err) < 0)
		return -1;
	mode_t mode = json_at(json, "config_mode") ? (mode_t)json_number(json, "config_mode") & 07777 : 0644;
	if (chown(inactive, (uid_t)json_number(json, "config_uid"), (gid_t)json_number(json, "config_gid")) < 0 ||
	    chmod(inactive, mode) < 0)
		return error_errno(err, errno, "set owner and mode of %s", inactive);
	if (chown(directory, (uid_t)json_number(json, "uid"), (gid_t)json_number(json, "gid")) < 0 ||
	    chmod(directory, (mode_t)json_number(json, "mode") & 07777) < 0)
		return error_errno(err, errno, "set owner and mode of %s", directory);
	return 0;
}

int lxc_own(struct guest_host *host, const char *id, bool own, struct vmm_error **err)
{
	if (name_check(id, "container", err) < 0)
		return -1;
	vmm_auto_free char *active = lxc_active_config(host, id), *inactive = lxc_inactive_config(host, id);
	const char *from = own ? inactive : active, *to = own ? active : inactive;
	if (!file_there(from))
		return 0;
	/* Fails where both exist: somebody has written a config while ours was inactive. */
	return file_rename_new(from, to, err);
}

int lxc_undefine(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	vmm_auto_extra_files struct lxc_extra_files extra = {0};
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
		return error_set(err, VMM_FAILED, "guest-state", "container %s runs: its definition is not removed",
				 id);
	vmm_auto_free char *directory = lxc_directory(host, id), *active = lxc_active_config(host, id),
			   *inactive = lxc_inactive_config(host, id);
	vmm_auto_json struct json_object *volumes = lxc_volumes(host, c);
	if (lxc_extra_files_read(directory, volumes, &extra, err) < 0)
		return -1;
	lxc_extra_files_remove(directory, volumes, extra.files);
	if (file_remove(active, err) < 0 || file_remove(inactive, err) < 0)
		return -1;
	rmdir(directory); /* stays where volumes, or logs, are still in it */
	return 0;
}

/* Nothing to do: autostart is a line of the config, and the config is active on one node only. */
int lxc_autostart(struct guest_host *host, const char *id, bool on, struct vmm_error **err)
{
	(void)host, (void)id, (void)on, (void)err;
	return 0;
}
