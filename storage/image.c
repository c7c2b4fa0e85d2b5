/* image.c: reads an image's header with qemu-img. */
#include <string.h>

#include "storage.h"

enum { IMAGE_LIMIT_MS = 30000 };

/* Runs qemu-img info. The format is always given: qemu-img must not detect it, since a guest may have written the
 * header of another format to its raw disk. An absolute path is never taken for a protocol ("nbd:..."), since QEMU
 * looks for the colon before the first slash only. -U: the image may be in use. */
static int read_info(const char *path, const char *format, struct json_object **info, struct vmm_error **err)
{
	const char *const argv[] = {"qemu-img", "info", "-U", "--output=json", "-f", format, "--", path, NULL};
	struct run_result result;
	if (run_checked(&(struct run){.argv = argv, .limit_ms = IMAGE_LIMIT_MS}, &result, err) < 0) {
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
	const char *data = json_text(info, "format-specific.data.data-file");
	if (data)
		json_put(volume, "data_file:s", data);
	return 0;
}
