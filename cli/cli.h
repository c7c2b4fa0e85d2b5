/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * cli: the command, a client of the plug-in like any panel. In reading order:
 *
 *	main.c         the whole run; which function carries out which verb
 *	arguments.c    reads the command line
 *	tables.c       the verbs and options that it knows
 *	migrate.c      a migration: plan, ask, start; and plan alone
 *	watch.c        follows a task to its end; Ctrl-C
 *	progress.c     shows the task's events
 *	verb-guests.c  list, check, targets
 *	verb-tasks.c   tasks, status, log, cancel, recover
 *	verb-node.c    nodes, node add, node test
 *	verb-seeds.c   seeds
 *	help.c         help, version
 *	manual.c, completion.c  what is generated from the tables when the package is built
 *	report.c       findings, plans, errors, usage and questions, for people
 *	text-table.c   columns that line up
 *	client.c       loads the plug-in, calls the engine's verbs
 *	screen.c       terminals, colours, control characters
 *	json.c         reads JSON, makes requests
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
#define SIGNAL_EXIT(num) (128 + (num)) /* exit status if a signal made us stop watching; the task goes on */

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
	EXIT_NEEDS_DECISION = 9,
};

/* ------------------------------------------------------------------ json.c
 *
 * Values below an object by a path of keys joined by dots, as everywhere in the tree: "plan.mode"; a number selects
 * from an array: "targets.0.mode". If there is no such value, or one of another type: NULL, "", 0, false. All are
 * borrowed. The object may be NULL. */
struct json_object *at(struct json_object *object, const char *path);
const char *text_at(struct json_object *object, const char *path); /* never NULL; a number is returned as text */
int64_t number_at(struct json_object *object, const char *path);
bool true_at(struct json_object *object, const char *path);
size_t count_at(struct json_object *object, const char *path); /* elements of an array */
bool has(struct json_object *object, const char *path);	       /* it is there and not null */

/* Walks an array (nothing if it is none): `element` is borrowed. */
#define each(element, array)                                                                                           \
	for (size_t element##_i = 0, element##_n = json_array_count(array), element##_once = 1;                        \
	     element##_i < element##_n; element##_i++, element##_once = 1)                                             \
		for (struct json_object *element = json_object_array_get_idx(array, element##_i); element##_once;      \
		     element##_once = 0)
size_t json_array_count(struct json_object *array); /* 0 if it is no array */

/* Makes a request, {"api":1,name:value}; without the member if the value is NULL. The caller owns it. */
struct json_object *request_make(const char *name, const char *value);
/* Adds a text to a request, unless the value is NULL. Returns the request. */
struct json_object *request_and(struct json_object *request, const char *name, const char *value);

/* asprintf that ends the program if there is no memory. */
char *format(const char *format, ...) PRINTF(1, 2);
void cleanup_free(void *slot);
void cleanup_json(struct json_object **object);

/* ------------------------------------------------------------------ screen.c */

enum color { PLAIN, BOLD, DIM, RED, GREEN, YELLOW };

struct screen {
	FILE *file;
	bool terminal; /* it is a terminal that can move its cursor */
	bool color, utf8;
};

void screen_open(struct screen *screen, FILE *file);
int screen_width(const struct screen *screen); /* in columns; 80 if it is no terminal */
/* The escape sequence of a colour; "" if the screen shows no colours. */
const char *color(const struct screen *screen, enum color color);
/* The columns that a text takes; it has no escape sequences. */
int text_width(const char *text);
/* As much of the text as fits into that many columns. The caller frees it. */
char *text_cut(const char *text, int columns);
/* Replaces in every string of an object, by escapes, whatever could control a terminal or disguise text: control
 * characters, changes of the writing direction, invalid UTF-8, and without a UTF-8 locale everything beyond ASCII.
 * `lines` keeps newlines and tabs. */
void sanitize(struct json_object *object, bool utf8, bool lines);

/* ------------------------------------------------------------------ text-table.c */

struct table {
	const char *const *heads; /* up to NULL */
	size_t columns, count;
	char **cells;
};

void table_begin(struct table *table, const char *const *heads);
/* One row: as many texts as there are columns. They are copied; NULL is "". */
void table_row(struct table *table, ...);
/* Prints the table without the columns in which all cells are empty, and frees it. */
void table_end(struct table *table, const struct screen *screen);

/* ------------------------------------------------------------------ client.c */

struct client {
	void *so;
	const struct vmmigrate_plugin *plugin;
	bool raw, utf8;		  /* raw: replies are for programs and stay as they are; else they are sanitized */
	struct json_object *info; /* see client_info; NULL until then */
};

/* Loads the plug-in. Returns EXIT_DONE, or EXIT_FAILED with a message on stderr. */
int client_open(struct client *client);
void client_close(struct client *client);
/* Calls a verb of the engine; takes over the request. Returns the exit status. *reply is always an object, which the
 * caller frees. */
int client_call(struct client *client, const char *verb, struct json_object *request, struct json_object **reply);
/* The reply of the verb info, asked for once, borrowed: options[], checks[], ... If it cannot be had, it has an
 * "error". */
struct json_object *client_info(struct client *client);

/* ------------------------------------------------------------------ tables.c */

enum verb_id {
	VERB_MIGRATE,
	VERB_CHECK,
	VERB_TARGETS,
	VERB_PLAN,
	VERB_LIST,
	VERB_NODES,
	VERB_TASKS,
	VERB_STATUS,
	VERB_LOG,
	VERB_CANCEL,
	VERB_RECOVER,
	VERB_NODE,
	VERB_SEEDS,
	VERB_HELP,
	VERB_VERSION,
	VERB_COUNT
};

struct verb {
	enum verb_id id;
	const char *name;
	const char *usage;	/* its arguments, as help shows them */
	const char *help;	/* one sentence */
	const char *more;	/* paragraphs for `help VERB`, or NULL */
	size_t least, most;	/* how many positional arguments it takes */
	bool migration_options; /* it takes those */
};
extern const struct verb verbs[]; /* in the order in which help shows them */
extern const size_t verb_count;
extern const struct verb verb_migrate; /* the one that has no name on the command line: `vmmigrate GUEST TARGET` */
/* The verb of that name, or NULL. */
const struct verb *verb_find(const char *name);
/* The name of the verb that was probably meant, or NULL. */
const char *verb_suggest(const char *typed);

enum option_id {
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_JSON,
	OPTION_QUIET,
	OPTION_NO_COLOR,
	OPTION_YES,
	OPTION_DRY_RUN,
	OPTION_DETACH,
	OPTION_ALL,
	OPTION_FOLLOW,
	OPTION_KEEP,
	OPTION_FORGET,
	OPTION_ACCEPT,
	OPTION_PRUNE,
	OPTION_MAN,
	OPTION_COMPLETION,
	OPTION_WORDS,
	OPTION_COUNT
};

/* An option of the command itself; those of a migration are in the engine's table. */
struct cli_option {
	enum option_id id;    /* two rows with one id are two names of one option */
	const char *name;     /* with '-', without the "--" */
	char letter;	      /* "-n", or 0 */
	const char *argument; /* what help calls its value; NULL: it takes none */
	unsigned verbs;	      /* GOES_WITH(VERB_...) | ...; 0: it goes with every verb */
	const char *help;     /* NULL: help and completion do not show it */
};
#define GOES_WITH(verb_id) (1u << (verb_id))
extern const struct cli_option cli_options[];
extern const size_t cli_option_count;
bool option_goes_with(const struct cli_option *option, const struct verb *verb);

/* What an option of a migration takes, for people: "MS", "abort|suspend", "" for a flag. `option` is its row in the
 * engine's table. The caller frees it. */
char *migration_option_argument(struct json_object *option);

/* ------------------------------------------------------------------ arguments.c */

#define POSITIONAL_MOST 8

struct arguments {
	const struct verb *verb;
	const char *positional[POSITIONAL_MOST]; /* what is neither the verb nor an option; see positional() */
	size_t count;
	const char *given[OPTION_COUNT];       /* the option's value, "" if it takes none; NULL: it was not given */
	struct json_object *migration_options; /* for the request, checked as far as the engine's table says how */
	bool mode_given;		       /* one of the migration's options says how the guest is to move */
};

/* All that a verb needs. */
struct command {
	struct client client;
	struct screen out, err;
	struct arguments arguments;
};

/* Reads the command line into command->arguments. Returns EXIT_DONE; else an exit status, and has said on stderr what
 * is wrong. */
int arguments_read(struct command *command, int argc, char **argv);
/* The positional argument of that index, from 0, or NULL if there are fewer. */
const char *positional(const struct command *command, size_t index);

/* ------------------------------------------------------------------ the verbs
 *
 * Each carries out its verb and returns the exit status of the command. */
int run_migrate(struct command *command); /* migrate.c */
int run_plan(struct command *command);
int run_check(struct command *command); /* verb-guests.c: check and targets */
int run_list(struct command *command);
int run_tasks(struct command *command); /* verb-tasks.c */
int run_status(struct command *command);
int run_log(struct command *command);
int run_cancel(struct command *command);
int run_recover(struct command *command);
int run_node(struct command *command); /* verb-node.c */
int run_nodes(struct command *command);
int run_seeds(struct command *command); /* verb-seeds.c */
int run_help(struct command *command);	/* help.c: help, and --help of any verb */
int run_version(struct command *command);
int print_manual(struct command *command);     /* manual.c: for `help --man` */
int print_completion(struct command *command); /* completion.c: for `help --completion` */

/* ------------------------------------------------------------------ report.c
 *
 * What is said to people, and asked of them. With --json it is one line of JSON instead. */

/* Calls the verb. If there is something for the caller to show, returns true: the reply is good and is for people. Else
 * it has been printed (as JSON, or as an error), *status is the command's exit status, and false is returned. Takes
 * over the request; the caller frees *reply in either case. */
bool call_and_report(struct command *command, const char *verb, struct json_object *request, struct json_object **reply,
		     int *status);
/* Prints a reply that is an error: its findings, message and hint on stderr, or with --json the reply on stdout.
 * Returns `status`, or EXIT_FAILED if that is 0. */
int report_error(struct command *command, int status, struct json_object *reply);
/* Prints warnings on stderr: errors that came beside a good reply, such as nodes that did not answer. */
void report_problems(const struct command *command, struct json_object *errors);
/* All findings by severity. Returns how many of them refuse the migration. */
size_t report_findings(const struct screen *to, struct json_object *findings);
void report_plan(const struct screen *to, struct json_object *plan);
/* The object in one line on stdout. */
void report_json(struct json_object *reply);

/* Prints "vmmigrate: ..." and how to get help on stderr. Returns EXIT_USAGE. */
int usage_error(const struct command *command, const char *format, ...) PRINTF(2, 3);
/* The usage in a few lines. */
void print_usage(const struct screen *to);

/* True if a person can be asked: stdin and stdout are a terminal, and neither --yes nor --json was given. */
bool ask_possible(const struct command *command);
/* Asks a question that is answered with y or n; any other answer counts as no. */
bool ask(const struct command *command, const char *question);

/* Values for people; the caller frees them. */
char *show_size(int64_t bytes);
char *show_time(int64_t time_us);	/* local time; seconds are accepted, too */
char *show_duration(int64_t seconds);	/* 1:02:03 */
char *show_guest(struct json_object *); /* 100 (web) */

/* ------------------------------------------------------------------ watch.c */

/* What the first Ctrl-C does: it cancels the task, or only stops watching. */
enum interrupt { INTERRUPT_CANCELS, INTERRUPT_LEAVES };

/* Blocks Ctrl-C, SIGTERM, SIGHUP and SIGWINCH until watch_task takes them. To be called before the task is started, so
 * that none ends this process between the two. */
void watch_hold_signals(void);
/* Follows a task to its end and shows it. Returns the task's exit status, or SIGNAL_EXIT if a signal ended the
 * watching. */
int watch_task(struct command *command, const char *task, enum interrupt interrupt);

/* ------------------------------------------------------------------ progress.c */

struct progress;
struct progress *progress_begin(const struct command *command);
/* Takes in one event, and prints what of it stays on the screen. */
void progress_event(struct progress *progress, struct json_object *event);
/* Draws the live line anew, if the screen is a terminal. */
void progress_draw(struct progress *progress);
void progress_erase(struct progress *progress);
/* Prints a line of the command's own above the live line. */
void progress_say(struct progress *progress, const char *format, ...) PRINTF(2, 3);
void progress_end(struct progress *progress);

#endif
