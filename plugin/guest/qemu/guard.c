/* guard.c: whether libvirtd runs our hook. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "qemu.h"

#define HOOK	 "/etc/libvirt/hooks/qemu"
#define HOOK_DIR HOOK ".d"
#define GUARD	 HOOK_DIR "/vmmigrate"

/* libvirtd looks for hooks of a driver when it starts (virHookInitialize): an executable file `qemu`, or one in
 * `qemu.d`. It remembers only whether there was any; if so, each call runs whatever is executable there at that time.
 * So our hook runs if the daemon found any hook of the driver at its start, ours or another.
 *
 * The daemon cannot be asked what it found. But it writes its pid file just before it looks: an executable hook whose
 * inode has not changed since then was there. A hook that was replaced, whose mode was changed, or that was found by
 * a reload (SIGHUP) looks newer than it has to; the answer is "not-loaded" then, and right again after a restart of
 * the daemon. Both times are from the same clock, so it does not matter if that clock has been set since. */

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

/* When the daemon that serves QEMU was started. virtqemud comes first: where it runs, clients connect to its socket. */
static bool daemon_started(struct timespec *started)
{
	static const char *const pid_files[] = {"/run/virtqemud.pid", "/run/libvirtd.pid"};
	for (size_t i = 0; i < VMM_COUNT(pid_files); i++) {
		struct stat st;
		if (is_daemon(pid_files[i]) && stat(pid_files[i], &st) == 0) {
			*started = st.st_mtim;
			return true;
		}
	}
	return false;
}

static bool was_there(const char *hook, const struct timespec *started)
{
	struct stat st;
	return stat(hook, &st) == 0 && S_ISREG(st.st_mode) && access(hook, X_OK) == 0 && earlier(&st.st_ctim, started);
}

static bool any_was_there(const struct timespec *started)
{
	vmm_auto_json struct json_object *names = NULL;
	if (was_there(HOOK, started))
		return true;
	if (dir_list(HOOK_DIR, &names, NULL) < 0)
		return false;
	json_each (name, names, "") {
		vmm_auto_free char *path = str_format(HOOK_DIR "/%s", json_text(name, ""));
		if (was_there(path, started))
			return true;
	}
	return false;
}

const char *qemu_guard_status(void)
{
	struct stat st;
	struct timespec started;
	if (stat(GUARD, &st) < 0)
		return "missing";
	if (!S_ISREG(st.st_mode) || access(GUARD, X_OK) < 0)
		return "not-executable";
	return daemon_started(&started) && any_was_there(&started) ? "active" : "not-loaded";
}
