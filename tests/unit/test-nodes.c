/* Nodes: a peer is found, or similar names are suggested; adding a node changes nothing else in the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "cluster/cluster-internal.h"

static int enter(void **state)
{
	char dir[] = "/tmp/vmm-nodes-XXXXXX";
	*state = mkdtemp(dir) ? str_copy(dir) : NULL;
	return *state ? 0 : -1;
}

static int leave(void **state)
{
	int status = dir_remove(*state, NULL);
	free(*state);
	return status;
}

static void near_names_are_at_most_two_letters_away(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *names = json_object_new_array();
	static const char *const all[] = {"node1", "node20", "storage", "b"};
	for (size_t i = 0; i < VMM_COUNT(all); i++)
		json_object_array_add(names, json_object_new_string(all[i]));
	assert_string_equal(json_suggest(names, "nod1"), "node1");
	assert_string_equal(json_suggest(names, "node21"), "node1");
	assert_string_equal(json_suggest(names, "storge"), "storage");
	assert_null(json_suggest(names, "c")); /* not "b": nothing of it would be left */
	assert_null(json_suggest(names, "quite another"));
	assert_null(json_suggest(NULL, "x"));
}

static void a_peer_has_the_nodes_address_and_our_own_key(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *config = NULL;
	struct cluster_peer peer;
	assert_int_equal(config_parse("a.conf",
				      "[node node2]\naddress=192.0.2.2\nport=2222\nuser=mover\n[node node3]\n", &config,
				      NULL),
			 0);
	assert_int_equal(cluster_peer(config, "/etc/vmmigrate", "node2", &peer, NULL), 0);
	assert_string_equal(peer.ssh.name, "node2");
	assert_string_equal(peer.ssh.address, "192.0.2.2");
	assert_int_equal(peer.ssh.port, 2222);
	assert_string_equal(peer.ssh.user, "mover");
	assert_string_equal(peer.ssh.key, "/etc/vmmigrate/id_vmmigrate");
	assert_string_equal(peer.ssh.known_hosts, "/etc/vmmigrate/known_hosts");
	cluster_peer_free(&peer);
	assert_int_equal(cluster_peer(config, "/etc/vmmigrate", "node3", &peer, NULL), 0);
	assert_null(peer.ssh.address);
	assert_int_equal(peer.ssh.port, 0);
	cluster_peer_free(&peer);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(cluster_peer(config, "/etc/vmmigrate", "node4", &peer, &err), -1);
	assert_true(error_is(err, "target-unknown"));
	assert_int_equal(err->exit, VMM_NOT_FOUND);
	assert_non_null(strstr(err->hint, "node2"));
	cluster_peer_free(&peer);
	assert_int_equal(cluster_peer(config, "/etc/vmmigrate", "../x", &peer, NULL), -1);
	assert_int_equal(cluster_peer(NULL, "/etc/vmmigrate", "x", &peer, NULL), -1);
}

/* Before, name, address, after. */
static const char *const edits[][4] = {
	{"", "n2", "h2", "[node n2]\naddress = h2\n"},
	{"# top\n[migration]\nbwlimit = 2", "n2", "h2", "# top\n[migration]\nbwlimit = 2\n\n[node n2]\naddress = h2\n"},
	{"[node n2]\nport = 3\n\n# end\n", "n2", "h2", "[node n2]\naddress = h2\nport = 3\n\n# end\n"},
	{"[node n1]\naddress = keep\n[ node n2 ] ; two\r\n port = 3\r\n address=old ; why\r\n#x\r\n[node n3]\naddress "
	 "= keep",
	 "n2", "h2",
	 "[node n1]\naddress = keep\n[ node n2 ] ; two\r\n port = 3\r\naddress = h2\n#x\r\n[node n3]\naddress = keep"},
	{"[node n2]\naddress = old", "n2", "::1", "[node n2]\naddress = ::1\n"},
	{"[node n2]", "n2", "h2", "[node n2]\naddress = h2\n"},
	{"[node n2]\naddress   =   h2\n\n\n", "n2", "h2", "[node n2]\naddress   =   h2\n\n\n"},
};

static void adding_a_node_keeps_every_other_byte(void **state)
{
	vmm_auto_free char *path = str_format("%s/vmmigrate.conf", (char *)*state);
	for (size_t i = 0; i < VMM_COUNT(edits); i++) {
		for (int again = 0; again < 2; again++) {
			vmm_auto_free char *text = NULL;
			if (!again)
				assert_int_equal(file_write(path, edits[i][0], strlen(edits[i][0]), 0640, NULL), 0);
			assert_int_equal(cluster_add_node(path, edits[i][1], edits[i][2], NULL), 0);
			assert_int_equal(file_read(path, 4096, &text, NULL, NULL), 0);
			assert_string_equal(text, edits[i][3]);
		}
		struct stat info;
		assert_int_equal(stat(path, &info), 0);
		assert_int_equal(info.st_mode & 0777, 0640);
	}
}

static void a_file_that_is_malformed_or_a_name_that_could_harm_is_left_alone(void **state)
{
	vmm_auto_free char *path = str_format("%s/vmmigrate.conf", (char *)*state), *text = NULL;
	assert_int_equal(file_write(path, "[node a]\nwhat\n", 14, 0600, NULL), 0);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(cluster_add_node(path, "b", "h", &err), -1);
	assert_non_null(strstr(err->message, "vmmigrate.conf:2:"));
	static const char *const name[] = {"b]\n[x", "", NULL, "a b", "-b", "b"}, *const address[] = {"h", "h",
												      "h", "h",
												      "h", "h\nport=1"};
	assert_int_equal(file_write(path, "[node a]\n", 9, 0600, NULL), 0);
	for (size_t i = 0; i < VMM_COUNT(name); i++)
		assert_int_equal(cluster_add_node(path, name[i], address[i], NULL), -1);
	assert_int_equal(file_read(path, 4096, &text, NULL, NULL), 0);
	assert_string_equal(text, "[node a]\n");
}

static void a_file_that_is_a_link_stays_one(void **state)
{
	vmm_auto_free char *path = str_format("%s/vmmigrate.conf", (char *)*state),
			   *real = str_format("%s/real", (char *)*state);
	assert_int_equal(file_write(real, "", 0, 0600, NULL), 0);
	assert_int_equal(symlink(real, path), 0);
	assert_int_equal(cluster_add_node(path, "b", "h", NULL), 0);
	struct stat info;
	assert_int_equal(lstat(path, &info), 0);
	assert_true(S_ISLNK(info.st_mode));
	vmm_auto_free char *text = NULL;
	assert_int_equal(file_read(real, 4096, &text, NULL, NULL), 0);
	assert_string_equal(text, "[node b]\naddress = h\n");
}

#define test(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(near_names_are_at_most_two_letters_away),
		test(a_peer_has_the_nodes_address_and_our_own_key),
		test(adding_a_node_keeps_every_other_byte),
		test(a_file_that_is_malformed_or_a_name_that_could_harm_is_left_alone),
		test(a_file_that_is_a_link_stays_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
