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
	puts("An administrator's programs are run as root, on both nodes, around a migration. They lie in "
	     "\\fI/etc/vmmigrate/hooks.d/HOOK.d\\fR, are called \\fINN\\-name\\fR (two digits, a dash, a name), "
	     "and are run in the order of their names. Packages put theirs into "
	     "\\fI/usr/lib/vmmigrate/hooks.d/HOOK.d\\fR: a file of the same name in /etc is run in its place, "
	     "and a link to /dev/null there keeps it from being run. A file that is called otherwise, or that "
	     "others than root can write, is not run; a warning names it.");
	puts(".PP");
	puts("The arguments are the guest's id and the name of the hook. The environment holds "
	     "\\fBVMMIGRATE_NODE\\fR (where it runs), and with the same prefix \\fBPHASE\\fR (the name of the "
	     "hook), \\fBVMID\\fR, \\fBKIND\\fR, \\fBNAME\\fR, \\fBUUID\\fR, \\fBMODE\\fR, \\fBSOURCE\\fR, "
	     "\\fBTARGET\\fR and \\fBTASK\\fR. The plan comes as JSON on stdin.");
	puts(".PP");
	puts("A \\fBcheck\\fR hook runs before there is a plan. \\fBTASK\\fR is empty, \\fBMODE\\fR is empty as long "
	     "as more than one way is possible, and the JSON holds what is known: kind, id, name, uuid, mode, "
	     "source, target, the request, and the source's facts about the guest. Its refusal is the finding "
	     "\\fBhook\\-veto\\fR.");
	puts(".PP");
	puts("Where a hook may veto, a program that ends with an error refuses the migration, and its last line "
	     "on stderr is the reason; elsewhere that is a warning. A program that runs longer than its time "
	     "limit is killed, which counts as an error.");
	each (hook, hooks) {
		print_item("", text_at(hook, "name"), "", text_at(hook, "help"));
		printf("(%s%lld s)\n", json_object_get_boolean(at(hook, "veto")) ? "\\fBmay veto\\fR, " : "",
		       (long long)number_at(hook, "limit_ms") / 1000);
	}
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
