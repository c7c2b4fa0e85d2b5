/* join.c: how a node joins the cluster - `vmmigrate node add`, and its other side. */
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>

#include "cluster/cluster-internal.h"

enum { JOIN_LIMIT_MS = 60000, JOIN_REPLY_LIMIT = 1 << 20 };

static const char system_hosts[] = "/etc/ssh/ssh_known_hosts";

/* One `node add`, on the node where it is called: `self` adds `name`. */
struct join {
	const struct cluster_paths *paths;
	char *conf, *known_hosts;
	struct json_object *config;
	const char *self, *name, *address; /* this node's name; the other node's name and address */
	int port, own_port;		   /* of the other node's sshd, and of ours; 0: 22 */
	const char *user;		   /* as whom we log in there; NULL: root */
	char *own_address;		   /* the address by which the other node reaches us */
	char *own_id;
	struct host_key peer_key;
};

static void join_free(struct join *join)
{
	free(join->conf);
	free(join->known_hosts);
	free(join->own_address);
	free(join->own_id);
	json_object_put(join->config);
	host_key_free(&join->peer_key);
}

static struct json_object *section_of(struct json_object *config, const char *node)
{
	return json_member(json_at(config, "node"), node);
}

/* A node's id is its own: not ours, nor that of another node of the configuration. */
static int check_id(struct json_object *config, const char *own_id, const char *name, const char *id,
		    struct vmm_error **err)
{
	const char *twin = str_same(id, own_id) ? json_text(config, "self") : NULL;
	if (!config_node_name(id))
		return error_set(err, VMM_USAGE, "malformed", "the id of node %s is malformed", name);
	struct json_object *nodes = json_at(config, "node");
	if (nodes && !twin) {
		json_object_object_foreach(nodes, other, section)
		{
			if (strcmp(other, name) && str_same(json_text(section, "id"), id))
				twin = other;
		}
	}
	if (!twin)
		return 0;
	error_set(err, VMM_BLOCKED, "same-node-id", "%s has the same id as %s: one was cloned from the other", name,
		  twin);
	return error_hint(
		err, "on the one that was cloned remove /etc/vmmigrate/node-id and /etc/vmmigrate/id_vmmigrate, then "
		     "try again");
}

/* ------------------------------------------------------------------ requests to the other node */

/* Runs a command of the other node's agent with the request as its stdin; *reply is its stdout. */
static int ask_stream(struct ssh *ssh, const char *command, struct json_object *request, struct json_object **reply,
		      struct vmm_error **err)
{
	struct stream *stream;
	const char *line = json_line(request);
	vmm_auto_text struct text answer = {0};
	char block[8192];
	ssize_t got = 0;
	if (ssh_exec(ssh, command, &stream, err) < 0)
		return -1;
	int status = stream_write(stream, line, strlen(line), err);
	stream_finish(stream);
	while (status == 0 && (got = stream_read(stream, block, sizeof(block), JOIN_LIMIT_MS, err)) > 0 &&
	       answer.length < JOIN_REPLY_LIMIT)
		text_add_bytes(&answer, block, (size_t)got);
	stream_close(stream);
	if (status < 0 || got < 0)
		return -1;
	return json_parse(answer.data ? answer.data : "", -1, "reply", reply, err);
}

/* Sets the error that the reply of a verb contains, if it does. */
static int check_reply(const char *node, struct json_object *reply, struct vmm_error **err)
{
	if (!json_at(reply, "error"))
		return 0;
	error_from_json(err, json_at(reply, "error"));
	return error_on_node(err, node);
}

int cluster_test(struct json_object *config, const char *etc_dir, const char *node, struct vmm_error **err)
{
	struct cluster_peer peer;
	struct ssh *ssh;
	struct stream *stream;
	if (cluster_peer(config, etc_dir, node, &peer, err) < 0)
		return -1;
	int status = agent_open(&peer.ssh, "agent", &ssh, &stream, err);
	if (status == 0) {
		stream_close(stream);
		ssh_close(ssh);
	}
	cluster_peer_free(&peer);
	return status;
}

/* ------------------------------------------------------------------ the administrator's own ssh access */

/* The error for an ssh that has printed no reply. */
static int refused(const struct join *join, struct run_result *result, struct vmm_error **err)
{
	const char *user = join->user ? join->user : "root";
	char *stderr_text = result->err_out;
	stderr_text[strcspn(stderr_text, "\r\n")] = 0;
	if (result->status == 126 || result->status == 127) {
		error_set(err, VMM_BLOCKED, "agent-missing", "node %s has no %s", join->name, join->paths->engine);
		return error_hint(err, "Install the package vmmigrate on %s.", join->name);
	}
	error_set(err, VMM_BLOCKED, "ssh-refused", "your own ssh access to %s@%s does not work: %s", user,
		  join->address,
		  *stderr_text	      ? stderr_text
		  : result->timed_out ? "it took too long"
				      : "ssh has printed no reason");
	return error_hint(err, "This command must work without a password: ssh -p %d %s@%s true (see ssh-copy-id).",
			  join->port ? join->port : 22, user, join->address);
}

/* "NAME=VALUE", or NULL if the variable is not set. ssh gets only the variables by which it finds the administrator's
 * keys and ssh-agent. */
static char *from_environment(const char *name)
{
	const char *value = getenv(name);
	return value ? str_format("%s=%s", name, value) : NULL;
}

static int ask_as_administrator(const struct join *join, struct json_object *request, struct json_object **reply,
				struct vmm_error **err)
{
	vmm_auto_free char *hosts = str_format("UserKnownHostsFile=\"%s\"", join->known_hosts);
	vmm_auto_free char *port = str_format("%d", join->port ? join->port : 22);
	vmm_auto_free char *ssh_agent = from_environment("SSH_AUTH_SOCK"), *home = from_environment("HOME");
	vmm_auto_free char *command = str_format("%s node-accept", join->paths->engine);
	const char *environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", home ? home : "HOME=/root",
				     ssh_agent, NULL};
	const char *const argv[] = {"ssh",   "-T",
				    "-o",    "BatchMode=yes",
				    "-o",    "StrictHostKeyChecking=yes",
				    "-o",    hosts,
				    "-o",    "ConnectTimeout=10",
				    "-o",    "ForwardAgent=no",
				    "-o",    "ClearAllForwardings=yes",
				    "-p",    port,
				    "-l",    join->user ? join->user : "root",
				    "--",    join->address,
				    command, NULL};
	const struct run run = {
		.argv = argv, .environment = environment, .input = json_line(request), .limit_ms = JOIN_LIMIT_MS};
	struct run_result result;
	if (run_program(&run, &result, err) < 0)
		return -1;
	int status = json_parse(result.out, -1, "reply", reply, NULL);
	if (status < 0)
		refused(join, &result, err);
	run_result_free(&result);
	return status;
}

/* Asks over our own key if the node accepts it already, so that a second `node add` needs no access of the
 * administrator. */
static int ask_accept(const struct join *join, struct json_object *request, struct json_object **reply,
		      struct vmm_error **err)
{
	vmm_auto_free char *key = str_format("%s/id_vmmigrate", join->paths->etc);
	const struct ssh_peer peer = {.name = join->name,
				      .address = join->address,
				      .port = join->port,
				      .user = join->user,
				      .key = key,
				      .known_hosts = join->known_hosts};
	struct ssh *ssh = NULL;
	bool done = ssh_open(&peer, &ssh, NULL) == 0 && ask_stream(ssh, "verb node-accept", request, reply, NULL) == 0;
	ssh_close(ssh);
	/* With joins = administrator there, our key is not enough. */
	if (done && str_same(json_text(*reply, "error.code"), "joins-closed")) {
		json_object_put(*reply);
		*reply = NULL;
		done = false;
	}
	if (!done && ask_as_administrator(join, request, reply, err) < 0)
		return -1;
	return check_reply(join->name, *reply, err);
}

/* ------------------------------------------------------------------ node add */

/* Our address: the configured one, else the one from which packets to the other node are sent. Connecting a UDP socket
 * tells it and sends nothing. */
static int find_own_address(struct join *join, struct vmm_error **err)
{
	const char *configured = json_text(section_of(join->config, join->self), "address");
	const struct addrinfo want = {.ai_socktype = SOCK_DGRAM};
	struct addrinfo *to = NULL;
	struct sockaddr_storage own;
	socklen_t length = sizeof(own);
	char text[NI_MAXHOST] = "";
	if (configured) {
		join->own_address = str_copy(configured);
		return 0;
	}
	if (getaddrinfo(join->address, "22", &want, &to) == 0) {
		vmm_auto_close int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
		    getsockname(fd, (struct sockaddr *)&own, &length) == 0)
			getnameinfo((struct sockaddr *)&own, length, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
		freeaddrinfo(to);
	}
	if (!config_address(text)) {
		error_set(err, VMM_BLOCKED, "no-route", "it cannot be found out by which address %s reaches this node",
			  join->name);
		return error_hint(err, "Set address in [node %s] of %s.", join->self, join->conf);
	}
	join->own_address = str_copy(text);
	return 0;
}

/* Makes the request of node-accept: our name, address and key, and the host key that sshd shows at our address. */
static int make_request(struct join *join, struct json_object **request, struct vmm_error **err)
{
	vmm_auto_free char *key = NULL;
	vmm_auto_host_key struct host_key own = {0};
	if (key_own(join->paths->etc, join->self, &key, err) < 0 ||
	    cluster_node_id(join->paths->etc, &join->own_id, err) < 0 || find_own_address(join, err) < 0)
		return -1;
	const struct ssh_peer self = {.name = join->self,
				      .address = join->own_address,
				      .port = join->own_port,
				      .known_hosts = join->known_hosts};
	if (host_key_fetch(&self, &own, err) < 0)
		return error_context(err, "the way back from %s", join->name);
	*request = json_make("api:d name:s id:s address:s port:d key:s host_key:s you:o", 1, join->self, join->own_id,
			     join->own_address, join->own_port, key, own.key,
			     json_make("name:s address:s port:d", join->name, join->address, join->port));
	return 0;
}

/* Asks the other node, over our key, to test its connection to this node. */
static int test_back(const struct join *join, struct json_object *config, struct vmm_error **err)
{
	vmm_auto_json struct json_object *request = json_make("api:d name:s forwarded:b", 1, join->self, 1),
					 *reply = NULL;
	struct cluster_peer peer;
	struct ssh *ssh = NULL;
	if (cluster_peer(config, join->paths->etc, join->name, &peer, err) < 0)
		return -1;
	int status = ssh_open(&peer.ssh, &ssh, err);
	if (status == 0)
		status = ask_stream(ssh, "verb node-test", request, &reply, err);
	ssh_close(ssh);
	cluster_peer_free(&peer);
	if (status < 0 || check_reply(join->name, reply, err) < 0)
		return -1;
	if (json_true(reply, "tests.0.ok"))
		return 0;
	if (json_at(reply, "tests.0.error"))
		return error_from_json(err, json_at(reply, "tests.0.error"));
	return error_set(err, VMM_FAILED, "malformed", "%s has not reported the result of its test", join->name);
}

static int test_both(const struct join *join, struct json_object *report, struct vmm_error **err)
{
	vmm_auto_json struct json_object *config = NULL;
	if (cluster_load(join->conf, &config, err) < 0)
		return -1;
	if (cluster_test(config, join->paths->etc, join->name, err) < 0)
		return error_context(err, "%s is added, but the test from here to there failed", join->name);
	json_append(report, "tests", json_make("from:s to:s ok:b", join->self, join->name, 1));
	if (test_back(join, config, err) < 0)
		return error_context(err, "%s is added, but the test from there to here failed", join->name);
	json_append(report, "tests", json_make("from:s to:s ok:b", join->name, join->self, 1));
	return 0;
}

/* Exchanges the keys, writes the files and tests both directions. */
static int add_node(struct join *join, struct json_object *report, struct vmm_error **err)
{
	vmm_auto_json struct json_object *request = NULL, *reply = NULL;
	const char *key, *id;
	if (make_request(join, &request, err) < 0 || ask_accept(join, request, &reply, err) < 0 ||
	    json_need(reply, "key", "reply of the node", &key, err) < 0 ||
	    json_need(reply, "id", "reply of the node", &id, err) < 0 ||
	    check_id(join->config, join->own_id, join->name, id, err) < 0)
		return -1;
	const struct key_owner owner = {.node = join->name, .address = join->address};
	if (key_authorize(join->paths->authorized_keys, join->paths->agent, &owner, key, err) < 0 ||
	    cluster_add_node_at(join->conf, join->name, join->address, 0, id, err) < 0 ||
	    cluster_add_node_at(join->conf, join->self, join->own_address, 0, join->own_id, err) < 0)
		return -1;
	return test_both(join, report, err);
}

static int unknown(const struct join *join, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "host-key-unknown", "the host key of %s (%s) is not known: %s", join->name,
		  join->address, join->peer_key.fingerprint);
	return error_hint(err,
			  "Compare it with the key on that machine: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; "
			  "then: vmmigrate node add %s %s --accept",
			  join->name, join->address);
}

/* Fetches and checks the host key, and begins the report. An unknown key is remembered if `accept` is set. */
static int check_host_key(struct join *join, bool accept, struct json_object **report, struct vmm_error **err)
{
	const struct ssh_peer peer = {
		.name = join->name, .address = join->address, .port = join->port, .known_hosts = join->known_hosts};
	bool here = false, there = false;
	if (host_key_fetch(&peer, &join->peer_key, err) < 0 ||
	    host_key_known(&join->peer_key, join->known_hosts, &here, err) < 0 ||
	    (!here && host_key_known(&join->peer_key, system_hosts, &there, err) < 0))
		return -1;
	bool known = here || there;
	if (!known && !accept)
		return unknown(join, err);
	*report = json_make("api:d node:s address:s fingerprint:s known:b", 1, join->name, join->address,
			    join->peer_key.fingerprint, (int)known);
	return known ? 0 : host_key_remember(&join->peer_key, join->known_hosts, err);
}

static int begin(struct join *join, const struct cluster_paths *paths, const char *name, const char *address,
		 struct vmm_error **err)
{
	*join = (struct join){.paths = paths, .name = name, .address = address};
	join->conf = str_format("%s/vmmigrate.conf", paths->etc);
	join->known_hosts = str_format("%s/known_hosts", paths->etc);
	if (cluster_node_check(name, address, err) < 0 || cluster_load(join->conf, &join->config, err) < 0)
		return -1;
	join->self = json_text(join->config, "self");
	if (cluster_node_check(join->self, address, err) < 0)
		return error_hint(err, "Give this node a name: self in [migration] of %s.", join->conf);
	if (str_same(join->self, name))
		return error_set(err, VMM_USAGE, "target-is-source", "%s is this node", name);
	struct json_object *peer = section_of(join->config, name);
	join->port = (int)json_number(peer, "port");
	join->user = json_text(peer, "user");
	join->own_port = (int)json_number(section_of(join->config, join->self), "port");
	return 0;
}

int cluster_join_at(const struct cluster_paths *paths, const char *name, const char *address, bool accept,
		    struct json_object **report, struct vmm_error **err)
{
	struct join join;
	*report = NULL;
	int status = begin(&join, paths, name, address, err);
	if (status == 0)
		status = check_host_key(&join, accept, report, err);
	if (status == 0)
		status = add_node(&join, *report, err);
	join_free(&join);
	if (status == 0)
		return 0;
	json_object_put(*report);
	*report = NULL;
	return -1;
}

/* ------------------------------------------------------------------ the other side */

static int wrong_name(const char *self, const char *wanted, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "wrong-name", "this machine is node %s, not %s", self, wanted);
	return error_hint(err, "Add it by its own name, or set self = %s in [migration] of its vmmigrate.conf.",
			  wanted);
}

/* The port in a request, 0 if there is none. */
static int read_port(struct json_object *object, int *port, struct vmm_error **err)
{
	int64_t number = json_number(object, "port");
	if (number < 0 || number > 65535)
		return error_set(err, VMM_USAGE, "malformed", "node-accept: a port of %jd", (intmax_t)number);
	*port = (int)number;
	return 0;
}

/* Connects back, and remembers the host key if it is the expected one, which came over the administrator's
 * connection. */
static int check_host_key_back(const char *known_hosts, const struct ssh_peer *peer, const char *expected,
			       struct vmm_error **err)
{
	vmm_auto_host_key struct host_key seen = {0};
	if (host_key_fetch(peer, &seen, err) < 0)
		return error_context(err, "the way back to %s", peer->name);
	if (str_same(seen.key, expected))
		return host_key_remember(&seen, known_hosts, err);
	error_set(err, VMM_BLOCKED, "host-key-changed", "the machine at %s is not node %s: its host key is %s",
		  peer->address, peer->name, seen.fingerprint);
	return error_hint(err, "Set address in [node %s] on %s itself to the address by which other nodes reach it.",
			  peer->name, peer->name);
}

/* A node that another one introduces: may it, and who was it? */
static int check_introducer(struct json_object *config, const char *self, const char *name, const char *by,
			    struct vmm_error **err)
{
	if (!by || !str_same(json_text(config, "cluster.joins"), "administrator"))
		return 0;
	error_set(err, VMM_NOT_PERMITTED, "joins-closed", "%s lets no node in over the key of another one (%s for %s)",
		  self, by, name);
	return error_hint(err, "joins = administrator is set there: say vmmigrate node add on %s itself", self);
}

/* Kept with its introducer, and in the system's log. */
static int note_introducer(const char *conf, const char *name, const char *address, const char *by,
			   struct vmm_error **err)
{
	bool itself = str_same(by, name); /* known before: it has only asked again */
	syslog(LOG_AUTHPRIV | LOG_NOTICE, "vmmigrate: node %s (%s) was let in by %s", name, address,
	       by ? by : "an administrator");
	return !by || itself ? 0 : cluster_note(conf, name, "introduced_by", by, err);
}

int cluster_remove_at(const struct cluster_paths *paths, const char *name, struct vmm_error **err)
{
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", paths->etc),
			   *known_hosts = str_format("%s/known_hosts", paths->etc);
	vmm_auto_json struct json_object *config = NULL;
	if (cluster_load(conf, &config, err) < 0)
		return -1;
	const char *self = json_text(config, "self"), *address = json_text(section_of(config, name), "address");
	int port = (int)json_number(section_of(config, name), "port");
	if (str_same(self, name))
		return error_set(err, VMM_USAGE, "target-is-source", "%s is this node", name);
	if (!section_of(config, name))
		return error_set(err, VMM_NOT_FOUND, "target-unknown", "%s knows no node %s", self, name);
	vmm_auto_free char *plain = str_copy(address ? address : name), *with_port = str_format("[%s]:%d", plain, port);
	syslog(LOG_AUTHPRIV | LOG_NOTICE, "vmmigrate: node %s was removed", name);
	/* The key goes first: what is left after a failure lets nobody in. */
	return key_withdraw(paths->authorized_keys, paths->agent, name, err) < 0 ||
			       cluster_drop_node(conf, name, err) < 0 ||
			       host_key_forget(port && port != 22 ? with_port : plain, known_hosts, err) < 0
		       ? -1
		       : 0;
}

int cluster_accept_at(const struct cluster_paths *paths, struct json_object *request, struct json_object **reply,
		      struct vmm_error **err)
{
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", paths->etc), *key = NULL, *own_id = NULL;
	vmm_auto_free char *known_hosts = str_format("%s/known_hosts", paths->etc);
	vmm_auto_json struct json_object *config = NULL;
	const char *what = "node-accept", *name, *id, *address, *their_key, *host_key, *you, *your_address;
	int port = 0, your_port = 0;
	*reply = NULL;
	if (json_need(request, "name", what, &name, err) < 0 || json_need(request, "id", what, &id, err) < 0 ||
	    json_need(request, "address", what, &address, err) < 0 ||
	    json_need(request, "key", what, &their_key, err) < 0 ||
	    json_need(request, "host_key", what, &host_key, err) < 0 ||
	    json_need(request, "you.name", what, &you, err) < 0 ||
	    json_need(request, "you.address", what, &your_address, err) < 0 || read_port(request, &port, err) < 0 ||
	    read_port(json_at(request, "you"), &your_port, err) < 0 || cluster_node_check(name, address, err) < 0 ||
	    cluster_node_check(you, your_address, err) < 0 || cluster_load(conf, &config, err) < 0)
		return -1;
	const char *self = json_text(config, "self");
	if (!str_same(self, you))
		return wrong_name(self, you, err);
	if (str_same(self, name))
		return error_set(err, VMM_USAGE, "bad-name", "both nodes are called %s", name);
	if (!key_is_public(their_key))
		return error_set(err, VMM_USAGE, "malformed", "the key of node %s is no ed25519 key", name);
	const struct ssh_peer back = {.name = name, .address = address, .port = port, .known_hosts = known_hosts};
	const struct key_owner owner = {.node = name, .address = address};
	if (check_introducer(config, self, name, json_text(request, "by"), err) < 0 ||
	    cluster_node_id(paths->etc, &own_id, err) < 0 || check_id(config, own_id, name, id, err) < 0 ||
	    key_own(paths->etc, self, &key, err) < 0 || check_host_key_back(known_hosts, &back, host_key, err) < 0 ||
	    cluster_add_node_at(conf, name, address, port, id, err) < 0 ||
	    cluster_add_node_at(conf, self, your_address, your_port, own_id, err) < 0 ||
	    key_authorize(paths->authorized_keys, paths->agent, &owner, their_key, err) < 0)
		return -1;
	if (note_introducer(conf, name, address, json_text(request, "by"), err) < 0)
		return -1;
	*reply = json_make("api:d name:s id:s key:s", 1, self, own_id, key);
	return 0;
}

/* ------------------------------------------------------------------ installed paths */

/* sshd uses the home directory of the user database, not the variable HOME. */
static char *installed_authorized_keys(void)
{
	const struct passwd *user = getpwuid(geteuid());
	return str_format("%s/.ssh/authorized_keys", user ? user->pw_dir : "/root");
}

static struct cluster_paths installed(const char *etc_dir, const char *authorized_keys)
{
	return (struct cluster_paths){
		.etc = etc_dir,
		.authorized_keys = authorized_keys,
		.agent = "/usr/libexec/vmmigrate/vmmigrate-agent",
		.engine = "/usr/libexec/vmmigrate/vmmigrate-engine",
	};
}

int cluster_join(const char *etc_dir, const char *name, const char *address, bool accept, struct json_object **report,
		 struct vmm_error **err)
{
	vmm_auto_free char *authorized_keys = installed_authorized_keys();
	const struct cluster_paths paths = installed(etc_dir, authorized_keys);
	return cluster_join_at(&paths, name, address, accept, report, err);
}

int cluster_accept(const char *etc_dir, struct json_object *request, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_free char *authorized_keys = installed_authorized_keys();
	const struct cluster_paths paths = installed(etc_dir, authorized_keys);
	return cluster_accept_at(&paths, request, reply, err);
}

int cluster_remove(const char *etc_dir, const char *name, struct vmm_error **err)
{
	vmm_auto_free char *authorized_keys = installed_authorized_keys();
	const struct cluster_paths paths = installed(etc_dir, authorized_keys);
	return cluster_remove_at(&paths, name, err);
}
