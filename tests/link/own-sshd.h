/* An sshd of the test's own: on a free port of 127.0.0.1, as the user who runs the test, with keys and files in a
 * directory that goes with it. Nothing of the machine's own ssh is read or changed. */
#ifndef OWN_SSHD_H
#define OWN_SSHD_H

#include "link/link.h"

struct own_sshd {
	char dir[32];
	int port;
	pid_t pid;
	char *user, *known_hosts;
	char *key;	   /* may run anything */
	char *forced_key;  /* restrict,command="exec this program far": it gets the words in SSH_ORIGINAL_COMMAND */
	char *foreign_key; /* not accepted */
};

/* A mount namespace with an empty /run and an empty /etc/ssh, so that sshd finds its directory and tests may make
 * sockets where libvirt has its own. False where the machine does not let us. */
bool own_room(void);

/* `lines` are added to its configuration. Ends the program where it cannot be started. */
void own_sshd_start(struct own_sshd *sshd, const char *lines);
void own_sshd_stop(struct own_sshd *sshd);

/* The peer "node2" that this sshd is, with the key that may run anything. */
struct ssh_peer own_sshd_peer(const struct own_sshd *sshd);

/* A port of 127.0.0.1 on which nothing listens. */
int free_port(void);

/* Runs a program that must succeed. */
#define must_run(...) must_run_argv((const char *const[]){__VA_ARGS__, NULL})
void must_run_argv(const char *const *argv);

#endif
