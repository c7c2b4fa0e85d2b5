/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The chapters of the manual page that are made of the tables: verbs, options, checks. In troff's man macros. */
#include "cli.h"

#include <string.h>

/* Escapes text for troff: '-' is a minus sign, and a line's first '.' or '\'' must not be taken for a request. */
static void put(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			fputc(*text, stdout);
	}
}

static void put_name(const char *name)
{
	for (; *name; name++)
		fputs(*name == '_' || *name == '-' ? "\\-" : (char[]){*name, '\0'}, stdout);
}

static void print_item(const char *prefix, const char *name, const char *argument, const char *sentence)
{
	fputs(".TP\n\\fB", stdout);
	put(prefix);
	put_name(name);
	fputs("\\fR", stdout);
	if (*argument) {
		fputs(" \\fI", stdout);
		put(argument);
		fputs("\\fR", stdout);
	}
	fputc('\n', stdout);
	put(sentence);
	fputc('\n', stdout);
}

static void print_verbs(void)
{
	puts(".SH VERBS");
	for (size_t i = 0; i < verb_count; i++) {
		print_item("", verbs[i].name, verbs[i].usage, verbs[i].help);
		if (verbs[i].more) {
			puts(".br");
			put(verbs[i].more);
		}
	}
}

static void print_options(struct json_object *options)
{
	const char *group = "";

	puts(".SH OPTIONS");
	puts("Options of a migration; \\- and _ are the same in their names. The names are those of Proxmox VE if it "
	     "has such an option, else those of virsh.");
	each (option, options) {
		const char *standard = text_at(option, "default");
		auto_free char *argument = migration_option_argument(option);

		if (strcmp(group, text_at(option, "group")) != 0)
			printf(".SS %s\n", group = text_at(option, "group"));
		print_item("--", text_at(option, "name"), argument, text_at(option, "help"));
		if (*standard) {
			fputs("Default: ", stdout);
			put(standard);
			puts(".");
		}
	}
	puts(".SS of the command");
	for (size_t i = 0; i < cli_option_count; i++)
		if (cli_options[i].help)
			print_item("--", cli_options[i].name, cli_options[i].argument ? cli_options[i].argument : "",
				   cli_options[i].help);
}

static void print_checks(struct json_object *checks)
{
	const char *group = "";

	puts(".SH CHECKS");
	puts("All findings are reported at once. \\fBerror\\fR refuses; \\fBoverride\\fR refuses unless "
	     "\\fB\\-\\-ignore\\fR \\fICODE\\fR names it; \\fBwarning\\fR only warns.");
	each (check, checks) {
		const char *option = text_at(check, "option");

		if (strcmp(group, text_at(check, "group")) != 0)
			printf(".SS %s\n", group = text_at(check, "group"));
		print_item("", text_at(check, "code"), "", text_at(check, "what"));
		printf("(\\fB%s\\fR", text_at(check, "severity"));
		if (*option) {
			fputs(", overridden by \\fB\\-\\-", stdout);
			put_name(option);
			fputs("\\fR", stdout);
		}
		puts(")");
	}
}

static void print_hooks(struct json_object *hooks)
{
	puts(".SH HOOKS");
	puts("Programs named \\fINN\\-name\\fR in \\fI/etc/vmmigrate/hooks.d/PHASE.d\\fR and "
	     "\\fI/usr/lib/vmmigrate/hooks.d/PHASE.d\\fR are run with the guest's id and the phase as arguments, "
	     "\\fBVMMIGRATE_*\\fR in their environment and JSON on stdin. The same name in /etc overrides, a link to "
	     "/dev/null masks. Where a hook may veto, a non\\-zero exit does so and its last line on stderr is the "
	     "reason.");
	each (hook, hooks)
		print_item("", text_at(hook, "name"), "", text_at(hook, "help"));
}

int print_manual(struct command *command)
{
	struct json_object *info = client_info(&command->client);

	if (has(info, "error"))
		return report_error(command, EXIT_FAILED, info);
	print_verbs();
	print_options(at(info, "options"));
	print_checks(at(info, "checks"));
	print_hooks(at(info, "hooks"));
	return EXIT_DONE;
}
