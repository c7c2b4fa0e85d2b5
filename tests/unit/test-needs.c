/* A node says of each thing that a guest names on its host whether it is there, free, and large enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "node/local.h"

static char *directory;

static void is(const char *kind, const char *name, int64_t size, const char *answer)
{
	vmm_auto_json struct json_object *guest = json_make("kind:s", "qemu"), *answers = NULL;
	json_append(guest, "needs", json_make("kind:s name:s size:i", kind, name, size));
	answers = local_needs(guest);
	if (!str_same(json_text(answers, "0"), answer))
		fail_msg("%s %s is %s, not %s", kind, name, json_text(answers, "0"), answer);
}

static char *below(const char *name)
{
	return str_format("%s/%s", directory, name);
}

static void paths_are_there_and_of_the_right_type(void **state)
{
	(void)state;
	vmm_auto_free char *file = below("file"), *gone = below("gone"), *log = below("log"), *deep = below("gone/log"),
			   *link = below("link"), *pipe = below("pipe"), *in = below("pipe.in");
	assert_int_equal(file_write(file, "12345", 5, 0600, NULL), 0);
	assert_int_equal(symlink(gone, link), 0);
	is("file", file, 0, "ok");
	is("file", file, 5, "ok");
	is("file", file, 6, "small");
	is("file", gone, 0, "missing");
	is("file", link, 0, "missing");
	is("directory", directory, 0, "ok");
	is("directory", file, 0, "missing");
	is("parent", log, 0, "ok");
	is("parent", deep, 0, "missing");
	is("device", "/dev/null", 0, "ok");
	is("device", file, 0, "missing");
	is("pipe", pipe, 0, "missing");
	assert_int_equal(mkfifo(in, 0600), 0);
	is("pipe", pipe, 0, "ok");
	is("program", "sh", 0, "ok");
	is("program", "no-such-program", 0, "missing");
}

static void a_socket_is_no_file(void **state)
{
	(void)state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	vmm_auto_free char *path = below("socket"), *file = below("file");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	vmm_auto_close int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	is("socket", path, 0, "ok");
	is("socket", file, 0, "missing");
}

static void an_address_is_this_nodes_and_a_port_is_free_or_taken(void **state)
{
	(void)state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	vmm_auto_close int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	vmm_auto_free char *port = str_format("127.0.0.1:%d", ntohs(address.sin_port)),
			   *any = str_format("0.0.0.0:%d", ntohs(address.sin_port)),
			   *foreign = str_format("192.0.2.77:%d", ntohs(address.sin_port));
	is("tcp", port, 0, "taken");
	is("tcp", any, 0, "taken");
	is("tcp", foreign, 0, "missing");
	is("udp", port, 0, "ok");
	is("tcp", "no colon", 0, "unknown");
	is("address", "127.0.0.1", 0, "ok");
	is("address", "0.0.0.0", 0, "ok");
	is("address", "192.0.2.77", 0, "missing");
	is("address", "no such name.invalid", 0, "missing");
	close(fd);
	fd = -1;
	is("tcp", port, 0, "ok");
}

static void what_the_kernel_lists_is_there(void **state)
{
	(void)state;
	is("link", "lo", 0, "ok");
	is("link", "no-such-link", 0, "missing");
	is("pci", "ffff:ff:1f.7", 0, "missing");
	is("mdev", "c2177883-f1bb-47f0-914d-32a22e3a8804", 0, "missing");
	is("scsi", "scsi_host99", 0, "missing");
	is("usb", "0xdead:0xbeef", 0, "missing");
	is("usb", "bus 99 device 99", 0, "missing");
	is("usb", "something else", 0, "unknown");
	is("numa", "4096", 0, "missing");
}

/* A name of another node never leads out of the place where it is looked for. */
static void names_that_are_none_are_not_looked_at(void **state)
{
	(void)state;
	is("link", "../../../etc", 0, "unknown");
	is("link", "..", 0, "unknown");
	is("program", "../bin/sh", 0, "unknown");
	is("file", "etc/passwd", 0, "unknown");
	is("file", "/etc/../etc/passwd", 0, "unknown");
	is("quantum", "q0", 0, "unknown");
}

static int make_directory(void **state)
{
	(void)state;
	char pattern[] = "/tmp/vmmigrate-needs-XXXXXX";
	if (!mkdtemp(pattern))
		return -1;
	directory = str_copy(pattern);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	int done = dir_remove(directory, NULL);
	free(directory);
	return done;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_there_and_of_the_right_type),
		cmocka_unit_test(a_socket_is_no_file),
		cmocka_unit_test(an_address_is_this_nodes_and_a_port_is_free_or_taken),
		cmocka_unit_test(what_the_kernel_lists_is_there),
		cmocka_unit_test(names_that_are_none_are_not_looked_at),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
