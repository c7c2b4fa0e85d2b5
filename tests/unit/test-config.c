/* The configuration: every mistake is an error with its line, and every value is read as its type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cluster/cluster-internal.h"

static struct json_object *parse(const char *text)
{
	struct json_object *config = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	if (config_parse("a.conf", text, &config, &err) < 0)
		fail_msg("%s", err->message);
	return config;
}

static void values_are_read_as_their_type(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *c = parse("\xef\xbb\xbf# comment\r\n"
						    "[migration]\n"
						    "  network = 10.77.0.0/24 ; behind a value too\n"
						    "  bwlimit=3\n"
						    "data_ports = 50000-50007\n"
						    "keep_tasks = 30d\n"
						    "type : insecure\n"
						    "\n"
						    "[node node2]\n"
						    "[ node node1 ]\r\n"
						    "\taddress = fe80::1%eth0\r\n"
						    "port = 2222\n"
						    "maintenance = Yes\n"
						    "[storage vm store]\n"
						    "path = /srv/vm store/ü\n"
						    "shared = no");
	assert_string_equal(json_text(c, "migration.network"), "10.77.0.0/24");
	assert_int_equal(json_number(c, "migration.bwlimit"), 3);
	assert_string_equal(json_text(c, "migration.data_ports"), "50000-50007");
	assert_int_equal(json_number(c, "migration.keep_tasks"), 30 * 86400);
	assert_string_equal(json_text(c, "migration.type"), "insecure");
	assert_string_equal(json_text(c, "node.node1.address"), "fe80::1%eth0");
	assert_int_equal(json_number(c, "node.node1.port"), 2222);
	assert_true(json_true(c, "node.node1.maintenance"));
	assert_non_null(json_at(c, "node.node2")); /* a section without a key counts */
	assert_string_equal(json_text(c, "storage.vm store.path"), "/srv/vm store/ü");
	assert_non_null(json_at(c, "storage.vm store.shared"));
	assert_false(json_true(c, "storage.vm store.shared"));
}

/* A text, the line that the message has to name, and what message and hint (NULL: any) have to contain. */
static const struct {
	const char *text;
	int line;
	const char *says, *hint;
} bad[] = {
	{"[node a]\nadress = b\n", 2, "unknown key \"adress\"", "\"address\""},
	{"[node a]\nzzzzzzzz = b\n", 2, "unknown key \"zzzzzzzz\"", "address, port, user, maintenance"},
	{"# x\n\n[nod a]\n", 3, "unknown section \"nod\"", "\"node\""},
	{"[guests]\n", 1, "unknown section \"guests\"", "node, storage, cluster, migration"},
	{"[]\n", 1, "unknown section \"\"", NULL},
	{"[node]\naddress = b\n", 1, "[node] needs a name", NULL},
	{"[migration fast]\n", 1, "[migration] has no name", NULL},
	{"[node a]\n\n[node a]\n", 3, "[node a] is there already, in line 1", NULL},
	{"[node a]\nport = 1\nport = 2\n", 3, "is there already, in line 2", NULL},
	{"[node a]\nport = 65536\n", 2, "a number from 1 to 65535", NULL},
	{"[node a]\nport = -1\n", 2, "a number from", NULL},
	{"[node a]\nport = 22x\n", 2, "a number from", NULL},
	{"[node a]\nport =\n", 2, "a number from", NULL},
	{"[node a]\nport = 99999999999999999999\n", 2, "a number from", NULL},
	{"[node a]\nmaintenance = perhaps\n", 2, "yes or no", NULL},
	{"[node a]\naddress = -oProxyCommand=x\n", 2, "a host name or an address", NULL},
	{"[node a]\naddress = a b\n", 2, "a host name or an address", NULL},
	{"[node a]\nuser = -l\n", 2, "a name", NULL},
	{"[node a.b]\n", 1, "cannot be the name of a node", NULL},
	{"[node ../x]\n", 1, "cannot be the name of a node", NULL},
	{"[storage a/b]\n", 1, "cannot be the name of a storage", NULL},
	{"[storage s]\npath = vm\n", 2, "an absolute path", NULL},
	{"[storage s]\npath = /srv/../etc\n", 2, "an absolute path", NULL},
	{"[migration]\ndata_ports = 5-4\n", 2, "a range of ports", NULL},
	{"[migration]\ndata_ports = 0-4\n", 2, "a range of ports", NULL},
	{"[migration]\ndata_ports = 4-65536\n", 2, "a range of ports", NULL},
	{"[migration]\ndata_ports = 4-5-6\n", 2, "a range of ports", NULL},
	{"[migration]\ndata_ports = +4- 6\n", 2, "a range of ports", NULL},
	{"[storage s]\nkind = di\n", 2, "one of dir|block", NULL},
	{"[migration]\nnetwork = 10.0.0.0\n", 2, "a network", NULL},
	{"[migration]\nnetwork = 10.0.0.0/33\n", 2, "a network", NULL},
	{"[migration]\nkeep_tasks = 30\n", 2, "a number with s, m, h or d", NULL},
	{"[migration]\nkeep_tasks = 30dd\n", 2, "a number with s, m, h or d", NULL},
	{"[migration]\nself = a b\n", 2, "letters, digits", NULL},
	{"[node a]\nwhat is this\n", 2, "neither a [section] nor key = value", NULL},
	{"[node a\naddress = b\n", 1, "without its ']'", NULL},
	{"address = b\n", 1, "before the first [section]", NULL},
};

static void every_mistake_is_an_error_with_file_line_and_a_suggestion(void **state)
{
	(void)state;
	for (size_t i = 0; i < VMM_COUNT(bad); i++) {
		vmm_auto_error struct vmm_error *err = NULL;
		struct json_object *config = NULL;
		vmm_auto_free char *position = str_format("a.conf:%d: ", bad[i].line);
		if (config_parse("a.conf", bad[i].text, &config, &err) == 0)
			fail_msg("taken: %s", bad[i].text);
		assert_true(error_is(err, "bad-configuration"));
		assert_int_equal(err->exit, VMM_USAGE);
		if (!str_starts(err->message, position) || !strstr(err->message, bad[i].says) ||
		    (bad[i].hint && (!err->hint || !strstr(err->hint, bad[i].hint))))
			fail_msg("%s for: %s (%s)", err->message, bad[i].text, err->hint ? err->hint : "no hint");
	}
}

static void a_line_or_a_name_that_is_too_long_is_an_error_and_not_truncated(void **state)
{
	(void)state;
	vmm_auto_text struct text line = {0}, name = {0};
	text_add(&line, "[storage s]\npath = /");
	text_add(&name, "[node ");
	for (int i = 0; i < 250; i++)
		text_add(&line, "x");
	for (int i = 0; i < 60; i++)
		text_add(&name, "n");
	text_add(&name, "]\n");
	vmm_auto_error struct vmm_error *err = NULL, *second = NULL;
	struct json_object *config = NULL;
	assert_int_equal(config_parse("a.conf", line.data, &config, &err), -1);
	assert_non_null(strstr(err->message, "a.conf:2: the line is longer than"));
	assert_int_equal(config_parse("a.conf", name.data, &config, &second), -1);
	assert_non_null(strstr(second->message, "a.conf:1: "));
}

static void the_order_of_sections_makes_no_difference(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *one = parse("[node a]\n[node b]\nport=1\n"),
					 *two = parse("[node b]\nport=1\n[node a]\n");
	assert_string_equal(json_line(one), json_line(two));
}

static void no_file_is_an_empty_configuration_and_the_host_names_us(void **state)
{
	(void)state;
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = 0;
	vmm_auto_json struct json_object *config = NULL, *none = NULL;
	assert_int_equal(cluster_load("/none/at/all.conf", &config, NULL), 0);
	assert_string_equal(json_text(config, "self"), host);
	assert_int_equal(json_object_object_length(json_at(config, "node")), 0);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(cluster_load("/proc", &none, &err), -1); /* a file that cannot be read is an error */
	assert_non_null(err);
}

static void the_tables_are_complete(void **state)
{
	(void)state;
	for (size_t s = 0; s < config_section_count; s++) {
		assert_true(strlen(config_sections[s].help) > 10);
		for (size_t k = 0; k < config_sections[s].key_count; k++) {
			const struct config_key *key = &config_sections[s].keys[k];
			assert_true(strlen(key->help) > 10);
			assert_true((key->type == CONFIG_CHOICE) == (key->choices != NULL));
			assert_true(key->type != CONFIG_NUMBER || key->most > key->least);
		}
	}
}

static char *source_file(const char *path)
{
	char *text = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0)
		skip(); /* not run in the source tree */
	return text;
}

static void the_example_and_the_manual_have_every_key(void **state)
{
	(void)state;
	vmm_auto_free char *example = source_file("plugin/cluster/vmmigrate.conf");
	vmm_auto_free char *manual = source_file("cli/man/vmmigrate.conf.5");
	vmm_auto_json struct json_object *as_shipped = parse(example), *all = NULL;
	assert_int_equal(json_object_object_length(json_at(as_shipped, "node")), 0);
	vmm_auto_text struct text bare = {0};
	for (const char *at = example; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		bool comment = str_starts(at, "# ") || str_starts(at, "#\n");
		if (!comment)
			text_add(&bare, "%.*s\n", (int)strcspn(at, "\n") - (*at == '#'), at + (*at == '#'));
	}
	all = parse(bare.data);
	static const char *const example_section[] = {"node.node2", "storage.vm", "cluster", "migration"};
	for (size_t s = 0; s < config_section_count; s++) {
		struct json_object *section = json_at(all, example_section[s]);
		assert_int_equal(json_object_object_length(section), config_sections[s].key_count);
		for (size_t k = 0; k < config_sections[s].key_count; k++) {
			const char *key = config_sections[s].keys[k].name;
			vmm_auto_free char *item = str_format("\n.It Cm %s\n", key);
			if (!json_at(section, key) || !strstr(manual, item))
				fail_msg("%s is missing in the example or in the manual", key);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_read_as_their_type),
		cmocka_unit_test(every_mistake_is_an_error_with_file_line_and_a_suggestion),
		cmocka_unit_test(a_line_or_a_name_that_is_too_long_is_an_error_and_not_truncated),
		cmocka_unit_test(the_order_of_sections_makes_no_difference),
		cmocka_unit_test(no_file_is_an_empty_configuration_and_the_host_names_us),
		cmocka_unit_test(the_tables_are_complete),
		cmocka_unit_test(the_example_and_the_manual_have_every_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
