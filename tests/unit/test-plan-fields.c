/* A plan as JSON: what is read is written again, and a plan that lacks what a migration acts on is not read at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "plan/plan.h"

/* Every field of a task's plan; one volume is kept, one copied. */
static const char whole[] =
	"{\"mode\":\"restart\",\"kind\":\"qemu\",\"id\":\"101\",\"name\":\"db\",\"uuid\":null,\"guest\":\"qemu-101\","
	"\"source\":\"node1\",\"target\":\"node2\",\"running\":true,\"stops_guest\":true,\"generation\":7,"
	"\"set_aside\":true,\"in_the_way\":[\"101\"],\"bytes\":4096,\"rounds\":true,\"downtime_ms\":5000,\"volumes\":["
	"{\"target\":\"vda\",\"type\":\"network\",\"device\":\"disk\",\"format\":\"raw\",\"bus\":\"virtio\","
	"\"cache\":null,\"source\":\"<source/>\",\"in\":\"both\",\"storage\":\"store\",\"kind\":\"network\","
	"\"sharing\":\"network\",\"size\":0,\"allocated\":0,\"readonly\":false,\"shareable\":true,\"type_fixed\":false,"
	"\"open\":true,\"action\":\"keep\",\"from\":null,\"to\":null,\"to_storage\":null,\"media\":false,"
	"\"set_aside\":false},"
	"{\"target\":\"vdb\",\"type\":\"file\",\"device\":\"disk\",\"format\":\"qcow2\",\"bus\":\"virtio\","
	"\"cache\":\"none\",\"path\":\"/srv/a\",\"pool\":\"p\",\"volume\":\"v\",\"in\":\"both\",\"home\":\"/srv\","
	"\"real\":\"/mnt/b\","
	"\"storage\":\"srv\",\"kind\":\"dir\",\"sharing\":\"local\",\"backing\":\"/srv/b\",\"data_file\":\"/srv/c\","
	"\"identity\":\"wwn\",\"size\":8192,\"allocated\":4096,\"virtual_size\":16384,\"files\":3,\"snapshots\":0,"
	"\"uid\":0,\"gid\":107,\"mode\":384,\"readonly\":false,\"shareable\":false,\"type_fixed\":false,\"open\":true,"
	"\"directory\":true,\"tree\":true,\"absent\":true,"
	"\"error\":{\"code\":\"odd\"},\"action\":\"copy\",\"from\":\"/srv/a\","
	"\"to\":\"/mnt/a\",\"to_storage\":\"mnt\",\"to_kind\":\"dir\",\"temporary\":\"/mnt/.a\",\"track\":\"reflink\","
	"\"media\":false,\"as_file\":true,\"set_aside\":true}],"
	"\"definition\":\"<domain/>\",\"autostart\":false,\"state\":\"running\",\"snapshots\":0,\"boot\":\"b\"}";

static struct json_object *parse(const char *text)
{
	struct json_object *object = NULL;
	assert_int_equal(json_parse(text, -1, "plan", &object, NULL), 0);
	return object;
}

static void what_is_read_is_written_again(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *json = parse(whole);
	struct plan *plan;
	assert_int_equal(plan_read(json, &plan, NULL), 0);
	assert_int_equal(plan->mode, MODE_RESTART);
	assert_int_equal(plan->volume_count, 2);
	assert_int_equal(plan->volumes[0].action, PLAN_KEEP);
	assert_int_equal(plan->volumes[0].owner.uid, -1);
	assert_int_equal(plan->volumes[1].action, PLAN_COPY);
	assert_int_equal(plan->volumes[1].owner.uid, 0);
	assert_int_equal(plan->volumes[1].owner.mode, 0600);
	vmm_auto_json struct json_object *written = plan_write(plan);
	plan_free(plan);
	if (!json_object_equal(json, written))
		fail_msg("%s", json_line(written));
}

static void each_mode_has_its_name(void **state)
{
	(void)state;
	static const enum mode modes[] = {MODE_LIVE, MODE_PAUSED, MODE_RESTART, MODE_OFFLINE};
	for (size_t i = 0; i < VMM_COUNT(modes); i++) {
		vmm_auto_json struct json_object *json = parse(whole);
		struct plan *plan;
		json_put(json, "mode:s", mode_name(modes[i]));
		assert_int_equal(plan_read(json, &plan, NULL), 0);
		assert_int_equal(plan->mode, modes[i]);
		plan_free(plan);
	}
}

static void refused(struct json_object *json, const char *code, const char *names)
{
	struct plan *plan;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(plan_read(json, &plan, &err), -1);
	assert_null(plan);
	assert_string_equal(err->code, code);
	if (!strstr(err->message, names))
		fail_msg("\"%s\" does not name %s", err->message, names);
}

static void a_plan_that_lacks_a_field_is_refused_by_its_name(void **state)
{
	(void)state;
	static const char *const needed[] = {"mode",	"kind",	       "id",	     "guest",	  "source", "target",
					     "running", "stops_guest", "generation", "set_aside", "bytes",  "rounds",
					     "volumes", "definition",  "autostart",  "state",	  "boot"};
	for (size_t i = 0; i < VMM_COUNT(needed); i++) {
		vmm_auto_json struct json_object *json = parse(whole);
		vmm_auto_free char *quoted = str_format("\"%s\"", needed[i]);
		json_object_object_del(json, needed[i]);
		refused(json, "bad-plan", quoted);
	}
	refused(NULL, "bad-plan", "the plan");
}

static void a_copy_needs_its_paths_and_kinds(void **state)
{
	(void)state;
	static const char *const needed[] = {"target", "action", "kind", "from", "to", "to_kind", "temporary", "track"};
	for (size_t i = 0; i < VMM_COUNT(needed); i++) {
		vmm_auto_json struct json_object *json = parse(whole);
		vmm_auto_free char *quoted = str_format("\"%s\"", needed[i]);
		json_object_object_del(json_at(json, "volumes.1"), needed[i]);
		refused(json, "bad-plan", quoted);
	}
	static const char *const paths[] = {"from:s", "to:s", "temporary:s"};
	for (size_t i = 0; i < VMM_COUNT(paths); i++) {
		vmm_auto_json struct json_object *json = parse(whole);
		json_put(json_at(json, "volumes.1"), paths[i], "/srv/../etc/shadow");
		refused(json, "bad-path", "vdb");
	}
}

static void a_field_of_another_type_is_refused(void **state)
{
	(void)state;
	static const char *const changes[] = {"mode:d", "running:d", "generation:b", "volumes:d", "target:d"};
	for (size_t i = 0; i < VMM_COUNT(changes); i++) {
		vmm_auto_json struct json_object *json = parse(whole);
		json_put(json, changes[i], 1);
		refused(json, "bad-plan", "the plan");
	}
	vmm_auto_json struct json_object *json = parse(whole);
	json_put(json_at(json, "volumes.0"), "action:s", "move");
	refused(json, "bad-plan", "volume vda");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_written_again),
		cmocka_unit_test(each_mode_has_its_name),
		cmocka_unit_test(a_plan_that_lacks_a_field_is_refused_by_its_name),
		cmocka_unit_test(a_copy_needs_its_paths_and_kinds),
		cmocka_unit_test(a_field_of_another_type_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
