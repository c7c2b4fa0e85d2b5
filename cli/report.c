/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is said to people and asked of them: findings, plans, errors, usage, questions. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ figures */

char *show_size(int64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit + 1 < COUNT(units); unit++)
		value /= 1024;
	return format(unit == 0 || value >= 10 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

char *show_duration(int64_t seconds)
{
	long long s = seconds > 0 ? seconds : 0;

	return s < 3600 ? format("%lld:%02lld", s / 60, s % 60)
			: format("%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

char *show_time(int64_t time_us)
{
	time_t seconds = (time_t)(time_us > 100000000000 ? time_us / 1000000 : time_us);
	struct tm tm;
	char text[40] = "";

	if (seconds > 0 && localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return format("%s", text);
}

char *show_guest(struct json_object *guest)
{
	const char *id = text_at(guest, "id"), *name = text_at(guest, "name");

	if (json_object_is_type(guest, json_type_string))
		return format("%s", json_object_get_string(guest));
	return *name && strcmp(id, name) != 0 ? format("%s (%s)", id, name) : format("%s", id);
}

/* ------------------------------------------------------------------ findings */

struct severity {
	const char *name;
	bool ignored;
	enum color color;
	const char *heading;
};

/* clang-format off */
static const struct severity severities[] = {
	{"error", false, RED, "Refused:"},
	{"override", false, RED, "Refused, but --ignore CODE overrides it:"},
	{"override", true, YELLOW, "Ignored:"},
	{"warning", false, YELLOW, "Warnings:"},
};
/* clang-format on */

static bool belongs(struct json_object *finding, const struct severity *severity)
{
	if (strcmp(text_at(finding, "severity"), severity->name) != 0)
		return false;
	return severity->name[0] != 'o' || true_at(finding, "ignored") == severity->ignored;
}

static void print_finding(const struct screen *to, struct json_object *finding, enum color code_color)
{
	const char *object = text_at(finding, "object"), *hint = text_at(finding, "hint");
	const char *message = text_at(finding, "message");
	bool named = strstr(message, object);

	fprintf(to->file, "  %s%s%s  %s%s%s\n", color(to, code_color), text_at(finding, "code"), color(to, PLAIN),
		named ? "" : object, named ? "" : ": ", message);
	if (*hint)
		fprintf(to->file, "      %s %s\n", to->utf8 ? "→" : "->", hint);
}

size_t report_findings(const struct screen *to, struct json_object *findings)
{
	size_t refusing = 0;

	for (const struct severity *s = severities; s < severities + COUNT(severities); s++) {
		bool any = false;

		each (finding, findings) {
			if (!belongs(finding, s))
				continue;
			if (!any)
				fprintf(to->file, "%s%s%s\n", color(to, BOLD), s->heading, color(to, PLAIN));
			print_finding(to, finding, s->color);
			any = true;
			refusing += s->color == RED;
		}
	}
	return refusing;
}

/* ------------------------------------------------------------------ errors */

int report_error(struct command *command, int status, struct json_object *reply)
{
	const struct screen *to = &command->err;
	const char *hint = text_at(reply, "error.hint");
	size_t refusing;

	if (command->arguments.given[OPTION_JSON]) {
		report_json(reply);
		return status ? status : EXIT_FAILED;
	}
	refusing = report_findings(to, at(reply, "findings"));
	fprintf(to->file, "%svmmigrate:%s ", color(to, RED), color(to, PLAIN));
	if (refusing > 0)
		fprintf(to->file, "refused for %zu reason%s; nothing was changed\n", refusing,
			refusing == 1 ? "" : "s");
	else
		fprintf(to->file, "%s\n",
			has(reply, "error.message") ? text_at(reply, "error.message") : "failed without a reason");
	if (*hint && refusing == 0)
		fprintf(to->file, "  %s\n", hint);
	return status ? status : EXIT_FAILED;
}

void report_problems(const struct command *command, struct json_object *errors)
{
	const struct screen *to = &command->err;

	each (error, errors)
		fprintf(to->file, "%swarning:%s %s\n", color(to, YELLOW), color(to, PLAIN), text_at(error, "message"));
}

void report_json(struct json_object *reply)
{
	puts(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

bool call_and_report(struct command *command, const char *verb, struct json_object *request, struct json_object **reply,
		     int *status)
{
	*status = client_call(&command->client, verb, request, reply);
	if (command->arguments.given[OPTION_JSON]) {
		report_json(*reply);
		return false;
	}
	if (has(*reply, "error")) {
		*status = report_error(command, *status, *reply);
		return false;
	}
	return true;
}

/* ------------------------------------------------------------------ usage */

void print_usage(const struct screen *to)
{
	fputs("usage: vmmigrate GUEST TARGET [OPTIONS]     move a guest to another node\n"
	      "       vmmigrate check GUEST [TARGET]       can it go, and what is in the way\n"
	      "       vmmigrate VERB ...                   see `vmmigrate --help`\n",
	      to->file);
}

int usage_error(const struct command *command, const char *format, ...)
{
	const struct verb *verb = command->arguments.verb;
	va_list args;

	fputs("vmmigrate: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (verb && verb != &verb_migrate && verb->id != VERB_HELP)
		fprintf(stderr, "\nTry 'vmmigrate help %s'.\n", verb->name);
	else
		fputs("\nTry 'vmmigrate --help'.\n", stderr);
	return EXIT_USAGE;
}

/* ------------------------------------------------------------------ plan */

static void print_field(const struct screen *to, const char *name, const char *value)
{
	if (*value)
		fprintf(to->file, "%-9s %s\n", name, value);
}

static const char *mode_in_words(const char *mode)
{
	if (strcmp(mode, "live") == 0)
		return "live: it runs on while its memory moves";
	if (strcmp(mode, "paused") == 0)
		return "paused: its memory moves while it is paused, then it goes on";
	if (strcmp(mode, "restart") == 0)
		return "restart: it is shut down here and started there";
	return strcmp(mode, "offline") == 0 ? "offline: it is stopped and stays stopped" : mode;
}

/* If the volumes are copied in rounds, the column TRACK says how each round finds what has changed. */
static void print_volumes(const struct screen *to, struct json_object *volumes, bool rounds)
{
	static const char *const heads[] = {"VOLUME", "ACTION", "SIZE", "FORMAT", "STORAGE",
					    "TO",     "TRACK",	"PATH", NULL};
	struct table table;

	table_begin(&table, heads);
	each (volume, volumes) {
		auto_free char *size = show_size(number_at(volume, "size"));
		auto_free char *path = has(volume, "real")
					       ? format("%s -> %s", text_at(volume, "from"), text_at(volume, "real"))
					       : format("%s", text_at(volume, "from"));
		const char *from = text_at(volume, "storage"), *there = text_at(volume, "to_storage");

		table_row(&table, text_at(volume, "target"), text_at(volume, "action"), size, text_at(volume, "format"),
			  from, strcmp(from, there) == 0 ? "" : there, rounds ? text_at(volume, "track") : "", path);
	}
	table_end(&table, to);
}

void report_plan(const struct screen *to, struct json_object *plan)
{
	auto_free char *guest = show_guest(plan);
	auto_free char *bytes = show_size(number_at(plan, "bytes"));

	print_field(to, "Guest", guest);
	print_field(to, "From", text_at(plan, "source"));
	print_field(to, "To", text_at(plan, "target"));
	print_field(to, "Mode", mode_in_words(text_at(plan, "mode")));
	print_field(to, "To copy", number_at(plan, "bytes") > 0 ? bytes : "nothing");
	if (has(plan, "downtime_ms")) {
		auto_free char *downtime = format("about %.1f s", (double)number_at(plan, "downtime_ms") / 1000);

		print_field(to, "Downtime", downtime);
	}
	if (count_at(plan, "volumes") > 0) {
		fputc('\n', to->file);
		print_volumes(to, at(plan, "volumes"), true_at(plan, "rounds"));
	}
}

/* ------------------------------------------------------------------ questions */

bool ask_possible(const struct command *command)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !command->arguments.given[OPTION_YES] &&
	       !command->arguments.given[OPTION_JSON];
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
