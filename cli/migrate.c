/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate GUEST TARGET: plan, ask, start, watch; and vmmigrate plan. */
#include "cli.h"

#include <string.h>

static struct json_object *migration_request(const struct command *command)
{
	struct json_object *request =
		request_and(request_make("guest", positional(command, 0)), "target", positional(command, 1));

	json_object_object_add(request, "options", json_object_get(command->arguments.migration_options));
	return request;
}

/* A plan that the checks refuse is no error of the engine, but the command ends with EXIT_BLOCKED. */
static int call_plan(struct command *command, struct json_object **reply)
{
	int status = client_call(&command->client, "plan", migration_request(command), reply);

	return status == EXIT_DONE && has(*reply, "eligible") && !true_at(*reply, "eligible") ? EXIT_BLOCKED : status;
}

int run_plan(struct command *command)
{
	auto_json struct json_object *reply = NULL;
	int status = call_plan(command, &reply);

	if (command->arguments.given[OPTION_JSON]) {
		report_json(reply);
		return status;
	}
	if (has(reply, "plan"))
		report_plan(&command->out, at(reply, "plan"));
	if (has(reply, "error")) {
		fflush(command->out.file);
		return report_error(command, status, reply);
	}
	if (has(reply, "plan") && count_at(reply, "findings") > 0)
		fputc('\n', command->out.file);
	report_findings(&command->out, at(reply, "findings"));
	return status;
}

static char *stop_question(struct json_object *plan)
{
	auto_free char *guest = show_guest(plan);
	const char *target = text_at(plan, "target");

	if (has(plan, "downtime_ms"))
		return format("%s is running. It will be shut down, and started on %s: off for about %.1f s.\nGo on?",
			      guest, target, (double)number_at(plan, "downtime_ms") / 1000);
	return format("%s is running. It will be shut down, and started on %s: off for as long as that takes.\nGo on?",
		      guest, target);
}

/* A command without an option of the mode may mean a migration that stops the guest. If it would, the user is asked
 * first. Returns EXIT_DONE to go on. */
static int ask_first(struct command *command)
{
	auto_json struct json_object *reply = NULL;
	auto_free char *question = NULL;
	int status = call_plan(command, &reply);

	if (status != EXIT_DONE)
		return report_error(command, status, reply);
	if (!true_at(reply, "plan.stops_guest"))
		return EXIT_DONE;
	report_findings(&command->out, at(reply, "findings"));
	question = stop_question(at(reply, "plan"));
	if (ask(command, question))
		return EXIT_DONE;
	fputs("Nothing was changed.\n", command->out.file);
	return EXIT_CANCELLED;
}

static void say_started(const struct command *command, struct json_object *reply)
{
	const struct screen *out = &command->out;
	const char *task = text_at(reply, "task"), *node = text_at(reply, "node");

	if (command->arguments.given[OPTION_JSON]) {
		report_json(reply);
	} else if (command->arguments.given[OPTION_DETACH]) {
		fprintf(out->file, "task %s runs%s%s; follow it with: vmmigrate status %s\n", task, *node ? " on " : "",
			node, task);
	} else if (!command->arguments.given[OPTION_QUIET]) {
		fprintf(out->file, "%stask %s%s%s%s\n", color(out, DIM), task, *node ? " on " : "", node,
			color(out, PLAIN));
	}
	fflush(out->file);
}

int run_migrate(struct command *command)
{
	const struct arguments *arguments = &command->arguments;
	auto_json struct json_object *reply = NULL;
	int status;

	if (arguments->given[OPTION_DRY_RUN])
		return run_plan(command);
	if (ask_possible(command) && !arguments->mode_given) {
		status = ask_first(command);
		if (status != EXIT_DONE)
			return status;
	}
	watch_hold_signals();
	status = client_call(&command->client, "start", migration_request(command), &reply);
	if (status != EXIT_DONE || !has(reply, "task"))
		return report_error(command, status, reply);
	say_started(command, reply);
	if (arguments->given[OPTION_DETACH])
		return EXIT_DONE;
	return watch_task(command, text_at(reply, "task"), INTERRUPT_CANCELS);
}
