/* Which sockets the relay connects to: libvirt's own and migration sockets of a task, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "link/link.h"

#define START "/run/libvirt/qemu/vmmigrate/memory.tunnelmigrate.dest."

static void libvirts_socket_and_migration_sockets_are_allowed(void **state)
{
	(void)state;
	static const char *const good[] = {"/run/libvirt/libvirt-sock", START "t", START "node1-4711-1a2b3c",
					   START "UPID:node1:00AB:qmigrate@root"};
	for (size_t i = 0; i < VMM_COUNT(good); i++)
		assert_true(relay_allowed(good[i]));
}

static void no_other_socket_is_allowed(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"libvirt-sock",
		"/run/libvirt/libvirt-sock ",
		"/run/libvirt/libvirt-sock/",
		"/run/libvirt/libvirt-sock-ro",
		"/run/libvirt/virtqemud-sock",
		"/run/libvirt/../libvirt/libvirt-sock",
		"/run/libvirt/qemu/../libvirt-sock",
		"/run/docker.sock",
		"/run/libvirt/qemu/other.tunnelmigrate.dest.t",
		"/run/libvirt/qemu/memory.tunnelmigrate.dest.t",
		" " START "t",
		START,
		START "..",
		START "a..b",
		START "a/b",
		START "../../../docker.sock",
		START "a b",
		START "a\nb",
		START "a%b",
		START "\xc3\xbc",
		START "1234567890123456789012345678901234567890123456789",
	};
	assert_false(relay_allowed(NULL));
	for (size_t i = 0; i < VMM_COUNT(bad); i++)
		assert_false(relay_allowed(bad[i]));
}

static void every_task_has_a_migration_socket_of_its_own_that_is_allowed(void **state)
{
	(void)state;
	static const char *const tasks[] = {"t",
					    "",
					    "node1-1234-99",
					    "a/b",
					    "a/c",
					    "..",
					    "../../etc",
					    "a very odd\nname",
					    "long-long-long-long-long-long-long-long-long-long-long-long-long-1",
					    "long-long-long-long-long-long-long-long-long-long-long-long-long-2"};
	char *paths[VMM_COUNT(tasks)];
	for (size_t i = 0; i < VMM_COUNT(tasks); i++) {
		paths[i] = relay_migration_socket(tasks[i]);
		assert_true(relay_allowed(paths[i]));
		assert_true(strlen(paths[i]) < 108);
		assert_true(str_starts(paths[i], "/run/libvirt/"));
		assert_non_null(strstr(paths[i], ".tunnelmigrate.dest."));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(paths[i], paths[j]);
	}
	assert_string_equal(paths[2], START "node1-1234-99");
	for (size_t i = 0; i < VMM_COUNT(tasks); i++)
		free(paths[i]);
}

static void the_peers_side_refuses_what_is_not_allowed(void **state)
{
	(void)state;
	struct stream *pair[2];
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(stream_pair(pair, NULL), 0);
	assert_int_equal(relay_serve(pair[0], "/run/docker.sock", &err), -1);
	assert_true(error_is(err, "relay-refused"));
	assert_int_equal(err->exit, VMM_NOT_PERMITTED);
	stream_close(pair[0]);
	stream_close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libvirts_socket_and_migration_sockets_are_allowed),
		cmocka_unit_test(no_other_socket_is_allowed),
		cmocka_unit_test(every_task_has_a_migration_socket_of_its_own_that_is_allowed),
		cmocka_unit_test(the_peers_side_refuses_what_is_not_allowed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
