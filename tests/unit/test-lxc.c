/* Containers: what is read from their configs (volumes, mounts, networks, files of the host), and how a config is
 * rewritten for a target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "guest/lxc/lxc.h"

static struct lxc_host machine;

static int make_directory(void **state)
{
	char *path = str_copy("/tmp/vmmigrate-lxc-XXXXXX");
	(void)state;
	if (!mkdtemp(path))
		return -1;
	machine = (struct lxc_host){.base = {.ops = &guest_lxc}, .path = path};
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	dir_remove(machine.path, NULL);
	free(machine.path);
	return 0;
}

/* Makes container 200 with these lines in its config, and an empty root. */
static void container(const char *lines)
{
	vmm_auto_free char *directory = lxc_directory(&machine.base, "200"),
			   *path = lxc_active_config(&machine.base, "200");
	vmm_auto_free char *root = str_format("%s/rootfs", directory);
	vmm_auto_free char *text = str_format("# mine\nlxc.uts.name = web\n%s\n", lines);
	assert_int_equal(dir_remove(directory, NULL), 0);
	assert_int_equal(dir_make(root, 0755, NULL), 0);
	assert_int_equal(file_write(path, text, strlen(text), 0644, NULL), 0);
}

static struct json_object *facts(void)
{
	struct json_object *found = NULL;
	struct vmm_error *err = NULL;
	if (lxc_facts(&machine.base, "200", &found, &err) < 0)
		fail_msg("%s", err->message);
	return found;
}

/* `expected` has "target type path" for each volume, with "ro" where it is read-only, and "home" where it has one. */
static void volumes_are(const char *expected)
{
	vmm_auto_json struct json_object *found = facts();
	vmm_auto_text struct text text = {0};
	json_each (volume, found, "volumes")
		text_add(&text, "%s%s %s %s%s%s", text.length ? ", " : "", json_text_or(volume, "target", "?"),
			 json_text_or(volume, "type", "?"),
			 json_text_or(volume, "path", json_text_or(volume, "source", "?")),
			 json_true(volume, "readonly") ? " ro" : "", json_text(volume, "home") ? " home" : "");
	assert_string_equal(text.data ? text.data : "", expected);
}

static void a_root_of_each_kind_is_told_from_the_config(void **state)
{
	(void)state;
	vmm_auto_free char *own = str_format("%s/200/rootfs", machine.path);
	vmm_auto_free char *line = str_format("lxc.rootfs.path = dir:%s", own);
	vmm_auto_free char *expected = str_format("rootfs tree %s home", own);
	container(line);
	volumes_are(expected);
	container("lxc.rootfs.path = /srv/elsewhere");
	volumes_are("rootfs tree /srv/elsewhere");
	container("lxc.rootfs.path=btrfs:/srv/elsewhere  ");
	volumes_are("rootfs tree /srv/elsewhere");
	container("lxc.rootfs.path = overlay:/srv/base:/srv/upper");
	volumes_are("lower tree /srv/base ro, upper tree /srv/upper");
	container("lxc.rootfs.path = overlay:/srv/base:/srv/more:/srv/upper");
	volumes_are("lower tree /srv/base ro, lower2 tree /srv/more ro, upper tree /srv/upper");
	container("lxc.rootfs.path = zfs:tank/200");
	volumes_are("rootfs lxc-backend zfs:tank/200");
}

static void an_image_is_a_disk_whatever_it_is_called(void **state)
{
	(void)state;
	vmm_auto_free char *image = str_format("%s/image", machine.path);
	vmm_auto_free char *loop = str_format("lxc.rootfs.path = loop:%s", image);
	vmm_auto_free char *plain = str_format("lxc.rootfs.path = %s", image);
	vmm_auto_free char *expected = str_format("rootfs file %s", image);
	assert_int_equal(file_write(image, "x", 1, 0600, NULL), 0);
	container(loop);
	volumes_are(expected);
	container(plain);
	volumes_are(expected);
}

static void the_last_line_with_a_root_counts(void **state)
{
	(void)state;
	container("lxc.rootfs.path = overlay:/srv/base:/srv/upper\nlxc.rootfs.path = dir:/srv/mine");
	volumes_are("rootfs tree /srv/mine");
}

static void mounts_and_networks_are_found(void **state)
{
	(void)state;
	static const char fstab[] = "# mine\n/srv/old mnt/old none bind 0 0\n";
	vmm_auto_free char *path = str_format("%s/fstab", machine.path);
	vmm_auto_free char *line = str_format("lxc.rootfs.path = dir:/srv/mine\nlxc.mount.fstab = %s", path);
	assert_int_equal(file_write(path, fstab, strlen(fstab), 0644, NULL), 0);
	container(line);
	vmm_auto_json struct json_object *tabled = facts();
	assert_int_equal(json_count(tabled, "mounts"), 1);
	assert_string_equal(json_text(tabled, "mounts.0.source"), "/srv/old");
	assert_true(json_true(tabled, "mounts.0.fixed"));

	container("lxc.rootfs.path = dir:/srv/mine\n"
		  "lxc.mount.entry = /srv/data mnt/data none bind 0 0\n"
		  "lxc.mount.entry = /srv/may mnt/may none bind,optional 0 0\n"
		  "lxc.mount.entry = tmpfs tmp tmpfs defaults 0 0\n"
		  "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.hwaddr = 00:16:3e:00:00:01\n"
		  "lxc.net.1.type = macvlan\nlxc.net.1.link = eth1\n"
		  "lxc.net.2.type = empty\n"
		  "lxc.net.3.type = phys\nlxc.net.3.link = eth2");
	vmm_auto_json struct json_object *found = facts();
	assert_int_equal(json_count(found, "mounts"), 2);
	json_each (mount, found, "mounts") {
		assert_string_equal(json_text(mount, "source"), mount_i ? "/srv/may" : "/srv/data");
		assert_int_equal(json_true(mount, "optional"), mount_i == 1);
	}
	assert_int_equal(json_count(found, "networks"), 2);
	json_each (network, found, "networks") {
		assert_string_equal(json_text(network, "name"), network_i ? "eth1" : "br0");
		assert_string_equal(json_text(network, "type"), network_i ? "interface" : "bridge");
	}
	json_each (device, found, "devices")
		assert_string_equal(json_text(device, "name"), "eth2");
	assert_int_equal(json_count(found, "devices"), 1);
}

/* Not counted: files in its own directory, and a hook that LXC runs inside it. */
static void what_the_config_names_on_the_host_is_a_need(void **state)
{
	(void)state;
	static const char *const expected[] = {"link eth2", "file /srv/gone", "file /bin/sh", "parent /var/log/x/log"};
	vmm_auto_free char *lines =
		str_format("lxc.hook.pre-start = %s/200/mine\n"
			   "lxc.hook.start-host = /srv/gone --fast\n"
			   "lxc.hook.start = /bin/within\n"
			   "lxc.hook.post-stop = /bin/sh -c true\n"
			   "lxc.console.logfile = /var/log/x/log\n"
			   "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.veth.pair = web0\n"
			   "lxc.net.0.mtu = 9000\n"
			   "lxc.net.1.type = phys\nlxc.net.1.link = eth2\n",
			   machine.path);
	container(lines);
	vmm_auto_json struct json_object *found = facts();
	json_each (need, found, "needs") {
		vmm_auto_free char *one = str_format("%s %s", json_text(need, "kind"), json_text(need, "name"));
		assert_string_equal(one, need_i < VMM_COUNT(expected) ? expected[need_i] : "nothing more");
	}
	assert_int_equal(json_count(found, "needs"), VMM_COUNT(expected));
	assert_string_equal(json_text(found, "networks.0.dev"), "web0");
	assert_int_equal(json_number(found, "networks.0.mtu"), 9000);
}

/* ------------------------------------------------------------------ rewriting */

static char *rewritten(const char *lines, struct json_object *changes)
{
	vmm_auto_json struct json_object *definition = json_make("name:s config:s", "200", lines), *made = NULL;
	vmm_auto_json struct json_object *held = changes;
	vmm_auto_free char *text = NULL;
	assert_int_equal(lxc_rewrite(json_line(definition), held, &text, NULL), 0);
	assert_int_equal(json_parse(text, -1, "definition", &made, NULL), 0);
	return str_copy(json_text(made, "config"));
}

static void becomes(const char *from, const char *what, const char *old, const char *new, const char *expected)
{
	struct json_object *changes = json_object_new_array(), *change = json_make("path:s", new);
	json_object_object_add(change, what, json_object_new_string(old));
	json_object_array_add(changes, change);
	vmm_auto_free char *made = rewritten(from, changes);
	assert_string_equal(made, expected);
}

static void only_the_line_that_changes_is_rewritten(void **state)
{
	(void)state;
	becomes("# a comment\n\n  lxc.rootfs.path = dir:/a/rootfs\nlxc.uts.name = a\n", "target", "rootfs", "/b/rootfs",
		"# a comment\n\n  lxc.rootfs.path = dir:/b/rootfs\nlxc.uts.name = a\n");
	becomes("lxc.rootfs.path = /a/rootfs\n", "target", "other", "/b", "lxc.rootfs.path = /a/rootfs\n");
	becomes("lxc.rootfs.path = overlay:/base:/a/upper\n", "target", "upper", "/b/upper",
		"lxc.rootfs.path = overlay:/base:/b/upper\n");
	becomes("lxc.rootfs.path = overlay:/base:/more:/up\n", "target", "lower2", "/b",
		"lxc.rootfs.path = overlay:/base:/b:/up\n");
	becomes("lxc.mount.entry = /a mnt none bind 0 0\nlxc.mount.entry = /ab mnt none bind 0 0\n", "mount", "/a",
		"/b", "lxc.mount.entry = /b mnt none bind 0 0\nlxc.mount.entry = /ab mnt none bind 0 0\n");
	becomes("lxc.net.0.link = br0\nlxc.net.1.link=br01\n#lxc.net.2.link = br0\n", "network", "br0", "vmbr1",
		"lxc.net.0.link = vmbr1\nlxc.net.1.link=br01\n#lxc.net.2.link = br0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_root_of_each_kind_is_told_from_the_config),
		cmocka_unit_test(an_image_is_a_disk_whatever_it_is_called),
		cmocka_unit_test(the_last_line_with_a_root_counts),
		cmocka_unit_test(mounts_and_networks_are_found),
		cmocka_unit_test(what_the_config_names_on_the_host_is_a_need),
		cmocka_unit_test(only_the_line_that_changes_is_rewritten),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
