/* A request is normalised, or refused with a message that names the part that is wrong and what was probably meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "scenario.h"

/* `text`: JSON with ' for ". */
static struct json_object *json_of(const char *text)
{
	struct json_object *object = NULL;
	vmm_auto_free char *copy = str_copy(text);
	for (char *at = copy; *at; at++)
		if (*at == '\'')
			*at = '"';
	assert_int_equal(json_parse(copy, -1, "test", &object, NULL), 0);
	return object;
}

static struct json_object *read_with(const char *text, const char *config_text)
{
	struct json_object *request;
	struct vmm_error *err = NULL;
	vmm_auto_json struct json_object *raw = json_of(text), *config = json_of(config_text);
	if (request_read(raw, config, &request, &err) < 0)
		fail_msg("%s: %s", text, err->message);
	return request;
}

/* The normalised options of a request with these. */
static struct json_object *options_read(const char *options)
{
	vmm_auto_free char *text = str_format("{'guest':'100','target':'node2','options':%s}", options);
	vmm_auto_json struct json_object *request = read_with(text, "{}");
	return json_object_get(json_at(request, "options"));
}

static void refuses(const char *text, const char *message, const char *hint)
{
	struct json_object *request;
	vmm_auto_error struct vmm_error *err = NULL;
	vmm_auto_json struct json_object *raw = json_of(text);
	if (request_read(raw, NULL, &request, &err) == 0)
		fail_msg("%s was taken", text);
	assert_null(request);
	assert_int_equal(err->exit, VMM_USAGE);
	if (!strstr(err->message, message) || (hint && (!err->hint || !strstr(err->hint, hint))))
		fail_msg("%s: \"%s\" - \"%s\", not \"%s\" - \"%s\"", text, err->message, err->hint ? err->hint : "",
			 message, hint ? hint : "");
}

static void refuses_option(const char *options, const char *message, const char *hint)
{
	vmm_auto_free char *text = str_format("{'guest':'100','options':%s}", options);
	refuses(text, message, hint);
}

static void a_guest_is_an_id_a_name_or_has_its_kind_before_a_slash(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *number = read_with("{'api':1,'guest':100,'target':'node2'}", "{}");
	vmm_auto_json struct json_object *slash = read_with("{'guest':'lxc/200'}", "{}");
	vmm_auto_json struct json_object *apart = read_with("{'guest':'200','kind':'lxc'}", "{}");
	assert_string_equal(json_text(number, "guest"), "100");
	assert_string_equal(json_text(number, "target"), "node2");
	assert_null(json_text(number, "kind"));
	assert_string_equal(json_text(slash, "guest"), "200");
	assert_string_equal(json_text(slash, "kind"), "lxc");
	assert_null(json_text(slash, "target"));
	assert_string_equal(json_text(apart, "kind"), "lxc");
}

static void names_that_could_harm_are_refused(void **state)
{
	(void)state;
	refuses("{'target':'node2'}", "names no guest", NULL);
	refuses("{'guest':''}", "guest: the name is empty", NULL);
	refuses("{'guest':['100']}", "names no guest", NULL);
	refuses("{'guest':'qemu/../x'}", "has a '/'", NULL);
	refuses("{'guest':'../x'}", "\"..\" is not a kind of guest", "qemu/100");
	refuses("{'guest':'-x'}", "begins with '-'", NULL);
	refuses("{'guest':'100','target':'-oProxyCommand'}", "begins with '-'", NULL);
	refuses("{'guest':'100','target':'a/b'}", "has a '/'", NULL);
	refuses("{'guest':'100','target':7}", "target is not a name", NULL);
	refuses("{'api':2,'guest':'100'}", "version 2", NULL);
	refuses("['guest']", "not an object", NULL);
	refuses("{'guest':'100','options':[]}", "\"options\" is not an object", NULL);
}

static void dashes_and_underscores_are_alike(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *options =
		options_read("{'max-downtime':300,'non-live':true,'on_stall':'suspend'}");
	assert_int_equal(json_number(options, "max_downtime"), 300);
	assert_true(json_true(options, "non_live"));
	assert_string_equal(json_text(options, "on_stall"), "suspend");
	refuses_option("{'max-downtime':1,'max_downtime':2}", "given twice", NULL);
}

static void unknown_options_are_refused_with_a_similar_name(void **state)
{
	(void)state;
	refuses_option("{'onlin':true}", "no option --onlin", "did you mean --online?");
	refuses_option("{'bw-limit':1}", "no option --bw-limit", "did you mean --bwlimit?");
	refuses_option("{'max_downtme':1}", "no option --max-downtme", "did you mean --max-downtime?");
	refuses_option("{'frobnicate':1}", "no option --frobnicate", NULL);
}

static void values_of_the_wrong_type_are_refused_by_name(void **state)
{
	(void)state;
	refuses_option("{'online':'yes'}", "--online takes true or false, not \"yes\"", NULL);
	refuses_option("{'online':2}", "--online", NULL);
	refuses_option("{'timeout':'soon'}", "--timeout takes a whole number from 1 to 86400, not \"soon\"", NULL);
	refuses_option("{'timeout':0}", "--timeout", NULL);
	refuses_option("{'timeout':86401}", "--timeout", NULL);
	refuses_option("{'timeout':1.5}", "--timeout", NULL);
	refuses_option("{'timeout':true}", "--timeout", NULL);
	refuses_option("{'timeout':''}", "--timeout", NULL);
	refuses_option("{'bwlimit':-1}", "--bwlimit", NULL);
	refuses_option("{'bwlimit':'99999999999999999999999'}", "--bwlimit", NULL);
	refuses_option("{'on_stall':'wait'}", "--on-stall takes abort|suspend, not \"wait\"", NULL);
	refuses_option("{'on_stall':'abort|suspend'}", "--on-stall", NULL);
	refuses_option("{'on_stall':''}", "--on-stall", NULL);
	refuses_option("{'migration_type':1}", "--migration-type takes secure|insecure", NULL);
	refuses_option("{'migration_network':'10.0.0.0'}", "--migration-network takes a network such as 10.0.0.0/24",
		       NULL);
	refuses_option("{'migration_network':'10.0.0.0/33'}", "--migration-network", NULL);
	refuses_option("{'migration_network':'10.0.0.0/-1'}", "--migration-network", NULL);
	refuses_option("{'migration_network':'fd00::/129'}", "--migration-network", NULL);
	refuses_option("{'migration_network':'10.0.0.0/'}", "--migration-network", NULL);
	refuses_option("{'migration_network':'10.0.0.0/0024'}", "--migration-network", NULL);
	refuses_option("{'migration_network':'/24'}", "--migration-network", NULL);
	refuses_option("{'migration_network':'0123456789012345678901234567890123456789012345678/8'}",
		       "--migration-network", NULL);
	refuses_option("{'migration_network':5}", "--migration-network", NULL);
	refuses_option("{'ignore':5}", "--ignore takes codes", NULL);
	refuses_option("{'ignore':[5]}", "--ignore takes codes", NULL);
}

static void values_are_normalised(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *options =
		options_read("{'online':1,'restart':false,'force':0,'unsafe':null,'timeout':'60','bwlimit':0,"
			     "'migration_type':'insecure','migration_network':'fd00:1::/64',"
			     "'ignore':'memory-short, name-taken,memory-short'}");
	assert_true(json_true(options, "online"));
	assert_false(json_object_object_get_ex(options, "restart", NULL));
	assert_false(json_object_object_get_ex(options, "force", NULL));
	assert_false(json_object_object_get_ex(options, "unsafe", NULL));
	assert_true(json_object_is_type(json_at(options, "timeout"), json_type_int));
	assert_int_equal(json_number(options, "timeout"), 60);
	assert_true(json_object_object_get_ex(options, "bwlimit", NULL));
	assert_string_equal(json_text(options, "migration_network"), "fd00:1::/64");
	assert_string_equal(json_line(json_at(options, "ignore")), "[\"memory-short\",\"name-taken\"]");
}

#define INSECURE "'migration_type':'insecure','migration_network':"

static void the_bounds_of_a_range_are_valid(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *least = options_read("{'timeout':1," INSECURE "'0.0.0.0/0'}");
	vmm_auto_json struct json_object *most = options_read("{'timeout':86400," INSECURE "'192.0.2.1/32'}");
	vmm_auto_json struct json_object *six = options_read("{" INSECURE "'fd00::1/128'}");
	assert_int_equal(json_number(least, "timeout"), 1);
	assert_int_equal(json_number(most, "timeout"), 86400);
	assert_string_equal(json_text(most, "migration_network"), "192.0.2.1/32");
	assert_string_equal(json_text(six, "migration_network"), "fd00::1/128");
}

static void modes_exclude_each_other(void **state)
{
	(void)state;
	refuses_option("{'online':true,'restart':true}", "--online and --restart exclude each other", "one way");
	refuses_option("{'online':true,'non_live':1}", "--online and --non-live exclude each other", NULL);
	refuses_option("{'restart':true,'non-live':true}", "--non-live and --restart exclude each other", NULL);
	vmm_auto_json struct json_object *options = options_read("{'online':true,'restart':false}");
	assert_true(json_true(options, "online"));
}

static void only_checks_that_may_be_overridden_are_ignored(void **state)
{
	(void)state;
	refuses_option("{'ignore':['target-unknown']}", "target-unknown cannot be overridden", NULL);
	refuses_option("{'ignore':'mac-taken'}", "mac-taken only warns", NULL);
	refuses_option("{'ignore':'memory-shrt'}", "no check memory-shrt", "did you mean memory-short?");
	refuses_option("{'ignore':['nonsense']}", "no check nonsense", "vmmigrate(1)");
}

static void defaults_come_from_the_configuration_and_then_from_the_table(void **state)
{
	(void)state;
	static const char config[] =
		"{'migration':{'network':'10.1.0.0/24','type':'insecure','bwlimit':'5000','keep_tasks':'30d'}}";
	vmm_auto_json struct json_object *request = read_with("{'guest':'100','options':{'bwlimit':7}}", config);
	assert_string_equal(json_text(request, "options.migration_network"), "10.1.0.0/24");
	assert_string_equal(json_text(request, "options.migration_type"), "insecure");
	assert_int_equal(json_number(request, "options.bwlimit"), 7);
	assert_int_equal(json_number(request, "options.timeout"), 180);
	assert_string_equal(json_text(request, "options.on_stall"), "abort");
	vmm_auto_json struct json_object *plain = read_with("{'guest':'100'}", "{}");
	assert_string_equal(json_text(plain, "options.migration_type"), "secure");
	assert_false(json_object_object_get_ex(json_at(plain, "options"), "bwlimit", NULL));
}

static void a_network_goes_with_an_insecure_migration(void **state)
{
	(void)state;
	static const char setting[] = "{'migration':{'network':'10.1.0.0/24'}}";
	refuses_option("{'migration_network':'10.0.0.0/8'}", "--migration-network goes with --migration-type insecure",
		       "--migration-type insecure");
	refuses_option("{'migration-network':'10.0.0.0/8','migration-type':'secure'}",
		       "--migration-network goes with --migration-type insecure", "vmmigrate.conf");
	/* In the configuration it is the default of those migrations that are insecure. */
	vmm_auto_json struct json_object *secure = read_with("{'guest':'100'}", setting);
	assert_null(json_at(secure, "options.migration_network"));
	vmm_auto_json struct json_object *insecure =
		read_with("{'guest':'100','options':{'migration_type':'insecure'}}", setting);
	assert_string_equal(json_text(insecure, "options.migration_network"), "10.1.0.0/24");
}

static void a_wrong_default_is_reported_as_an_error_of_the_configuration(void **state)
{
	(void)state;
	struct json_object *request;
	vmm_auto_error struct vmm_error *err = NULL;
	vmm_auto_json struct json_object *raw = json_of("{'guest':'100'}"),
					 *config = json_of("{'migration':{'type':'fast'}}");
	assert_int_equal(request_read(raw, config, &request, &err), -1);
	assert_non_null(strstr(err->message, "[migration] type in vmmigrate.conf"));
}

/* The worker reads once more what `start` has normalised. */
static void a_normalised_request_is_read_unchanged(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *once =
		read_with("{'guest':'qemu/100','target':'node2','x':1,'options':{'ignore':'memory-short',"
			  "'online':true,'bwlimit':'12','migration_type':'insecure','migration_network':'10.0.0.0/8'}}",
			  "{}");
	vmm_auto_json struct json_object *twice = NULL;
	assert_int_equal(request_read(once, NULL, &twice, NULL), 0);
	assert_true(json_object_equal(once, twice));
	assert_null(json_at(once, "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_is_an_id_a_name_or_has_its_kind_before_a_slash),
		cmocka_unit_test(names_that_could_harm_are_refused),
		cmocka_unit_test(dashes_and_underscores_are_alike),
		cmocka_unit_test(unknown_options_are_refused_with_a_similar_name),
		cmocka_unit_test(values_of_the_wrong_type_are_refused_by_name),
		cmocka_unit_test(values_are_normalised),
		cmocka_unit_test(the_bounds_of_a_range_are_valid),
		cmocka_unit_test(modes_exclude_each_other),
		cmocka_unit_test(only_checks_that_may_be_overridden_are_ignored),
		cmocka_unit_test(defaults_come_from_the_configuration_and_then_from_the_table),
		cmocka_unit_test(a_network_goes_with_an_insecure_migration),
		cmocka_unit_test(a_wrong_default_is_reported_as_an_error_of_the_configuration),
		cmocka_unit_test(a_normalised_request_is_read_unchanged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
