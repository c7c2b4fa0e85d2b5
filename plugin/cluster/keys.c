/* keys.c: our key pair, the keys of other nodes in authorized_keys, and host keys in known_hosts. */
#include <limits.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cluster/cluster-internal.h"

enum { KEYS_LIMIT = 4 << 20, KEYGEN_LIMIT_MS = 20000 };

static const char key_type[] = "ssh-ed25519 ";

/* ------------------------------------------------------------------ our key pair */

static int make_pair(const char *path, const char *self, struct vmm_error **err)
{
	vmm_auto_free char *fresh = str_format("%s.new", path), *fresh_public = str_format("%s.new.pub", path);
	vmm_auto_free char *public = str_format("%s.pub", path), *comment = str_format("vmmigrate@%s", self);
	const char *const argv[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", fresh, NULL};
	struct run_result result;
	/* If an interrupted run has left these files, ssh-keygen would ask whether to overwrite them. */
	if (file_remove(fresh, err) < 0 || file_remove(fresh_public, err) < 0 || file_remove(public, err) < 0)
		return -1;
	if (run_checked(&(struct run){.argv = argv, .limit_ms = KEYGEN_LIMIT_MS}, &result, err) < 0) {
		error_context(err, "make the key pair %s", path);
		return error_hint(err, "Is openssh-client installed?");
	}
	run_result_free(&result);
	return file_rename_new(fresh_public, public, err) < 0 ? -1 : file_rename_new(fresh, path, err);
}

int key_own(const char *etc, const char *self, char **public, struct vmm_error **err)
{
	vmm_auto_free char *path = str_format("%s/id_vmmigrate", etc);
	const char *const argv[] = {"ssh-keygen", "-y", "-P", "", "-f", path, NULL};
	struct run_result result;
	if (dir_make(etc, 0755, err) < 0 || (!file_there(path) && make_pair(path, self, err) < 0))
		return -1;
	if (run_checked(&(struct run){.argv = argv, .limit_ms = KEYGEN_LIMIT_MS}, &result, err) < 0) {
		error_context(err, "read our key %s", path);
		return error_hint(err, "Move it away; `vmmigrate node add` makes another.");
	}
	/* Keep type and base64; cut off the comment, if there is one. */
	char *at = result.out;
	at += strcspn(at, " \n");
	at += *at == ' ';
	at[strcspn(at, " \n")] = 0;
	*public = str_copy(result.out);
	run_result_free(&result);
	if (key_is_public(*public))
		return 0;
	free(*public);
	*public = NULL;
	error_set(err, VMM_BLOCKED, "key-unreadable", "our key %s is not of the type ed25519", path);
	return error_hint(err, "Move it away; `vmmigrate node add` makes another.");
}

bool key_is_public(const char *key)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	if (!key || !str_starts(key, key_type))
		return false;
	key += strlen(key_type);
	size_t length = strlen(key);
	return length == 68 && strspn(key, base64) == length;
}

/* ------------------------------------------------------------------ files of lines */

typedef bool line_fn(const char *line, void *context);

/* The text (NULL: empty) without the lines for which `drop` returns true, and with the line `add` (or NULL) at its end.
 */
static char *edited(const char *text, line_fn *drop, void *context, const char *add)
{
	vmm_auto_text struct text out = {0};
	for (const char *at = text ? text : ""; *at;) {
		size_t length = strcspn(at, "\n"), whole = length + (at[length] == '\n');
		vmm_auto_free char *line = str_format("%.*s", (int)length, at);
		if (!drop(line, context))
			text_add_bytes(&out, at, whole);
		at += whole;
	}
	if (add && out.length && out.data[out.length - 1] != '\n')
		text_add(&out, "\n");
	if (add)
		text_add(&out, "%s\n", add);
	return text_take(&out);
}

static bool holds_line(const char *text, const char *line)
{
	size_t length = strlen(line);
	for (const char *at = text; at && *at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, line, length) && (at[length] == '\n' || !at[length]))
			return true;
	}
	return false;
}

/* Adds the line to the file and removes those for which `drop` returns true; does nothing if the line is there already.
 * `mode` is the mode of a file that is made. */
static int put_line(const char *path, mode_t mode, line_fn *drop, void *context, const char *line,
		    struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path), *text = NULL;
	char real[PATH_MAX];
	struct stat info = {.st_mode = mode};
	const char *to = realpath(path, real) ? real : path;
	if (dir_make(dir, 0700, err) < 0 || (stat(to, &info) == 0 && file_read(to, KEYS_LIMIT, &text, NULL, err) < 0))
		return -1;
	if (text && holds_line(text, line))
		return 0;
	vmm_auto_free char *written = edited(text, drop, context, line);
	return file_write(to, written, strlen(written), info.st_mode & 0777, err);
}

/* ------------------------------------------------------------------ authorized_keys */

struct key_line {
	const char *base64, *comment, *agent;
};

/* True for a line with the same key (it may allow more than our line), and for an older key of the same node. */
static bool is_superseded(const char *line, void *context)
{
	const struct key_line *key = context;
	return strstr(line, key->base64) || (strstr(line, key->agent) && str_ends(line, key->comment));
}

static void add_address(struct text *from, const char *address)
{
	if (!strstr(from->data ? from->data : "", address))
		text_add(from, "%s%s", from->length ? "," : "", address);
}

/* `from="ADDRESS,...",`: the IP addresses that `address` has now, and the one that `seen` names (or NULL), from which
 * the node has connected. "" if the address cannot be resolved. */
static char *from_option(const char *address, const char *seen)
{
	const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	vmm_auto_text struct text from = {0};
	char text[NI_MAXHOST];
	if (getaddrinfo(address, NULL, &want, &found) == 0) {
		for (struct addrinfo *at = found; at; at = at->ai_next)
			if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) == 0)
				add_address(&from, text);
		freeaddrinfo(found);
	}
	if (seen && config_address(seen))
		add_address(&from, seen);
	return from.length ? str_format("from=\"%s\",", from.data) : str_copy("");
}

int key_authorize(const char *authorized_keys, const char *agent, const struct key_owner *owner, const char *key,
		  struct vmm_error **err)
{
	if (!key_is_public(key))
		return error_set(err, VMM_USAGE, "malformed", "the key of node %s is no ed25519 key", owner->node);
	vmm_auto_free char *from = from_option(owner->address, owner->seen);
	/* exec: a login shell that keeps running would hold the agent's stdout open, and a half-closed connection of
	 * the relay would never end. */
	vmm_auto_free char *command = str_format("%srestrict,command=\"exec %s %s\" ", from, agent, owner->node);
	vmm_auto_free char *comment = str_format(" vmmigrate@%s", owner->node);
	vmm_auto_free char *line = str_format("%s%s%s", command, key, comment);
	struct key_line superseded = {key + strlen(key_type), comment, agent};
	if (put_line(authorized_keys, 0600, is_superseded, &superseded, line, err) < 0)
		return error_context(err, "let node %s in", owner->node);
	return 0;
}

/* Removes the lines for which `drop` returns true; a file that is not there has none. */
static int drop_lines(const char *path, line_fn *drop, void *context, struct vmm_error **err)
{
	vmm_auto_free char *text = NULL;
	char real[PATH_MAX];
	struct stat info;
	const char *to = realpath(path, real) ? real : path;
	if (stat(to, &info) < 0)
		return 0;
	if (file_read(to, KEYS_LIMIT, &text, NULL, err) < 0)
		return -1;
	vmm_auto_free char *written = edited(text, drop, context, NULL);
	return strcmp(text, written) ? file_write(to, written, strlen(written), info.st_mode & 0777, err) : 0;
}

static bool is_key_of(const char *line, void *context)
{
	const struct key_line *key = context;
	return strstr(line, key->agent) && str_ends(line, key->comment);
}

int key_withdraw(const char *authorized_keys, const char *agent, const char *node, struct vmm_error **err)
{
	vmm_auto_free char *comment = str_format(" vmmigrate@%s", node);
	struct key_line key = {.comment = comment, .agent = agent};
	return drop_lines(authorized_keys, is_key_of, &key, err);
}

/* ------------------------------------------------------------------ host keys */

int host_key_fetch(const struct ssh_peer *peer, struct host_key *host_key, struct vmm_error **err)
{
	*host_key = (struct host_key){0};
	if (ssh_fingerprint(peer, &host_key->fingerprint, &host_key->line, err) < 0)
		return -1;
	size_t host = strcspn(host_key->line, " ");
	host_key->host = str_format("%.*s", (int)host, host_key->line);
	host_key->key = str_copy(host_key->line[host] ? host_key->line + host + 1 : "");
	return 0;
}

void host_key_free(struct host_key *host_key)
{
	free(host_key->fingerprint);
	free(host_key->line);
	free(host_key->host);
	free(host_key->key);
	*host_key = (struct host_key){0};
}

static int changed(const struct host_key *host_key, const char *file, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "host-key-changed",
		  "the host key of %s (%s) is not the one in %s: another machine may be answering", host_key->host,
		  host_key->fingerprint, file);
	return error_hint(err, "Only if it was reinstalled: ssh-keygen -f %s -R '%s', then add it again.", file,
			  host_key->host);
}

/* ssh-keygen -F finds hashed names and patterns too. It prints lines "[@MARKER ]NAMES TYPE BASE64" and comments. */
int host_key_known(const struct host_key *host_key, const char *file, bool *known, struct vmm_error **err)
{
	const char *const argv[] = {"ssh-keygen", "-F", host_key->host, "-f", file, NULL};
	struct run_result result;
	size_t type = strcspn(host_key->key, " ");
	bool other = false;
	*known = false;
	if (!file_there(file))
		return 0;
	if (run_program(&(struct run){.argv = argv, .limit_ms = KEYGEN_LIMIT_MS}, &result, err) < 0)
		return -1;
	for (char *rest = result.out, *line; (line = strsep(&rest, "\n"));) {
		const char *key = strchr(line, ' ');
		if (!key || *line == '#' || *line == '@')
			continue;
		bool same_type = !strncmp(key + 1, host_key->key, type + 1);
		bool same = same_type && str_starts(key + 1, host_key->key);
		*known |= same;
		other |= same_type && !same;
	}
	run_result_free(&result);
	return other && !*known ? changed(host_key, file, err) : 0;
}

static bool is_of_host(const char *line, void *context)
{
	const char *host = context;
	return str_starts(line, host) && line[strlen(host)] == ' ';
}

int host_key_remember(const struct host_key *host_key, const char *file, struct vmm_error **err)
{
	return put_line(file, 0644, is_of_host, host_key->host, host_key->line, err);
}

int host_key_forget(const char *host, const char *file, struct vmm_error **err)
{
	return drop_lines(file, is_of_host, (void *)host, err);
}
