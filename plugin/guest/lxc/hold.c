/* hold.c: our side of a held start. The hook (hooks/lxc/hold.c) keeps the container from running until we answer. */
#include <signal.h>
#include <string.h>

#include "lxc.h"

char *lxc_hold_file(const char *id, const char *name)
{
	return str_format("/run/vmmigrate/lxc/%s/%s", id, name);
}

/* "held" names the hook that waits: "PID START", START being when that process began. The hook removes the file when it
 * ends; a hook that was killed leaves it, so the process is looked for as well. */
bool lxc_is_held(const char *id)
{
	vmm_auto_free char *path = lxc_hold_file(id, "held"), *go = lxc_hold_file(id, "go"), *text = NULL;
	int pid;
	unsigned long long started;
	if (!file_there(path) || file_there(go) || file_read(path, 256, &text, NULL, NULL) < 0)
		return false;
	return sscanf(text, "%d %llu", &pid, &started) == 2 && process_started(pid) == started;
}

int lxc_hold_answer(const char *id, const char *answer, struct vmm_error **err)
{
	vmm_auto_free char *path = lxc_hold_file(id, answer);
	return file_write(path, "", 0, 0600, err);
}

int lxc_hold_reset(const char *id, struct vmm_error **err)
{
	static const char *const names[] = {"held", "go", "end", "log"};
	vmm_auto_free char *directory = str_format("/run/vmmigrate/lxc/%s", id);
	if (dir_make(directory, 0700, err) < 0)
		return -1;
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		vmm_auto_free char *path = lxc_hold_file(id, names[i]);
		if (file_remove(path, err) < 0)
			return -1;
	}
	return 0;
}
