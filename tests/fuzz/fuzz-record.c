/* A guest record that was edited by hand or damaged on the disk. */
#include <fcntl.h>

#include "fuzz.h"
#include "node/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static char state[] = "/tmp/vmm-fuzz-XXXXXX";
	static char *path;
	struct guest_record record = {0};
	struct vmm_error *err = NULL;
	if (!path) {
		vmm_auto_free char *guests = mkdtemp(state) ? str_format("%s/guests", state) : NULL;
		if (!guests || dir_make(guests, 0700, NULL) < 0)
			abort();
		path = str_format("%s/qemu-100", guests);
	}
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, data, length) < 0)
		abort();
	if (record_read(state, "qemu-100", &record, &err) == 0)
		json_object_put(record_to_json(&record));
	record_free(&record);
	error_clear(&err);
	return 0;
}
