/* ssh.c: all of libssh. A session to a node, and streams over its exec channels.
 *
 * The session is non-blocking but for the moments of opening. Whoever waits, be it to read or to write, lets libssh
 * take in what arrives for all channels; each keeps at most one window (1.25 MiB) of it unread, so memory is bounded. A
 * writer whose window is closed reads for its own stream as well (stream_aside): two sides that both write never wait
 * on each other. libssh closes a slow reader's window only if whoever reads takes all that is there: see take_in.
 */
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <poll.h>
#include <string.h>

#include "link.h"

enum {
	CONNECT_MS = 10000,
	CHANNEL_S = 30, /* opening a channel, starting the command */
	WRITE_AT_ONCE = 1 << 20,
	SAID_LIMIT = 65536, /* of stderr the end is kept */
	SLICE_MS = 1000,
	LAST_WORDS_MS = 1000, /* the exit status follows the end of the output */
};

static const char ciphers[] = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
			      "aes128-ctr,aes256-ctr";
static const char system_hosts[] = "/etc/ssh/ssh_known_hosts";

struct ssh {
	ssh_session session;
	ssh_event event; /* polls the session's socket */
	struct ssh_counter_struct counter;
	char *name;
	bool lost;
};

struct ssh_stream {
	struct stream base;
	struct ssh *ssh;
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	struct stream_aside aside;
	struct text said;   /* stderr */
	char *killed_by;    /* the signal that ended the command, or NULL */
	int status;	    /* -1: not known */
	bool ended, closed; /* it will send no more; it has closed the channel */
};

/* ------------------------------------------------------------------ opening */

static const char *address_of(const struct ssh_peer *peer)
{
	return peer->address ? peer->address : peer->name;
}

static int lost(struct ssh *ssh, struct vmm_error **err)
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
	/* The user's and the system's ssh_config are not read: what they may change (proxies, names, checks of the
	 * host's key) is decided here. */
	int rc = ssh_options_set(s, SSH_OPTIONS_PROCESS_CONFIG, &no_config);
	vmm_auto_free char *host =
		strchr(address_of(peer), ':') ? str_format("[%s]", address_of(peer)) : str_copy(address_of(peer));
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
				 address_of(peer), ssh_get_error(s));
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
		error_set(err, VMM_BLOCKED, "connection-timeout", "%s: %s took the connection, but says nothing",
			  ssh->name, address_of(peer));
		return error_hint(err, "is it sshd that listens there? ssh -v %s", address_of(peer));
	}
	error_set(err, VMM_BLOCKED, "link-lost", "%s: the connection to %s ended in ssh's handshake: %s", ssh->name,
		  address_of(peer), ssh_get_error(ssh->session));
	return error_hint(err,
			  "look at sshd's log on %s (journalctl -u ssh); too many connections at once "
			  "(MaxStartups) look like this too",
			  ssh->name);
}

/* A session with the handshake done; the host's key is not looked at yet. */
static struct ssh *reach(const struct ssh_peer *peer, struct vmm_error **err)
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

/* ------------------------------------------------------------------ the host's key */

static char *fingerprint_of(ssh_session session)
{
	ssh_key key = NULL;
	unsigned char *hash = NULL;
	size_t length = 0;
	if (ssh_get_server_publickey(session, &key) != SSH_OK)
		return str_copy("(no key)");
	char *words = ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) == 0
			      ? ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length)
			      : NULL;
	char *fingerprint = str_copy(words);
	ssh_string_free_char(words);
	ssh_clean_pubkey_hash(&hash);
	ssh_key_free(key);
	return fingerprint;
}

/* One file at a time: libssh's own merge lets the second file's answer hide the first's. */
static enum ssh_known_hosts_e look_in(ssh_session session, const char *file)
{
	ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, file);
	ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, file);
	return ssh_session_is_known_server(session);
}

static int host_unknown(struct ssh *ssh, const struct ssh_peer *peer, const char *file, struct vmm_error **err)
{
	vmm_auto_free char *fingerprint = fingerprint_of(ssh->session);
	error_set(err, VMM_BLOCKED, "host-key-unknown", "%s: the host key of %s (%s) is neither in %s nor in %s",
		  ssh->name, address_of(peer), fingerprint, file, system_hosts);
	return error_hint(err, "compare it with ssh-keygen -lf on that machine, then: vmmigrate node add %s %s",
			  ssh->name, address_of(peer));
}

static int host_changed(struct ssh *ssh, const struct ssh_peer *peer, const char *file, struct vmm_error **err)
{
	vmm_auto_free char *fingerprint = fingerprint_of(ssh->session);
	vmm_auto_free char *entry = peer->port && peer->port != 22 ? str_format("[%s]:%d", address_of(peer), peer->port)
								   : str_copy(address_of(peer));
	error_set(err, VMM_BLOCKED, "host-key-changed",
		  "%s: the host key of %s (%s) is not the one in %s: another machine may be answering", ssh->name,
		  address_of(peer), fingerprint, file);
	return error_hint(err,
			  "only if it was installed anew: ssh-keygen -f %s -R '%s', then: vmmigrate node add %s %s",
			  file, entry, ssh->name, address_of(peer));
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
	enum ssh_known_hosts_e here = look_in(ssh->session, ours), there = look_in(ssh->session, system_hosts);
	if (here == SSH_KNOWN_HOSTS_OK || there == SSH_KNOWN_HOSTS_OK)
		return 0;
	if (says_otherwise(here))
		return host_changed(ssh, peer, ours, err);
	if (says_otherwise(there))
		return host_changed(ssh, peer, system_hosts, err);
	return host_unknown(ssh, peer, ours, err);
}

/* ------------------------------------------------------------------ who we are */

static int authenticate(struct ssh *ssh, const struct ssh_peer *peer, struct vmm_error **err)
{
	ssh_key key = NULL;
	const char *user = peer->user ? peer->user : "root";
	if (peer->key && ssh_pki_import_privkey_file(peer->key, NULL, NULL, NULL, &key) != SSH_OK) {
		error_set(err, VMM_BLOCKED, "key-unreadable",
			  "%s: the private key %s cannot be read, or asks for a passphrase", ssh->name, peer->key);
		return error_hint(err, "make one: vmmigrate node add %s %s", ssh->name, address_of(peer));
	}
	int rc = key ? ssh_userauth_publickey(ssh->session, NULL, key)
		     : ssh_userauth_publickey_auto(ssh->session, NULL, NULL);
	ssh_key_free(key);
	if (rc == SSH_AUTH_SUCCESS)
		return 0;
	if (rc == SSH_AUTH_DENIED || rc == SSH_AUTH_PARTIAL) {
		error_set(err, VMM_BLOCKED, "key-rejected", "%s: %s@%s does not accept the key%s%s", ssh->name, user,
			  address_of(peer), peer->key ? " " : "s of this user", peer->key ? peer->key : "");
		return error_hint(err, "put it into %s's authorized_keys there: vmmigrate node add %s %s", user,
				  ssh->name, address_of(peer));
	}
	lost(ssh, err);
	(*err)->exit = VMM_BLOCKED;
	return error_hint(err, "sshd on %s ended the connection while the key was tried: journalctl -u ssh", ssh->name);
}

int ssh_open(const struct ssh_peer *peer, struct ssh **out, struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *why = NULL;
	struct ssh *ssh = reach(peer, &why);
	if (!ssh || check_host(ssh, peer, &why) < 0 || authenticate(ssh, peer, &why) < 0) {
		ssh_close(ssh);
		error_take(err, why);
		why = NULL;
		return -1;
	}
	set_limit(ssh, CHANNEL_S * 1000);
	ssh_set_blocking(ssh->session, 0);
	ssh->event = ssh_event_new();
	if (!ssh->event || ssh_event_add_session(ssh->event, ssh->session) != SSH_OK)
		abort();
	*out = ssh;
	return 0;
}

int ssh_fingerprint(const struct ssh_peer *peer, char **fingerprint, char **known_hosts_line, struct vmm_error **err)
{
	struct ssh *ssh = reach(peer, err);
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
	/* libssh leaves a descriptor open that it was given, unless an error has closed it. */
	int fd = ssh_get_fd(ssh->session);
	ssh_disconnect(ssh->session);
	if (fd >= 0)
		close(fd);
	ssh_free(ssh->session);
	free(ssh->name);
	free(ssh);
}

/* ------------------------------------------------------------------ in a loop of one's own */

void ssh_wait_for(struct ssh *ssh, struct pollfd *p)
{
	int flags = ssh_get_poll_flags(ssh->session);
	p->fd = ssh_get_fd(ssh->session);
	p->events = (short)(POLLIN | (flags & SSH_WRITE_PENDING ? POLLOUT : 0));
	p->revents = 0;
}

int ssh_process(struct ssh *ssh, int wait_ms, struct vmm_error **err)
{
	if (ssh->lost || ssh_event_dopoll(ssh->event, wait_ms) == SSH_ERROR || !ssh_is_connected(ssh->session))
		return lost(ssh, err);
	return 0;
}

/* ------------------------------------------------------------------ channels */

static void on_status(ssh_session session, ssh_channel channel, int status, void *user)
{
	(void)session, (void)channel;
	((struct ssh_stream *)user)->status = status;
}

static void on_signal(ssh_session session, ssh_channel channel, const char *name, int core, const char *words,
		      const char *language, void *user)
{
	(void)session, (void)channel, (void)core, (void)words, (void)language;
	str_replace(&((struct ssh_stream *)user)->killed_by, name);
}

static void on_close(ssh_session session, ssh_channel channel, void *user)
{
	(void)session, (void)channel;
	((struct ssh_stream *)user)->closed = true;
}

/* Keeps the window from filling with what the command says on stderr. */
static void listen_to_stderr(struct ssh_stream *s)
{
	char data[4096];
	int got;
	while (ssh_channel_poll(s->channel, 1) > 0 &&
	       (got = ssh_channel_read_nonblocking(s->channel, data, sizeof(data), 1)) > 0)
		text_add_bytes(&s->said, data, (size_t)got);
	if (s->said.length > SAID_LIMIT) {
		size_t over = s->said.length - SAID_LIMIT;
		memmove(s->said.data, s->said.data + over, SAID_LIMIT + 1);
		s->said.length = SAID_LIMIT;
	}
}

/* Takes in what has arrived: as much as fits to `data`, the rest aside. All or nothing is taken of it, since each read
 * makes libssh open the whole window again. The count in data; -1 where the connection is lost. */
static ssize_t take_in(struct ssh_stream *s, void *data, size_t length, struct vmm_error **err)
{
	listen_to_stderr(s);
	int there = ssh_channel_poll(s->channel, 0);
	if (there == SSH_EOF)
		s->ended = true;
	else if (there < 0)
		return lost(s->ssh, err);
	size_t taken = 0;
	while (there > 0) {
		char more[65536];
		bool direct = taken < length;
		size_t room = direct ? length - taken : sizeof(more);
		char *to = direct ? (char *)data + taken : more;
		int got = ssh_channel_read_nonblocking(s->channel, to,
						       (uint32_t)(room < (size_t)there ? room : (size_t)there), 0);
		if (got <= 0)
			return lost(s->ssh, err);
		if (direct)
			taken += (size_t)got;
		else
			stream_aside_put(&s->aside, more, (size_t)got);
		there -= got;
	}
	return (ssize_t)taken;
}

ssize_t ssh_read_some(struct stream *stream, void *data, size_t length, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	size_t aside = stream_aside_take(&s->aside, data, length);
	if (aside || s->ended)
		return (ssize_t)aside;
	return take_in(s, data, length, err);
}

bool ssh_ended(struct stream *stream, bool *closed)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	if (closed)
		*closed = s->closed;
	return s->ended && s->aside.text.length == s->aside.taken;
}

static ssize_t exec_read(struct stream *stream, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	int64_t until = clock_steady_ms() + wait_ms;
	for (;;) {
		ssize_t got = ssh_read_some(stream, data, length, err);
		if (got || s->ended)
			return got;
		int64_t left = wait_ms < 0 ? SLICE_MS : until - clock_steady_ms();
		if (left <= 0 && wait_ms >= 0)
			return error_set(err, VMM_FAILED, "link-silent", "%s: nothing has come over the link for %d ms",
					 s->ssh->name, wait_ms);
		if (ssh_process(s->ssh, left < SLICE_MS ? (int)left : SLICE_MS, err) < 0)
			return -1;
	}
}

/* The command has closed its end: says so in its own last words. */
static int command_ended(struct ssh_stream *s, struct vmm_error **err)
{
	int status;
	vmm_auto_free char *said = ssh_stderr(&s->base, &status);
	size_t length = strlen(said);
	while (length && said[length - 1] == '\n')
		said[--length] = 0;
	char *line = strrchr(said, '\n');
	return error_set(err, VMM_FAILED, "link-lost", "%s: the agent there has ended%s%s", s->ssh->name,
			 *said ? ": " : "", line ? line + 1 : said);
}

ssize_t ssh_write_some(struct stream *stream, const void *data, size_t length, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	if (s->ssh->lost)
		return lost(s->ssh, err);
	if (s->closed || ssh_channel_is_closed(s->channel))
		return ssh_is_connected(s->ssh->session) ? command_ended(s, err) : lost(s->ssh, err);
	int put = ssh_channel_write(s->channel, data, (uint32_t)(length < WRITE_AT_ONCE ? length : WRITE_AT_ONCE));
	if (put < 0)
		return s->closed ? command_ended(s, err) : lost(s->ssh, err);
	return put;
}

static int exec_write(struct stream *stream, const void *data, size_t length, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	const char *at = data;
	int64_t moved = clock_steady_ms();
	while (length) {
		ssize_t put = ssh_write_some(stream, at, length, err);
		if (put < 0)
			return -1;
		at += put;
		length -= (size_t)put;
		if (put) {
			moved = clock_steady_ms();
			continue;
		}
		if (clock_steady_ms() - moved >= FRAME_SILENCE_MS)
			return error_set(err, VMM_FAILED, "link-silent",
					 "%s: the other side has taken nothing for %d s", s->ssh->name,
					 FRAME_SILENCE_MS / 1000);
		if ((!stream_aside_full(&s->aside) && take_in(s, NULL, 0, err) < 0) ||
		    ssh_process(s->ssh, SLICE_MS, err) < 0)
			return -1;
	}
	/* Nothing of ours waits in libssh while the caller is busy elsewhere. sshd always reads its socket. */
	return ssh_blocking_flush(s->ssh->session, FRAME_SILENCE_MS) == SSH_OK ? 0 : lost(s->ssh, err);
}

static void exec_finish(struct stream *stream)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	/* A channel that was refused has no number at the peer: what we said of it would be taken for another one's. */
	if (s->ssh->lost || s->closed || !ssh_channel_is_open(s->channel))
		return;
	ssh_channel_send_eof(s->channel);
	ssh_blocking_flush(s->ssh->session, FRAME_SILENCE_MS);
}

static void exec_close(struct stream *stream)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	exec_finish(stream);
	ssh_remove_channel_callbacks(s->channel, &s->callbacks);
	ssh_channel_free(s->channel);
	if (!s->ssh->lost)
		ssh_blocking_flush(s->ssh->session, FRAME_SILENCE_MS);
	text_free(&s->aside.text);
	text_free(&s->said);
	free(s->killed_by);
	free(s);
}

static const struct stream_ops exec_ops = {
	.read = exec_read,
	.write = exec_write,
	.finish = exec_finish,
	.close = exec_close,
};

static int start_command(struct ssh *ssh, ssh_channel channel, const char *command)
{
	ssh_set_blocking(ssh->session, 1);
	int rc = ssh_channel_open_session(channel);
	if (rc == SSH_OK)
		rc = ssh_channel_request_exec(channel, command);
	ssh_set_blocking(ssh->session, 0);
	return rc;
}

int ssh_exec(struct ssh *ssh, const char *command, struct stream **stream, struct vmm_error **err)
{
	struct ssh_stream *s = mem_zero(sizeof(*s));
	s->base.ops = &exec_ops;
	s->ssh = ssh;
	s->status = -1;
	s->channel = ssh->lost ? NULL : ssh_channel_new(ssh->session);
	if (!s->channel) {
		free(s);
		return lost(ssh, err);
	}
	s->callbacks.userdata = s;
	s->callbacks.channel_exit_status_function = on_status;
	s->callbacks.channel_exit_signal_function = on_signal;
	s->callbacks.channel_close_function = on_close;
	ssh_callbacks_init(&s->callbacks);
	ssh_add_channel_callbacks(s->channel, &s->callbacks);
	if (start_command(ssh, s->channel, command) == SSH_OK) {
		*stream = &s->base;
		return 0;
	}
	if (ssh_is_connected(ssh->session) && ssh_get_error_code(ssh->session) == SSH_REQUEST_DENIED) {
		error_set(err, VMM_FAILED, "channel-refused", "%s: sshd there refuses one more channel: %s", ssh->name,
			  ssh_get_error(ssh->session));
		error_hint(err, "raise MaxSessions in /etc/ssh/sshd_config on %s", ssh->name);
	} else {
		lost(ssh, err);
	}
	exec_close(&s->base);
	return -1;
}

char *ssh_stderr(struct stream *stream, int *status)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	int64_t until = clock_steady_ms() + LAST_WORDS_MS;
	while (s->ended && !s->closed && s->status < 0 && !s->killed_by && clock_steady_ms() < until)
		if (ssh_process(s->ssh, LAST_WORDS_MS / 10, NULL) < 0)
			break;
	listen_to_stderr(s);
	*status = s->status;
	return s->killed_by ? str_format("%s%skilled by SIG%s", s->said.data ? s->said.data : "",
					 s->said.length ? "\n" : "", s->killed_by)
			    : str_copy(s->said.data);
}
