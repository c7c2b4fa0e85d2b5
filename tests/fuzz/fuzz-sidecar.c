/* A seed's sidecar of unknown origin: arbitrary bytes, or (first byte odd) arbitrary JSON that names the right inode. A
 * seed whose sidecar does not match it is not ours, and pruning must leave it where it is. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "node/seeds.h"

static struct local_node node;
static char *seed, *sidecar;

static void check(bool good)
{
	if (!good)
		abort();
}

static void begin(void)
{
	static struct node_paths paths;
	char dir[] = "/dev/shm/fuzz-sidecar-XXXXXX";
	check(mkdtemp(dir));
	paths.state = str_copy(dir);
	node = (struct local_node){.base.name = "n1", .paths = &paths};
	node.config = json_make("storage:o", json_make("s:o", json_make("path:s", paths.state)));
	vmm_auto_free char *path = str_format("%s/vda.img", dir);
	seed = seed_path(path);
	sidecar = str_format("%s.json", seed);
}

static void end(void)
{
	if (node.paths)
		dir_remove(node.paths->state, NULL);
}

/* The fuzzed JSON, with the fields by which a sidecar matches its seed. If it is no JSON object: the bytes as they are.
 */
static char *matching_sidecar(const void *data, size_t length)
{
	vmm_auto_json struct json_object *sidecar_json = NULL, *own = local_final_note(seed, seed, "dir", NULL);
	if (json_parse(data, (int)length, "sidecar", &sidecar_json, NULL) < 0 ||
	    !json_object_is_type(sidecar_json, json_type_object))
		return str_format("%.*s", (int)length, (const char *)data);
	json_put(sidecar_json, "version:d inode:i device:i born:i", 1, json_number(own, "inode"),
		 json_number(own, "device"), json_number(own, "born"));
	return str_copy(json_line(sidecar_json));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct json_object *reply = NULL;
	if (!length)
		return 0;
	if (!seed) {
		begin();
		atexit(end);
	}
	check(file_write(seed, "content", 7, 0600, NULL) == 0);
	vmm_auto_free char *text = data[0] & 1 ? matching_sidecar(data + 1, length - 1) : NULL;
	check(text ? file_write(sidecar, text, strlen(text), 0600, NULL) == 0
		   : file_write(sidecar, data + 1, length - 1, 0600, NULL) == 0);
	vmm_auto_json struct json_object *seeds = seeds_list(&node);
	check(json_count(seeds, "") == 1);
	bool ours = json_true(seeds, "0.ours");
	vmm_auto_json struct json_object *prune = json_make("prune:s", data[0] & 2 ? "old" : "all");
	if (local_seeds(&node, prune, &reply, NULL) == 0)
		check(ours || file_there(seed));
	json_object_put(reply);
	unlink(seed);
	unlink(sidecar);
	return 0;
}
