/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * cli: the command, a client of the plug-in like any panel. In the order of a run:
 *
 *	main.c        begins and ends
 *	client.c      loads the plug-in, calls verbs
 *	arguments.c   reads the command line by the tables of verbs, switches and the engine's options
 *	verbs.c       the table of verbs, and those that ask and print; verb-node.c, verb-seeds.c
 *	migrate.c     a migration: plan, ask, start
 *	watch.c       follows a task to its end; Ctrl-C
 *	progress.c    shows its events
 *	report.c      findings, plans, errors, for people
 *	help.c        help; manual.c, completion.c: what is made of the same tables when the package is built
 *	screen.c      terminals, colour, control characters; table.c
 *	json.c        reading JSON
 */
#ifndef VMM_CLI_H
#define VMM_CLI_H

#include "base/suggest.h"
#include "vmmigrate-plugin.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#define PRINTF(f, a)	 __attribute__((format(printf, f, a)))
#define COUNT(array)	 (sizeof(array) / sizeof((array)[0]))
#define auto_free	 __attribute__((cleanup(cleanup_free)))
#define auto_json	 __attribute__((cleanup(cleanup_json)))
#define SIGNAL_EXIT(num) (128 + (num)) /* exit status where a signal made us stop watching; the task goes on */

/* Exit statuses that the command gives by itself; the others come from the engine as they are. */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_BLOCKED = 3,
	EXIT_NOT_PERMITTED = 4,
	EXIT_NOT_FOUND = 5,
	EXIT_CANCELLED = 7,
	EXIT_LEFTOVERS = 8,
	EXIT_NEEDS_WORD = 9,
};

/* ------------------------------------------------------------------ json.c
 *
 * Values by a path like "/plan/mode". Absent or of another type: NULL, "", 0, false. Borrowed from the object. */
struct json_object *at(struct json_object *object, const char *path);
const char *text_at(struct json_object *object, const char *path); /* never NULL; numbers as text, too */
int64_t number_at(struct json_object *object, const char *path);
bool true_at(struct json_object *object, const char *path);
size_t count_at(struct json_object *object, const char *path); /* of an array */
bool has(struct json_object *object, const char *path);	       /* there, and not null */

#define each(element, array)                                                                                           \
	for (size_t element##_i = 0, element##_n = json_array_count(array), element##_once = 1;                        \
	     element##_i < element##_n; element##_i++, element##_once = 1)                                             \
		for (struct json_object *element = json_object_array_get_idx(array, element##_i); element##_once;      \
		     element##_once = 0)
size_t json_array_count(struct json_object *array); /* 0 where it is no array */

/* {"api":1} and a text member; where the value is NULL, without it. */
struct json_object *request_make(const char *name, const char *value);
/* Adds the like, and returns the request. */
struct json_object *request_and(struct json_object *request, const char *name, const char *value);

/* asprintf that ends the program for lack of memory. */
char *format(const char *format, ...) PRINTF(1, 2);
void cleanup_free(void *slot);
void cleanup_json(struct json_object **object);

/* ------------------------------------------------------------------ screen.c */

enum color { PLAIN, BOLD, DIM, RED, GREEN, YELLOW };

struct screen {
	FILE *file;
	bool terminal; /* one that can move its cursor */
	bool color, utf8;
};

void screen_open(struct screen *screen, FILE *file);
int screen_width(const struct screen *screen); /* columns; 80 where it is no terminal */
/* The escape sequence of a colour, "" where the screen shows none. */
const char *color(const struct screen *screen, enum color color);
/* Columns that a text takes, without escape sequences. */
int text_width(const char *text);
/* As much of the text as fits into that many columns; belongs to the caller. */
char *text_cut(const char *text, int columns);
/* Replaces in every string of an object what could command a terminal or disguise text (control characters, changes of
 * direction, broken UTF-8, and all beyond ASCII where the locale has no UTF-8) by escapes. `lines` keeps line ends and
 * tabs. */
void clean(struct json_object *object, bool utf8, bool lines);

/* ------------------------------------------------------------------ table.c */

struct table {
	const char *const *heads; /* up to NULL */
	size_t columns, count;
	char **cells;
};

void table_begin(struct table *table, const char *const *heads);
/* One row: as many texts as there are columns; they are copied, NULL is "". */
void table_row(struct table *table, ...);
/* Prints it, without columns in which there is nothing, and frees it. */
void table_end(struct table *table, const struct screen *screen);

/* ------------------------------------------------------------------ client.c */

struct client {
	void *so;
	const struct vmmigrate_plugin *plugin;
	bool raw, utf8;		  /* raw: replies are for programs and stay as they are; else they are cleaned */
	struct json_object *info; /* once it was asked for */
};

/* Returns an exit status; says on stderr what is wrong. */
int client_open(struct client *client);
void client_close(struct client *client);
/* Carries a verb out. Takes the request over. *reply is always an object and belongs to the caller. */
int client_call(struct client *client, const char *verb, struct json_object *request, struct json_object **reply);
/* What the engine says of itself, borrowed: options[], checks[], verbs[], ... The object has "error" where it cannot.
 */
struct json_object *client_info(struct client *client);

/* ------------------------------------------------------------------ arguments.c */

enum switch_id {
	SWITCH_HELP,
	SWITCH_VERSION,
	SWITCH_JSON,
	SWITCH_QUIET,
	SWITCH_NO_COLOR,
	SWITCH_YES,
	SWITCH_DRY_RUN,
	SWITCH_DETACH,
	SWITCH_ALL,
	SWITCH_FOLLOW,
	SWITCH_KEEP,
	SWITCH_ACCEPT,
	SWITCH_PRUNE,
	SWITCH_MAN,
	SWITCH_COMPLETION,
	SWITCH_WORDS,
	SWITCH_COUNT
};

/* An option of the command itself; those of a migration are the engine's. */
struct switch_row {
	const char *name; /* with '-' */
	enum switch_id id;
	char letter;
	const char *argument; /* what help calls its value, NULL: it has none */
	const char *verbs;    /* the verbs that know it, with blanks between; NULL: all */
	const char *help;     /* NULL: not shown */
};
extern const struct switch_row switches[];
extern const size_t switch_count;

#define WORDS_MOST 8

struct arguments {
	const struct verb *verb;
	const char *words[WORDS_MOST]; /* without the verb */
	size_t count;
	const char *given[SWITCH_COUNT]; /* the value, "" of one that has none, NULL where it was not given */
	struct json_object *options;	 /* of the request */
	bool mode_named;		 /* one of the options says how the guest shall go */
};

/* All that a verb needs. */
struct command {
	struct client client;
	struct screen out, err;
	struct arguments arguments;
};

/* What an option of the engine's takes: "MS", "abort|suspend", ""; belongs to the caller. */
char *option_argument(struct json_object *option);
/* Reads the command line. Returns an exit status; says on stderr what is wrong, and what was meant. */
int arguments_read(struct command *command, int argc, char **argv);
/* "vmmigrate: ..." and how to get help, on stderr. Returns EXIT_USAGE. */
int usage_error(const struct command *command, const char *format, ...) PRINTF(2, 3);

/* ------------------------------------------------------------------ verbs.c */

struct verb {
	const char *name;
	const char *usage; /* its words */
	const char *help;  /* one sentence */
	const char *more;  /* paragraphs for `help VERB`, or NULL */
	size_t least, most;
	bool options; /* takes those of a migration */
	bool hidden;
	int (*run)(struct command *command);
};
extern const struct verb verbs[];
extern const size_t verb_count;
extern const struct verb verb_migrate; /* no verb was named */
const struct verb *verb_find(const char *name);

int run_node(struct command *command);	  /* verb-node.c */
int run_seeds(struct command *command);	  /* verb-seeds.c */
int run_migrate(struct command *command); /* migrate.c */
int run_plan(struct command *command);
int run_help(struct command *command);	   /* help.c */
void print_usage(const struct screen *to); /* a few lines */
int print_manual(struct command *command);
int print_completion(struct command *command);

/* ------------------------------------------------------------------ report.c */

/* Prints a reply that is an error: its findings, message and hint on stderr; the object as it is where programs read.
 * Returns `status`. */
int report_error(struct command *command, int status, struct json_object *reply);
/* What went wrong beside the reply, an array of errors, on stderr. */
void report_problems(const struct command *command, struct json_object *errors);
/* All findings by severity. Returns how many refuse. */
size_t report_findings(const struct screen *to, struct json_object *findings);
void report_plan(const struct screen *to, struct json_object *plan);
/* For programs: one line. */
void report_json(struct json_object *reply);

/* For people; they belong to the caller. */
char *show_size(int64_t bytes);
char *show_time(int64_t time_us);	/* local time; seconds are accepted, too */
char *show_duration(int64_t seconds);	/* 1:02:03 */
char *show_guest(struct json_object *); /* 100 (web) */

/* ------------------------------------------------------------------ watch.c, progress.c */

enum interrupt { INTERRUPT_CANCELS, INTERRUPT_LEAVES };

/* Keeps Ctrl-C and the loss of the terminal for watch_task; before a task is started, so that none is missed. */
void watch_hold_signals(void);
/* Follows a task to its end and shows it. Returns the task's exit status, or SIGNAL_EXIT where it stopped watching. */
int watch_task(struct command *command, const char *task, enum interrupt interrupt);

struct progress;
struct progress *progress_begin(const struct command *command);
/* Takes one event in; shows what stays on the screen, if anything. */
void progress_event(struct progress *progress, struct json_object *event);
/* Draws the live line anew, where there is one. */
void progress_draw(struct progress *progress);
void progress_erase(struct progress *progress);
/* A line of our own above the live line. */
void progress_say(struct progress *progress, const char *format, ...) PRINTF(2, 3);
void progress_end(struct progress *progress);

/* ------------------------------------------------------------------ ask.c */

/* True where somebody is there to be asked. */
bool ask_possible(const struct command *command);
/* A question that is answered with y or n; anything else is no. */
bool ask(const struct command *command, const char *question);

#endif
