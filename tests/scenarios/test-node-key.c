/* A node's key is no more than it has to be: what another node cannot have done over it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "two-nodes-internal.h"

#define TASK "node1-1-5f"

/* ------------------------------------------------------------------ over the wire */

/* What the agent of node2 replies to the call, from a node of that name; its error's code, or "". */
static char *agent_says(struct two_nodes *w, const char *from, const char *op, struct json_object *arguments)
{
	struct stream *pair[2];
	struct frame frame = {0};
	const struct identity self = {.name = (char *)from};
	vmm_auto_json struct json_object *hello = NULL, *reply = NULL, *call = json_make("op:s args:o", op, arguments);
	assert_int_equal(stream_pair(pair, NULL), 0);
	pid_t agent = fork();
	if (agent == 0) {
		stream_close(pair[0]);
		_exit(agent_serve(&w->machine[NODE2].paths, "agent", pair[1]));
	}
	stream_close(pair[1]);
	assert_int_equal(frame_hello(pair[0], "node2", &self, 10000, &hello, NULL), 0);
	assert_int_equal(frame_send_json(pair[0], FRAME_CALL, call, NULL), 0);
	assert_int_equal(frame_receive(pair[0], FRAME_LIMIT_CONTROL, 10000, &frame, NULL), 0);
	assert_int_equal(json_parse(frame.data, (int)frame.length, "reply", &reply, NULL), 0);
	frame_free(&frame);
	stream_close(pair[0]);
	waitpid(agent, NULL, 0);
	return str_copy(json_text_or(reply, "error.code", ""));
}

static struct json_object *about_the_guest(void)
{
	return json_make("task:s guest:s", TASK, "null-" GUEST_UUID);
}

static void what_a_task_asks_of_its_own_node_is_asked_of_no_other(void **state)
{
	(void)state;
	static const char *const own[] = {"give_up", "freeze", "thaw", "stop", "forget", "migrate_abort"};
	struct two_nodes *w = two_nodes_make();
	two_nodes_guest(w, NODE2, &variants[4], NULL);
	for (size_t i = 0; i < VMM_COUNT(own); i++) {
		vmm_auto_free char *code = agent_says(w, "node1", own[i], about_the_guest());
		assert_string_equal(code, "not-permitted");
	}
	vmm_auto_free char *code = agent_says(w, "node1", "state", about_the_guest());
	assert_string_equal(code, "");
	two_nodes_free(w);
}

static void a_node_that_is_not_of_the_cluster_is_not_served(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_make();
	vmm_auto_free char *code = agent_says(w, "node3", "guests", json_object_new_object());
	assert_string_equal(code, "wrong-node");
	two_nodes_free(w);
}

/* The exit status of the agent that is asked to relay. */
static int relays(struct two_nodes *w)
{
	struct stream *pair[2];
	int status = 0;
	assert_int_equal(stream_pair(pair, NULL), 0);
	pid_t agent = fork();
	if (agent == 0) {
		stream_close(pair[0]);
		_exit(agent_serve(&w->machine[NODE2].paths, "relay /run/libvirt/libvirt-sock", pair[1]));
	}
	stream_close(pair[1]);
	stream_close(pair[0]);
	waitpid(agent, &status, 0);
	return WEXITSTATUS(status);
}

static void nothing_is_relayed_unless_a_task_has_a_guest_here(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_make();
	assert_int_equal(relays(w), VMM_NOT_PERMITTED);
	struct guest_record record = {.guest = (char *)"null-" GUEST_UUID, .owner = (char *)"node1"};
	assert_int_equal(record_write(w->machine[NODE2].state, "node2", &record, NULL), 0);
	assert_int_equal(relays(w), VMM_NOT_PERMITTED);
	record.state = RECORD_TARGET;
	record.task = (char *)TASK;
	record.peer = (char *)"node1";
	assert_int_equal(record_write(w->machine[NODE2].state, "node2", &record, NULL), 0);
	assert_int_not_equal(relays(w), VMM_NOT_PERMITTED);
	two_nodes_free(w);
}

/* ------------------------------------------------------------------ places */

static const char *allocate(struct two_nodes *w, const char *to)
{
	static char code[40];
	struct vmm_node *node;
	vmm_auto_free char *temporary = storage_temporary(to, TASK);
	struct json_object *volume =
		json_make("kind:s target:s action:s from:s to:s to_kind:s temporary:s track:s size:i allocated:i",
			  "dir", "vda", "copy", to, to, "dir", temporary, "none", (int64_t)4096, (int64_t)4096);
	vmm_auto_json struct json_object *args = json_make("task:s guest:s volume:o replace:b", TASK,
							   "null-" GUEST_UUID, volume, 0),
					 *reply = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(node_open_local(&w->machine[NODE2].paths, &node, NULL), 0);
	int done = node_call(node, NODE_ALLOCATE, args, &reply, &err);
	snprintf(code, sizeof(code), "%s", done < 0 ? err->code : "");
	if (done < 0 && strcmp(code, "no-storage"))
		fail_msg("%s", err->message);
	node_close(node);
	return code;
}

static void no_volume_is_made_among_the_files_of_the_system(void **state)
{
	(void)state;
	static const char *const bad[] = {"/etc/cron.d/job",
					  "/usr/local/bin/x",
					  "/root/.ssh/authorized_keys2",
					  "/var/spool/cron/crontabs/root",
					  "/var/lib/vmmigrate/guests/x",
					  "/boot/x"};
	struct two_nodes *w = two_nodes_make();
	vmm_auto_free char *link = str_format("%s/link", w->machine[NODE2].root), *through = NULL, *good = NULL;
	for (size_t i = 0; i < VMM_COUNT(bad); i++) {
		assert_string_equal(allocate(w, bad[i]), "no-storage");
		assert_false(file_there(bad[i]));
	}
	assert_int_equal(symlink("/etc", link), 0);
	through = str_format("%s/vmmigrate-test", link);
	assert_string_equal(allocate(w, through), "no-storage");
	good = str_format("%s/disk.raw", w->machine[NODE2].root);
	assert_string_equal(allocate(w, good), "");
	two_nodes_free(w);
}

/* A storage that an administrator has declared, wherever it is, is a place for volumes. */
static void a_declared_storage_is_a_place_for_volumes(void **state)
{
	(void)state;
	char dir[] = "/var/tmp/vmm-place-XXXXXX";
	struct two_nodes *w = two_nodes_make();
	assert_non_null(mkdtemp(dir));
	vmm_auto_free char *path = str_format("%s/disk.raw", dir),
			   *conf = str_format("%s/vmmigrate.conf", w->machine[NODE2].etc),
			   *text = str_format("[migration]\nself = node2\n[storage mine]\npath = %s\n", dir);
	assert_string_equal(allocate(w, path), "no-storage");
	assert_int_equal(file_write(conf, text, strlen(text), 0600, NULL), 0);
	assert_string_equal(allocate(w, path), "");
	dir_remove(dir, NULL);
	two_nodes_free(w);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_task_asks_of_its_own_node_is_asked_of_no_other),
		cmocka_unit_test(a_node_that_is_not_of_the_cluster_is_not_served),
		cmocka_unit_test(nothing_is_relayed_unless_a_task_has_a_guest_here),
		cmocka_unit_test(no_volume_is_made_among_the_files_of_the_system),
		cmocka_unit_test(a_declared_storage_is_a_place_for_volumes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
