/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The completion of bash. Verbs and options are written into it when the package is built; guests, nodes and tasks are
 * asked for when the user presses Tab. */
#include "cli.h"

#include <string.h>

static void print_name(const char *name)
{
	fputs(" --", stdout);
	for (; *name; name++)
		fputc(*name == '_' ? '-' : *name, stdout);
}

static void print_choices(struct json_object *options)
{
	each (option, options) {
		if (count_at(option, "choices") == 0)
			continue;
		fputs("\t", stdout);
		print_name(text_at(option, "name"));
		fputs(") COMPREPLY=($(compgen -W '", stdout);
		each (choice, at(option, "choices"))
			printf("%s ", json_object_get_string(choice));
		puts("' -- \"$cur\")); return ;;");
	}
}

int print_completion(struct command *command)
{
	struct json_object *info = client_info(&command->client), *options = at(info, "options");

	if (has(info, "error"))
		return report_error(command, EXIT_FAILED, info);
	puts("# bash completion of vmmigrate, made of its tables\n"
	     "_vmmigrate()\n"
	     "{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word words=()\n"
	     "\tCOMPREPLY=()\n"
	     "\tcase $prev in");
	print_choices(options);
	puts("\t--keep) COMPREPLY=($(compgen -W 'source target' -- \"$cur\")); return ;;\n"
	     "\tesac");
	fputs("\tif [[ $cur == -* ]]; then\n\t\tCOMPREPLY=($(compgen -W '", stdout);
	each (option, options)
		print_name(text_at(option, "name"));
	for (size_t i = 0; i < cli_option_count; i++)
		if (cli_options[i].help)
			print_name(cli_options[i].name);
	puts("' -- \"$cur\"))\n\t\treturn\n\tfi\n"
	     "\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	     "\t\t[[ $word == -* ]] || words+=(\"$word\")\n"
	     "\tdone");
	fputs("\tcase ${#words[@]}:${words[0]-} in\n\t0:) COMPREPLY=($(compgen -W \"", stdout);
	for (size_t i = 0; i < verb_count; i++)
		printf("%s ", verbs[i].name);
	puts("$(vmmigrate help --words guests 2>/dev/null)\" -- \"$cur\")) ;;\n"
	     "\t1:help) COMPREPLY=($(compgen -W \"$(vmmigrate help 2>/dev/null | sed -n '/^Verbs/,/^$/s/^  "
	     "\\([a-z]*\\).*/\\1/p')\" "
	     "-- \"$cur\")) ;;\n"
	     "\t1:node) COMPREPLY=($(compgen -W 'add test list' -- \"$cur\")) ;;\n"
	     "\t1:log|1:status|1:cancel|1:recover) "
	     "COMPREPLY=($(compgen -W \"$(vmmigrate help --words tasks 2>/dev/null)\" -- \"$cur\")) ;;\n"
	     "\t1:check|1:plan|1:targets|1:tasks) "
	     "COMPREPLY=($(compgen -W \"$(vmmigrate help --words guests 2>/dev/null)\" -- \"$cur\")) ;;\n"
	     "\t1:nodes|1:version) ;;\n"
	     "\t1:*|2:check|2:plan) "
	     "COMPREPLY=($(compgen -W \"$(vmmigrate help --words nodes 2>/dev/null)\" -- \"$cur\")) ;;\n"
	     "\tesac\n"
	     "} &&\n"
	     "complete -F _vmmigrate vmmigrate");
	return EXIT_DONE;
}
