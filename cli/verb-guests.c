/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate list, check, targets: guests, and which nodes can take them. */
#include "cli.h"

#include <string.h>

int run_list(struct command *command)
{
	static const char *const heads[] = {"ID", "NAME", "KIND", "STATE", "NODE", "MEMORY", "VCPUS", NULL};
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	if (!call_and_report(command, "guests", request_make("node", positional(command, 0)), &reply, &status))
		return status;
	table_begin(&table, heads);
	each (guest, at(reply, "guests")) {
		auto_free char *memory = show_size(number_at(guest, "memory"));

		table_row(&table, text_at(guest, "id"), text_at(guest, "name"), text_at(guest, "kind"),
			  text_at(guest, "state"), text_at(guest, "node"), number_at(guest, "memory") > 0 ? memory : "",
			  number_at(guest, "vcpus") > 0 ? text_at(guest, "vcpus") : "");
	}
	if (table.count == 0)
		fputs("There are no guests.\n", command->out.file);
	table_end(&table, &command->out);
	report_problems(command, at(reply, "errors"));
	return status;
}

/* ------------------------------------------------------------------ check, targets */

/* The first finding that refuses and the number of the others; "" if none refuses. The caller frees it. */
static char *why_not(struct json_object *findings)
{
	struct json_object *first = NULL;
	size_t more = 0;

	each (finding, findings) {
		if (strcmp(text_at(finding, "severity"), "warning") == 0 || true_at(finding, "ignored"))
			continue;
		if (first)
			more++;
		else
			first = finding;
	}
	if (!first)
		return format("%s", "");
	return more ? format("%s: %s (and %zu more)", text_at(first, "code"), text_at(first, "message"), more)
		    : format("%s: %s", text_at(first, "code"), text_at(first, "message"));
}

static void print_targets(const struct screen *out, struct json_object *targets)
{
	static const char *const heads[] = {"NODE", "CAN TAKE IT", "HOW", "WHY NOT", NULL};
	struct table table;

	table_begin(&table, heads);
	each (target, targets) {
		auto_free char *why = why_not(at(target, "findings"));

		table_row(&table, text_at(target, "node"), true_at(target, "eligible") ? "yes" : "no",
			  text_at(target, "mode"), why);
	}
	table_end(&table, out);
}

static void print_one_target(const struct screen *out, struct json_object *target)
{
	const char *mode = text_at(target, "mode");
	bool eligible = true_at(target, "eligible");

	fprintf(out->file, "%s%s %s%s%s%s\n", color(out, eligible ? GREEN : RED), text_at(target, "node"),
		eligible ? "can take it" : "cannot take it", eligible && *mode ? ": " : "", eligible ? mode : "",
		color(out, PLAIN));
	report_findings(out, at(target, "findings"));
}

int run_check(struct command *command)
{
	struct json_object *request =
		request_and(request_make("guest", positional(command, 0)), "target", positional(command, 1));
	auto_json struct json_object *reply = NULL;
	bool one = positional(command, 1);
	int status;

	json_object_object_add(request, "options", json_object_get(command->arguments.migration_options));
	if (call_and_report(command, one ? "check" : "targets", request, &reply, &status)) {
		auto_free char *guest = show_guest(at(reply, "guest"));

		if (has(reply, "guest"))
			fprintf(command->out.file, "%s is %s\n", guest, text_at(reply, "guest.state"));
		if (one)
			print_one_target(&command->out, at(reply, "targets.0"));
		else if (count_at(reply, "targets") > 0)
			print_targets(&command->out, at(reply, "targets"));
		else
			fputs("There is no other node. Add one with: vmmigrate node add NAME ADDRESS\n",
			      command->out.file);
	}
	return status == EXIT_DONE && one ? (int)number_at(reply, "targets.0.exit") : status;
}
