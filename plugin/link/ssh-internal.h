/* ssh-internal.h: what ssh.c and exec.c share, the two files that use libssh. */
#ifndef VMM_SSH_INTERNAL_H
#define VMM_SSH_INTERNAL_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "link.h"

enum {
	SSH_CHANNEL_MS = 30000, /* time limit for opening a channel and starting its command */
	SSH_CLOSE_MS = 2000,	/* time limit for sending what is left when a channel is closed */
};

struct ssh {
	ssh_session session; /* non-blocking once it is open */
	ssh_event event;     /* polls the session's socket */
	struct ssh_counter_struct counter;
	char *name; /* of the node, for messages */
	bool lost;  /* the connection is broken: all that is tried on it fails */
};

/* Marks the connection as lost and returns -1 with an error "link-lost" that contains libssh's error text. */
int ssh_lost(struct ssh *ssh, struct vmm_error **err);

#endif
