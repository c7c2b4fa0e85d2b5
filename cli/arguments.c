/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reads the command line: a verb and its positional arguments, the command's own options, and those of a migration, of
 * which the engine says what there are and what they take. Options may stand anywhere, also before the verb; "--" ends
 * them. What is wrong is reported as a usage error that names it and, if there is one, the similar name. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct command *command;
	char **argv;
	int argc, next;			    /* next: index in argv */
	const char *first_migration_option; /* as it was typed, or NULL */
};

/* ------------------------------------------------------------------ an option of a migration */

/* A flag without a value is true. NULL if the value is neither a yes nor a no. */
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

/* The parts between commas, appended to those of the same option earlier on the line. */
static struct json_object *read_list(struct json_object *earlier, const char *value)
{
	struct json_object *list = earlier ? json_object_get(earlier) : json_object_new_array();

	while (*value) {
		size_t length = strcspn(value, ",");

		if (length > 0)
			json_object_array_add(list, json_object_new_string_len(value, (int)length));
		value += length + (value[length] == ',');
	}
	return list;
}

/* True also for an option that is no choice. */
static bool is_choice(struct json_object *option, const char *value)
{
	each (choice, at(option, "choices"))
		if (strcmp(json_object_get_string(choice), value) == 0)
			return true;
	return count_at(option, "choices") == 0;
}

static int wrong_choice(const struct command *command, struct json_object *option, const char *typed, const char *value)
{
	auto_free char *choices = migration_option_argument(option);
	struct suggestion suggestion = {.typed = value};

	each (choice, at(option, "choices"))
		suggest_try(&suggestion, json_object_get_string(choice));
	if (suggestion.best)
		return usage_error(command, "--%s takes %s, not '%s'; did you mean %s?", typed, choices, value,
				   suggestion.best);
	return usage_error(command, "--%s takes %s, not '%s'", typed, choices, value);
}

/* Puts the option into the request. `typed` is its name as it was typed; `value` is NULL for a flag without one. */
static int take_migration_option(struct command *command, struct json_object *option, const char *typed,
				 const char *value)
{
	struct arguments *arguments = &command->arguments;
	const char *name = text_at(option, "name"), *type = text_at(option, "type"),
		   *argument = text_at(option, "argument");
	struct json_object *result;

	/* An empty list is most likely a script's variable that was not set, so it is not taken for "none". */
	if (strcmp(type, "list") == 0 && !value[strspn(value, ",")])
		return usage_error(command, "--%s needs a value: %s", typed, argument);
	if (value && !is_choice(option, value))
		return wrong_choice(command, option, typed, value);
	if (strcmp(type, "flag") == 0)
		result = read_flag(value);
	else if (strcmp(type, "number") == 0)
		result = read_number(value);
	else if (strcmp(type, "list") == 0)
		result = read_list(json_object_object_get(arguments->migration_options, name), value);
	else
		result = json_object_new_string(value);
	if (!result && strcmp(type, "flag") == 0)
		return usage_error(command, "--%s takes yes or no, not '%s'", typed, value);
	if (!result)
		return usage_error(command, "--%s takes a number (%s), not '%s'", typed, argument, value);
	if (strcmp(text_at(option, "group"), "mode") == 0 && json_object_get_boolean(result))
		arguments->mode_given = true;
	json_object_object_add(arguments->migration_options, name, result);
	return EXIT_DONE;
}

/* ------------------------------------------------------------------ any option */

/* '-' and '_' are the same character in the name of an option. */
static bool same_option(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
			return false;
	return *a == *b;
}

static const struct cli_option *find_long(const char *name)
{
	for (size_t i = 0; i < cli_option_count; i++)
		if (same_option(cli_options[i].name, name))
			return &cli_options[i];
	return NULL;
}

static const struct cli_option *find_letter(char letter)
{
	for (size_t i = 0; i < cli_option_count; i++)
		if (letter && cli_options[i].letter == letter)
			return &cli_options[i];
	return NULL;
}

static int unknown_option(struct reader *reader, const char *name)
{
	struct suggestion suggestion = {.typed = name};

	for (size_t i = 0; i < cli_option_count; i++)
		if (cli_options[i].help)
			suggest_try(&suggestion, cli_options[i].name);
	each (option, at(client_info(&reader->command->client), "options"))
		suggest_try(&suggestion, text_at(option, "name"));
	if (suggestion.best) {
		auto_free char *best = format("%s", suggestion.best);

		for (char *p = best; *p; p++)
			*p = *p == '_' ? '-' : *p;
		return usage_error(reader->command, "unknown option --%s; did you mean --%s?", name, best);
	}
	return usage_error(reader->command, "unknown option --%s", name);
}

/* What stands after '=', or the next argument; NULL if there is neither. */
static const char *take_value(struct reader *reader, const char *after_equals)
{
	if (after_equals)
		return after_equals;
	return reader->next < reader->argc ? reader->argv[reader->next++] : NULL;
}

static int take_cli_option(struct reader *reader, const struct cli_option *option, const char *value)
{
	if (option->argument && !(value = take_value(reader, value)))
		return usage_error(reader->command, "--%s needs a value: %s", option->name, option->argument);
	if (!option->argument && value)
		return usage_error(reader->command, "--%s takes no value", option->name);
	reader->command->arguments.given[option->id] = value ? value : "";
	return EXIT_DONE;
}

static int take_long(struct reader *reader, const char *argument)
{
	const char *equals = strchr(argument, '='), *value = equals ? equals + 1 : NULL;
	auto_free char *name = format("%.*s", equals ? (int)(equals - argument) : (int)strlen(argument), argument);
	const struct cli_option *own = find_long(name);
	struct json_object *info;

	if (own)
		return take_cli_option(reader, own, value);
	info = client_info(&reader->command->client);
	if (has(info, "error"))
		return report_error(reader->command, EXIT_FAILED, info);
	each (option, at(info, "options")) {
		if (!same_option(text_at(option, "name"), name))
			continue;
		if (!reader->first_migration_option)
			reader->first_migration_option = argument;
		if (strcmp(text_at(option, "type"), "flag") != 0 && !(value = take_value(reader, value)))
			return usage_error(reader->command, "--%s needs a value: %s", name,
					   text_at(option, "argument"));
		return take_migration_option(reader->command, option, name, value);
	}
	return unknown_option(reader, name);
}

/* "-nq" is "-n -q". */
static int take_letters(struct reader *reader, const char *letters)
{
	int status = EXIT_DONE;

	for (; *letters && status == EXIT_DONE; letters++) {
		const struct cli_option *option = find_letter(*letters);

		status = option ? take_cli_option(reader, option, NULL)
				: usage_error(reader->command, "unknown option -%c", *letters);
	}
	return status;
}

/* The first positional argument is the verb if there is one of that name; after "--" it is a guest in any case. */
static int take_positional(struct reader *reader, const char *argument, bool options_ended)
{
	struct arguments *arguments = &reader->command->arguments;

	if (!arguments->verb && !options_ended && (arguments->verb = verb_find(argument)))
		return EXIT_DONE;
	if (!arguments->verb)
		arguments->verb = &verb_migrate;
	if (arguments->count == POSITIONAL_MOST)
		return usage_error(reader->command, "too many arguments: '%s'", argument);
	arguments->positional[arguments->count++] = argument;
	return EXIT_DONE;
}

/* ------------------------------------------------------------------ the whole line */

/* A single argument that is no verb: a verb that was mistyped, or a guest without a target. */
static int target_missing(const struct command *command)
{
	const char *guest = command->arguments.positional[0], *verb = verb_suggest(guest);

	if (verb)
		return usage_error(command, "there is no verb '%s', and a guest needs a target; did you mean '%s'?",
				   guest, verb);
	return usage_error(command, "no target is given for '%s'; `vmmigrate check %s` says which nodes can take it",
			   guest, guest);
}

static int check_count(const struct command *command)
{
	const struct arguments *arguments = &command->arguments;
	const struct verb *verb = arguments->verb;

	if (arguments->count > verb->most)
		return usage_error(command, "one argument too many: '%s'", arguments->positional[verb->most]);
	if (arguments->count >= verb->least)
		return EXIT_DONE;
	if (verb == &verb_migrate)
		return target_missing(command);
	return usage_error(command, "usage: vmmigrate %s %s", verb->name, verb->usage);
}

static int check_options(const struct reader *reader)
{
	const struct arguments *arguments = &reader->command->arguments;
	const struct verb *verb = arguments->verb;

	for (size_t i = 0; i < cli_option_count; i++)
		if (arguments->given[cli_options[i].id] && !option_goes_with(&cli_options[i], verb))
			return usage_error(reader->command, "--%s does not go with '%s'", cli_options[i].name,
					   verb->name);
	if (reader->first_migration_option && !verb->migration_options)
		return usage_error(reader->command, "--%s does not go with '%s': it is an option of migrations",
				   reader->first_migration_option, verb->name);
	return EXIT_DONE;
}

static int read_all(struct reader *reader)
{
	bool options_ended = false;
	int status = EXIT_DONE;

	while (status == EXIT_DONE && reader->next < reader->argc) {
		const char *argument = reader->argv[reader->next++];

		if (options_ended || argument[0] != '-' || argument[1] == '\0')
			status = take_positional(reader, argument, options_ended);
		else if (strcmp(argument, "--") == 0)
			options_ended = true;
		else if (argument[1] == '-')
			status = take_long(reader, argument + 2);
		else
			status = take_letters(reader, argument + 1);
	}
	return status;
}

const char *positional(const struct command *command, size_t index)
{
	return index < command->arguments.count ? command->arguments.positional[index] : NULL;
}

int arguments_read(struct command *command, int argc, char **argv)
{
	struct arguments *arguments = &command->arguments;
	struct reader reader = {.command = command, .argv = argv, .argc = argc, .next = 1};
	int status;

	arguments->migration_options = json_object_new_object();
	status = read_all(&reader);
	if (status != EXIT_DONE)
		return status;
	if (arguments->given[OPTION_VERSION])
		arguments->verb = verb_find("version");
	if (arguments->given[OPTION_HELP] || arguments->given[OPTION_VERSION])
		return EXIT_DONE;
	if (!arguments->verb) {
		print_usage(&command->err);
		return EXIT_USAGE;
	}
	status = check_count(command);
	return status == EXIT_DONE ? check_options(&reader) : status;
}
