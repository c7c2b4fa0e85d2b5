/* base: what all other rooms use - errors, log lines, JSON, strings, files, programs, time.
 *
 * Conventions of the whole tree:
 *   - A function that can fail takes `struct vmm_error **err` last and returns a negative number if and only if it has
 *     set *err. Its other results are undefined then.
 *   - Strings and objects returned through pointers belong to the caller unless the comment says otherwise.
 *   - Sizes are in bytes. Points in time are microseconds since the epoch (`_us`), time limits are milliseconds
 *     (`_ms`).
 */
#ifndef VMM_BASE_H
#define VMM_BASE_H

#include <json-c/json.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define VMM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define VMM_MUST_USE	 __attribute__((warn_unused_result))
#define VMM_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ------------------------------------------------------------------ scoped clean-up */

#define vmm_auto_free  __attribute__((cleanup(vmm_cleanup_free)))
#define vmm_auto_close __attribute__((cleanup(vmm_cleanup_close)))
#define vmm_auto_json  __attribute__((cleanup(vmm_cleanup_json)))
#define vmm_auto_error __attribute__((cleanup(vmm_cleanup_error)))
#define vmm_auto_text  __attribute__((cleanup(vmm_cleanup_text)))

/* ------------------------------------------------------------------ errors (error.c) */

/* Exit status of the command and the adapter; every error carries the one it ends with. */
enum vmm_exit {
	VMM_DONE = 0,		/* done */
	VMM_FAILED = 1,		/* failed, guest safe on the source */
	VMM_USAGE = 2,		/* wrong arguments, malformed configuration */
	VMM_BLOCKED = 3,	/* refused by a check or by a hook's veto */
	VMM_NOT_PERMITTED = 4,	/* not permitted */
	VMM_NOT_FOUND = 5,	/* no such guest, node or task */
	VMM_BUSY = 6,		/* busy or locked */
	VMM_CANCELLED = 7,	/* cancelled */
	VMM_LEFTOVERS = 8,	/* done, but not all work after the commit could be finished */
	VMM_NEEDS_DECISION = 9, /* needs an administrator's decision */
};

struct vmm_error {
	enum vmm_exit exit;
	char code[40]; /* stable, lower case with dashes: "target-unreachable" */
	char *message; /* names the object and says what is wrong */
	char *hint;    /* the remedy, or NULL */
};

/* Sets *err and returns -1, so that callers write `return error_set(...)`. An error that *err had before is freed.
 * `err` itself may be NULL where the caller needs no error; that holds for all functions here. */
int error_set(struct vmm_error **err, enum vmm_exit exit, const char *code, const char *format, ...) VMM_PRINTF(4, 5);

/* As error_set with exit VMM_FAILED; appends ": " and the system's text for `number` (an errno). The code follows from
 * the errno: "no-space" for ENOSPC and EDQUOT, "io-error" for EIO, "not-permitted" for EACCES and EPERM, "not-there"
 * for ENOENT, "system" otherwise. */
int error_errno(struct vmm_error **err, int number, const char *format, ...) VMM_PRINTF(3, 4);

/* Sets the hint of an error that is set, in place of one that it had; returns -1. */
int error_hint(struct vmm_error **err, const char *format, ...) VMM_PRINTF(2, 3);

/* Prepends "context: " to the message of an error that is set; returns -1. */
int error_context(struct vmm_error **err, const char *format, ...) VMM_PRINTF(2, 3);

/* Prepends "NODE: ", the node that an error comes from, unless the message begins with that node's name already
 * ("node2: the ssh connection is lost", "node node2 has no ..."): an error that is passed on from node to node names
 * the node once. Returns -1. */
int error_on_node(struct vmm_error **err, const char *node);

/* Frees *err and sets it to NULL. Harmless on NULL. */
void error_clear(struct vmm_error **err);

/* Moves `from` into *err if *err is not set yet, else frees `from`. For clean-up that fails after another failure: the
 * first error is kept. */
void error_take(struct vmm_error **err, struct vmm_error *from);

/* True if err is set and has that code. */
bool error_is(const struct vmm_error *err, const char *code);

/* An error as {"code","message","hint","exit"}, and back. error_from_json sets *err and returns -1; an "exit" that is
 * not one of vmm_exit becomes VMM_FAILED. */
struct json_object *error_to_json(const struct vmm_error *err);
int error_from_json(struct vmm_error **err, struct json_object *json);

/* ------------------------------------------------------------------ log lines (error.c) */

/* Writes one line to stderr, which whoever started the program has redirected to its log. Debug lines are written only
 * if VMMIGRATE_DEBUG is set in the environment. */
void log_info(const char *format, ...) VMM_PRINTF(1, 2);
void log_warn(const char *format, ...) VMM_PRINTF(1, 2);
void log_debug(const char *format, ...) VMM_PRINTF(1, 2);

/* ------------------------------------------------------------------ JSON (json.c) */

/* Makes an object from "key:type key:type ..." and one argument for each key:
 *   s  const char * (NULL gives null)   i  int64_t   d  int   b  int as a boolean   f  double
 *   o  struct json_object * (the object takes ownership; NULL gives null)
 *   O  struct json_object * (the object takes a reference of its own) */
struct json_object *json_make(const char *format, ...);

/* Sets such members of an object that is there already. */
void json_put(struct json_object *object, const char *format, ...);

/* The value at a path below `object`: keys joined by dots ("guest.memory"); a number selects from an array; "" is the
 * object itself. The object may be NULL. Strings and objects that are returned belong to the object. A value that is
 * absent or of another type gives NULL, 0 or false.
 *
 * Paths are written in the code. A key that comes from outside (the name of a node, a storage, a guest, an option) may
 * contain dots: it never becomes part of a path, but is looked up by json_member. */
struct json_object *json_at(struct json_object *object, const char *path);
const char *json_text(struct json_object *object, const char *path);
const char *json_text_or(struct json_object *object, const char *path, const char *otherwise);
int64_t json_number(struct json_object *object, const char *path);
bool json_true(struct json_object *object, const char *path);
size_t json_count(struct json_object *object, const char *path);

/* The member of `object` with exactly that key; belongs to the object. NULL if there is none, if either argument
 * is NULL, or if `object` is no object. */
struct json_object *json_member(struct json_object *object, const char *key);

/* True if the array at `path` contains that string. */
bool json_has(struct json_object *object, const char *path, const char *text);

/* The string of the array `names` that was probably meant by `typed`, or NULL; borrowed. See base/suggest.h. */
const char *json_suggest(struct json_object *names, const char *typed);

/* Appends to the array under `key` of `object`, which is made if it is not there. The array takes ownership of
 * `value`. */
void json_append(struct json_object *object, const char *key, struct json_object *value);

/* A deep copy. */
struct json_object *json_copy(struct json_object *object);

/* As json_text, but a text that is absent or empty is an error "malformed"; `what` says what the object is. */
int json_need(struct json_object *object, const char *path, const char *what, const char **text,
	      struct vmm_error **err);

/* Parses `length` bytes (-1: up to the NUL). Error "malformed", also where values are nested deeper than 32; `what`
 * says what the text is. */
int json_parse(const char *text, ssize_t length, const char *what, struct json_object **object, struct vmm_error **err);

/* The object as one line of JSON without spaces; belongs to the object and is valid until it is changed. */
const char *json_line(struct json_object *object);

/* Loops over the elements of the array at `path`; `element` belongs to the array. The members of an object are walked
 * with json_object_object_foreach of json-c, whose object must not be NULL. */
#define json_each(element, object, path)                                                                               \
	for (size_t element##_i = 0, element##_n = json_count(object, path), element##_in = 0;                         \
	     !element##_in && element##_i < element##_n; element##_i++)                                                \
		for (struct json_object *element =                                                                     \
			     (element##_in = 1, json_object_array_get_idx(json_at(object, path), element##_i));        \
		     element##_in; element##_in = 0)

/* ------------------------------------------------------------------ strings (text.c) */

/* A string that grows. Zero-initialised is empty. */
struct text {
	char *data;		 /* NUL-terminated, or NULL while empty */
	size_t length, capacity; /* in bytes; capacity is what is allocated */
};
void text_add(struct text *text, const char *format, ...) VMM_PRINTF(2, 3);
void text_add_bytes(struct text *text, const void *bytes, size_t length);
/* Returns the string (never NULL), which belongs to the caller, and empties `text`. */
char *text_take(struct text *text);
void text_free(struct text *text);

/* As asprintf, strdup (NULL gives "") and calloc, but without memory they abort, as all allocations of the tree do. */
char *str_format(const char *format, ...) VMM_PRINTF(1, 2) VMM_MUST_USE;
char *str_copy(const char *text) VMM_MUST_USE;
void *mem_zero(size_t size) VMM_MUST_USE;
bool str_same(const char *a, const char *b); /* NULL equals NULL only */
bool str_starts(const char *text, const char *start);
bool str_ends(const char *text, const char *end);
/* Frees *slot and makes it a copy of `text` (NULL: NULL). */
void str_replace(char **slot, const char *text);

/* A size for messages: "11.2 GiB". */
char *str_size(int64_t bytes) VMM_MUST_USE;

/* Checks that a name may become part of a path, an argv or a message: 1 to 200 bytes, no '/', no control characters,
 * not "." or "..", no leading '-'. Error "bad-name" (VMM_USAGE); `what` says what has the name. */
int name_check(const char *name, const char *what, struct vmm_error **err);

/* Checks that a path is absolute, has no "." or ".." part and no control character, and is shorter than 4096 bytes.
 * Error "bad-path" (VMM_USAGE). */
int path_check(const char *path, const char *what, struct vmm_error **err);

/* ------------------------------------------------------------------ IP addresses, as text (network.c) */

/* True for a network in CIDR notation, IPv4 or IPv6: "10.0.0.0/24". Bits behind the prefix may be set; NULL is none. */
bool network_is_valid(const char *network);
/* True if the address lies in the network. A prefix of the address ("10.0.0.1/24") does not count. False where either
 * is NULL or is not what it should be. */
bool network_has(const char *network, const char *address);
/* The network that contains just this address: "10.0.0.1/32". It is the caller's. NULL for what is no address, such as
 * a host name or NULL. */
char *network_of_one(const char *address) VMM_MUST_USE;
/* An address or a host name as it stands in a URI: in brackets where it is an IPv6 address. It is the caller's. */
char *address_in_uri(const char *address) VMM_MUST_USE;

/* ------------------------------------------------------------------ files (file.c) */

/* Reads the whole file; *data is NUL-terminated, `length` may be NULL. Error "too-large" for more than `limit`
 * bytes. */
int file_read(const char *path, size_t limit, char **data, size_t *length, struct vmm_error **err);

/* Replaces the file durably: writes a temporary file beside it, calls fsync, renames it over the file and calls fsync
 * for the directory. After an error it has its old content or its new one, never parts of both. */
int file_write(const char *path, const void *data, size_t length, mode_t mode, struct vmm_error **err);
/* Allocates a reserve of `length` bytes beside the file (a hidden file of mode 0600). file_write then writes into the
 * reserve, so that a disk that is full by then cannot make it fail. If the file was there before, its old blocks become
 * the reserve for the next file_write; if it was not, the reserve is used up. The caller sees to it that nobody else
 * writes the file at the same time. Error "no-space". */
int file_reserve(const char *path, size_t length, struct vmm_error **err);
/* Removes the reserve; no error if there is none. */
int file_unreserve(const char *path, struct vmm_error **err);

/* Renames durably and never replaces a file. Error "exists" if `to` is there. */
int file_rename_new(const char *from, const char *to, struct vmm_error **err);

/* Removes one file durably; no error if it is not there. */
int file_remove(const char *path, struct vmm_error **err);

/* Makes the directory and the missing ones above it, durably; no error if it is there. */
int dir_make(const char *path, mode_t mode, struct vmm_error **err);
/* Removes a directory with its contents; no error if it is not there. Symbolic links are removed, not followed. */
int dir_remove(const char *path, struct vmm_error **err);
/* Makes names that were added to or removed from the directory durable (fsync). */
int dir_sync(const char *path, struct vmm_error **err);
/* The names in a directory, sorted, without those that begin with a dot: an array of strings, empty if there is no such
 * directory. */
int dir_list(const char *path, struct json_object **names, struct vmm_error **err);
/* True if there is anything of that name, also a link that leads nowhere. */
bool file_there(const char *path);

/* The directory of a path ("." for a bare name), and its last part, which points into `path`. */
char *path_dir(const char *path) VMM_MUST_USE;
const char *path_base(const char *path);

/* The loop device that uses the file, by its device and inode: "/dev/loop0", the caller's; NULL: none (loop.c). */
char *loop_device_of(const char *path) VMM_MUST_USE;

/* The flags of an open file or directory that chattr(1) sets (inode-flags.c); 0 if its filesystem has none. */
unsigned inode_flags(int fd);
/* Sets these in addition to those that it has. *missing: those that its filesystem does not know. Returns -1 with errno
 * set. */
int inode_flags_add(int fd, unsigned flags, unsigned *missing);
/* Takes off the flags that keep even root from removing it: "immutable" and "append only". Returns -1 with errno set.
 */
int inode_unprotect(int fd);

/* Takes an exclusive flock on the file, which is made if it is not there, and waits up to wait_ms for it (0: does not
 * wait). Returns the descriptor; closing it releases the lock. Error "locked" (VMM_BUSY). */
int file_lock(const char *path, int wait_ms, struct vmm_error **err);

/* Writes all of `length`, continuing after short writes and EINTR. 0, or -1 with errno. */
int fd_write_all(int fd, const void *data, size_t length);
/* Reads until `length` bytes are there or the file ends; returns the count, or -1 with errno. */
ssize_t fd_read_all(int fd, void *data, size_t length);

/* ------------------------------------------------------------------ confinement (confine.c) */

struct confinement {
	const char *path;      /* the one file or directory to work on, under this name; absolute */
	bool writable;	       /* else it is read-only */
	const char *program;   /* an executable outside of /usr that may be run as well; NULL: none */
	uint64_t capabilities; /* which of root's are kept: 1 << CAP_... */
	size_t memory;	       /* most bytes of address space; 0: no limit */
	unsigned cpu_s;	       /* most seconds of processor time; 0: no limit */
};

/* Called between fork and exec. Afterwards the process, and what it executes, sees /usr and `path` alone, where no
 * symbolic link is followed, has no network and no other capabilities. Open descriptors stay. Returns 0, or -1 with
 * errno; the process must end then. Makes only async-signal-safe calls. Who is not root keeps its view, since it
 * cannot change it, and has its user's rights only. */
int confine(const struct confinement *c);

/* ------------------------------------------------------------------ programs (run.c) */

struct run {
	const char *const *argv;	  /* ends with NULL; argv[0] is a path, or a name that is looked up in PATH */
	const char *const *environment;	  /* the whole environment; NULL: PATH and LC_ALL=C.UTF-8 only */
	const char *input;		  /* its stdin; NULL: empty */
	const char *directory;		  /* its working directory; NULL: "/" */
	int limit_ms;			  /* after that its whole process group is killed; 0: no limit */
	const struct confinement *within; /* what it may reach; NULL: everything */
};

struct run_result {
	int status;	     /* exit status, or 128 + signal */
	bool timed_out;	     /* it was killed at the limit */
	char *out, *err_out; /* its stdout and stderr, the first 1 MiB of each */
};

/* Runs a program and waits for its end, whatever it does with its outputs: by argv, never through a shell, in a process
 * group of its own, without any of our descriptors. What it leaves in the background is not waited for. All programs
 * that we wait for are run by it. An exit status other than 0 is not an error; a program that cannot be executed ends
 * with 127. The result is freed with run_result_free. Tests replace this function with
 * --wrap. */
int run_program(const struct run *run, struct run_result *result, struct vmm_error **err);
void run_result_free(struct run_result *result);
/* The same, but an exit status other than 0 is an error "program-failed" with the last line of stderr, and a program
 * that was killed at its limit is an error "timed-out"; the result is freed then. */
int run_checked(const struct run *run, struct run_result *result, struct vmm_error **err);

/* ------------------------------------------------------------------ time, processes (clock.c) */

int64_t clock_now_us(void);    /* wall clock, microseconds since the epoch */
int64_t clock_steady_ms(void); /* monotonic milliseconds */
int64_t clock_steady_us(void); /* monotonic microseconds */
void clock_sleep_ms(int ms);   /* sleeps on after a signal */

/* The start time of a process in clock ticks since boot (from /proc/PID/stat), or 0 if there is no such process. A pid
 * is used again for another process; a pid together with its start time is not. */
uint64_t process_started(pid_t pid);

/* Gives this thread, and all that it starts later, the idle I/O priority: it uses a disk only while nobody else wants
 * it. Some I/O schedulers ignore that. Async-signal-safe. */
void io_set_idle(void);

/* CRC-32C of `length` bytes; `seed` is 0, or the result for the bytes before them. */
uint32_t crc32c(uint32_t seed, const void *data, size_t length);

/* `bytes` random bytes as lower-case hexadecimal digits, two for each byte. */
char *random_hex(size_t bytes) VMM_MUST_USE;

/* ------------------------------------------------------------------ clean-up functions (used by the macros above) */

void vmm_cleanup_free(void *slot);
void vmm_cleanup_close(int *fd);
void vmm_cleanup_json(struct json_object **object);
void vmm_cleanup_error(struct vmm_error **err);
void vmm_cleanup_text(struct text *text);

#endif
