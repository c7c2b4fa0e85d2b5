/* A damaged journal: arbitrary bytes, or (first byte odd) arbitrary records with correct checksums. */
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"
#include "node/node.h"

static void add_records(struct text *journal, const uint8_t *data, size_t length)
{
	text_add_bytes(journal, "VMMJRNL1", 8);
	while (length > 1) {
		uint32_t head[2] = {data[0], 0};
		head[0] = head[0] < length - 1 ? head[0] : (uint32_t)(length - 1);
		head[1] = crc32c(0, data + 1, head[0]);
		text_add_bytes(journal, head, sizeof(head));
		text_add_bytes(journal, data + 1, head[0]);
		data += 1 + head[0];
		length -= 1 + head[0];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct text bytes = {0};
	struct journal *journal;
	struct vmm_error *err = NULL;
	if (!length)
		return 0;
	if (data[0] & 1)
		add_records(&bytes, data + 1, length - 1);
	else
		text_add_bytes(&bytes, data + 1, length - 1);
	vmm_auto_close int fd = memfd_create("journal", MFD_CLOEXEC);
	vmm_auto_free char *path = str_format("/proc/self/fd/%d", fd);
	if (bytes.length && fd_write_all(fd, bytes.data, bytes.length) < 0)
		abort();
	if (bytes.length && journal_open(path, false, &journal, &err) == 0) {
		json_each (record, journal_records(journal), "")
			json_line(record);
		journal_close(journal);
	}
	error_clear(&err);
	text_free(&bytes);
	return 0;
}
