/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate help, vmmigrate version. The fixed texts are here; verbs and options come from the tables. */
#include "cli.h"

#include <string.h>

static const char beginning[] = "vmmigrate moves a guest - a virtual machine or a container - from the node it is\n"
				"on to another one.\n"
				"\n"
				"  vmmigrate GUEST TARGET [OPTIONS]\n"
				"  vmmigrate VERB ...\n"
				"\n"
				"GUEST is a number, a name or a UUID; qemu/100 and lxc/200 where one name means\n"
				"two. TARGET is a node, see `vmmigrate nodes`. It does not matter on which node\n"
				"the command is typed.\n";

static const char examples[] = "  vmmigrate 100 node2 --online    a running virtual machine, without stopping it\n"
			       "  vmmigrate 200 node2 --restart   a running container: shut down, moved, started\n"
			       "  vmmigrate check 100             which nodes could take it, and why others cannot\n";

static const char what_happens[] = "  running VM, all disks on shared storage\n"
				   "      --online     live: it runs on while its memory moves\n"
				   "      --non-live   it is paused while its memory moves, then goes on\n"
				   "      --restart    shut down here, started there\n"
				   "  running VM with a local disk\n"
				   "      --restart    (or no option) its disks are copied while it runs; then it\n"
				   "                   is shut down, what has changed is copied, and it is started\n"
				   "  running container\n"
				   "      --restart    (or no option) likewise; containers cannot move live\n"
				   "  stopped guest\n"
				   "      (any)        its definition and local disks move; it stays stopped\n"
				   "\n"
				   "Whatever fails, the guest ends where it was and as it was, or on the target; the\n"
				   "last line says which, and why. A command that would stop a running guest without\n"
				   "saying so asks first when it is typed on a terminal. Ctrl-C cancels and rolls\n"
				   "back; a second Ctrl-C only stops watching, and so does closing the terminal.\n";

static const char statuses[] = "  0      done\n"
			       "  1      failed; the guest is safe where it was\n"
			       "  2      the command is wrong\n"
			       "  3      a check or a hook refuses\n"
			       "  4      not permitted\n"
			       "  5      no such guest, node or task\n"
			       "  6      busy: another task has the guest\n"
			       "  7      cancelled\n"
			       "  8      done, but something is left to clean up: vmmigrate recover\n"
			       "  9      needs an administrator's decision: vmmigrate recover\n"
			       "  128+n  signal n made it stop watching; the task goes on\n";

static void print_heading(const struct screen *to, const char *heading)
{
	fprintf(to->file, "\n%s%s%s\n", color(to, BOLD), heading, color(to, PLAIN));
}

/* A name, and beside or below it a sentence that begins in column `indent` and is folded to the screen's width. */
static void print_item(const struct screen *to, const char *name, const char *sentence, int indent)
{
	int width = screen_width(to) > 110 ? 110 : screen_width(to), column;

	fprintf(to->file, "  %s", name);
	column = text_width(name) + 2;
	if (column > indent - 2) {
		fputc('\n', to->file);
		column = 0;
	}
	while (*sentence) {
		int length = (int)strcspn(sentence, " ");

		if (column > indent && column + 1 + length > width) {
			fputc('\n', to->file);
			column = 0;
		}
		column += column < indent ? fprintf(to->file, "%*s", indent - column, "") : fprintf(to->file, " ");
		column += fprintf(to->file, "%.*s", length, sentence);
		sentence += length + (sentence[length] == ' ');
	}
	fputc('\n', to->file);
}

/* The options of the command; of a verb those that go with it and not with every verb. */
static void print_cli_options(const struct screen *to, const struct verb *verb)
{
	for (size_t i = 0; i < cli_option_count; i++) {
		const struct cli_option *row = &cli_options[i];
		auto_free char *name = NULL;

		if (!row->help || (verb && (!row->verbs || !option_goes_with(row, verb))))
			continue;
		name = row->letter ? format("-%c, --%s%s%s", row->letter, row->name, row->argument ? " " : "",
					    row->argument ? row->argument : "")
				   : format("    --%s%s%s", row->name, row->argument ? " " : "",
					    row->argument ? row->argument : "");
		print_item(to, name, row->help, 28);
	}
}

/* "--max-downtime MS", "--on-stall abort|suspend" */
static char *option_title(struct json_object *option)
{
	auto_free char *argument = migration_option_argument(option);
	char *title = format("--%s%s%s", text_at(option, "name"), *argument ? " " : "", argument);

	for (char *p = title + 2; *p && *p != ' '; p++)
		*p = *p == '_' ? '-' : *p;
	return title;
}

static char *option_sentence(struct json_object *option)
{
	const char *standard = text_at(option, "default");

	return *standard ? format("%s Default: %s.", text_at(option, "help"), standard)
			 : format("%s", text_at(option, "help"));
}

/* The options of migrations by group, in the order of the engine's table. */
static void print_options(const struct screen *to, struct json_object *info)
{
	const char *group = "";

	if (has(info, "error")) {
		fprintf(to->file, "\nThe options cannot be shown: %s\n", text_at(info, "error.message"));
		return;
	}
	each (option, at(info, "options")) {
		auto_free char *title = option_title(option);
		auto_free char *sentence = option_sentence(option);

		if (strcmp(group, text_at(option, "group")) != 0) {
			auto_free char *heading = format("Options: %s", group = text_at(option, "group"));

			print_heading(to, heading);
		}
		print_item(to, title, sentence, 28);
	}
}

static void print_verbs(const struct screen *to)
{
	for (size_t i = 0; i < verb_count; i++) {
		auto_free char *name = format("%s %s", verbs[i].name, verbs[i].usage);

		print_item(to, name, verbs[i].help, 34);
	}
}

static int print_help(struct command *command)
{
	const struct screen *to = &command->out;

	fputs(beginning, to->file);
	print_heading(to, "Examples");
	fputs(examples, to->file);
	print_heading(to, "What happens");
	fputs(what_happens, to->file);
	print_heading(to, "Verbs");
	print_verbs(to);
	print_options(to, client_info(&command->client));
	print_heading(to, "Options of the command");
	print_cli_options(to, NULL);
	print_heading(to, "Exit status");
	fputs(statuses, to->file);
	return EXIT_DONE;
}

static int print_verb(struct command *command, const struct verb *verb)
{
	const struct screen *to = &command->out;

	fprintf(to->file, "usage: vmmigrate %s%s%s\n\n%s\n", verb->name, *verb->usage ? " " : "", verb->usage,
		verb->help);
	if (verb->more)
		fprintf(to->file, "\n%s", verb->more);
	print_heading(to, "Options");
	print_cli_options(to, verb);
	print_item(to, "    --json", "Print for programs: one JSON object per line.", 28);
	if (verb->migration_options)
		fputs("\nand the options of a migration: see `vmmigrate --help`.\n", to->file);
	return EXIT_DONE;
}

/* Guests, nodes or tasks, one a line, for the shell's completion. */
static int print_names(struct command *command)
{
	const char *what = command->arguments.given[OPTION_WORDS];
	bool tasks = strcmp(what, "tasks") == 0, nodes = strcmp(what, "nodes") == 0;
	auto_json struct json_object *reply = NULL;

	client_call(&command->client, tasks ? "tasks" : nodes ? "nodes" : "guests", request_make(NULL, NULL), &reply);
	each (row, at(reply, tasks ? "tasks" : nodes ? "nodes" : "guests"))
		puts(text_at(row, tasks ? "task" : nodes ? "name" : "id"));
	return EXIT_DONE;
}

static int no_such_verb(const struct command *command, const char *typed)
{
	const char *meant = verb_suggest(typed);

	return meant ? usage_error(command, "there is no verb '%s'; did you mean '%s'?", typed, meant)
		     : usage_error(command, "there is no verb '%s'", typed);
}

int run_help(struct command *command)
{
	const struct arguments *arguments = &command->arguments;
	const struct verb *verb = arguments->verb;

	if (arguments->given[OPTION_MAN])
		return print_manual(command);
	if (arguments->given[OPTION_COMPLETION])
		return print_completion(command);
	if (arguments->given[OPTION_WORDS])
		return print_names(command);
	/* `help VERB`, or `VERB --help` */
	if (verb && verb->id == VERB_HELP && positional(command, 0)) {
		verb = verb_find(positional(command, 0));
		return verb ? print_verb(command, verb) : no_such_verb(command, positional(command, 0));
	}
	return !verb || verb == &verb_migrate || verb->id == VERB_HELP ? print_help(command)
								       : print_verb(command, verb);
}

/* ------------------------------------------------------------------ version */

int run_version(struct command *command)
{
	struct json_object *info = client_info(&command->client);

	if (command->arguments.given[OPTION_JSON]) {
		report_json(info);
		return EXIT_DONE;
	}
	fputs("vmmigrate " VMM_VERSION "\n", command->out.file);
	fprintf(command->out.file, "plug-in %s, interface %d\n", command->client.plugin->release,
		command->client.plugin->version);
	if (has(info, "error"))
		return report_error(command, EXIT_FAILED, info);
	fprintf(command->out.file, "engine %s, node %s\n", text_at(info, "version"), text_at(info, "node"));
	return EXIT_DONE;
}
