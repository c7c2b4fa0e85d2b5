/* process.c: the process that a running guest is.
 *
 * libvirtd ends a QEMU by a signal and looks for its end every 200 ms (virProcessKillPainfullyDelay); the kernel says at
 * once when it is gone. A guest whose process is gone runs no instruction on this node, whatever libvirtd has noticed. */
#include <string.h>
#include <sys/pidfd.h>

#include "qemu.h"

#define PID_FILES "/run/libvirt/qemu"

enum { COMMAND_LIMIT = 1 << 20 };

/* libvirt gives each QEMU its guest's UUID as an argument. */
static bool is_of(pid_t pid, const char *uuid)
{
	vmm_auto_free char *path = str_format("/proc/%d/cmdline", (int)pid), *words = NULL;
	size_t length = 0;
	if (file_read(path, COMMAND_LIMIT, &words, &length, NULL) < 0)
		return false;
	for (size_t at = 0; at < length; at += strlen(words + at) + 1)
		if (!strcmp(words + at, uuid))
			return true;
	return false;
}

int qemu_process(virDomainPtr domain)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	vmm_auto_free char *path = str_format(PID_FILES "/%s.pid", virDomainGetName(domain)), *text = NULL;
	if (virDomainGetUUIDString(domain, uuid) < 0 || file_read(path, 64, &text, NULL, NULL) < 0)
		return -1;
	pid_t pid = (pid_t)strtol(text, NULL, 10);
	int process = pid > 1 ? pidfd_open(pid, 0) : -1;
	/* The number may have been another's by then: it is looked at while the descriptor holds on to whose it is now. */
	if (process >= 0 && !is_of(pid, uuid))
		vmm_cleanup_close(&process);
	return process;
}
