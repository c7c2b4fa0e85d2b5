/* guard.c: keeps libvirt from starting a guest that another node owns, or that is being moved.
 *
 * libvirtd runs it as /etc/libvirt/hooks/qemu.d/vmmigrate GUEST OPERATION SUB-OPERATION EXTRA, with the guest's XML on
 *stdin. It needs nothing but libc, because a hook that calls libvirt deadlocks, and it reads the guest records that the
 *engine writes (whole, by rename, so without a lock):
 *
 *	/var/lib/vmmigrate/guests/qemu-ID, lines of key=value:
 *	guest=qemu-ID  name=  uuid=  guard=allow|deny  reason=a sentence  permit=[incoming:]boot id
 *
 * Only `prepare` can be refused, by exit 1 and a line on stderr. For all else it ends at once with 0 and without a
 *word: a non-zero `reconnect` kills a running QEMU, and what a hook prints to stdout replaces the guest's XML.
 *
 * A record concerns the guest if it has its UUID or its name. It lets a start pass if it says guard=allow, or if its
 *permit is this boot's id: that is the engine's own start, and a permit does not outlive a reboot. A record that
 *concerns the guest and makes no sense refuses: what cannot be known is not started twice. No records at all: nothing
 *to guard.
 *
 * A permit for memory that comes in lets no start pass: libvirtd says `migrate` before `prepare` then, and a start by hand
 * does not. So `migrate` leaves a mark, which the `prepare` that follows it takes away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef GUARD_RECORDS
#define GUARD_RECORDS "/var/lib/vmmigrate/guests"
#endif
#ifndef GUARD_RUN
#define GUARD_RUN "/run/vmmigrate"
#endif
#ifndef GUARD_BOOT_ID
#define GUARD_BOOT_ID "/proc/sys/kernel/random/boot_id"
#endif

#define RECORD_START "qemu-"
#define INCOMING     "incoming:"

enum {
	RECORD_LIMIT = 64 << 10,
	XML_LIMIT = 1 << 20,
	UUID_LENGTH = 36,
	MARK_S = 60, /* both come within the same call of libvirt's */
};

struct asked {
	const char *name;
	bool incoming;		    /* `migrate`: leave marks, refuse nothing */
	char uuid[UUID_LENGTH + 1]; /* of the XML, or "" */
	char boot[64];		    /* this boot's id, or "" */
};

/* Up to `room` - 1 bytes and a NUL; the count, or -1. */
static ssize_t read_some(int fd, char *data, size_t room)
{
	size_t got = 0;
	while (got < room - 1) {
		ssize_t done = read(fd, data + got, room - 1 - got);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		if (done == 0)
			break;
		got += (size_t)done;
	}
	data[got] = 0;
	return (ssize_t)got;
}

/* The domain's own is the first: it comes before everything in which a user may write words of his own but the name,
 * where
 * '<' is escaped. */
static void read_uuid(struct asked *asked)
{
	char *xml = malloc(XML_LIMIT);
	const char *found = xml && read_some(STDIN_FILENO, xml, XML_LIMIT) > 0 ? strstr(xml, "<uuid>") : NULL;
	if (found) {
		found += strlen("<uuid>");
		found += strspn(found, " \t\r\n");
		if (strspn(found, "0123456789abcdefABCDEF-") == UUID_LENGTH)
			memcpy(asked->uuid, found, UUID_LENGTH);
	}
	free(xml);
}

static void read_boot(struct asked *asked)
{
	int fd = open(GUARD_BOOT_ID, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read_some(fd, asked->boot, sizeof(asked->boot)) < 0)
		asked->boot[0] = 0;
	asked->boot[strcspn(asked->boot, "\n")] = 0;
	if (fd >= 0)
		close(fd);
}

/* ------------------------------------------------------------------ a record */

struct record {
	const char *guest, *name, *uuid, *permit, *reason; /* NULL: not said */
	bool allow, deny, malformed;
};

/* Takes the text apart in place. */
static void parse(char *text, size_t length, struct record *record)
{
	const struct {
		const char *key;
		const char **value;
	} keys[] = {
		{"guest=", &record->guest},   {"name=", &record->name},	    {"uuid=", &record->uuid},
		{"permit=", &record->permit}, {"reason=", &record->reason},
	};
	record->malformed = strlen(text) != length;
	for (char *line, *rest = text; (line = strsep(&rest, "\n"));) {
		record->malformed |= *line && !strchr(line, '=');
		record->allow |= !strcmp(line, "guard=allow");
		record->deny |= !strcmp(line, "guard=deny");
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (!strncmp(line, keys[i].key, strlen(keys[i].key)))
				*keys[i].value = line + strlen(keys[i].key);
	}
	record->malformed |= record->allow == record->deny;
}

/* Without a name that can be read, the file's own has to do. */
static bool concerns(const struct record *record, const char *file, const struct asked *asked)
{
	if (record->uuid && *asked->uuid && !strcasecmp(record->uuid, asked->uuid))
		return true;
	if (record->name && *record->name)
		return !strcmp(record->name, asked->name);
	return !strcmp(file + strlen(RECORD_START), asked->name);
}

/* To stderr, whence libvirt puts it into the error that the user sees: one line, no control characters. */
static void refuse(const struct asked *asked, const char *reason, const char *more)
{
	char words[1024];
	snprintf(words, sizeof(words), "vmmigrate: %s is not started: %s%s; see: vmmigrate status %s", asked->name,
		 reason, more, asked->name);
	for (char *at = words; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = ' ';
	fprintf(stderr, "%s\n", words);
}

static bool same_boot(const char *permit, const struct asked *asked)
{
	return *asked->boot && !strcmp(permit, asked->boot);
}

static bool admits_incoming(const struct record *record, const struct asked *asked)
{
	return record->permit && !strncmp(record->permit, INCOMING, strlen(INCOMING)) &&
	       same_boot(record->permit + strlen(INCOMING), asked);
}

static void mark_leave(const char *file)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), GUARD_RUN "/incoming/%s", file);
	mkdir(GUARD_RUN, 0700);
	mkdir(GUARD_RUN "/incoming", 0700);
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

/* True where there was one, of just now. */
static bool mark_take(const char *file)
{
	char path[PATH_MAX];
	struct stat st;
	snprintf(path, sizeof(path), GUARD_RUN "/incoming/%s", file);
	time_t now = time(NULL);
	return stat(path, &st) == 0 && unlink(path) == 0 && st.st_mtime <= now && now - st.st_mtime < MARK_S;
}

static bool admits(const struct record *record, const char *file, const struct asked *asked)
{
	if (record->allow || (record->permit && same_boot(record->permit, asked)))
		return true;
	return admits_incoming(record, asked) && mark_take(file);
}

/* True where the record refuses the start, and has said so. */
static bool refuses(char *text, size_t length, const char *file, const struct asked *asked)
{
	struct record record = {0};
	parse(text, length, &record);
	/* A new record on its way to its name: "qemu-100.new-4711". */
	if (record.guest && *record.guest && strcmp(record.guest, file))
		return false;
	if (!concerns(&record, file, asked))
		return false;
	if (asked->incoming) {
		if (!record.malformed && admits_incoming(&record, asked))
			mark_leave(file);
		return false;
	}
	if (record.malformed) {
		refuse(asked, "its record is damaged: " GUARD_RECORDS "/", file);
		return true;
	}
	if (admits(&record, file, asked))
		return false;
	refuse(asked, record.reason && *record.reason ? record.reason : "another node may have it", "");
	return true;
}

static bool file_refuses(int dir, const char *file, const struct asked *asked)
{
	char text[RECORD_LIMIT + 2];
	int fd = openat(dir, file, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return false; /* gone since the directory was read */
	ssize_t length = fd < 0 ? -1 : read_some(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	if (length < 0 || length > RECORD_LIMIT)
		length = 0; /* as damaged as an empty one */
	text[length] = 0;
	return refuses(text, (size_t)length, file, asked);
}

static bool any_refuses(const struct asked *asked)
{
	DIR *records = opendir(GUARD_RECORDS);
	bool refused = false;
	if (!records && (errno == ENOENT || asked->incoming))
		return false;
	if (!records) {
		refuse(asked, "its record cannot be read in " GUARD_RECORDS ": ", strerror(errno));
		return true;
	}
	for (struct dirent *entry; !refused && (entry = readdir(records));)
		if (!strncmp(entry->d_name, RECORD_START, strlen(RECORD_START)))
			refused = file_refuses(dirfd(records), entry->d_name, asked);
	closedir(records);
	return refused;
}

int main(int argc, char **argv)
{
	if (argc < 3 || (strcmp(argv[2], "prepare") && strcmp(argv[2], "migrate")))
		return 0;
	struct asked asked = {.name = argv[1], .incoming = !strcmp(argv[2], "migrate")};
	read_uuid(&asked);
	read_boot(&asked);
	return any_refuses(&asked);
}
