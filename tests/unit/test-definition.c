/* What is read from a domain's XML, and that rewriting it changes the volumes' paths and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "guest/qemu/qemu.h"

static char *data(const char *name)
{
	vmm_auto_free char *path = str_format("tests/unit/data/%s.xml", name);
	char *text = NULL;
	assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
	return text;
}

static struct json_object *facts_of(const char *name)
{
	vmm_auto_free char *text = data(name);
	struct json_object *facts = NULL;
	assert_int_equal(definition_facts(text, &facts, NULL), 0);
	return facts;
}

static struct json_object *volume(struct json_object *facts, const char *target)
{
	json_each (each, facts, "volumes")
		if (str_same(json_text(each, "target"), target))
			return each;
	return NULL;
}

/* One entry for definition_rewrite. */
static struct json_object *moved(const char *target, const char *path)
{
	struct json_object *list = json_object_new_array();
	json_object_array_add(list, json_make("target:s path:s", target, path));
	return list;
}

static char *rewritten(const char *definition, const char *target, const char *path)
{
	vmm_auto_json struct json_object *list = moved(target, path);
	char *result = NULL;
	assert_int_equal(definition_rewrite(definition, list, &result, NULL), 0);
	return result;
}

static void assert_refused(const char *definition, const char *target, const char *path, const char *code)
{
	vmm_auto_json struct json_object *list = moved(target, path);
	vmm_auto_error struct vmm_error *err = NULL;
	char *result = NULL;
	assert_int_equal(definition_rewrite(definition, list, &result, &err), -1);
	assert_null(result);
	assert_string_equal(err->code, code);
	assert_non_null(strstr(err->message, target));
}

/* The text with the first `old` replaced by `new`. */
static char *replaced(const char *text, const char *old, const char *new)
{
	const char *at = strstr(text, old);
	assert_non_null(at);
	return str_format("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
}

/* ------------------------------------------------------------------ facts */

static void secrets_are_named_with_what_needs_them(void **state)
{
	(void)state;
	static const char definition[] =
		"<domain type='kvm'><name>a</name><devices>"
		"<disk type='file'><source file='/a'><encryption format='luks'><secret type='passphrase' uuid='u1'/>"
		"</encryption></source><target dev='vda'/></disk>"
		"<disk type='network'><auth username='x'><secret type='ceph' usage='client'/></auth>"
		"<source protocol='rbd' name='p/i'/><target dev='vdb'/></disk>"
		"<disk type='file'><encryption format='luks'><secret type='passphrase' usage='/c'/></encryption>"
		"<source file='/c'/><backingStore type='network'><source protocol='iscsi' name='i'><auth username='y'>"
		"<secret type='iscsi' uuid='u2'/></auth></source></backingStore><target dev='vdc'/></disk>"
		"<disk type='file'><source file='/d'/><target dev='vdd'/></disk>"
		"<tpm model='tpm-crb'><backend type='emulator'><encryption secret='u3'/></backend></tpm>"
		"</devices></domain>";
	static const char *const expected[] = {"vda u1", "vdb ceph client", "vdc volume /c", "vdc u2", "tpm u3"};
	vmm_auto_json struct json_object *facts = NULL;
	assert_int_equal(definition_facts(definition, &facts, NULL), 0);
	assert_int_equal(json_count(facts, "secrets"), VMM_COUNT(expected));
	json_each (secret, facts, "secrets") {
		const char *uuid = json_text(secret, "uuid");
		vmm_auto_free char *line = uuid ? str_format("%s %s", json_text(secret, "of"), uuid)
						: str_format("%s %s %s", json_text(secret, "of"),
							     json_text(secret, "type"), json_text(secret, "usage"));
		assert_string_equal(line, expected[secret_i]);
	}
}

static void names_with_odd_characters_are_read_as_they_are(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *facts = facts_of("domain-plain");
	assert_string_equal(json_text(facts, "name"), "web & \"mail\" 'ü' v1.0..x");
	assert_string_equal(json_text(facts, "title"), "Über <all> & \"more\"");
	assert_string_equal(json_text(volume(facts, "vda"), "path"), "/srv/vm images/a & b \"c\" 'd'/üx..img");
	assert_string_equal(json_text(volume(facts, "vdb"), "path"), "/srv/../etc/shadow");
}

static void the_id_is_ours_or_the_name(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *plain = facts_of("domain-plain"), *tied = facts_of("domain-tied");
	assert_string_equal(json_text(plain, "id"), "100");
	assert_string_equal(json_text(tied, "id"), "tied");
}

static void sizes_are_bytes_whatever_the_unit(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *plain = facts_of("domain-plain"), *tied = facts_of("domain-tied");
	assert_true(json_number(plain, "memory") == (int64_t)2 << 30);
	assert_true(json_number(tied, "memory") == 1 << 30);
	assert_true(json_number(tied, "hugepages") == 1 << 30);
	assert_int_equal(json_number(plain, "hugepages"), 0);
	vmm_auto_free char *text = data("domain-tied");
	vmm_auto_free char *without = replaced(text, "<page size='1' unit='G'/>", "");
	vmm_auto_json struct json_object *by_default = NULL;
	assert_int_equal(definition_facts(without, &by_default, NULL), 0);
	assert_int_equal(json_number(by_default, "hugepages"), -1);
}

static void vcpus_and_the_highest_pinned_cpu_are_counted(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *plain = facts_of("domain-plain"), *tied = facts_of("domain-tied");
	assert_int_equal(json_number(plain, "vcpus"), 2);
	assert_int_equal(json_number(plain, "pinned"), -1);
	assert_int_equal(json_number(tied, "vcpus"), 4);
	assert_int_equal(json_number(tied, "pinned"), 11);
}

static void machine_and_cpu_are_told(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *plain = facts_of("domain-plain"), *tied = facts_of("domain-tied");
	vmm_auto_json struct json_object *live = facts_of("domain-live");
	assert_string_equal(json_text(plain, "arch"), "x86_64");
	assert_string_equal(json_text(plain, "machine"), "pc-q35-7.2");
	assert_string_equal(json_text(plain, "cpu.model"), "Westmere");
	assert_string_equal(json_text(plain, "virt"), "kvm");
	assert_string_equal(json_text(tied, "cpu.mode"), "host-passthrough");
	assert_string_equal(json_text(live, "virt"), "qemu");
	vmm_auto_free char *text = data("domain-plain"), *cpu = NULL;
	assert_int_equal(definition_cpu(text, &cpu, NULL), 0);
	assert_true(str_starts(cpu, "<cpu mode=\"custom\""));
	assert_true(str_ends(cpu, "</cpu>"));
}

static void every_kind_of_volume_is_found_and_empty_drives_are_not(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *plain = facts_of("domain-plain"), *tied = facts_of("domain-tied");
	assert_int_equal(json_count(plain, "volumes"), 5);
	struct json_object *vda = volume(plain, "vda"), *sda = volume(plain, "sda"), *iso = volume(plain, "sdb");
	assert_string_equal(json_text(vda, "format"), "qcow2");
	assert_string_equal(json_text(vda, "cache"), "none");
	assert_string_equal(json_text(vda, "bus"), "virtio");
	assert_false(json_true(vda, "readonly") || json_true(vda, "shareable"));
	assert_string_equal(json_text(sda, "type"), "block");
	assert_string_equal(json_text(sda, "path"), "/dev/vg0/data");
	assert_string_equal(json_text(sda, "device"), "disk");
	assert_true(json_true(sda, "shareable"));
	assert_string_equal(json_text(iso, "device"), "cdrom");
	assert_true(json_true(iso, "readonly"));
	assert_string_equal(json_text(volume(plain, "vdc"), "pool"), "pool one");
	assert_string_equal(json_text(volume(plain, "vdc"), "volume"), "v.raw");
	assert_null(json_text(volume(plain, "vdc"), "path"));
	assert_string_equal(json_text(volume(tied, "nvram"), "path"), "/var/lib/libvirt/qemu/nvram/tied_VARS.fd");
	assert_string_equal(json_text(volume(tied, "nvram"), "device"), "nvram");
	assert_string_equal(json_text(volume(tied, "tpm"), "path"),
			    "/var/lib/libvirt/swtpm/8a6f4f3e-30f1-4b8b-8f7e-111122223333");
}

static void a_network_disk_has_one_line_whatever_surrounds_it(void **state)
{
	(void)state;
	static const char line[] =
		"<source name=\"iqn.2026-01.org.example:vm &amp; 1/1\" protocol=\"iscsi\">"
		"<host name=\"192.0.2.1\" port=\"3260\"/><iqn name=\"iqn.2026-01.org.example:me\"/></source>";
	vmm_auto_free char *text = data("domain-live");
	vmm_auto_free char *other =
		replaced(text, "protocol='iscsi' name='iqn.2026-01.org.example:vm &amp; 1/1' index='2'",
			 "name=\"iqn.2026-01.org.example:vm &#38; 1/1\"\n protocol='iscsi'");
	vmm_auto_json struct json_object *facts = NULL, *same = NULL;
	assert_int_equal(definition_facts(text, &facts, NULL), 0);
	assert_int_equal(definition_facts(other, &same, NULL), 0);
	assert_string_equal(json_text(volume(facts, "vda"), "source"), line);
	assert_string_equal(json_text(volume(same, "vda"), "source"), line);
	assert_null(json_text(volume(facts, "vda"), "path"));
}

static void networks_are_named_by_what_was_asked_for(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *facts = facts_of("domain-plain");
	assert_int_equal(json_count(facts, "networks"), 2);
	assert_string_equal(json_text(facts, "networks.0.type"), "bridge");
	assert_string_equal(json_text(facts, "networks.0.name"), "vmbr0");
	assert_string_equal(json_text(facts, "networks.0.mac"), "52:54:00:00:00:01");
	assert_string_equal(json_text(facts, "networks.1.name"), "inside");
}

static void devices_that_are_tied_to_the_host_are_named_once(void **state)
{
	(void)state;
	static const char *const expected[][2] = {
		{"pci", "0000:3b:10.2"},
		{"usb", "0x046d:0xc52b"},
		{"mdev", "c2177883-f1bb-47f0-914d-32a22e3a8804"},
		{"pci", "0000:03:02.1"},
		{"pci", "0000:02:00.0"},
		{"filesystem", "/srv/share & more"},
		{"serial", "/dev/ttyS0"},
		{"parallel", "/dev/parport0"},
		{"memory", "/srv/nvdimm"},
	};
	vmm_auto_json struct json_object *tied = facts_of("domain-tied"), *plain = facts_of("domain-plain");
	assert_int_equal(json_count(plain, "devices"), 0);
	assert_int_equal(json_count(tied, "devices"), VMM_COUNT(expected));
	size_t i = 0;
	json_each (device, tied, "devices") {
		assert_string_equal(json_text(device, "class"), expected[i][0]);
		assert_string_equal(json_text(device, "name"), expected[i][1]);
		i++;
	}
}

static void all_that_a_definition_names_on_its_host_is_a_need(void **state)
{
	(void)state;
	static const char *const expected[] = {
		"file /boot/k",
		"file /boot/i",
		"file /boot/d",
		"file /srv/code.fd",
		"file /srv/slic",
		"file /srv/fw",
		"socket /run/vhost-disk",
		"socket /run/nbd",
		"directory /srv/share",
		"socket /run/fs",
		"file /srv/ifup",
		"file /srv/rom",
		"device /dev/urandom",
		"device /dev/tpm3",
		"device /dev/input/event3",
		"socket /run/shmem",
		"file /srv/vars.fd",
		"device /dev/ttyS7",
		"parent /var/log/a/s.log",
		"parent /var/log/b/l.log",
		"tcp 127.0.0.1:4555",
		"udp [::1]:4557",
		"socket /run/there",
		"pipe /run/pipe",
		"socket /run/egd",
		"address 192.0.2.1",
		"tcp 192.0.2.1:5901",
		"address ::1",
		"network mgmt",
		"parent /srv/vnc/sock",
		"link eth7",
		"nwfilter ours",
		"link tap5",
		"socket /run/ovs",
		"parent /run/own/sock",
		"link eth9",
		"file /srv/nvdimm",
		"program swtpm",
		"pci 0000:01:02.3",
		"numa 1",
	};
	vmm_auto_json struct json_object *facts = facts_of("domain-needs");
	json_each (need, facts, "needs") {
		vmm_auto_free char *found = str_format("%s %s", json_text(need, "kind"), json_text(need, "name"));
		assert_string_equal(found, need_i < VMM_COUNT(expected) ? expected[need_i] : "nothing more");
		assert_non_null(json_text(need, "for"));
		assert_int_equal(json_number(need, "size"), strstr(found, "nvdimm") ? 512 << 20 : 0);
	}
	assert_int_equal(json_count(facts, "needs"), VMM_COUNT(expected));
	assert_int_equal(json_count(facts, "arguments"), 2);
	assert_string_equal(json_text(facts, "arguments.1.name"), "pvpanic");
}

static void an_interface_has_a_fixed_name_only_if_an_administrator_gave_it(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *facts = facts_of("domain-needs");
	assert_null(json_text(facts, "networks.0.dev"));
	assert_string_equal(json_text(facts, "networks.1.type"), "network");
	assert_string_equal(json_text(facts, "networks.1.name"), "pool");
	assert_string_equal(json_text(facts, "networks.2.dev"), "web0");
	assert_int_equal(json_number(facts, "networks.2.mtu"), 4000);
	assert_null(json_text(facts, "networks.3.dev"));
	assert_null(json_text(facts, "networks.4.dev"));
}

static void what_is_no_domain_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"domain",
		"<domain>",
		"<network><name>x</name></network>",
		"<domain><uuid>x</uuid></domain>",
		"<domain><name></name></domain>",
		"<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><domain><name>&x;</name></domain>",
	};
	for (size_t i = 0; i < VMM_COUNT(bad); i++) {
		vmm_auto_error struct vmm_error *err = NULL;
		struct json_object *facts = NULL;
		assert_int_equal(definition_facts(bad[i], &facts, &err), -1);
		assert_string_equal(err->code, "bad-definition");
		assert_null(facts);
	}
}

/* ------------------------------------------------------------------ rewriting */

/* The text that libxml2 writes for the untouched definition is what a rewritten one is compared with. */
static void rewriting_changes_the_path_and_nothing_else(void **state)
{
	(void)state;
	static const char odd[] = "/new \"place\" & 'more'/<ü>..raw";
	vmm_auto_free char *text = data("domain-tied"),
			   *before = rewritten(text, "nvram", "/var/lib/libvirt/qemu/nvram/tied_VARS.fd");
	vmm_auto_free char *after = rewritten(text, "nvram", odd);
	vmm_auto_free char *expected = replaced(before, "/var/lib/libvirt/qemu/nvram/tied_VARS.fd",
						"/new \"place\" &amp; 'more'/&lt;ü&gt;..raw");
	assert_string_equal(after, expected);
	vmm_auto_json struct json_object *facts = NULL;
	assert_int_equal(definition_facts(after, &facts, NULL), 0);
	assert_string_equal(json_text(volume(facts, "nvram"), "path"), odd);
}

static void a_disk_that_moves_keeps_all_but_path_and_chain(void **state)
{
	(void)state;
	vmm_auto_free char *text = data("domain-plain"), *after = rewritten(text, "vda", "/srv/new.qcow2");
	vmm_auto_free char *same = rewritten(text, "sda", "/dev/vg0/data");
	vmm_auto_free char *path = replaced(same, "file=\"/srv/vm images/a &amp; b &quot;c&quot; 'd'/üx..img\"",
					    "file=\"/srv/new.qcow2\"");
	const char *chain = strstr(path, "\n      <backingStore"),
		   *end = strstr(path, "</backingStore>\n      <target");
	assert_non_null(chain);
	assert_non_null(end);
	vmm_auto_free char *expected = str_format("%.*s%s", (int)(chain - path), path, end + strlen("</backingStore>"));
	assert_string_equal(after, expected);
}

static void a_volume_whose_path_stays_is_not_changed(void **state)
{
	(void)state;
	vmm_auto_free char *text = data("domain-plain"), *none = NULL;
	assert_int_equal(definition_rewrite(text, NULL, &none, NULL), 0);
	vmm_auto_free char *same = rewritten(text, "vda", "/srv/vm images/a & b \"c\" 'd'/üx..img");
	assert_string_equal(same, none);
	vmm_auto_free char *twice = NULL;
	assert_int_equal(definition_rewrite(none, NULL, &twice, NULL), 0);
	assert_string_equal(twice, none);
	assert_non_null(strstr(none, "Über &lt;all&gt; &amp; \"more\""));
	assert_non_null(strstr(none, "xmlns:vmmigrate=\"https://vmmigrate.org/xmlns/1\" id=\"100\""));
}

static void a_disk_becomes_a_file_or_a_device_by_its_new_path(void **state)
{
	(void)state;
	static const struct {
		const char *target, *path, *type;
	} moves[] = {
		{"vda", "/dev/vg1/x", "block"},
		{"sda", "/srv/x.raw", "file"},
		{"vdc", "/srv/pool/v.raw", "file"},
		{"sdc", "/srv/iso/a.iso", "file"},
	};
	vmm_auto_free char *text = data("domain-plain");
	for (size_t i = 0; i < VMM_COUNT(moves); i++) {
		vmm_auto_free char *after = rewritten(text, moves[i].target, moves[i].path);
		vmm_auto_json struct json_object *facts = NULL;
		assert_int_equal(definition_facts(after, &facts, NULL), 0);
		struct json_object *now = volume(facts, moves[i].target);
		assert_string_equal(json_text(now, "type"), moves[i].type);
		assert_string_equal(json_text(now, "path"), moves[i].path);
		assert_null(json_text(now, "pool"));
	}
}

/* A pool of devices may be a directory of links, and one of files may lie in /dev. */
static void the_kind_of_storage_decides_before_the_path_does(void **state)
{
	(void)state;
	static const char *const cases[][3] = {{"/srv/disks/x", "block", "block"}, {"/dev/shm/x.raw", "dir", "file"}};
	vmm_auto_free char *text = data("domain-plain");
	for (size_t i = 0; i < VMM_COUNT(cases); i++) {
		vmm_auto_json struct json_object *list = json_object_new_array(), *facts = NULL;
		vmm_auto_free char *after = NULL;
		json_object_array_add(list, json_make("target:s path:s kind:s", "vda", cases[i][0], cases[i][1]));
		assert_int_equal(definition_rewrite(text, list, &after, NULL), 0);
		assert_int_equal(definition_facts(after, &facts, NULL), 0);
		assert_string_equal(json_text(volume(facts, "vda"), "type"), cases[i][2]);
		assert_string_equal(json_text(volume(facts, "vda"), "path"), cases[i][0]);
	}
}

static void parts_of_one_run_are_taken_out(void **state)
{
	(void)state;
	vmm_auto_free char *text = data("domain-live"), *expected = data("domain-live-as-persistent"), *after = NULL;
	assert_int_equal(definition_rewrite(text, NULL, &after, NULL), 0);
	expected[strlen(expected) - 1] = 0; /* the file ends in a newline */
	assert_string_equal(after, expected);
}

static void rewriting_refuses_what_it_cannot_do(void **state)
{
	(void)state;
	vmm_auto_free char *plain = data("domain-plain"), *tied = data("domain-tied"), *live = data("domain-live");
	assert_refused(plain, "vdz", "/srv/x", "no-such-volume");
	assert_refused(plain, "nvram", "/srv/x", "no-such-volume");
	assert_refused(plain, "tpm", "/srv/x", "no-such-volume");
	assert_refused(tied, "tpm", "/srv/x", "volume-fixed");
	assert_refused(live, "vda", "/srv/x", "volume-fixed");
	assert_refused(plain, "vda", "/srv/../etc/shadow", "bad-path");
	assert_refused(plain, "vda", "relative", "bad-path");
	assert_refused(plain, "vda", "", "malformed");
}

/* The record of a snapshot that was taken when vda was `image`, for a target where `moved` becomes `to`. */
static char *moment(const char *image, const char *moved, const char *to)
{
	struct vmm_error *err = NULL;
	vmm_auto_free char *xml = str_format(
		"<domainsnapshot><name>one</name><disks><disk name='vda' snapshot='external'><source file='%s'/></disk>"
		"</disks><domain type='kvm'><name>web</name><devices><disk type='file' device='disk'><source "
		"file='%s'/>"
		"<target dev='vda'/></disk></devices></domain><inactiveDomain type='kvm'><name>web</name><devices>"
		"<disk type='file' device='disk'><source file='%s'/><target dev='vda'/></disk></devices>"
		"</inactiveDomain></domainsnapshot>",
		image, image, image);
	vmm_auto_json struct json_object *record = json_make("kind:s xml:s", "snapshot", xml),
					 *changes = json_object_new_array();
	json_object_array_add(changes, json_make("target:s from:s path:s", "vda", moved, to));
	char *rewritten = NULL;
	assert_int_equal(moment_rewrite(record, changes, &rewritten, &err), 0);
	return rewritten;
}

static int count_of(const char *text, const char *word)
{
	int count = 0;
	for (const char *at = text; (at = strstr(at, word)); at++)
		count++;
	return count;
}

static void a_snapshot_follows_its_image_and_no_other(void **state)
{
	(void)state;
	vmm_auto_free char *late = moment("/srv/now.qcow2", "/srv/now.qcow2", "/mnt/there.qcow2");
	vmm_auto_free char *early = moment("/srv/then.qcow2", "/srv/now.qcow2", "/mnt/there.qcow2");
	assert_int_equal(count_of(late, "/mnt/there.qcow2"), 3);
	assert_int_equal(count_of(late, "/srv/now.qcow2"), 0);
	assert_int_equal(count_of(early, "/srv/then.qcow2"), 3);
	assert_int_equal(count_of(early, "/mnt/there.qcow2"), 0);
}

static void what_is_shown_has_no_passwords(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"<graphics type='vnc' passwd='geheim' port='-1'/>", "<graphics type='vnc' port='-1'/>"},
		{"<graphics passwd=\"it's\"/><graphics passwd='&quot;'>", "<graphics/><graphics>"},
		{"<graphics passwd=''/>", "<graphics/>"},
		{"<graphics passwd='open", "<graphics passwd='open"},
		{"a passwd=", "a passwd="},
		{"<graphics passwdValidTo='2026-01-01T00:00:00'/>", "<graphics passwdValidTo='2026-01-01T00:00:00'/>"},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_json struct json_object *about = json_make("definition:s n:d none:s", rows[i][0], 3, NULL);
		json_append(about, "list", json_make("live_definition:s", rows[i][0]));
		vmm_auto_json struct json_object *shown = guest_shown(about);
		assert_string_equal(json_text(shown, "definition"), rows[i][1]);
		assert_string_equal(json_text(shown, "list.0.live_definition"), rows[i][1]);
		assert_int_equal(json_number(shown, "n"), 3);
		assert_string_equal(json_text(about, "definition"), rows[i][0]);
	}
	assert_null(guest_shown(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_with_odd_characters_are_read_as_they_are),
		cmocka_unit_test(the_id_is_ours_or_the_name),
		cmocka_unit_test(sizes_are_bytes_whatever_the_unit),
		cmocka_unit_test(vcpus_and_the_highest_pinned_cpu_are_counted),
		cmocka_unit_test(machine_and_cpu_are_told),
		cmocka_unit_test(secrets_are_named_with_what_needs_them),
		cmocka_unit_test(every_kind_of_volume_is_found_and_empty_drives_are_not),
		cmocka_unit_test(a_network_disk_has_one_line_whatever_surrounds_it),
		cmocka_unit_test(networks_are_named_by_what_was_asked_for),
		cmocka_unit_test(devices_that_are_tied_to_the_host_are_named_once),
		cmocka_unit_test(all_that_a_definition_names_on_its_host_is_a_need),
		cmocka_unit_test(an_interface_has_a_fixed_name_only_if_an_administrator_gave_it),
		cmocka_unit_test(what_is_no_domain_is_refused),
		cmocka_unit_test(rewriting_changes_the_path_and_nothing_else),
		cmocka_unit_test(a_disk_that_moves_keeps_all_but_path_and_chain),
		cmocka_unit_test(a_volume_whose_path_stays_is_not_changed),
		cmocka_unit_test(a_disk_becomes_a_file_or_a_device_by_its_new_path),
		cmocka_unit_test(the_kind_of_storage_decides_before_the_path_does),
		cmocka_unit_test(parts_of_one_run_are_taken_out),
		cmocka_unit_test(rewriting_refuses_what_it_cannot_do),
		cmocka_unit_test(a_snapshot_follows_its_image_and_no_other),
		cmocka_unit_test(what_is_shown_has_no_passwords),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
