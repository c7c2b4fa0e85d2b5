/* fit.c: would the container find here what it needs? */
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

/* The config's own objections: what the target's LXC could not read or use. */
static char *objection(struct json_object *guest)
{
	if (!lxc_name_good(json_text_or(guest, "id", "")))
		return str_copy("its name has characters that LXC's hooks do not take");
	json_each (include, guest, "includes")
		if (*json_text_or(include, "", "") == '/' && !file_there(json_text(include, "")))
			return str_format("its config includes %s, which is not here", json_text(include, ""));
	json_each (left, guest, "left")
		return str_format("its directory holds %s, which cannot travel with it (not a small plain file)",
				  json_text_or(left, "", "?"));
	return NULL;
}

static struct json_object *missing_mounts(struct json_object *guest)
{
	struct json_object *missing = json_object_new_array();
	json_each (mount, guest, "mounts")
		if (!json_true(mount, "optional") && !file_there(json_text_or(mount, "source", "/")))
			json_object_array_add(missing, json_object_get(json_at(mount, "source")));
	return missing;
}

int lxc_fit(struct guest_host *host, struct json_object *guest, struct json_object **fit, struct vmm_error **err)
{
	(void)host, (void)err;
	vmm_auto_free char *no = objection(guest);
	*fit = json_make("machine:b cpu:s cpu_missing:o definition:s mounts_missing:o", 1, "ok",
			 json_object_new_array(), no, missing_mounts(guest));
	return 0;
}
