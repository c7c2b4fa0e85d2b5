/* How a node joins the cluster, with two real sshds on loopback: what is written, what is refused, and that nothing is
 * changed before the administrator has accepted the host key. Nothing of the machine's own ssh is read or changed.
 *
 * This program is also what sshd starts on the nodes: `agent DIR` (the forced command) and `engine DIR node-accept`. */
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "cluster/cluster-internal.h"
#include "own-sshd.h"

/* ------------------------------------------------------------------ the nodes */

struct machine {
	char *etc, *conf, *keys, *known_hosts, *host_key;
	char *agent, *engine; /* commands */
	int port;
	pid_t pid;
};

struct cluster {
	char dir[32];
	char self[4096];
	const char *user;
	struct machine node[2]; /* n1 asks, n2 is added */
	pid_t agent;		/* an ssh-agent with the administrator's key */
};

static struct cluster_paths paths_of(const char *dir, const struct machine *other)
{
	static char etc[256], keys[256], agent[4400];
	char self[4096] = "";
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		abort();
	snprintf(etc, sizeof(etc), "%s/etc", dir);
	snprintf(keys, sizeof(keys), "%s/authorized_keys", dir);
	snprintf(agent, sizeof(agent), "%s agent %s", self, dir);
	return (struct cluster_paths){etc, keys, agent, other ? other->engine : "none"};
}

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

static char *get(const char *path)
{
	char *text = NULL;
	return file_read(path, 1 << 20, &text, NULL, NULL) == 0 ? text : str_copy("");
}

static void start_sshd(struct cluster *w, struct machine *m, const char *dir)
{
	vmm_auto_free char *config = str_format("%s/sshd_config", dir), *log = str_format("%s/log", dir);
	vmm_auto_free char *text = str_format("ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nAuthorizedKeysFile %s\n"
					      "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
					      "PasswordAuthentication no\nKbdInteractiveAuthentication no\n",
					      m->port, m->host_key, m->keys);
	struct ssh_peer peer = {
		.name = w->user, .address = "127.0.0.1", .port = m->port, .known_hosts = m->known_hosts};
	put(config, text);
	m->pid = fork();
	if (m->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-D", "-E", log, "-f", config, NULL);
		_exit(127);
	}
	for (int i = 0; i < 200; i++) {
		vmm_auto_host_key struct host_key key = {0};
		if (host_key_fetch(&peer, &key, NULL) == 0)
			return;
		clock_sleep_ms(20);
	}
	fail_msg("sshd does not listen");
}

static void stop(pid_t pid)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

static void make_machine(struct cluster *w, int i)
{
	struct machine *m = &w->node[i];
	vmm_auto_free char *dir = str_format("%s/n%d", w->dir, i + 1);
	m->etc = str_format("%s/etc", dir);
	m->conf = str_format("%s/etc/vmmigrate.conf", dir);
	m->known_hosts = str_format("%s/etc/known_hosts", dir);
	m->keys = str_format("%s/authorized_keys", dir);
	m->host_key = str_format("%s/host", dir);
	m->agent = str_format("%s agent %s", w->self, dir);
	m->engine = str_format("%s engine %s", w->self, dir);
	m->port = free_port();
	assert_int_equal(dir_make(m->etc, 0755, NULL), 0);
	must_run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", m->host_key);
	put(m->keys, "# the administrator's\n");
	start_sshd(w, m, dir);
}

static void write_conf(struct cluster *w, int i, const char *self, const char *peer)
{
	vmm_auto_free char *text = str_format(
		"# mine\n[migration]\nself = %s\n[node %s]\nport = %d\nuser = %s\n[node %s]\nport = %d\nuser = %s\n",
		self, self, w->node[i].port, w->user, peer, w->node[!i].port, w->user);
	put(w->node[i].conf, text);
}

static void start_agent(struct cluster *w)
{
	vmm_auto_free char *socket = str_format("%s/agent", w->dir), *key = str_format("%s/administrator", w->dir);
	vmm_auto_free char *public = str_format("%s.pub", key);
	vmm_auto_free char *variable = str_format("SSH_AUTH_SOCK=%s", socket);
	must_run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key);
	w->agent = fork();
	if (w->agent == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (!freopen("/dev/null", "w", stdout))
			_exit(127);
		execlp("ssh-agent", "ssh-agent", "-D", "-a", socket, NULL);
		_exit(127);
	}
	for (int i = 0; i < 200 && !file_there(socket); i++)
		clock_sleep_ms(20);
	setenv("SSH_AUTH_SOCK", socket, 1);
	const char *const argv[] = {"ssh-add", "-q", key, NULL}, *const environment[] = {"PATH=/usr/bin:/bin", variable,
											 NULL};
	struct run_result result;
	assert_int_equal(run_checked(&(struct run){.argv = argv, .environment = environment}, &result, NULL), 0);
	run_result_free(&result);
	vmm_auto_free char *line = get(public);
	put(w->node[1].keys, line);
}

static int enter(void **state)
{
	struct cluster *w = mem_zero(sizeof(*w));
	strcpy(w->dir, "/tmp/vmm-join-XXXXXX");
	w->user = getpwuid(geteuid())->pw_name;
	if (!mkdtemp(w->dir) || readlink("/proc/self/exe", w->self, sizeof(w->self) - 1) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		make_machine(w, i);
	write_conf(w, 0, "n1", "n2");
	put(w->node[1].conf, "[migration]\nself = n2\n");
	start_agent(w);
	*state = w;
	return 0;
}

static int leave(void **state)
{
	struct cluster *w = *state;
	stop(w->agent);
	unsetenv("SSH_AUTH_SOCK");
	for (int i = 0; i < 2; i++) {
		struct machine *m = &w->node[i];
		char *const texts[] = {m->etc, m->conf, m->keys, m->known_hosts, m->host_key, m->agent, m->engine};
		stop(m->pid);
		for (size_t k = 0; k < VMM_COUNT(texts); k++)
			free(texts[k]);
	}
	dir_remove(w->dir, NULL);
	free(w);
	return 0;
}

static int join(struct cluster *w, bool accept, struct json_object **report, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/n1", w->dir);
	const struct cluster_paths paths = paths_of(dir, &w->node[1]);
	return cluster_join_at(&paths, "n2", "127.0.0.1", accept, report, err);
}

/* ------------------------------------------------------------------ what runs on the nodes */

static int play_agent(const char *dir)
{
	const char *asked = getenv("SSH_ORIGINAL_COMMAND");
	const struct cluster_paths paths = paths_of(dir, NULL);
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", paths.etc), *input = mem_zero(65536);
	vmm_auto_json struct json_object *config = NULL, *request = NULL, *reply = NULL, *hello = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	if (str_same(asked, "agent")) {
		struct stream *stream = stream_on_fds(0, 1);
		vmm_auto_identity struct identity self = {0};
		cluster_identity(paths.etc, &self);
		int status = frame_hello(stream, "n1", &self, 5000, &hello, NULL);
		stream_close(stream);
		return status < 0 || cluster_known(paths.etc, hello, NULL) < 0;
	}
	fd_read_all(0, input, 65535);
	if (json_parse(input, -1, "request", &request, NULL) < 0)
		return 1;
	if (str_same(asked, "verb node-test")) {
		if (cluster_load(conf, &config, NULL) < 0)
			return 1;
		const char *name = json_text(request, "name");
		int status = cluster_test(config, paths.etc, name, &err);
		reply = json_make("tests:o", json_object_new_array());
		json_append(reply, "tests",
			    json_make("from:s to:s ok:b error:o", json_text(config, "self"), name, status == 0,
				      err ? error_to_json(err) : NULL));
	} else if (!str_same(asked, "verb node-accept")) {
		return 127;
	} else if (cluster_accept_at(&paths, request, &reply, &err) < 0) {
		reply = json_make("error:o", error_to_json(err));
	}
	return puts(json_line(reply)) < 0;
}

static int play_engine(const char *dir)
{
	setenv("SSH_ORIGINAL_COMMAND", "verb node-accept", 1);
	return play_agent(dir);
}

/* ------------------------------------------------------------------ tests */

static void before_the_administrator_agrees_nothing_is_changed(void **state)
{
	struct cluster *w = *state;
	vmm_auto_free char *conf = get(w->node[0].conf), *keys = get(w->node[0].keys), *theirs = get(w->node[1].keys);
	vmm_auto_json struct json_object *report = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(join(w, false, &report, &err), -1);
	assert_true(error_is(err, "host-key-unknown"));
	assert_int_equal(err->exit, VMM_BLOCKED);
	vmm_auto_host_key struct host_key key = {0};
	const struct ssh_peer peer = {
		.name = "n2", .address = "127.0.0.1", .port = w->node[1].port, .known_hosts = w->node[0].known_hosts};
	assert_int_equal(host_key_fetch(&peer, &key, NULL), 0);
	assert_non_null(strstr(err->message, key.fingerprint));
	vmm_auto_free char *conf_after = get(w->node[0].conf), *keys_after = get(w->node[0].keys);
	vmm_auto_free char *theirs_after = get(w->node[1].keys), *own = str_format("%s/id_vmmigrate", w->node[0].etc);
	assert_string_equal(conf, conf_after);
	assert_string_equal(keys, keys_after);
	assert_string_equal(theirs, theirs_after);
	assert_false(file_there(own));
	assert_false(file_there(w->node[0].known_hosts));
}

static void a_node_is_joined_both_ways_and_again_changes_nothing(void **state)
{
	struct cluster *w = *state;
	vmm_auto_json struct json_object *report = NULL, *again = NULL, *third = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	if (join(w, true, &report, &err) < 0)
		fail_msg("%s", err->message);
	assert_true(json_true(report, "tests.0.ok") && json_true(report, "tests.1.ok"));
	assert_string_equal(json_text(report, "tests.1.from"), "n2");
	assert_false(json_true(report, "known"));
	char *before[2][3], *after[2][3];
	for (int i = 0; i < 2; i++) {
		before[i][0] = get(w->node[i].conf), before[i][1] = get(w->node[i].keys),
		before[i][2] = get(w->node[i].known_hosts);
		vmm_auto_free char *start = str_format(
			"from=\"127.0.0.1\",restrict,command=\"exec %s n%d\" ssh-ed25519 ", w->node[i].agent, 2 - i);
		assert_non_null(strstr(before[i][1], start));
		assert_non_null(strstr(before[i][0], "[node n1]"));
		assert_non_null(strstr(before[i][0], "[node n2]"));
	}
	assert_true(str_starts(before[0][0], "# mine\n[migration]\nself = n1\n"));
	assert_true(str_starts(before[0][1], "# the administrator's\n"));
	assert_int_equal(join(w, false, &again, NULL), 0); /* the host key is known by now */
	assert_true(json_true(again, "known"));
	stop(w->agent); /* and our own key is enough */
	assert_int_equal(join(w, false, &third, NULL), 0);
	for (int i = 0; i < 2; i++) {
		after[i][0] = get(w->node[i].conf), after[i][1] = get(w->node[i].keys),
		after[i][2] = get(w->node[i].known_hosts);
		for (int k = 0; k < 3; k++) {
			assert_string_equal(before[i][k], after[i][k]);
			free(before[i][k]);
			free(after[i][k]);
		}
	}
	vmm_auto_free char *key = str_format("%s/id_vmmigrate", w->node[0].etc);
	struct stat info;
	assert_int_equal(stat(key, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
}

/* Asserts that joining fails with that code, a message that contains `says`, and a hint. */
static void refused(struct cluster *w, const char *code, const char *says)
{
	vmm_auto_json struct json_object *report = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	if (join(w, true, &report, &err) == 0)
		fail_msg("joined, though: %s", code);
	if (!error_is(err, code) || !strstr(err->message, says) || !err->hint)
		fail_msg("%s: %s (%s), wanted %s: %s", err->code, err->message, err->hint ? err->hint : "no hint", code,
			 says);
	assert_null(report);
}

static void each_way_to_fail_has_its_own_words(void **state)
{
	struct cluster *w = *state;
	struct machine *peer = &w->node[1];
	vmm_auto_free char *keys = get(peer->keys), *engine = peer->engine;
	put(peer->keys, "# nobody\n");
	refused(w, "ssh-refused", "Permission denied");
	put(peer->keys, keys);
	peer->engine = str_copy("/none/at/all");
	refused(w, "agent-missing", "n2 has no /none/at/all");
	free(peer->engine);
	peer->engine = engine;
	engine = NULL;
	put(peer->conf, "[migration]\nself = n3\n");
	refused(w, "wrong-name", "this machine is node n3, not n2");
	put(peer->conf, "[migration]\nsfle = n2\n");
	refused(w, "bad-configuration", "n2: ");
	put(peer->conf, "[migration]\nself = n2\n");
	stop(w->node[0].pid); /* no way back */
	refused(w, "connection-refused", "the way back from n2");
	vmm_auto_free char *dir = str_format("%s/n1", w->dir);
	start_sshd(w, &w->node[0], dir);
	vmm_auto_free char *foreign = str_format("%s/host.pub", dir), *line = get(foreign);
	vmm_auto_free char *known = str_format("[127.0.0.1]:%d %s", peer->port, line);
	put(w->node[0].known_hosts, known);
	refused(w, "host-key-changed", "another machine may be answering");
}

static void a_request_that_could_harm_is_refused_and_writes_nothing(void **state)
{
	struct cluster *w = *state;
	static const char key[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	static const char *const bad[][2] = {
		{"name", "a]\n[node b"},
		{"name", "n2"},
		{"address", "-oProxyCommand=x"},
		{"address", "a\nb"},
		{"key", "ssh-ed25519 AAAA\nssh-rsa x"},
		{"key", "ssh-rsa AAAA"},
		{"key", ""},
		{"host_key", "ssh-ed25519 other"},
		{"name", NULL},
		{"id", "a\nb"},
		{"id", NULL},
	};
	vmm_auto_free char *dir = str_format("%s/n2", w->dir), *keys = get(w->node[1].keys);
	const struct cluster_paths paths = paths_of(dir, NULL);
	assert_true(key_is_public(key));
	for (size_t i = 0; i < VMM_COUNT(bad); i++) {
		vmm_auto_json struct json_object *reply = NULL;
		vmm_auto_json struct json_object *request =
			json_make("name:s id:s address:s port:d key:s host_key:s you:o", "n1", "id-1", "127.0.0.1",
				  w->node[0].port, key, key, json_make("name:s address:s", "n2", "127.0.0.1"));
		json_object_object_add(request, bad[i][0], bad[i][1] ? json_object_new_string(bad[i][1]) : NULL);
		vmm_auto_error struct vmm_error *err = NULL;
		assert_int_equal(cluster_accept_at(&paths, request, &reply, &err), -1);
		assert_non_null(err);
	}
	vmm_auto_free char *after = get(w->node[1].keys), *conf = get(w->node[1].conf);
	assert_string_equal(keys, after);
	assert_string_equal(conf, "[migration]\nself = n2\n");
}

/* ------------------------------------------------------------------ who a node is */

/* The other node's configuration, with another name for itself. */
static void rename_in_conf(const char *conf, const char *from, const char *to)
{
	vmm_auto_free char *text = get(conf), *line = str_format("self = %s\n", from);
	char *at = strstr(text, line);
	assert_non_null(at);
	vmm_auto_free char *changed = str_format("%.*sself = %s\n%s", (int)(at - text), text, to, at + strlen(line));
	put(conf, changed);
}

/* n1 connects to n2: the error's code, "" for none; its message and hint are in `said`. */
static const char *test_n2(struct cluster *w, char **said)
{
	static char code[40];
	vmm_auto_json struct json_object *config = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(cluster_load(w->node[0].conf, &config, NULL), 0);
	int done = cluster_test(config, w->node[0].etc, "n2", &err);
	snprintf(code, sizeof(code), "%s", done < 0 ? err->code : "");
	free(*said);
	*said = done < 0 ? str_format("%s; %s", err->message, err->hint ? err->hint : "") : NULL;
	return code;
}

static void what_answers_has_to_be_the_node_that_was_added(void **state)
{
	struct cluster *w = *state;
	vmm_auto_json struct json_object *report = NULL;
	vmm_auto_free char *said = NULL, *id = str_format("%s/node-id", w->node[1].etc), *theirs = NULL;
	assert_int_equal(join(w, true, &report, NULL), 0);
	assert_string_equal(test_n2(w, &said), "");

	rename_in_conf(w->node[1].conf, "n2", "renamed2");
	assert_string_equal(test_n2(w, &said), "wrong-node");
	assert_non_null(strstr(said, "is node renamed2, not n2"));
	assert_non_null(strstr(said, "set self = n2 in [migration]"));
	rename_in_conf(w->node[1].conf, "renamed2", "n2"); /* as the hint says */
	assert_string_equal(test_n2(w, &said), "");

	theirs = get(id);
	put(id, "11111111-2222-3333-4444-555555555555\n");
	assert_string_equal(test_n2(w, &said), "wrong-node");
	assert_non_null(strstr(said, "vmmigrate node add n2 127.0.0.1"));
	put(id, theirs);

	put(w->node[1].conf, "nonsense\n");
	assert_string_equal(test_n2(w, &said), "bad-configuration");
}

static void nodes_that_were_cloned_from_one_image_are_found(void **state)
{
	struct cluster *w = *state;
	vmm_auto_json struct json_object *report = NULL;
	vmm_auto_free char *one = NULL, *said = NULL, *other = str_format("%s/node-id", w->node[1].etc),
			   *keys = get(w->node[1].keys);
	assert_int_equal(cluster_node_id(w->node[0].etc, &one, NULL), 0);
	put(other, one);
	refused(w, "same-node-id", "n1 has the same id as n2");
	vmm_auto_free char *after = get(w->node[1].keys), *conf = get(w->node[1].conf);
	assert_string_equal(keys, after);
	assert_string_equal(conf, "[migration]\nself = n2\n");

	unlink(other);
	assert_int_equal(join(w, true, &report, NULL), 0);
	put(other, one);
	assert_string_equal(test_n2(w, &said), "same-node-id");
}

static void who_connects_has_to_be_a_node_of_ours(void **state)
{
	struct cluster *w = *state;
	vmm_auto_json struct json_object *report = NULL;
	static const struct {
		const char *node, *id;
		int minor;
		bool known;
	} rows[] = {{"n1", "its own", 1, true},
		    {"n1", "another", 1, false},
		    {"renamed1", "its own", 1, false},
		    {NULL, NULL, 1, false},
		    {NULL, NULL, 0, true}};
	vmm_auto_free char *own = NULL;
	assert_int_equal(join(w, true, &report, NULL), 0);
	assert_int_equal(cluster_node_id(w->node[0].etc, &own, NULL), 0);
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_error struct vmm_error *err = NULL;
		struct json_object *protocol = json_object_new_array();
		json_object_array_add(protocol, json_object_new_int(1));
		json_object_array_add(protocol, json_object_new_int(rows[i].minor));
		vmm_auto_json struct json_object *hello =
			json_make("node:s id:s protocol:o", rows[i].node,
				  str_same(rows[i].id, "its own") ? own : rows[i].id, protocol);
		int known = cluster_known(w->node[1].etc, hello, &err);
		assert_int_equal(known, rows[i].known ? 0 : -1);
		if (!rows[i].known)
			assert_string_equal(err->code, "wrong-node");
	}
}

/* What n2 says to a request that has come over the key of `by`; NULL: an administrator asks. */
static const char *accepts(struct cluster *w, const char *by)
{
	static char code[40];
	vmm_auto_free char *dir = str_format("%s/n2", w->dir), *hosts = str_format("%s/n1/host.pub", w->dir),
			   *line = get(hosts);
	const struct cluster_paths paths = paths_of(dir, NULL);
	vmm_auto_json struct json_object *reply = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	static const char key[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	line[strcspn(line, " ") + 1 + strcspn(line + strcspn(line, " ") + 1, " \n")] = 0; /* no comment */
	vmm_auto_json struct json_object *request =
		json_make("name:s id:s address:s port:d key:s host_key:s by:s you:o", "n3", "id-3", "127.0.0.1",
			  w->node[0].port, key, line, by, json_make("name:s address:s", "n2", "127.0.0.1"));
	int done = cluster_accept_at(&paths, request, &reply, &err);
	snprintf(code, sizeof(code), "%s", done < 0 ? err->code : "");
	return code;
}

static void a_node_that_another_one_introduces_is_kept_with_it_and_taken_back_whole(void **state)
{
	struct cluster *w = *state;
	vmm_auto_free char *dir = str_format("%s/n2", w->dir), *before = get(w->node[1].keys), *conf = NULL,
			   *keys = NULL, *after = NULL, *left = NULL, *hosts = NULL;
	const struct cluster_paths paths = paths_of(dir, NULL);
	assert_string_equal(accepts(w, "n1"), "");
	conf = get(w->node[1].conf);
	assert_non_null(strstr(conf, "\nid = id-3\n"));
	assert_non_null(strstr(conf, "introduced_by = n1\n"));
	keys = get(w->node[1].keys);
	assert_non_null(strstr(keys, " vmmigrate@n3\n"));

	assert_int_equal(cluster_remove_at(&paths, "n3", NULL), 0);
	after = get(w->node[1].keys);
	assert_string_equal(after, before);
	left = get(w->node[1].conf);
	assert_null(strstr(left, "n3"));
	assert_non_null(strstr(left, "self = n2\n"));
	hosts = get(w->node[1].known_hosts);
	assert_string_equal(hosts, "");
	assert_int_equal(cluster_remove_at(&paths, "n3", NULL), -1);
}

static void introductions_can_be_switched_off(void **state)
{
	struct cluster *w = *state;
	vmm_auto_free char *before = get(w->node[1].keys), *after = NULL;
	put(w->node[1].conf, "[migration]\nself = n2\n[cluster]\njoins = administrator\n");
	assert_string_equal(accepts(w, "n1"), "joins-closed");
	after = get(w->node[1].keys);
	assert_string_equal(after, before);
	assert_string_equal(accepts(w, NULL), "");
}

static void an_older_key_of_a_node_goes_and_the_lines_of_others_stay(void **state)
{
	struct cluster *w = *state;
	static const char one[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	static const char two[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
	const char *path = w->node[0].keys;
	static const struct key_owner n2 = {"n2", "192.0.2.2", "192.0.2.99"}, n3 = {"n3", "no-such-host.invalid", NULL};
	vmm_auto_free char *loose = str_format("# mine\n%s a key with all powers\nssh-rsa AAAA vmmigrate@n2", one);
	put(path, loose);
	assert_int_equal(key_authorize(path, "/a", &n2, one, NULL), 0);
	assert_int_equal(key_authorize(path, "/a", &n3, two, NULL), 0);
	vmm_auto_free char *first = get(path),
			   *wanted = str_format(
				   "# mine\nssh-rsa AAAA vmmigrate@n2\n"
				   "from=\"192.0.2.2,192.0.2.99\",restrict,command=\"exec /a n2\" %s vmmigrate@n2\n"
				   "restrict,command=\"exec /a n3\" %s vmmigrate@n3\n",
				   one, two);
	assert_string_equal(first, wanted);
	static const char three[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC";
	assert_int_equal(key_authorize(path, "/a", &n2, three, NULL), 0);
	vmm_auto_free char *second = get(path);
	assert_null(strstr(second, one));
	assert_non_null(strstr(second, two));
	assert_non_null(strstr(second, three));
	assert_non_null(strstr(second, "ssh-rsa AAAA vmmigrate@n2\n"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "agent"))
		return play_agent(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "engine"))
		return play_engine(argv[2]);
	if (!enter_namespace()) {
		printf("no mount namespace of one's own to be had: skipped\n");
		return 0;
	}
	const struct CMUnitTest tests[] = {
		test(before_the_administrator_agrees_nothing_is_changed),
		test(a_node_is_joined_both_ways_and_again_changes_nothing),
		test(each_way_to_fail_has_its_own_words),
		test(a_request_that_could_harm_is_refused_and_writes_nothing),
		test(what_answers_has_to_be_the_node_that_was_added),
		test(nodes_that_were_cloned_from_one_image_are_found),
		test(who_connects_has_to_be_a_node_of_ours),
		test(a_node_that_another_one_introduces_is_kept_with_it_and_taken_back_whole),
		test(introductions_can_be_switched_off),
		test(an_older_key_of_a_node_goes_and_the_lines_of_others_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
