/* ssh-own.h: what ssh.c and exec.c share, the two files that know libssh. */
#ifndef VMM_SSH_OWN_H
#define VMM_SSH_OWN_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "link.h"

enum {
	SSH_CHANNEL_MS = 30000, /* opening a channel, starting its command */
	SSH_CLOSE_MS = 2000,	/* what is still to be sent when something is closed */
};

struct ssh {
	ssh_session session; /* non-blocking once it is open */
	ssh_event event;     /* polls the session's socket */
	struct ssh_counter_struct counter;
	char *name;
	bool lost;
};

/* Marks the connection as lost; error "link-lost" in libssh's words. */
int ssh_lost(struct ssh *ssh, struct vmm_error **err);

#endif
