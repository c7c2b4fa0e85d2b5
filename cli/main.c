/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate: the command line. */
#include "cli.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

static int run(struct command *command, int argc, char **argv)
{
	struct arguments *arguments = &command->arguments;
	int status = client_open(&command->client);

	if (status != EXIT_DONE)
		return status;
	status = arguments_read(command, argc, argv);
	if (status != EXIT_DONE)
		return status;
	command->client.raw = arguments->given[SWITCH_JSON];
	if (arguments->given[SWITCH_NO_COLOR])
		command->out.color = command->err.color = false;
	return arguments->given[SWITCH_HELP] ? run_help(command) : arguments->verb->run(command);
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
	json_object_put(command.arguments.options);
	client_close(&command.client);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "vmmigrate: cannot write to stdout: %s\n", strerror(errno));
		status = status ? status : EXIT_FAILED;
	}
	return status;
}
