/* own-sshd: an sshd for one test, on a free port of 127.0.0.1, as the user who runs the test, with keys and files in a
 * directory that is removed with it. Nothing of the machine's own ssh is read or changed. */
#ifndef OWN_SSHD_H
#define OWN_SSHD_H

#include "link/link.h"

struct own_sshd {
	char dir[32];
	int port;
	pid_t pid;
	char *user, *known_hosts;
	char *key;	   /* may run any command */
	char *forced_key;  /* restrict,command="exec this program far"; SSH_ORIGINAL_COMMAND is the command asked for */
	char *foreign_key; /* is not accepted */
};

/* Moves this process into a mount namespace with an empty /run and an empty /etc/ssh, so that sshd has its directory
 * there and tests can make sockets where libvirt has its own. False if the machine does not permit it. */
bool enter_namespace(void);

/* Starts it with `lines` added to its configuration. Ends the program if it cannot be started. */
void own_sshd_start(struct own_sshd *sshd, const char *lines);
void own_sshd_stop(struct own_sshd *sshd);

/* This sshd as the peer "node2", with the key that may run any command. */
struct ssh_peer own_sshd_peer(const struct own_sshd *sshd);

/* A port of 127.0.0.1 on which nothing listens. */
int free_port(void);

/* Runs a program that must succeed. */
#define must_run(...) must_run_argv((const char *const[]){__VA_ARGS__, NULL})
void must_run_argv(const char *const *argv);

#endif
