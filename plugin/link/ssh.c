/* ssh.c: opens an ssh session to a node with libssh: connects, checks the host key, authenticates. Commands over it are
 * in exec.c. */
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "ssh-internal.h"

enum { CONNECT_MS = 10000 };

static const char ciphers[] = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
			      "aes128-ctr,aes256-ctr";
static const char system_hosts[] = "/etc/ssh/ssh_known_hosts";

/* ------------------------------------------------------------------ opening */

int ssh_lost(struct ssh *ssh, struct vmm_error **err)
{
	ssh->lost = true;
	return error_set(err, VMM_FAILED, "link-lost", "%s: the ssh connection is lost: %s", ssh->name,
			 ssh_get_error(ssh->session));
}

static int set_options(struct ssh *ssh, const struct ssh_peer *peer, int fd, struct vmm_error **err)
{
	const bool no_config = false;
	const int strict = 1;
	ssh_session s = ssh->session;
	/* The user's and the system's ssh_config are not read: they could change the address, add a proxy, or switch
	 * off the check of the host key. */
	int rc = ssh_options_set(s, SSH_OPTIONS_PROCESS_CONFIG, &no_config);
	vmm_auto_free char *host = strchr(ssh_peer_address(peer), ':') ? str_format("[%s]", ssh_peer_address(peer))
								       : str_copy(ssh_peer_address(peer));
	rc |= ssh_options_set(s, SSH_OPTIONS_HOST, host);
	rc |= peer->port ? ssh_options_set(s, SSH_OPTIONS_PORT, &peer->port) : 0;
	rc |= ssh_options_set(s, SSH_OPTIONS_USER, peer->user ? peer->user : "root");
	rc |= ssh_options_set(s, SSH_OPTIONS_STRICTHOSTKEYCHECK, &strict);
	rc |= ssh_options_set(s, SSH_OPTIONS_KNOWNHOSTS, peer->known_hosts);
	rc |= ssh_options_set(s, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, system_hosts);
	rc |= ssh_options_set(s, SSH_OPTIONS_CIPHERS_C_S, ciphers);
	rc |= ssh_options_set(s, SSH_OPTIONS_CIPHERS_S_C, ciphers);
	rc |= ssh_options_set(s, SSH_OPTIONS_COMPRESSION, "no");
	rc |= ssh_options_set(s, SSH_OPTIONS_FD, &fd);
	if (rc < 0)
		return error_set(err, VMM_USAGE, "bad-name", "%s: \"%s\" cannot be an address of ssh: %s", ssh->name,
				 ssh_peer_address(peer), ssh_get_error(s));
	return 0;
}

static void set_limit(struct ssh *ssh, int64_t ms)
{
	long seconds = (long)(ms / 1000), rest = (long)(ms % 1000) * 1000;
	ssh_options_set(ssh->session, SSH_OPTIONS_TIMEOUT, &seconds);
	ssh_options_set(ssh->session, SSH_OPTIONS_TIMEOUT_USEC, &rest);
}

static int handshake(struct ssh *ssh, const struct ssh_peer *peer, int64_t until, struct vmm_error **err)
{
	int64_t left = until - clock_steady_ms();
	set_limit(ssh, left > 1 ? left : 1);
	if (ssh_connect(ssh->session) == SSH_OK)
		return 0;
	if (clock_steady_ms() >= until) {
		error_set(err, VMM_BLOCKED, "connection-timeout", "%s: %s accepted the connection, but does not answer",
			  ssh->name, ssh_peer_address(peer));
		return error_hint(err, "check that sshd listens there: ssh -v %s", ssh_peer_address(peer));
	}
	error_set(err, VMM_BLOCKED, "link-lost", "%s: the connection to %s ended during the ssh handshake: %s",
		  ssh->name, ssh_peer_address(peer), ssh_get_error(ssh->session));
	return error_hint(err,
			  "see sshd's log on %s (journalctl -u ssh); too many connections at once (MaxStartups) "
			  "end like this too",
			  ssh->name);
}

/* Connects and does the handshake. The host key is not checked yet. NULL with *err. */
static struct ssh *connect_session(const struct ssh_peer *peer, struct vmm_error **err)
{
	int64_t until = clock_steady_ms() + (peer->connect_ms ? peer->connect_ms : CONNECT_MS);
	int fd = link_connect(peer, until, err);
	if (fd < 0)
		return NULL;
	struct ssh *ssh = mem_zero(sizeof(*ssh));
	ssh->name = str_copy(peer->name);
	ssh->session = ssh_new();
	if (!ssh->session)
		abort();
	if (set_options(ssh, peer, fd, err) < 0) {
		close(fd);
		ssh_close(ssh);
		return NULL;
	}
	ssh_set_counters(ssh->session, &ssh->counter, NULL);
	if (handshake(ssh, peer, until, err) < 0) {
		ssh_close(ssh);
		return NULL;
	}
	return ssh;
}

/* ------------------------------------------------------------------ the host key */

static char *fingerprint_of(ssh_session session)
{
	ssh_key key = NULL;
	unsigned char *hash = NULL;
	size_t length = 0;
	if (ssh_get_server_publickey(session, &key) != SSH_OK)
		return str_copy("(no key)");
	char *shown = ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) == 0
			      ? ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length)
			      : NULL;
	char *fingerprint = str_copy(shown);
	ssh_string_free_char(shown);
	ssh_clean_pubkey_hash(&hash);
	ssh_key_free(key);
	return fingerprint;
}

/* Looks the host up in one file. If libssh is given two files, the answer for the second hides that for the first. */
static enum ssh_known_hosts_e look_up(ssh_session session, const char *file)
{
	ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, file);
	ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, file);
	return ssh_session_is_known_server(session);
}

static int host_unknown(struct ssh *ssh, const struct ssh_peer *peer, const char *file, struct vmm_error **err)
{
	vmm_auto_free char *fingerprint = fingerprint_of(ssh->session);
	error_set(err, VMM_BLOCKED, "host-key-unknown", "%s: the host key of %s (%s) is neither in %s nor in %s",
		  ssh->name, ssh_peer_address(peer), fingerprint, file, system_hosts);
	return error_hint(err, "compare it with ssh-keygen -lf on that machine, then: vmmigrate node add %s %s",
			  ssh->name, ssh_peer_address(peer));
}

static int host_changed(struct ssh *ssh, const struct ssh_peer *peer, const char *file, struct vmm_error **err)
{
	vmm_auto_free char *fingerprint = fingerprint_of(ssh->session);
	vmm_auto_free char *entry = peer->port && peer->port != 22
					    ? str_format("[%s]:%d", ssh_peer_address(peer), peer->port)
					    : str_copy(ssh_peer_address(peer));
	error_set(err, VMM_BLOCKED, "host-key-changed",
		  "%s: the host key of %s (%s) is not the one in %s: another machine may be answering", ssh->name,
		  ssh_peer_address(peer), fingerprint, file);
	return error_hint(err, "only if it was reinstalled: ssh-keygen -f %s -R '%s', then: vmmigrate node add %s %s",
			  file, entry, ssh->name, ssh_peer_address(peer));
}

static bool says_otherwise(enum ssh_known_hosts_e found)
{
	return found == SSH_KNOWN_HOSTS_CHANGED || found == SSH_KNOWN_HOSTS_OTHER;
}

static int check_host(struct ssh *ssh, const struct ssh_peer *peer, struct vmm_error **err)
{
	char *path = NULL;
	ssh_options_get(ssh->session, SSH_OPTIONS_KNOWNHOSTS, &path);
	vmm_auto_free char *ours = str_copy(path);
	ssh_string_free_char(path);
	enum ssh_known_hosts_e here = look_up(ssh->session, ours), there = look_up(ssh->session, system_hosts);
	if (here == SSH_KNOWN_HOSTS_OK || there == SSH_KNOWN_HOSTS_OK)
		return 0;
	if (says_otherwise(here))
		return host_changed(ssh, peer, ours, err);
	if (says_otherwise(there))
		return host_changed(ssh, peer, system_hosts, err);
	return host_unknown(ssh, peer, ours, err);
}

/* ------------------------------------------------------------------ authentication */

static int authenticate(struct ssh *ssh, const struct ssh_peer *peer, struct vmm_error **err)
{
	ssh_key key = NULL;
	const char *user = peer->user ? peer->user : "root";
	if (peer->key && ssh_pki_import_privkey_file(peer->key, NULL, NULL, NULL, &key) != SSH_OK) {
		error_set(err, VMM_BLOCKED, "key-unreadable",
			  "%s: the private key %s cannot be read, or needs a passphrase", ssh->name, peer->key);
		return error_hint(err, "make one: vmmigrate node add %s %s", ssh->name, ssh_peer_address(peer));
	}
	int rc = key ? ssh_userauth_publickey(ssh->session, NULL, key)
		     : ssh_userauth_publickey_auto(ssh->session, NULL, NULL);
	ssh_key_free(key);
	if (rc == SSH_AUTH_SUCCESS)
		return 0;
	if (rc == SSH_AUTH_DENIED || rc == SSH_AUTH_PARTIAL) {
		error_set(err, VMM_BLOCKED, "key-rejected", "%s: %s@%s does not accept the key%s%s", ssh->name, user,
			  ssh_peer_address(peer), peer->key ? " " : "s of this user", peer->key ? peer->key : "");
		return error_hint(err, "put it into %s's authorized_keys there: vmmigrate node add %s %s", user,
				  ssh->name, ssh_peer_address(peer));
	}
	ssh_lost(ssh, err);
	(*err)->exit = VMM_BLOCKED;
	return error_hint(err, "sshd on %s ended the connection during authentication: see journalctl -u ssh there",
			  ssh->name);
}

int ssh_open(const struct ssh_peer *peer, struct ssh **out, struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *why = NULL;
	struct ssh *ssh = connect_session(peer, &why);
	if (!ssh || check_host(ssh, peer, &why) < 0 || authenticate(ssh, peer, &why) < 0) {
		ssh_close(ssh);
		error_take(err, why);
		why = NULL;
		return -1;
	}
	set_limit(ssh, SSH_CHANNEL_MS);
	ssh_set_blocking(ssh->session, 0);
	ssh->event = ssh_event_new();
	if (!ssh->event || ssh_event_add_session(ssh->event, ssh->session) != SSH_OK)
		abort();
	*out = ssh;
	return 0;
}

int ssh_fingerprint(const struct ssh_peer *peer, char **fingerprint, char **known_hosts_line, struct vmm_error **err)
{
	struct ssh *ssh = connect_session(peer, err);
	if (!ssh)
		return -1;
	char *entry = NULL;
	ssh_session_export_known_hosts_entry(ssh->session, &entry);
	*fingerprint = fingerprint_of(ssh->session);
	*known_hosts_line = str_copy(entry);
	(*known_hosts_line)[strcspn(*known_hosts_line, "\n")] = 0;
	ssh_string_free_char(entry);
	ssh_close(ssh);
	return 0;
}

void ssh_counters(struct ssh *ssh, uint64_t *sent, uint64_t *received)
{
	*sent = ssh->counter.out_bytes;
	*received = ssh->counter.in_bytes;
}

void ssh_close(struct ssh *ssh)
{
	if (!ssh)
		return;
	if (ssh->event) {
		ssh_event_remove_session(ssh->event, ssh->session);
		ssh_event_free(ssh->event);
	}
	/* libssh does not close a descriptor that it was given, except after an error. */
	int fd = ssh_get_fd(ssh->session);
	if (fd >= 0 && ssh->lost)
		shutdown(fd, SHUT_RDWR); /* so that sending the disconnect message cannot wait */
	ssh_disconnect(ssh->session);
	if (fd >= 0)
		close(fd);
	ssh_free(ssh->session);
	free(ssh->name);
	free(ssh);
}

/* ------------------------------------------------------------------ in the caller's poll loop */

/* sshd leaves Nagle's algorithm on: the second of two small packets waits for our acknowledgement of the first, which
 * the kernel would delay for 40 ms. The option has to be set again before each wait. */
static void acknowledge_at_once(struct ssh *ssh)
{
	const int on = 1;
	setsockopt(ssh_get_fd(ssh->session), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

void ssh_wait_for(struct ssh *ssh, struct pollfd *p)
{
	acknowledge_at_once(ssh);
	int flags = ssh_get_poll_flags(ssh->session);
	p->fd = ssh_get_fd(ssh->session);
	p->events = (short)(POLLIN | (flags & SSH_WRITE_PENDING ? POLLOUT : 0));
	p->revents = 0;
}

int ssh_process(struct ssh *ssh, int wait_ms, struct vmm_error **err)
{
	if (wait_ms)
		acknowledge_at_once(ssh);
	if (ssh->lost || ssh_event_dopoll(ssh->event, wait_ms) == SSH_ERROR || !ssh_is_connected(ssh->session))
		return ssh_lost(ssh, err);
	return 0;
}
