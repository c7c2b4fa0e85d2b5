/* guard.c: keeps libvirt from starting a guest that another node owns, or that is being migrated.
 *
 * libvirtd runs it as /etc/libvirt/hooks/qemu.d/vmmigrate GUEST OPERATION SUB-OPERATION EXTRA, with the guest's XML
 * on stdin. It uses libc only, because a hook that calls libvirt deadlocks. It reads the guest records that the
 * engine writes; the engine replaces them whole, by rename, so they are read without a lock:
 *
 *	/var/lib/vmmigrate/guests/qemu-UUID, lines of key=value:
 *	guest=qemu-UUID  name=  uuid=  guard=allow|deny  reason=a sentence
 *	permit=[incoming:|start:PID:STARTED:]boot id
 *
 * Only the operation `prepare` can be refused: by exit status 1 and a line on stderr. For every other operation the
 * guard prints nothing and exits with 0: after a non-zero `reconnect` libvirtd kills a running QEMU, and what a hook
 * prints on stdout replaces the guest's XML.
 *
 * A record concerns the guest that has its UUID, whatever that guest is called now; another guest under an old name is
 * another guest. The name counts only where the UUID is not known: libvirtd has sent no XML, or the record is damaged.
 * (Up to version 0.1 the file was named after the guest's id; its lines are the same.) A record that concerns the guest
 * admits a start if it says guard=allow, or if its permit is this boot's id: then the guest has been released here. A
 * permit `start:PID:STARTED:` admits one while that process lives: the engine itself is starting the guest. A permit is
 * void after a reboot. A record that concerns the guest and is damaged refuses the start, since the guest might run on
 * another node. Where there are no records at all, every start is admitted.
 *
 * A permit `incoming:` is for a guest whose memory arrives. libvirtd then runs the hook with `migrate` before
 * `prepare`; for a start by hand it does not. So `migrate` leaves a mark, and the `prepare` that finds the mark
 * removes it and is admitted. Without the mark, the permit admits nothing. */
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
#define START	     "start:"

enum {
	RECORD_LIMIT = 64 << 10,
	XML_LIMIT = 1 << 20,
	UUID_LENGTH = 36,
	MARK_S = 60, /* libvirtd runs both operations in one call of its own: an older mark was left behind */
};

struct asked {
	const char *name;
	bool incoming;		    /* the operation is `migrate`: leave marks, refuse nothing */
	char uuid[UUID_LENGTH + 1]; /* from the XML, or "" */
	char boot[64];		    /* this boot's id, or "" */
};

/* Reads up to `room` - 1 bytes and adds a NUL. Returns the count, or -1. */
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

/* The first <uuid> in the text is the domain's own: before it comes only the name, in which '<' is escaped; title,
 * metadata and other text of a user's come later. */
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
	const char *guest, *name, *uuid, *permit, *reason; /* NULL: the record has no such line */
	bool allow, deny, malformed;
};

/* Splits `text` in place: the record points into it. */
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

/* The name of the file counts where the record has lost its lines. */
static bool concerns(const struct record *record, const char *file, const struct asked *asked)
{
	const char *named = file + strlen(RECORD_START);
	if (*asked->uuid && record->uuid && *record->uuid)
		return !strcasecmp(record->uuid, asked->uuid);
	if (*asked->uuid && !strcasecmp(named, asked->uuid))
		return true;
	if (record->name && *record->name)
		return !strcmp(record->name, asked->name);
	return !strcmp(named, asked->name);
}

/* Prints one line without control characters to stderr: libvirt puts it into the error that the user sees. */
static void refuse(const struct asked *asked, const char *reason, const char *more)
{
	char line[1024];
	snprintf(line, sizeof(line), "vmmigrate: %s is not started: %s%s; see: vmmigrate status %s", asked->name,
		 reason, more, asked->name);
	for (char *at = line; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = ' ';
	fprintf(stderr, "%s\n", line);
}

static bool same_boot(const char *permit, const struct asked *asked)
{
	return *asked->boot && !strcmp(permit, asked->boot);
}

/* When the process began, in the kernel's ticks: with the pid it names one process for good. 0: there is none. */
static unsigned long long process_started(long pid)
{
	char path[64], stat[4096];
	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read_some(fd, stat, sizeof(stat)) < 0)
		stat[0] = 0;
	if (fd >= 0)
		close(fd);
	/* The second field is the program's name in parentheses, which may contain ')': field 22 counts from there. */
	const char *at = strrchr(stat, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

/* A process of the engine that lives is starting the guest. One that was killed meanwhile leaves its permit behind. */
static bool admits_start(const struct record *record, const struct asked *asked)
{
	char *end;
	if (!record->permit || strncmp(record->permit, START, strlen(START)))
		return false;
	long pid = strtol(record->permit + strlen(START), &end, 10);
	if (*end != ':' || pid <= 0)
		return false;
	unsigned long long started = strtoull(end + 1, &end, 10);
	return *end == ':' && started && started == process_started(pid) && same_boot(end + 1, asked);
}

static bool admits_incoming(const struct record *record, const struct asked *asked)
{
	return record->permit && !strncmp(record->permit, INCOMING, strlen(INCOMING)) &&
	       same_boot(record->permit + strlen(INCOMING), asked);
}

static void leave_mark(const char *file)
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

/* Removes the mark. True where there was one that is recent. */
static bool take_mark(const char *file)
{
	char path[PATH_MAX];
	struct stat st;
	snprintf(path, sizeof(path), GUARD_RUN "/incoming/%s", file);
	time_t now = time(NULL);
	return stat(path, &st) == 0 && unlink(path) == 0 && st.st_mtime <= now && now - st.st_mtime < MARK_S;
}

static bool admits(const struct record *record, const char *file, const struct asked *asked)
{
	if (record->allow || (record->permit && same_boot(record->permit, asked)) || admits_start(record, asked))
		return true;
	return admits_incoming(record, asked) && take_mark(file);
}

/* True where the record refuses the start; then the reason has been printed. */
static bool refuses(char *text, size_t length, const char *file, const struct asked *asked)
{
	struct record record = {0};
	parse(text, length, &record);
	/* A new record that has not been renamed yet: "qemu-100.new-4711". */
	if (record.guest && *record.guest && strcmp(record.guest, file))
		return false;
	if (!concerns(&record, file, asked))
		return false;
	if (asked->incoming) {
		if (!record.malformed && admits_incoming(&record, asked))
			leave_mark(file);
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
		return false; /* removed since the directory was read */
	ssize_t length = fd < 0 ? -1 : read_some(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	if (length < 0 || length > RECORD_LIMIT)
		length = 0; /* treated as an empty record, which is damaged */
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
