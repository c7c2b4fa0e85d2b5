/* One mode for the guest and one action for each volume, as the tables of the design say, and the rest of a plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "scenario.h"

static enum mode mode_of(const char *base, const char *patch)
{
	struct facts facts;
	scenario_facts_text(base, patch, &facts);
	enum mode mode = plan_mode(&facts);
	scenario_free(&facts);
	return mode;
}

static struct json_object *plan_of(const char *base, const char *patch)
{
	struct facts facts;
	struct plan *plan;
	struct vmm_error *err = NULL;
	scenario_facts_text(base, patch, &facts);
	if (plan_make(&facts, "T1", &plan, &err) < 0)
		fail_msg("%s", err->message);
	scenario_free(&facts);
	struct json_object *json = plan_write(plan);
	plan_free(plan);
	return json;
}

static void each_guest_and_option_gives_the_mode_of_the_table(void **state)
{
	(void)state;
	static const struct {
		const char *base, *patch;
		enum mode mode;
	} rows[] = {
		{"shared", "{}", MODE_LIVE},
		{"shared", "{'request':{'options':{'online':null,'non_live':true}}}", MODE_PAUSED},
		{"shared", "{'request':{'options':{'online':null,'restart':true}}}", MODE_RESTART},
		{"shared", "{'request':{'options':{'online':null}}}", MODE_NONE},
		{"shared", "{'source':{'guest':{'state':'paused'}}}", MODE_LIVE},
		{"shared", "{'source':{'guest':{'state':'shutoff'}}}", MODE_OFFLINE},
		{"shared", "{'request':{'options':null},'source':{'guest':{'state':'shutoff'}}}", MODE_OFFLINE},
		{"local", "{}", MODE_RESTART},
		{"local", "{'request':{'options':{'restart':true}}}", MODE_RESTART},
		{"local", "{'request':{'options':{'online':true}}}", MODE_LIVE},
		{"local", "{'request':{'options':{'non_live':true}}}", MODE_PAUSED},
		{"local", "{'source':{'guest':{'state':'shutoff'}}}", MODE_OFFLINE},
		{"container", "{}", MODE_RESTART},
		{"container", "{'request':{'options':{'restart':true}}}", MODE_RESTART},
		{"container", "{'request':{'options':{'online':true}}}", MODE_LIVE},
		{"container", "{'source':{'guest':{'state':'shutoff'}}}", MODE_OFFLINE},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++)
		if (mode_of(rows[i].base, rows[i].patch) != rows[i].mode)
			fail_msg("row %zu: %s %s: %s, not %s", i, rows[i].base, rows[i].patch,
				 mode_name(mode_of(rows[i].base, rows[i].patch)), mode_name(rows[i].mode));
}

static void a_small_image_or_nvram_does_not_make_a_guest_local(void **state)
{
	(void)state;
	static const char volume[] =
		"{'request':{'options':{'online':null}},'source':{'guest':{'volumes':{'1':{'target':'x','type':'file',"
		"'path':'/srv/x','device':'%s','readonly':%s,'size':%d,'sharing':'local','storage':'root'}}}}}";
	vmm_auto_free char *seed = str_format(volume, "cdrom", "true", 372736);
	vmm_auto_free char *nvram = str_format(volume, "nvram", "false", 540672);
	vmm_auto_free char *disk = str_format(volume, "disk", "false", 372736);
	vmm_auto_free char *read_only = str_format(volume, "disk", "true", (64 << 20) + 1);
	assert_int_equal(mode_of("shared", seed), MODE_NONE);
	assert_int_equal(mode_of("shared", nvram), MODE_NONE);
	assert_int_equal(mode_of("shared", disk), MODE_RESTART);
	assert_int_equal(mode_of("shared", read_only), MODE_RESTART);
}

static void a_running_vm_on_shared_storage_needs_a_mode_to_be_named(void **state)
{
	(void)state;
	struct facts facts;
	struct plan *plan;
	vmm_auto_error struct vmm_error *err = NULL;
	scenario_facts_text("shared", "{'request':{'options':{'online':null}}}", &facts);
	assert_int_equal(plan_make(&facts, "T1", &plan, &err), -1);
	scenario_free(&facts);
	assert_string_equal(err->code, "mode-needed");
	assert_int_equal(err->exit, VMM_BLOCKED);
	assert_non_null(strstr(err->message, "VM 100"));
	assert_non_null(strstr(err->hint, "--online"));
	assert_non_null(strstr(err->hint, "--non-live"));
	assert_non_null(strstr(err->hint, "--restart"));
}

static void only_the_ways_that_are_open_are_offered(void **state)
{
	(void)state;
	struct facts facts;
	struct plan *plan;
	vmm_auto_error struct vmm_error *err = NULL, *none = NULL;
	scenario_facts_text("shared",
			    "{'request':{'options':{'online':null}},'target':{'host':{'qemu':{'version':7001000}}}}",
			    &facts);
	assert_int_equal(plan_make(&facts, "T1", &plan, &err), -1);
	scenario_free(&facts);
	assert_true(str_starts(err->hint, "name a way: --restart "));
	assert_non_null(strstr(err->hint, "--online: QEMU on node2 is older"));
	scenario_facts_text("shared",
			    "{'request':{'options':{'online':null}},"
			    "'source':{'guest':{'state':'paused'}},'target':{'host':{'qemu':{'version':7001000}}}}",
			    &facts);
	assert_int_equal(plan_make(&facts, "T1", &plan, &none), -1);
	scenario_free(&facts);
	assert_non_null(strstr(none->message, "no way is open"));
	assert_non_null(strstr(none->message, "--restart: VM 100 is paused"));
}

static void a_live_plan_keeps_what_is_shared(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *plan = plan_of("shared", "{}");
	assert_string_equal(json_text(plan, "mode"), "live");
	assert_string_equal(json_text(plan, "guest"), "qemu-aaaaaaaa-0000-4000-8000-000000000100");
	assert_string_equal(json_text(plan, "source"), "node1");
	assert_string_equal(json_text(plan, "target"), "node2");
	assert_true(json_true(plan, "running"));
	assert_false(json_true(plan, "stops_guest"));
	assert_false(json_true(plan, "set_aside"));
	assert_int_equal(json_number(plan, "generation"), 1);
	assert_string_equal(json_text(plan, "volumes.0.action"), "keep");
	assert_null(json_text(plan, "volumes.0.temporary"));
	assert_int_equal(json_number(plan, "bytes"), 0);
	assert_null(json_at(plan, "downtime_ms"));
}

static void a_restart_copies_what_is_local_and_says_how_long_it_takes(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *plan =
		plan_of("local", "{'source':{'record':{'owner':'node1','generation':6,'state':'idle'}}}");
	assert_string_equal(json_text(plan, "mode"), "restart");
	assert_true(json_true(plan, "stops_guest"));
	assert_int_equal(json_number(plan, "generation"), 7);
	assert_string_equal(json_text(plan, "volumes.0.action"), "copy");
	assert_string_equal(json_text(plan, "volumes.0.from"), "/var/lib/libvirt/images/db.qcow2");
	assert_string_equal(json_text(plan, "volumes.0.to"), "/var/lib/libvirt/images/db.qcow2");
	assert_string_equal(json_text(plan, "volumes.0.temporary"), "/var/lib/libvirt/images/.vmmigrate-T1-db.qcow2");
	assert_string_equal(json_text(plan, "volumes.0.to_storage"), "default");
	assert_false(json_true(plan, "volumes.0.media"));
	/* The copy gets these when it is published. */
	assert_int_equal(json_number(plan, "volumes.0.uid"), 64055);
	assert_int_equal(json_number(plan, "volumes.0.mode"), 0600);
	assert_int_equal(json_number(plan, "bytes"), INT64_C(10) << 30);
	/* The last round reads 10 GiB at 400 MB/s; 5 s are for handover and start. */
	assert_int_equal(json_number(plan, "downtime_ms"), 26843 + 5000);
}

/* Without rounds the whole volume is copied while the guest is off; with a snapshot only what has changed is read. */
static void the_downtime_is_that_of_the_last_round(void **state)
{
	(void)state;
	static const char *const patches[] = {"{'request':{'options':{'no_precopy':true}}}",
					      "{'request':{'options':{'track':'reflink'}}}"};
	static const int64_t downtime_ms[] = {107374 + 5000, 5000};
	for (size_t i = 0; i < VMM_COUNT(patches); i++) {
		vmm_auto_json struct json_object *plan = plan_of("local", patches[i]);
		assert_int_equal(json_number(plan, "downtime_ms"), downtime_ms[i]);
		assert_int_equal(json_true(plan, "rounds"), i == 1);
	}
}

static void an_offline_or_paused_plan_says_what_is_known_of_its_downtime(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *offline = plan_of("local", "{'source':{'guest':{'state':'shutoff'}}}");
	vmm_auto_json struct json_object *paused =
		plan_of("shared", "{'request':{'options':{'online':null,'non_live':true}}}");
	assert_false(json_true(offline, "running"));
	assert_false(json_true(offline, "stops_guest"));
	assert_null(json_at(offline, "downtime_ms"));
	assert_string_equal(json_text(offline, "volumes.0.action"), "copy");
	/* 2 GiB of memory at 100 MB/s. */
	assert_int_equal(json_number(paused, "downtime_ms"), 21474);
}

static void the_tracker_follows_filesystem_option_and_mode(void **state)
{
	(void)state;
	static const struct {
		const char *patch, *track;
	} rows[] = {
		{"{}", "none"}, /* ext4 */
		{"{'source':{'storages':{'1':{'fs':'xfs'}}}}", "reflink"},
		{"{'source':{'storages':{'1':{'fs':'btrfs'}}}}", "reflink"},
		{"{'source':{'storages':{'1':{'fs':'xfs'}}},'request':{'options':{'track':'none'}}}", "none"},
		{"{'request':{'options':{'track':'reflink'}}}", "reflink"},
		{"{'source':{'storages':{'1':{'fs':'xfs'}}},'request':{'options':{'no_precopy':true}}}", "none"},
		{"{'source':{'storages':{'1':{'fs':'xfs'}},'guest':{'state':'shutoff'}}}", "none"},
		{"{'source':{'storages':{'1':{'fs':'xfs'}},'guest':{'volumes':{'0':{'size':1048576}}}}}", "none"},
		/* The target's filesystem makes no difference. */
		{"{'target':{'storages':{'1':{'fs':'xfs'}}}}", "none"},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_json struct json_object *plan = plan_of("local", rows[i].patch);
		if (!str_same(json_text(plan, "volumes.0.track"), rows[i].track))
			fail_msg("row %zu: %s: %s", i, rows[i].patch, json_text_or(plan, "volumes.0.track", "nothing"));
	}
}

static void a_plan_that_is_only_shown_has_no_temporary_paths(void **state)
{
	(void)state;
	struct facts facts;
	struct plan *plan;
	scenario_facts_text("local", "{}", &facts);
	assert_int_equal(plan_make(&facts, NULL, &plan, NULL), 0);
	assert_int_equal(plan->volumes[0].action, PLAN_COPY);
	assert_null(plan->volumes[0].temporary);
	plan_free(plan);
	scenario_free(&facts);
}

/* The plan for one more volume of the guest on shared storage, in that mode. */
static struct json_object *second_volume(const char *members, const char *mode, const char *there)
{
	vmm_auto_free char *patch = str_format("{'request':{'options':{'online':null,'%s':true}},'sharing':{'root':'"
					       "local'},'source':{'guest':{'volumes':{'1':{"
					       "'target':'x','type':'file','path':'/srv/"
					       "x','storage':'root','kind':'dir','sharing':'local',%s}}}},"
					       "'target':{'fit':{'volumes':{'1':{'there':%s}}}}}",
					       mode, members, there);
	vmm_auto_json struct json_object *plan = plan_of("shared", patch);
	return json_object_get(json_at(plan, "volumes.1"));
}

static void media_and_nvram_are_copied_as_the_mode_needs(void **state)
{
	(void)state;
	static const struct {
		const char *members, *mode, *there, *action;
		bool media;
	} rows[] = {
		{"'device':'cdrom','readonly':true", "online", "false", "copy", true},
		{"'device':'cdrom','readonly':true", "online", "true", "keep", false},
		{"'device':'cdrom','readonly':true", "restart", "false", "copy", true},
		{"'device':'nvram','readonly':false", "online", "false", "copy", true},
		{"'device':'nvram','readonly':false", "online", "true", "copy", true},
		{"'device':'nvram','readonly':false", "non_live", "false", "copy", true},
		{"'device':'nvram','readonly':false", "restart", "false", "copy", false},
		{"'device':'nvram','readonly':false", "restart", "true", "copy", false},
		{"'device':'tpm','directory':true", "online", "false", "keep", false},
		{"'device':'disk','readonly':true", "online", "false", "copy", true},
		{"'device':'disk','readonly':true,'size':67108864", "online", "false", "copy", true},
		{"'device':'disk','readonly':true,'size':67108865", "restart", "false", "copy", false},
		{"'device':'disk','in':'live'", "restart", "false", "keep", false},
		{"'device':'disk','in':'definition'", "online", "false", "copy", false},
		{"'device':'disk','path':null", "restart", "false", "keep", false},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_json struct json_object *volume = second_volume(rows[i].members, rows[i].mode, rows[i].there);
		if (!str_same(json_text(volume, "action"), rows[i].action) ||
		    json_true(volume, "media") != rows[i].media)
			fail_msg("row %zu: %s", i, json_line(volume));
	}
}

/* A disk that the definition names by a pool stays so named where the target has that pool, active and at that place.
 */
static void a_pool_that_the_target_lacks_makes_its_volume_a_file(void **state)
{
	(void)state;
	static const struct {
		const char *pools;
		bool as_file;
	} rows[] = {
		{"[{'name':'p','active':true,'path':'/var/lib/libvirt/images'}]", false},
		{"[{'name':'p','active':false,'path':'/var/lib/libvirt/images'}]", true},
		{"[{'name':'p','active':true,'path':'/srv'}]", true},
		{"[{'name':'q','active':true,'path':'/var/lib/libvirt/images'}]", true},
		{"[]", true},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_free char *patch = str_format("{'source':{'guest':{'volumes':{'0':{'pool':'p','volume':'db."
						       "qcow2'}}}},'target':{'host':{'qemu':{"
						       "'pools':%s}}}}",
						       rows[i].pools);
		vmm_auto_json struct json_object *plan = plan_of("local", patch);
		if (json_true(plan, "volumes.0.as_file") != rows[i].as_file)
			fail_msg("row %zu: %s", i, json_line(plan));
	}
}

static void only_proven_storage_counts_as_shared(void **state)
{
	(void)state;
	static const struct {
		const char *sharing, *proof, *action;
	} rows[] = {
		{"network", "unproven", "keep"}, {"maybe", "shared", "keep"}, {"maybe", "local", "copy"},
		{"maybe", "unproven", "copy"},	 {"local", "local", "copy"},  {"local", "shared", "copy"},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_free char *patch =
			str_format("{'request':{'options':{'restart':true}},'sharing':{'default':'%s'},"
				   "'source':{'guest':{'volumes':{'0':{'sharing':'%s'}}}}}",
				   rows[i].proof, rows[i].sharing);
		vmm_auto_json struct json_object *plan = plan_of("local", patch);
		assert_string_equal(json_text(plan, "volumes.0.action"), rows[i].action);
	}
}

/* The target's storage is the one of the same name, else the one that the path is on there, nearest first. */
static void the_storage_is_found_by_name_and_then_by_path(void **state)
{
	(void)state;
	static const struct {
		const char *storages, *found;
	} rows[] = {
		{"'1':{'name':'default','path':'/elsewhere'}", "default"},
		{"'1':{'name':'images','path':'/var/lib/libvirt/images'}", "images"},
		{"'1':{'name':'images','path':'/var/lib/libvirt/images//'},'2':{'name':'lib','path':'/var/lib'}",
		 "images"},
		{"'1':{'name':'lib','path':'/var/lib'},'2':{'name':'images','path':'/var/lib/libvirt/images'}",
		 "images"},
		{"'1':{'name':'other','path':'/var/lib/libvirt/image'}", "root"},
		{"'1':{'name':'other','path':'/var/lib/libvirt/images2'}", "root"},
		{"'0':{'name':'srv','path':'/srv'},'1':{'name':'none','path':null}", NULL},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_free char *patch = str_format("{'target':{'storages':{%s}}}", rows[i].storages);
		vmm_auto_json struct json_object *plan = plan_of("local", patch);
		if (!str_same(json_text(plan, "volumes.0.to_storage"), rows[i].found))
			fail_msg("row %zu: %s", i, json_line(json_at(plan, "volumes.0")));
	}
}

static void a_stopped_leftover_is_set_aside_by_name(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *plan = plan_of(
		"local", "{'source':{'record':{'owner':'node1','generation':3,'state':'idle'}},'target':{'guests':{'1':"
			 "{'kind':'qemu',"
			 "'id':'101','name':'db','uuid':'aaaaaaaa-0000-4000-8000-000000000101','state':'shutoff',"
			 "'record':{'owner':'node2','generation':2}}},'fit':{'volumes':{'0':{'there':true}}}}}");
	assert_true(json_true(plan, "set_aside"));
	assert_int_equal(json_count(plan, "in_the_way"), 1);
	assert_string_equal(json_text(plan, "in_the_way.0"), "101");
	assert_true(json_true(plan, "volumes.0.set_aside"));
}

static bool vouches(const char *base, const char *patch)
{
	struct facts facts;
	scenario_facts_text(base, patch, &facts);
	bool vouches = facts_vouch_for_storage(&facts);
	scenario_free(&facts);
	return vouches;
}

static void storage_is_vouched_for_only_where_all_of_it_is_proven_to_be_shared(void **state)
{
	(void)state;
	static const char disk[] =
		"{'source':{'guest':{'volumes':{'1':{'target':'vdb','type':'file','format':'raw','device':'disk',"
		"'path':'/mnt/nas/b.raw','storage':'nas','kind':'dir','sharing':'maybe','readonly':%s,'in':'both'}}}},"
		"'sharing':{'nas':'%s'},'target':{'fit':{'volumes':{'1':{'there':true}}}}}";
	vmm_auto_free char *shared = str_format(disk, "false", "shared"),
			   *unproven = str_format(disk, "false", "unproven"),
			   *read_only = str_format(disk, "true", "unproven");
	assert_true(vouches("shared", "{}"));
	assert_true(vouches("shared", shared));
	assert_false(vouches("shared", unproven));
	assert_true(vouches("shared", read_only));
	assert_false(vouches("local", "{}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_guest_and_option_gives_the_mode_of_the_table),
		cmocka_unit_test(a_small_image_or_nvram_does_not_make_a_guest_local),
		cmocka_unit_test(a_running_vm_on_shared_storage_needs_a_mode_to_be_named),
		cmocka_unit_test(only_the_ways_that_are_open_are_offered),
		cmocka_unit_test(a_live_plan_keeps_what_is_shared),
		cmocka_unit_test(a_restart_copies_what_is_local_and_says_how_long_it_takes),
		cmocka_unit_test(the_downtime_is_that_of_the_last_round),
		cmocka_unit_test(an_offline_or_paused_plan_says_what_is_known_of_its_downtime),
		cmocka_unit_test(the_tracker_follows_filesystem_option_and_mode),
		cmocka_unit_test(a_plan_that_is_only_shown_has_no_temporary_paths),
		cmocka_unit_test(media_and_nvram_are_copied_as_the_mode_needs),
		cmocka_unit_test(a_pool_that_the_target_lacks_makes_its_volume_a_file),
		cmocka_unit_test(only_proven_storage_counts_as_shared),
		cmocka_unit_test(the_storage_is_found_by_name_and_then_by_path),
		cmocka_unit_test(a_stopped_leftover_is_set_aside_by_name),
		cmocka_unit_test(storage_is_vouched_for_only_where_all_of_it_is_proven_to_be_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
