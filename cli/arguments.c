/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The command line. Options may stand anywhere, before the verb as well; "--" ends them. Those of a migration are the
 * engine's: its table says which there are and what they take. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct switch_row switches[] = {
	{"dry-run", SWITCH_DRY_RUN, 'n', NULL, "migrate", "Show the plan and all findings, change nothing."},
	{"yes", SWITCH_YES, 'y', NULL, "migrate node", "Do not ask."},
	{"detach", SWITCH_DETACH, 0, NULL, "migrate", "Start the task and return at once."},
	{"background", SWITCH_DETACH, 0, NULL, "migrate", NULL},
	{"quiet", SWITCH_QUIET, 'q', NULL, "migrate status", "No progress: warnings and the result only."},
	{"json", SWITCH_JSON, 0, NULL, NULL, "Print what programs read: one JSON object a line."},
	{"no-color", SWITCH_NO_COLOR, 0, NULL, NULL, "No colours, as with NO_COLOR in the environment."},
	{"no-colour", SWITCH_NO_COLOR, 0, NULL, NULL, NULL},
	{"follow", SWITCH_FOLLOW, 'f', NULL, "status", "Follow a running task to its end; on a terminal it does so by itself."},
	{"all", SWITCH_ALL, 'a', NULL, "tasks", "Those of all nodes."},
	{"keep", SWITCH_KEEP, 0, "source|target", "recover", "The administrator's word where one node cannot be asked."},
	{"accept", SWITCH_ACCEPT, 0, NULL, "node", "Trust the host key that the node shows."},
	{"prune", SWITCH_PRUNE, 0, NULL, "seeds", "Remove them all, but for files that are not ours."},
	{"help", SWITCH_HELP, 'h', NULL, NULL, "This text; with a verb, that verb's."},
	{"version", SWITCH_VERSION, 'V', NULL, NULL, "Say which version this is."},
	{"man", SWITCH_MAN, 0, NULL, "help", NULL},
	{"completion", SWITCH_COMPLETION, 0, NULL, "help", NULL},
	{"words", SWITCH_WORDS, 0, "guests|nodes|tasks", "help", NULL},
};
/* clang-format on */
const size_t switch_count = COUNT(switches);

int usage_error(const struct command *command, const char *format, ...)
{
	const struct verb *verb = command->arguments.verb;
	va_list args;

	fputs("vmmigrate: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (verb && verb != &verb_migrate && !verb->hidden && strcmp(verb->name, "help") != 0)
		fprintf(stderr, "\nTry 'vmmigrate help %s'.\n", verb->name);
	else
		fputs("\nTry 'vmmigrate --help'.\n", stderr);
	return EXIT_USAGE;
}

/* '-' and '_' are the same character in the name of an option. */
static bool same_option(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
			return false;
	return *a == *b;
}

static const struct switch_row *switch_find(const char *name, char letter)
{
	for (size_t i = 0; i < switch_count; i++)
		if (name ? same_option(switches[i].name, name) : letter && switches[i].letter == letter)
			return &switches[i];
	return NULL;
}

static bool word_in(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += length)
		if ((p == list || p[-1] == ' ') && (p[length] == ' ' || p[length] == '\0'))
			return true;
	return false;
}

/* ------------------------------------------------------------------ an option of the engine */

/* The value of an option without one: true; "no" takes it back. NULL where it is neither. */
static struct json_object *read_flag(const char *value)
{
	static const char *const yes[] = {"1", "yes", "true", "on"}, *const no[] = {"0", "no", "false", "off"};

	for (size_t i = 0; value && i < COUNT(yes); i++) {
		if (strcmp(value, yes[i]) == 0)
			return json_object_new_boolean(true);
		if (strcmp(value, no[i]) == 0)
			return json_object_new_boolean(false);
	}
	return value ? NULL : json_object_new_boolean(true);
}

static struct json_object *read_number(const char *value)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(value, &end, 10);
	return *value && *end == '\0' && errno == 0 ? json_object_new_int64(number) : NULL;
}

/* Appends the parts between commas to what an earlier option of that name has given. */
static struct json_object *read_list(struct json_object *before, const char *value)
{
	struct json_object *list = before ? json_object_get(before) : json_object_new_array();

	while (*value) {
		size_t length = strcspn(value, ",");

		if (length > 0)
			json_object_array_add(list, json_object_new_string_len(value, (int)length));
		value += length + (value[length] == ',');
	}
	return list;
}

static bool is_choice(struct json_object *option, const char *value)
{
	each(choice, at(option, "/choices")) if (strcmp(json_object_get_string(choice), value) == 0) return true;
	return count_at(option, "/choices") == 0;
}

char *option_argument(struct json_object *option)
{
	char *text = format("%s", count_at(option, "/choices") ? "" : text_at(option, "/argument"));

	each(choice, at(option, "/choices"))
	{
		char *longer = format("%s%s%s", text, *text ? "|" : "", json_object_get_string(choice));

		free(text);
		text = longer;
	}
	return text;
}

static int take_option(struct command *command, struct json_object *option, const char *given, const char *value)
{
	struct arguments *arguments = &command->arguments;
	const char *name = text_at(option, "/name"), *type = text_at(option, "/type"),
		   *argument = text_at(option, "/argument");
	struct json_object *result;

	/* A script's variable that is empty: what was meant is not known. */
	if (strcmp(type, "list") == 0 && !value[strspn(value, ",")])
		return usage_error(command, "--%s needs a value: %s", given, argument);
	if (strcmp(type, "flag") == 0)
		result = read_flag(value);
	else if (strcmp(type, "number") == 0)
		result = read_number(value);
	else if (strcmp(type, "list") == 0)
		result = read_list(json_object_object_get(arguments->options, name), value);
	else
		result = json_object_new_string(value);
	if (!result && strcmp(type, "flag") == 0)
		return usage_error(command, "--%s takes yes or no, not '%s'", given, value);
	if (!result)
		return usage_error(command, "--%s takes a number (%s), not '%s'", given, argument, value);
	if (json_object_is_type(result, json_type_string) && !is_choice(option, value)) {
		auto_free char *choices = option_argument(option);
		struct suggestion suggestion = {.typed = value};

		each(choice, at(option, "/choices")) suggest_try(&suggestion, json_object_get_string(choice));
		json_object_put(result);
		return usage_error(command, "--%s takes %s, not '%s'%s%s%s", given, choices, value,
				   suggestion.best ? "; did you mean " : "", suggestion.best ? suggestion.best : "",
				   suggestion.best ? "?" : "");
	}
	if (strcmp(text_at(option, "/group"), "mode") == 0 && json_object_get_boolean(result))
		arguments->mode_named = true;
	json_object_object_add(arguments->options, name, result);
	return EXIT_DONE;
}

/* ------------------------------------------------------------------ any option */

struct reader {
	struct command *command;
	char **argv;
	int argc, next;
	const char *migration_option; /* the first option of the engine's that was given */
};

static int unknown_option(struct reader *reader, const char *name)
{
	struct suggestion suggestion = {.typed = name};

	for (size_t i = 0; i < switch_count; i++)
		if (switches[i].help)
			suggest_try(&suggestion, switches[i].name);
	each(option, at(client_info(&reader->command->client), "/options"))
		suggest_try(&suggestion, text_at(option, "/name"));
	if (suggestion.best) {
		auto_free char *best = format("%s", suggestion.best);

		for (char *p = best; *p; p++)
			*p = *p == '_' ? '-' : *p;
		return usage_error(reader->command, "unknown option --%s; did you mean --%s?", name, best);
	}
	return usage_error(reader->command, "unknown option --%s", name);
}

/* What stands after '=', or the next argument. */
static const char *take_value(struct reader *reader, const char *value)
{
	return value ? value : reader->next < reader->argc ? reader->argv[reader->next++] : NULL;
}

static int take_switch(struct reader *reader, const struct switch_row *row, const char *value)
{
	if (row->argument && !(value = take_value(reader, value)))
		return usage_error(reader->command, "--%s needs a value: %s", row->name, row->argument);
	if (!row->argument && value)
		return usage_error(reader->command, "--%s takes no value", row->name);
	reader->command->arguments.given[row->id] = value ? value : "";
	return EXIT_DONE;
}

static int take_long(struct reader *reader, const char *argument)
{
	const char *equals = strchr(argument, '='), *value = equals ? equals + 1 : NULL;
	auto_free char *name = format("%.*s", equals ? (int)(equals - argument) : (int)strlen(argument), argument);
	const struct switch_row *row = switch_find(name, 0);
	struct json_object *info;

	if (row)
		return take_switch(reader, row, value);
	info = client_info(&reader->command->client);
	if (has(info, "/error"))
		return report_error(reader->command, EXIT_FAILED, info);
	each(option, at(info, "/options"))
	{
		if (!same_option(text_at(option, "/name"), name))
			continue;
		if (!reader->migration_option)
			reader->migration_option = argument;
		if (strcmp(text_at(option, "/type"), "flag") != 0 && !(value = take_value(reader, value)))
			return usage_error(reader->command, "--%s needs a value: %s", name,
					   text_at(option, "/argument"));
		return take_option(reader->command, option, name, value);
	}
	return unknown_option(reader, name);
}

static int take_letters(struct reader *reader, const char *letters)
{
	int status = EXIT_DONE;

	for (; *letters && status == EXIT_DONE; letters++) {
		const struct switch_row *row = switch_find(NULL, *letters);

		status = row ? take_switch(reader, row, NULL)
			     : usage_error(reader->command, "unknown option -%c", *letters);
	}
	return status;
}

static int take_word(struct reader *reader, const char *word, bool literal)
{
	struct arguments *arguments = &reader->command->arguments;

	if (!arguments->verb && !literal && (arguments->verb = verb_find(word)))
		return EXIT_DONE;
	if (!arguments->verb)
		arguments->verb = &verb_migrate;
	if (arguments->count == WORDS_MOST)
		return usage_error(reader->command, "too many words: '%s'", word);
	arguments->words[arguments->count++] = word;
	return EXIT_DONE;
}

/* ------------------------------------------------------------------ the whole */

/* One word that names no guest: a verb with a slip, or a target that was forgotten. */
static int target_missing(const struct command *command)
{
	const char *word = command->arguments.words[0];
	struct suggestion suggestion = {.typed = word};

	for (size_t i = 0; i < verb_count; i++)
		if (!verbs[i].hidden)
			suggest_try(&suggestion, verbs[i].name);
	if (suggestion.best)
		return usage_error(command, "'%s' is no verb, and as a guest it needs a target; did you mean '%s'?",
				   word, suggestion.best);
	return usage_error(command, "where shall '%s' go? `vmmigrate check %s` says which nodes can take it", word,
			   word);
}

static int check_words(const struct command *command)
{
	const struct arguments *arguments = &command->arguments;
	const struct verb *verb = arguments->verb;

	if (arguments->count > verb->most)
		return usage_error(command, "one word too many: '%s'", arguments->words[verb->most]);
	if (arguments->count >= verb->least)
		return EXIT_DONE;
	if (verb == &verb_migrate)
		return target_missing(command);
	return usage_error(command, "usage: vmmigrate %s %s", verb->name, verb->usage);
}

static int check_switches(const struct reader *reader)
{
	const struct arguments *arguments = &reader->command->arguments;
	const char *verb = arguments->verb == &verb_migrate ? "migrate" : arguments->verb->name;

	for (size_t i = 0; i < switch_count; i++)
		if (arguments->given[switches[i].id] && switches[i].verbs && !word_in(switches[i].verbs, verb))
			return usage_error(reader->command, "--%s does not go with '%s'", switches[i].name, verb);
	if (reader->migration_option && !arguments->verb->options)
		return usage_error(reader->command, "--%s does not go with '%s': it is an option of migrations",
				   reader->migration_option, verb);
	return EXIT_DONE;
}

static int read_all(struct reader *reader)
{
	bool literal = false;
	int status = EXIT_DONE;

	while (status == EXIT_DONE && reader->next < reader->argc) {
		const char *argument = reader->argv[reader->next++];

		if (literal || argument[0] != '-' || argument[1] == '\0')
			status = take_word(reader, argument, literal);
		else if (strcmp(argument, "--") == 0)
			literal = true;
		else if (argument[1] == '-')
			status = take_long(reader, argument + 2);
		else
			status = take_letters(reader, argument + 1);
	}
	return status;
}

int arguments_read(struct command *command, int argc, char **argv)
{
	struct arguments *arguments = &command->arguments;
	struct reader reader = {.command = command, .argv = argv, .argc = argc, .next = 1};
	int status;

	arguments->options = json_object_new_object();
	status = read_all(&reader);
	if (status != EXIT_DONE)
		return status;
	if (arguments->given[SWITCH_VERSION])
		arguments->verb = verb_find("version");
	if (arguments->given[SWITCH_HELP] || arguments->given[SWITCH_VERSION])
		return EXIT_DONE;
	if (!arguments->verb) {
		print_usage(&command->err);
		return EXIT_USAGE;
	}
	status = check_words(command);
	return status == EXIT_DONE ? check_switches(&reader) : status;
}
