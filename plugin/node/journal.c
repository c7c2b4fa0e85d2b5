/* journal.c: records that are on the disk when journal_add returns.
 *
 * The file is preallocated and written in place, so that appending a record needs neither a new block nor a new size: a
 * full disk cannot stop the commit. Layout: an 8-byte magic, then records {length (4), CRC-32C of payload (4),
 * payload}, little endian. The journal ends at the first record whose length or checksum is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "node/node.h"

static const char journal_magic[8] = "VMMJRNL1";

struct journal {
	int fd;
	char *path;
	off_t end; /* where the next record goes */
	struct json_object *records;
};

/* The one mutable global: tests set it with journal_watch before they run a migration. */
static struct {
	journal_watch_fn *call;
	void *context;
} watcher;

void journal_watch(journal_watch_fn *watch, void *context)
{
	watcher.call = watch;
	watcher.context = context;
}

static int notify(const struct journal *journal, struct json_object *record, bool synced)
{
	return watcher.call ? watcher.call(watcher.context, journal->path, record, synced) : 0;
}

static int lay_out(struct journal *journal, struct vmm_error **err)
{
	int number = posix_fallocate(journal->fd, 0, JOURNAL_SIZE);
	if (number)
		return error_errno(err, number, "make the journal %s", journal->path);
	if (pwrite(journal->fd, journal_magic, sizeof(journal_magic), 0) != sizeof(journal_magic) ||
	    fsync(journal->fd) < 0)
		return error_errno(err, errno, "make the journal %s", journal->path);
	vmm_auto_free char *dir = path_dir(journal->path);
	return dir_sync(dir, err);
}

/* Reads the record at journal->end; *record is NULL if there is no whole one. A read that fails is an error and does
 * not count as the journal's end. */
static int record_read_next(struct journal *journal, struct json_object **record, struct vmm_error **err)
{
	uint32_t head[2];
	*record = NULL;
	ssize_t got = pread(journal->fd, head, sizeof(head), journal->end);
	if (got == (ssize_t)sizeof(head) && head[0] && head[0] <= JOURNAL_SIZE - journal->end - sizeof(head)) {
		vmm_auto_free char *payload = mem_zero(head[0]);
		got = pread(journal->fd, payload, head[0], journal->end + (off_t)sizeof(head));
		if (got == (ssize_t)head[0] && crc32c(0, payload, head[0]) == head[1] &&
		    json_parse(payload, head[0], journal->path, record, NULL) == 0)
			journal->end += (off_t)(sizeof(head) + head[0]);
	}
	return got < 0 ? error_errno(err, errno, "read the journal %s", journal->path) : 0;
}

/* The file has no magic. If it is all zero, power was lost while it was made, before any record: it is made again. */
static int make_again(struct journal *journal, struct vmm_error **err)
{
	vmm_auto_free char *data = NULL;
	size_t length;
	if (file_read(journal->path, JOURNAL_SIZE * 2, &data, &length, err) < 0)
		return -1;
	for (size_t i = 0; i < length; i++)
		if (data[i])
			return error_set(err, VMM_FAILED, "bad-journal", "%s is not a journal", journal->path);
	return lay_out(journal, err);
}

static int load(struct journal *journal, struct vmm_error **err)
{
	char magic[sizeof(journal_magic)];
	ssize_t got = pread(journal->fd, magic, sizeof(magic), 0);
	if (got < 0)
		return error_errno(err, errno, "read the journal %s", journal->path);
	if (got != (ssize_t)sizeof(magic) || memcmp(magic, journal_magic, sizeof(magic)))
		return make_again(journal, err);
	for (struct json_object *record;; json_object_array_add(journal->records, record)) {
		if (record_read_next(journal, &record, err) < 0)
			return -1;
		if (!record)
			return 0;
	}
}

int journal_open(const char *path, bool make, struct journal **journal, struct vmm_error **err)
{
	struct journal *j = mem_zero(sizeof(*j));
	j->path = str_copy(path);
	j->end = sizeof(journal_magic);
	j->records = json_object_new_array();
	j->fd = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
	struct stat info = {0};
	int done;
	if (j->fd < 0 || fstat(j->fd, &info) < 0)
		done = error_errno(err, errno, "open the journal %s", path);
	else
		done = info.st_size == 0 ? lay_out(j, err) : load(j, err);
	if (done < 0) {
		journal_close(j);
		return -1;
	}
	*journal = j;
	return 0;
}

static int pwrite_all(int fd, const char *data, size_t length, off_t at)
{
	ssize_t done = pwrite(fd, data, length, at);
	if (done >= 0 && done != (ssize_t)length)
		errno = EIO;
	return done == (ssize_t)length ? 0 : -1;
}

int journal_add(struct journal *journal, struct json_object *record, struct vmm_error **err)
{
	vmm_auto_json struct json_object *held = record;
	const char *line = json_line(record);
	uint32_t head[2] = {(uint32_t)strlen(line), crc32c(0, line, strlen(line))};
	vmm_auto_text struct text bytes = {0};
	text_add_bytes(&bytes, head, sizeof(head));
	text_add_bytes(&bytes, line, head[0]);
	/* The head of the next record is zeroed in the same write: what is left there from a torn write is not read as
	 * a record. */
	static const char zero[sizeof(head)];
	text_add_bytes(&bytes, zero, sizeof(zero));
	if (journal->end + (off_t)bytes.length > JOURNAL_SIZE)
		return error_set(err, VMM_FAILED, "journal-full", "the journal %s is full", journal->path);
	int number = notify(journal, record, false);
	if (!number &&
	    (pwrite_all(journal->fd, bytes.data, bytes.length, journal->end) < 0 || fdatasync(journal->fd) < 0))
		number = errno;
	if (!number)
		number = notify(journal, record, true);
	if (number)
		return error_errno(err, number, "write the journal %s", journal->path);
	journal->end += (off_t)(bytes.length - sizeof(zero));
	json_object_array_add(journal->records, json_object_get(record));
	return 0;
}

struct json_object *journal_records(struct journal *journal)
{
	return journal->records;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	vmm_cleanup_close(&journal->fd);
	json_object_put(journal->records);
	free(journal->path);
	free(journal);
}
