/* image.c: reads an image's header with qemu-img. */
#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>

#include "storage.h"

enum { IMAGE_LIMIT_MS = 30000 };

/* Runs qemu-img info, which sees the image alone and gets no more memory and time than a header needs: a guest may have
 * written that, with tables of any size and names of any files in it. The format is always given: qemu-img must not
 * detect it, since a guest may have written the header of another format to its raw disk. An absolute path is never
 * taken for a protocol ("nbd:..."), since QEMU looks for the colon before the first slash only. -U: the image may be in
 * use. */
static int read_info(const char *path, const char *format, struct json_object **info, struct vmm_error **err)
{
	const char *const argv[] = {"qemu-img", "info", "-U", "--output=json", "-f", format, "--", path, NULL};
	struct run_result result;
	const struct confinement within = {.path = path,
					   .capabilities = UINT64_C(1) << CAP_DAC_READ_SEARCH,
					   .memory = (size_t)1 << 30,
					   .cpu_s = IMAGE_LIMIT_MS / 1000};
	const struct run run = {.argv = argv, .limit_ms = IMAGE_LIMIT_MS, .within = &within};
	if (run_checked(&run, &result, err) < 0) {
		error_context(err, "read the header of %s (%s)", path, format);
		return error_hint(err,
				  "Check that qemu-utils is installed and that the image is intact (qemu-img check).");
	}
	int status = json_parse(result.out, -1, "qemu-img info", info, err);
	run_result_free(&result);
	return status;
}

int image_describe(struct json_object *volume, struct vmm_error **err)
{
	const char *path = json_text(volume, "path"), *format = json_text_or(volume, "format", "raw");
	if (str_same(format, "raw") || str_same(format, "iso")) {
		json_put(volume, "virtual_size:i snapshots:d", json_number(volume, "size"), 0);
		return 0;
	}
	vmm_auto_json struct json_object *info = NULL;
	if (name_check(format, "format", err) < 0 || read_info(path, format, &info, err) < 0)
		return -1;
	json_put(volume, "virtual_size:i snapshots:d", json_number(info, "virtual-size"),
		 (int)json_count(info, "snapshots"));
	const char *backing = json_text_or(info, "full-backing-filename", json_text(info, "backing-filename"));
	if (backing)
		json_put(volume, "backing:s", backing);
	const char *named = json_text(info, "backing-filename");
	json_put(volume, "backing_format:s backing_relative:b", json_text(info, "backing-filename-format"),
		 (int)(named && *named != '/'));
	const char *data = json_text(info, "format-specific.data.data-file");
	vmm_auto_free char *dir = path_dir(path), *beside = data ? str_format("%s/%s", dir, data) : NULL;
	if (data)
		json_put(volume, "data_file:s data_relative:b", *data == '/' ? data : beside, (int)(*data != '/'));
	return 0;
}

/* ------------------------------------------------------------------ what an image stands on */

/* Reads the first bytes of a qcow2 image: does it name another file? Most images do not, and qemu-img takes longer than
 * reading them (the format is in QEMU's docs/interop/qcow2.txt: magic, offset of the backing file's name, incompatible
 * features of version 3, of which bit 2 is an external data file). */
static bool names_others(const char *path)
{
	enum { MAGIC = 0x514649fb, DATA_FILE = 4 };
	struct {
		uint32_t magic, version;
		uint64_t backing_offset;
		char between[56];
		uint64_t incompatible;
	} head;
	_Static_assert(sizeof(head) == 80, "the header as it is in the file");
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || be32toh(head.magic) != MAGIC)
		return false;
	return head.backing_offset || (be32toh(head.version) >= 3 && (be64toh(head.incompatible) & DATA_FILE));
}

/* True if the array has an element of that path. */
static bool has_path(struct json_object *chain, const char *path)
{
	json_each (file, chain, "")
		if (str_same(json_text(file, "path"), path))
			return true;
	return false;
}

/* Adds the file, and all files below it, as far as the images can be read. Takes `file`. */
static void add_chain(struct json_object *chain, struct json_object *file)
{
	enum { LONGEST = 64 };
	vmm_auto_json struct json_object *owned = file, *image = NULL;
	const char *path = json_text(file, "path"), *format = json_text(file, "format");
	if (!path || *path != '/' || json_count(chain, "") >= LONGEST || has_path(chain, path))
		return;
	json_object_array_add(chain, json_object_get(file));
	if (!str_same(format, "qcow2") || !names_others(path))
		return;
	image = json_make("path:s format:s", path, format);
	vmm_auto_error struct vmm_error *problem = NULL;
	if (image_describe(image, &problem) < 0) {
		log_warn("%s", problem->message);
		return;
	}
	add_chain(chain, json_make("path:s format:s as:s relative:b", json_text(image, "data_file"), "raw", "data",
				   (int)json_true(image, "data_relative")));
	add_chain(chain, json_make("path:s format:s as:s relative:b", json_text(image, "backing"),
				   json_text_or(image, "backing_format", "qcow2"), "backing",
				   (int)json_true(image, "backing_relative")));
}

struct json_object *image_chain(const char *path, const char *format)
{
	struct json_object *chain = json_object_new_array();
	add_chain(chain, json_make("path:s format:s as:s relative:b", path, format, "disk", 0));
	return chain;
}
