/* hold.c: a start that waits for our word. hooks/lxc/hold.c is the other side. */
#include <signal.h>
#include <string.h>

#include "lxc.h"

static char *hold_file(const char *id, const char *name)
{
	return str_format("/run/vmmigrate/lxc/%s/%s", id, name);
}

char *lxc_hold_directory(const char *id)
{
	return str_format("/run/vmmigrate/lxc/%s", id);
}

/* "PID START": the hook that waits. It takes the file away when it ends. */
bool lxc_is_held(const char *id)
{
	vmm_auto_free char *path = hold_file(id, "held"), *go = hold_file(id, "go"), *text = NULL;
	int pid;
	unsigned long long started;
	if (!file_there(path) || file_there(go) || file_read(path, 256, &text, NULL, NULL) < 0)
		return false;
	return sscanf(text, "%d %llu", &pid, &started) == 2 && process_started(pid) == started;
}

int lxc_hold_say(const char *id, const char *word, struct vmm_error **err)
{
	vmm_auto_free char *path = hold_file(id, word);
	return file_write(path, "", 0, 0600, err);
}

int lxc_hold_begin(const char *id, struct vmm_error **err)
{
	static const char *const words[] = {"held", "go", "end", "log"};
	vmm_auto_free char *directory = lxc_hold_directory(id);
	if (dir_make(directory, 0700, err) < 0)
		return -1;
	for (size_t i = 0; i < VMM_COUNT(words); i++) {
		vmm_auto_free char *path = hold_file(id, words[i]);
		if (file_remove(path, err) < 0)
			return -1;
	}
	return 0;
}
