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

static void what_need_not_change_stays_byte_for_byte(void **state)
{
	(void)state;
	static const char *const configs[] = {
		"lxc.rootfs.path = dir:/a/rootfs", /* without a final newline */
		"lxc.rootfs.path = dir:/a/rootfs\n\n\n",
		"\n lxc.rootfs.path=/a/rootfs \t\r\nlxc.uts.name = a\r\n",
		"# nothing of all that",
	};
	for (size_t i = 0; i < VMM_COUNT(configs); i++)
		becomes(configs[i], "target", "rootfs", "/a/rootfs", configs[i]);
	becomes("lxc.rootfs.path = overlay:/base:/up \nx", "target", "upper", "/up",
		"lxc.rootfs.path = overlay:/base:/up \nx");
	becomes("lxc.uts.name = a\nlxc.rootfs.path = dir:/a/rootfs\t", "target", "rootfs", "/b",
		"lxc.uts.name = a\nlxc.rootfs.path = dir:/b\t");
	becomes("lxc.net.0.link = br0", "network", "br0", "br1", "lxc.net.0.link = br1");
}

static void put(const char *name, const char *text)
{
	vmm_auto_free char *directory = lxc_directory(&machine.base, "200"),
			   *path = str_format("%s/%s", directory, name);
	assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

/* True if the list of objects, or of names, has that one. */
static bool lists(struct json_object *list, const char *name)
{
	json_each (item, list, "")
		if (str_same(json_text(item, json_object_is_type(item, json_type_object) ? "path" : ""), name))
			return true;
	return false;
}

static void files_of_a_container_travel_or_are_named(void **state)
{
	(void)state;
	vmm_auto_free char *line = str_format("lxc.rootfs.path = dir:%s/200/rootfs", machine.path);
	vmm_auto_json struct json_object *definition = NULL;
	container(line);
	put(".hidden", "one");
	put("hook", "two");
	put("console.log", "three");
	put(".vmmigrate-token-x", "ours");
	vmm_auto_json struct json_object *found = facts();
	assert_int_equal(json_parse(json_text(found, "definition"), -1, "definition", &definition, NULL), 0);
	struct json_object *files = json_at(definition, "files");
	assert_true(lists(files, ".hidden") && lists(files, "hook"));
	assert_int_equal(json_count(files, ""), 2);
	assert_int_equal(json_count(found, "logs"), 1);
	assert_string_equal(json_text(found, "logs.0"), "console.log");
	assert_int_equal(json_count(found, "left"), 0);

	/* The source gives up what has travelled, and nothing else. */
	assert_int_equal(lxc_undefine(&machine.base, "200", NULL), 0);
	vmm_auto_free char *hidden = str_format("%s/200/.hidden", machine.path),
			   *log = str_format("%s/200/console.log", machine.path);
	assert_false(file_there(hidden));
	assert_true(file_there(log));
}

/* As when the container's directory is a link, and its config has the path that the link leads to. */
static void a_root_is_known_by_whatever_path(void **state)
{
	(void)state;
	vmm_auto_free char *link = str_format("%s/elsewhere", machine.path),
			   *directory = lxc_directory(&machine.base, "200");
	vmm_auto_free char *line = str_format("lxc.rootfs.path = dir:%s/rootfs", link);
	container(line);
	assert_int_equal(symlink(directory, link), 0);
	put("rootfs/file", "in the root");
	vmm_auto_json struct json_object *found = facts();
	assert_null(strstr(json_text(found, "definition"), "in the root"));
	assert_null(strstr(json_text(found, "definition"), "rootfs/file"));
}

static void the_config_keeps_its_mode(void **state)
{
	(void)state;
	struct stat info;
	vmm_auto_free char *active = lxc_active_config(&machine.base, "200"),
			   *inactive = lxc_inactive_config(&machine.base, "200");
	container("lxc.uts.name = a");
	assert_int_equal(chmod(active, 0640), 0);
	vmm_auto_json struct json_object *found = facts();
	assert_int_equal(lxc_undefine(&machine.base, "200", NULL), 0);
	assert_int_equal(lxc_define(&machine.base, json_text(found, "definition"), NULL), 0);
	assert_int_equal(stat(inactive, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0640);
}

static void what_an_included_file_sets_is_known_as_such(void **state)
{
	(void)state;
	static const char common[] =
		"lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.1.type = veth\nlxc.net.1.link = br1\n"
		"lxc.mount.entry = /srv/a mnt/a none bind 0 0\nlxc.rootfs.path = dir:/srv/root\n";
	vmm_auto_free char *path = str_format("%s/common", machine.path);
	vmm_auto_free char *lines = str_format("lxc.include = %s\nlxc.net.1.link = br2\n"
					       "lxc.mount.entry = /srv/b mnt/b none bind 0 0",
					       path);
	assert_int_equal(file_write(path, common, strlen(common), 0644, NULL), 0);
	container(lines);
	vmm_auto_json struct json_object *found = facts();
	assert_string_equal(json_text(found, "networks.0.name"), "br0");
	assert_true(json_true(found, "networks.0.included"));
	assert_string_equal(json_text(found, "networks.1.name"), "br2");
	assert_false(json_true(found, "networks.1.included"));
	json_each (mount, found, "mounts")
		assert_int_equal(json_true(mount, "fixed"), str_same(json_text(mount, "source"), "/srv/a"));
	assert_true(json_true(found, "volumes.0.included"));
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
		cmocka_unit_test(what_need_not_change_stays_byte_for_byte),
		cmocka_unit_test(files_of_a_container_travel_or_are_named),
		cmocka_unit_test(a_root_is_known_by_whatever_path),
		cmocka_unit_test(the_config_keeps_its_mode),
		cmocka_unit_test(what_an_included_file_sets_is_known_as_such),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
