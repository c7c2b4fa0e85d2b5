/* base: what every room stands on - errors, logs, JSON, programs, files, strings.
 *
 * Conventions of the whole tree (DESIGN of the project: "Errors"):
 *   - A function that can fail takes `struct vmm_error **err` last and returns a negative
 *     number if and only if it has set *err. Nothing else is promised about its results then.
 *   - Strings and objects returned through pointers belong to the caller unless said otherwise.
 *   - Sizes are bytes, times are microseconds since the epoch or milliseconds for time limits;
 *     the name says which (`_us`, `_ms`).
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
	VMM_USAGE = 2,		/* wrong words, malformed configuration */
	VMM_BLOCKED = 3,	/* a check or a veto says no */
	VMM_NOT_PERMITTED = 4,	/* not permitted */
	VMM_NOT_FOUND = 5,	/* no such guest, node or task */
	VMM_BUSY = 6,		/* busy or locked */
	VMM_CANCELLED = 7,	/* cancelled */
	VMM_LEFTOVERS = 8,	/* done, but work after the commit is left over */
	VMM_NEEDS_DECISION = 9, /* needs an administrator's word */
};

struct vmm_error {
	enum vmm_exit exit;
	char code[40]; /* stable, lower case with dashes: "target-unreachable" */
	char *message; /* names the object and says what is wrong */
	char *hint;    /* what to do about it, or NULL */
};

/* Each sets *err (which must be NULL before) and returns -1, so that callers write `return error_set(...)`.
 * `err` itself may be NULL where the caller does not care. */
int error_set(struct vmm_error **err, enum vmm_exit exit, const char *code, const char *format, ...) VMM_PRINTF(4, 5);

/* As error_set with exit VMM_FAILED; appends ": " and the system's words for `number` (an errno). The code is
 * derived from the errno: "no-space" for ENOSPC, "io-error" for EIO, "not-permitted" for EACCES and EPERM,
 * "not-there" for ENOENT, "system" otherwise. */
int error_errno(struct vmm_error **err, int number, const char *format, ...) VMM_PRINTF(3, 4);

/* Adds (or replaces) the hint of an error that is set; returns -1. */
int error_hint(struct vmm_error **err, const char *format, ...) VMM_PRINTF(2, 3);

/* Prepends "context: " to the message of an error that is set; returns -1. */
int error_context(struct vmm_error **err, const char *format, ...) VMM_PRINTF(2, 3);

/* Says which node an error that is set comes from: prepends "NODE: ", unless it begins with the node's name already ("node2: no
 * way to ...", "node node2 has no ..."): what goes from node to node is told once where it was. Returns -1. */
int error_on_node(struct vmm_error **err, const char *node);

/* Frees *err and sets it to NULL. Harmless on NULL. */
void error_clear(struct vmm_error **err);

/* Moves `from` into *err where *err is not set yet, else frees `from`. For clean-up that may fail after a failure. */
void error_take(struct vmm_error **err, struct vmm_error *from);

/* True where err is set and has that code. */
bool error_is(const struct vmm_error *err, const char *code);

/* {"code","message","hint","exit"} of an error, and back. error_from_json sets *err and returns -1. */
struct json_object *error_to_json(const struct vmm_error *err);
int error_from_json(struct vmm_error **err, struct json_object *json);

/* ------------------------------------------------------------------ logs (log.c) */

/* One line to stderr, which the supervisor or the caller has pointed where it belongs. Debug lines appear only where
 * VMMIGRATE_DEBUG is set in the environment. */
void log_info(const char *format, ...) VMM_PRINTF(1, 2);
void log_warn(const char *format, ...) VMM_PRINTF(1, 2);
void log_debug(const char *format, ...) VMM_PRINTF(1, 2);

/* ------------------------------------------------------------------ JSON (json.c) */

/* Builds an object from "key:type key:type ..." and one argument for each key:
 *   s  const char * (NULL gives null)   i  int64_t   d  int   b  int as a boolean
 *   f  double   o  struct json_object * (ownership moves in; NULL gives null)
 *   O  struct json_object * (a new reference is taken) */
struct json_object *json_make(const char *format, ...);

/* Adds the like to an object that exists. */
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

/* The member of `object` with exactly that key; belongs to the object. NULL where there is none, where either argument
 * is NULL, and where `object` is no object. */
struct json_object *json_member(struct json_object *object, const char *key);

/* True if the array at `path` contains that string. */
bool json_has(struct json_object *object, const char *path, const char *text);

/* The string of the array `names` that was probably meant by `typed`, or NULL; borrowed. See base/suggest.h. */
const char *json_suggest(struct json_object *names, const char *typed);

/* Appends to the array at `key` of `object`, made if it is not there. Ownership of `value` moves in. */
void json_append(struct json_object *object, const char *key, struct json_object *value);

/* A deep copy. */
struct json_object *json_copy(struct json_object *object);

/* As json_text, but absent or empty is an error (code "malformed") that names `what` the object is. */
int json_need(struct json_object *object, const char *path, const char *what, const char **text,
	      struct vmm_error **err);

/* Parses text of `length` bytes (-1: up to its NUL) whose depth is limited to 32. Errors: code "malformed", naming `what`. */
int json_parse(const char *text, ssize_t length, const char *what, struct json_object **object, struct vmm_error **err);

/* One line of JSON, no spaces; belongs to the object. */
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
	char *data; /* NUL-terminated, or NULL while empty */
	size_t length, room;
};
void text_add(struct text *text, const char *format, ...) VMM_PRINTF(2, 3);
void text_add_bytes(struct text *text, const void *bytes, size_t length);
/* Hands the string out (never NULL) and empties `text`. */
char *text_take(struct text *text);
void text_free(struct text *text);

/* asprintf and strdup that end the program on lack of memory, as every allocation of the tree does. */
char *str_format(const char *format, ...) VMM_PRINTF(1, 2) VMM_MUST_USE;
char *str_copy(const char *text) VMM_MUST_USE;
void *mem_zero(size_t size) VMM_MUST_USE;
bool str_same(const char *a, const char *b); /* NULL equals NULL only */
bool str_starts(const char *text, const char *start);
bool str_ends(const char *text, const char *end);
/* Makes *slot a copy of text, freeing what was there. */
void str_replace(char **slot, const char *text);

/* "11.2 GiB" for people; out belongs to the caller. */
char *str_size(int64_t bytes) VMM_MUST_USE;

/* A name that may become part of a path, an argv or a message: 1 to 200 bytes, no '/', no control characters,
 * not "." or "..", no leading '-'. Error code "bad-name", exit VMM_USAGE, naming `what`. */
int name_check(const char *name, const char *what, struct vmm_error **err);

/* An absolute path without "." and ".." parts and without control characters. Error code "bad-path". */
int path_check(const char *path, const char *what, struct vmm_error **err);

/* ------------------------------------------------------------------ files (file.c) */

/* Reads the whole file, at most `limit` bytes (more is an error, "too-large"). NUL-terminated; *length may be NULL. */
int file_read(const char *path, size_t limit, char **data, size_t *length, struct vmm_error **err);

/* Writes durably: temporary name beside, fsync, rename over, fsync of the directory. */
int file_write(const char *path, const void *data, size_t length, mode_t mode, struct vmm_error **err);
/* Allocates room for `length` bytes beside the file (mode 0600), which file_write takes then: so that a disk which is full by then
 * does not hinder it. A file that is written over leaves its own blocks as room for the next time; one that is new takes the
 * room with it. Whoever reserves sees to it that two do not write at once. Error "no-space". */
int file_reserve(const char *path, size_t length, struct vmm_error **err);
/* Gives the room back; no error where there is none. */
int file_unreserve(const char *path, struct vmm_error **err);

/* Renames without replacing (RENAME_NOREPLACE) and fsyncs the directory. Error code "exists" where `to` is there. */
int file_rename_new(const char *from, const char *to, struct vmm_error **err);

/* Removes one file; no error where it is not there. Fsyncs the directory. */
int file_remove(const char *path, struct vmm_error **err);

/* Makes the directory and those above it. */
int dir_make(const char *path, mode_t mode, struct vmm_error **err);
/* Removes a directory with all in it; no error where it is not there. Follows no links. */
int dir_remove(const char *path, struct vmm_error **err);
int dir_sync(const char *path, struct vmm_error **err);
/* Names in a directory, sorted, without those that begin with a dot; an array of strings. Not there: empty. */
int dir_list(const char *path, struct json_object **names, struct vmm_error **err);
bool file_there(const char *path);

/* The directory part of a path, and the last part. The first belongs to the caller, the second to `path`. */
char *path_dir(const char *path) VMM_MUST_USE;
const char *path_base(const char *path);

/* An open file descriptor (O_CLOEXEC) that holds an exclusive flock on `path`, made if need be. Waits up to wait_ms
 * (0: not at all). Error code "locked", exit VMM_BUSY. The lock goes with the descriptor. */
int file_lock(const char *path, int wait_ms, struct vmm_error **err);

/* All of `length`, through short counts and EINTR. 0 or -1 with errno. */
int fd_write_all(int fd, const void *data, size_t length);
/* Reads up to length bytes until the end of the file; the count, or -1 with errno. */
ssize_t fd_read_all(int fd, void *data, size_t length);

/* ------------------------------------------------------------------ programs (run.c) */

struct run {
	const char *const *argv;	/* argv[0] is a path or is looked for in PATH; NULL at the end */
	const char *const *environment; /* the whole environment, or NULL: PATH, LC_ALL=C.UTF-8 only */
	const char *input;		/* what it reads on stdin, or NULL: /dev/null */
	const char *directory;		/* where it runs, or NULL: "/" */
	int limit_ms;			/* then its whole process group is killed; 0: no limit */
};

struct run_result {
	int status;	     /* exit status, or 128 + signal */
	bool timed_out;	     /* the limit ended it */
	char *out, *err_out; /* at most 1 MiB each; belong to the caller */
};

/* The one way in which programs are run: by argv, never through a shell, in a process group of its own, with no
 * descriptors but 0-2. A non-zero exit is not an error of run_program. Tests replace it with --wrap. */
int run_program(const struct run *run, struct run_result *result, struct vmm_error **err);
void run_result_free(struct run_result *result);
/* Runs it and turns a non-zero exit into an error that ends in its last stderr line. */
int run_checked(const struct run *run, struct run_result *result, struct vmm_error **err);

/* ------------------------------------------------------------------ time, processes (clock.c) */

int64_t clock_now_us(void);    /* wall clock, microseconds since the epoch */
int64_t clock_steady_ms(void); /* monotonic milliseconds */
void clock_sleep_ms(int ms);   /* interrupted by nothing but its end */

/* The start time of a process in clock ticks since boot (from /proc/PID/stat), or 0 where there is no such process.
 * A pid with its start time names a process for good. */
uint64_t process_started(pid_t pid);

/* CRC-32C of bytes; `seed` is 0, or the result so far. */
uint32_t crc32c(uint32_t seed, const void *data, size_t length);

/* Random lower-case hexadecimal digits (two for each byte). */
char *random_hex(size_t bytes) VMM_MUST_USE;

/* ------------------------------------------------------------------ clean-up functions (used by the macros above) */

void vmm_cleanup_free(void *slot);
void vmm_cleanup_close(int *fd);
void vmm_cleanup_json(struct json_object **object);
void vmm_cleanup_error(struct vmm_error **err);
void vmm_cleanup_text(struct text *text);

#endif
