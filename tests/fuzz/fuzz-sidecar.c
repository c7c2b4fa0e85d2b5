/* A seed's sidecar that anybody may have written: as it is, or of the very seed but for what it says. What it does not fit is not
 * ours, and stays. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "node/seeds.h"

static struct local_node node;
static char *seed, *sidecar;

static void must(bool good)
{
	if (!good)
		abort();
}

static void begin(void)
{
	static struct node_paths paths;
	char dir[] = "/dev/shm/fuzz-sidecar-XXXXXX";
	must(mkdtemp(dir));
	paths.state = str_copy(dir);
	node = (struct local_node){.base.name = "n1", .paths = &paths};
	node.config = json_make("storage:o", json_make("s:o", json_make("path:s", paths.state)));
	vmm_auto_free char *place = str_format("%s/vda.img", dir);
	seed = seed_path(place);
	sidecar = str_format("%s.json", seed);
}

static void end(void)
{
	if (node.paths)
		dir_remove(node.paths->state, NULL);
}

/* What a sidecar of this file has to say, over what it says besides. */
static char *fitting(const void *data, size_t length)
{
	vmm_auto_json struct json_object *said = NULL, *own = local_final_note(seed, seed, "dir", NULL);
	if (json_parse(data, (int)length, "sidecar", &said, NULL) < 0 || !json_object_is_type(said, json_type_object))
		return str_format("%.*s", (int)length, (const char *)data);
	json_put(said, "version:d inode:i device:i born:i", 1, json_number(own, "inode"), json_number(own, "device"),
		 json_number(own, "born"));
	return str_copy(json_line(said));
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
	must(file_write(seed, "content", 7, 0600, NULL) == 0);
	vmm_auto_free char *text = data[0] & 1 ? fitting(data + 1, length - 1) : NULL;
	must(text ? file_write(sidecar, text, strlen(text), 0600, NULL) == 0
		  : file_write(sidecar, data + 1, length - 1, 0600, NULL) == 0);
	vmm_auto_json struct json_object *seeds = seeds_list(&node);
	must(json_count(seeds, "") == 1);
	bool ours = json_true(seeds, "0.ours");
	vmm_auto_json struct json_object *prune = json_make("prune:s", data[0] & 2 ? "old" : "all");
	if (local_seeds(&node, prune, &reply, NULL) == 0)
		must(ours || file_there(seed));
	json_object_put(reply);
	unlink(seed);
	unlink(sidecar);
	return 0;
}
