/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Questions. Nobody is asked who does not sit at a terminal. */
#include "cli.h"

#include <stdlib.h>
#include <unistd.h>

bool ask_possible(const struct command *command)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !command->arguments.given[SWITCH_YES] &&
	       !command->arguments.given[SWITCH_JSON];
}

bool ask(const struct command *command, const char *question)
{
	auto_free char *line = NULL;
	size_t room = 0;

	fprintf(command->out.file, "%s [y/N] ", question);
	fflush(command->out.file);
	if (getline(&line, &room, stdin) < 0) {
		fputc('\n', command->out.file);
		return false;
	}
	return line[0] == 'y' || line[0] == 'Y';
}
