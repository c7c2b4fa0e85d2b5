/* guard.c: is our hook in force? */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "qemu.h"

#define HOOK	 "/etc/libvirt/hooks/qemu"
#define HOOK_DIR HOOK ".d"
#define GUARD	 HOOK_DIR "/vmmigrate"

/* libvirtd looks for hooks of a driver when it starts (virHookInitialize): an executable file `qemu`, or one in
 * `qemu.d`. It keeps only whether there was any, and then runs whatever is executable there at the time of each call.
 * So ours is in force if the daemon found any hook of the driver at its start, ours or another.
 *
 * What was there then cannot be asked; but an executable hook whose inode has not changed since the daemon wrote its
 * pid file - which it does just before it looks - was there and executable. A replaced or chmod'ed hook counts as new,
 * and so does one that a reload (SIGHUP, which makes it look again) has found: doubt says "not-loaded", and a restart
 * of the daemon settles it. Both times come from the same clock, so that it does not matter where that has been set to
 * since. */

static bool earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec <= b->tv_nsec;
}

static bool is_daemon(const char *pid_file)
{
	vmm_auto_free char *text = NULL, *name = NULL;
	if (file_read(pid_file, 64, &text, NULL, NULL) < 0)
		return false;
	vmm_auto_free char *comm = str_format("/proc/%ld/comm", strtol(text, NULL, 10));
	return file_read(comm, 64, &name, NULL, NULL) == 0 &&
	       (!strcmp(name, "libvirtd\n") || !strcmp(name, "virtqemud\n"));
}

/* When the daemon that serves QEMU began. The modular daemon's socket, where it is there, is the one that clients
 * choose. */
static bool daemon_began(struct timespec *began)
{
	static const char *const pid_files[] = {"/run/virtqemud.pid", "/run/libvirtd.pid"};
	for (size_t i = 0; i < VMM_COUNT(pid_files); i++) {
		struct stat st;
		if (is_daemon(pid_files[i]) && stat(pid_files[i], &st) == 0) {
			*began = st.st_mtim;
			return true;
		}
	}
	return false;
}

static bool was_there(const char *hook, const struct timespec *began)
{
	struct stat st;
	return stat(hook, &st) == 0 && S_ISREG(st.st_mode) && access(hook, X_OK) == 0 && earlier(&st.st_ctim, began);
}

static bool any_was_there(const struct timespec *began)
{
	vmm_auto_json struct json_object *names = NULL;
	if (was_there(HOOK, began))
		return true;
	if (dir_list(HOOK_DIR, &names, NULL) < 0)
		return false;
	json_each (name, names, "") {
		vmm_auto_free char *path = str_format(HOOK_DIR "/%s", json_text(name, ""));
		if (was_there(path, began))
			return true;
	}
	return false;
}

const char *qemu_guard_status(void)
{
	struct stat st;
	struct timespec began;
	if (stat(GUARD, &st) < 0)
		return "missing";
	if (!S_ISREG(st.st_mode) || access(GUARD, X_OK) < 0)
		return "not-executable";
	return daemon_began(&began) && any_was_there(&began) ? "active" : "not-loaded";
}
