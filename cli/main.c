/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate: the command line. Reads the arguments and calls the function of the verb. */
#include "cli.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

static int (*const run_verb[VERB_COUNT])(struct command *command) = {
	[VERB_MIGRATE] = run_migrate,							  /* migrate.c */
	[VERB_PLAN] = run_plan,	      [VERB_CHECK] = run_check,				  /* verb-guests.c */
	[VERB_TARGETS] = run_check,   [VERB_LIST] = run_list,	[VERB_TASKS] = run_tasks, /* verb-tasks.c */
	[VERB_STATUS] = run_status,   [VERB_LOG] = run_log,	[VERB_CANCEL] = run_cancel,
	[VERB_RECOVER] = run_recover, [VERB_NODE] = run_node,	/* verb-node.c */
	[VERB_NODES] = run_nodes,     [VERB_SEEDS] = run_seeds, /* verb-seeds.c */
	[VERB_HELP] = run_help,					/* help.c */
	[VERB_VERSION] = run_version,
};

static int run(struct command *command, int argc, char **argv)
{
	struct arguments *arguments = &command->arguments;
	int status = client_open(&command->client);

	if (status != EXIT_DONE)
		return status;
	status = arguments_read(command, argc, argv);
	if (status != EXIT_DONE)
		return status;
	command->client.raw = arguments->given[OPTION_JSON];
	if (arguments->given[OPTION_NO_COLOR])
		command->out.color = command->err.color = false;
	return arguments->given[OPTION_HELP] ? run_help(command) : run_verb[arguments->verb->id](command);
}

int main(int argc, char **argv)
{
	struct command command = {0};
	int status;

	setlocale(LC_CTYPE, "");
	screen_open(&command.out, stdout);
	screen_open(&command.err, stderr);
	command.client.utf8 = command.out.utf8;
	status = run(&command, argc, argv);
	json_object_put(command.arguments.migration_options);
	client_close(&command.client);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "vmmigrate: cannot write to stdout: %s\n", strerror(errno));
		status = status ? status : EXIT_FAILED;
	}
	return status;
}
