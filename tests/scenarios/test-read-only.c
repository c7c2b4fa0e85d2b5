/* A volume that a guest only reads, and a file of its path on the target: the same one is used, another one never
 * without a word (FAULTS 78).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "two-nodes.h"

#define RESTART "{\"restart\":true}"
#define REPLACE "{\"restart\":true,\"replace\":true}"

static char *image_path(struct two_nodes *w, int node)
{
	return str_format("%s/disks/seed.iso", w->machine[node].root);
}

static void image_write(struct two_nodes *w, int node, const char *text)
{
	vmm_auto_free char *path = image_path(w, node);
	struct vmm_error *err = NULL;
	if (file_write(path, text, strlen(text), 0600, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

static void image_holds(struct two_nodes *w, int node, const char *text)
{
	vmm_auto_free char *path = image_path(w, node), *found = NULL;
	if (file_read(path, 1 << 10, &found, NULL, NULL) < 0 || strcmp(found, text))
		two_nodes_fail(w, "the image on node%d holds \"%s\", not \"%s\"", node + 1, found ? found : "nothing",
			       text);
}

static int64_t inode_of(struct two_nodes *w, int node)
{
	vmm_auto_free char *path = image_path(w, node);
	struct stat info;
	return stat(path, &info) < 0 ? -1 : (int64_t)info.st_ino;
}

/* Gives the guest on node1 a second, read-only volume. */
static void add_image(struct two_nodes *w)
{
	vmm_auto_free char *path = str_format("%s/guests/" GUEST ".json", w->machine[NODE1].root), *text = NULL;
	vmm_auto_json struct json_object *guest = NULL, *definition = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0 || json_parse(text, -1, path, &guest, NULL) < 0 ||
	    json_parse(json_text(guest, "definition"), -1, "definition", &definition, NULL) < 0)
		two_nodes_fail(w, "%s cannot be read", path);
	vmm_auto_free char *image = str_format("%s/root/disks/seed.iso", w->dir);
	json_append(definition, "volumes",
		    json_make("target:s type:s format:s device:s path:s readonly:b", "sda", "null", "raw", "cdrom",
			      image, 1));
	guest_says(w, NODE1, json_make("definition:s", json_line(definition)));
}

/* A guest on node1 with a disk and an image that holds "ours"; node2 has `there` at its path, or nothing. */
static struct two_nodes *two_nodes_with_image(const char *there, const char *behaviours)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_guest(w, NODE1, variant_named("restart, local volume"), behaviours);
	guest_writes(w, NODE1, false, 1);
	add_image(w);
	image_write(w, NODE1, "ours");
	if (there)
		image_write(w, NODE2, there);
	return w;
}

static void ends(struct two_nodes *w, const char *options, enum vmm_exit exit, const char *code)
{
	struct outcome outcome;
	two_nodes_migrate(w, NODE1, options, &outcome);
	if (outcome.exit != exit || strcmp(outcome.code, code))
		two_nodes_fail(w, "exit %d, %s: %s", (int)outcome.exit, outcome.code, outcome.message);
	outcome_free(&outcome);
	two_nodes_check(w, variant_named("restart, local volume"), true, 1);
}

static void what_the_target_lacks_is_copied_and_stays_on_the_source(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_with_image(NULL, NULL);
	ends(w, RESTART, VMM_DONE, "");
	image_holds(w, NODE1, "ours");
	image_holds(w, NODE2, "ours");
	two_nodes_free(w);
}

static void the_same_content_is_used_as_it_is(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_with_image("ours", NULL);
	int64_t inode = inode_of(w, NODE2);
	ends(w, REPLACE, VMM_DONE, "");
	assert_int_equal(inode_of(w, NODE2), inode);
	two_nodes_free(w);
}

static void other_content_is_refused_and_nothing_is_touched(void **state)
{
	(void)state;
	static const char *const others[] = {"theirs, longer", "theirs", "OURS", ""};
	for (size_t i = 0; i < VMM_COUNT(others); i++) {
		struct two_nodes *w = two_nodes_with_image(others[i], NULL);
		two_nodes_describe(w, "\"%s\"", others[i]);
		ends(w, RESTART, VMM_BLOCKED, "readonly-differs");
		image_holds(w, NODE1, "ours");
		image_holds(w, NODE2, others[i]);
		assert_int_equal(guest_node(w), NODE1);
		two_nodes_free(w);
	}
}

static void other_content_is_replaced_under_replace(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_with_image("OURS", NULL);
	ends(w, REPLACE, VMM_DONE, "");
	image_holds(w, NODE1, "ours");
	image_holds(w, NODE2, "ours");
	two_nodes_free(w);
}

static void what_was_replaced_comes_back_if_the_migration_fails(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_with_image("OURS", "['no-start']");
	ends(w, REPLACE, VMM_FAILED, "start-failed");
	image_holds(w, NODE2, "OURS");
	assert_int_equal(guest_node(w), NODE1);
	two_nodes_free(w);
}

static void other_content_is_used_if_that_is_said(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_with_image("OURS", NULL);
	ends(w, "{\"restart\":true,\"ignore\":[\"readonly-differs\"]}", VMM_DONE, "");
	image_holds(w, NODE2, "OURS");
	two_nodes_free(w);
}

/* A guest of node2 that is off has the file as its disk, by another path. */
static void what_another_guest_of_the_target_needs_is_not_replaced(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_with_image("OURS", NULL);
	struct vmm_error *err = NULL;
	vmm_auto_free char *image = image_path(w, NODE2), *alias = str_format("%s/disks/alias", w->machine[NODE2].root),
			   *path = str_format("%s/guests/102.json", w->machine[NODE2].root);
	vmm_auto_json struct json_object *volumes = json_object_new_array(),
					 *definition = json_make("id:s name:s uuid:s", "102", "other", "other");
	json_object_array_add(volumes, json_make("target:s type:s format:s path:s", "vda", "null", "raw", alias));
	json_put(definition, "volumes:O", volumes);
	vmm_auto_json struct json_object *guest =
		json_make("state:s autostart:b definition:s", "shutoff", 0, json_line(definition));
	vmm_auto_free char *dir = path_dir(path);
	if (link(image, alias) < 0 || dir_make(dir, 0700, &err) < 0 ||
	    file_write(path, json_line(guest), strlen(json_line(guest)), 0600, &err) < 0)
		two_nodes_fail(w, "the other guest");
	ends(w, REPLACE, VMM_BLOCKED, "volume-taken");
	image_holds(w, NODE2, "OURS");
	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_target_lacks_is_copied_and_stays_on_the_source),
		cmocka_unit_test(the_same_content_is_used_as_it_is),
		cmocka_unit_test(other_content_is_refused_and_nothing_is_touched),
		cmocka_unit_test(other_content_is_replaced_under_replace),
		cmocka_unit_test(what_was_replaced_comes_back_if_the_migration_fails),
		cmocka_unit_test(other_content_is_used_if_that_is_said),
		cmocka_unit_test(what_another_guest_of_the_target_needs_is_not_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
