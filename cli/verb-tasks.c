/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate tasks, status, log, cancel, recover. Where a task is asked for, its guest may be named instead. */
#include "cli.h"

#include <string.h>

/* The id of the guest's newest task on any node; NULL if it has none. The caller frees it. */
static char *newest_task(struct command *command, const char *guest)
{
	struct json_object *request = request_make("guest", guest), *newest = NULL;
	auto_json struct json_object *reply = NULL;

	json_object_object_add(request, "all", json_object_new_boolean(true));
	client_call(&command->client, "tasks", request, &reply);
	each (task, at(reply, "tasks"))
		if (!newest || number_at(task, "started") > number_at(newest, "started"))
			newest = task;
	return newest ? format("%s", text_at(newest, "task")) : NULL;
}

/* The status of the task that the first argument names. If there is no such task, of the newest task of the guest of
 * that name, with the guest's "record" beside it. Returns the status of the call. */
static int find_task(struct command *command, struct json_object **reply)
{
	const char *who = positional(command, 0);
	int status = client_call(&command->client, "status", request_make("task", who), reply);

	/* EXIT_USAGE: the name of a guest may have characters that no task's id has. */
	if (status != EXIT_NOT_FOUND && status != EXIT_USAGE)
		return status;
	auto_free char *task = newest_task(command, who);
	auto_json struct json_object *of_guest = NULL;

	json_object_put(*reply);
	*reply = NULL;
	status = client_call(&command->client, "status", request_make("guest", who), &of_guest);
	if (!task) {
		*reply = json_object_get(of_guest);
		return status;
	}
	status = client_call(&command->client, "status", request_make("task", task), reply);
	json_object_object_add(*reply, "record", json_object_get(at(of_guest, "record")));
	return status;
}

/* find_task, for verbs that need one. If there is none, reports that, sets *status and returns false. */
static bool need_task(struct command *command, struct json_object **found, int *status)
{
	*status = find_task(command, found);
	if (*status != EXIT_NOT_FOUND)
		return true;
	report_error(command, *status, *found);
	return false;
}

/* The task's id in what find_task has found; the argument itself if it has found no task. Borrowed. */
static const char *task_of(const struct command *command, struct json_object *found)
{
	const char *task = text_at(found, "task.task");

	task = *task ? task : text_at(found, "record.task");
	return *task ? task : positional(command, 0);
}

/* ------------------------------------------------------------------ tasks */

static const char *result_text(struct json_object *task)
{
	return has(task, "result.message") ? text_at(task, "result.message") : text_at(task, "result");
}

static bool has_ended(struct json_object *task)
{
	return strcmp(text_at(task, "state"), "ended") == 0;
}

static int print_tasks(struct command *command, bool everywhere, bool ended)
{
	static const char *const heads[] = {"TASK", "GUEST", "FROM", "TO", "HOW", "STATE", "STARTED", "RESULT", NULL};
	struct json_object *request = request_make("guest", positional(command, 0));
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	json_object_object_add(request, "all", json_object_new_boolean(everywhere));
	if (!call_and_report(command, "tasks", request, &reply, &status))
		return status;
	table_begin(&table, heads);
	each (task, at(reply, "tasks")) {
		auto_free char *started = show_time(number_at(task, "started"));

		if (ended || !has_ended(task))
			table_row(&table, text_at(task, "task"), text_at(task, "guest"), text_at(task, "source"),
				  text_at(task, "target"), text_at(task, "mode"), text_at(task, "state"), started,
				  result_text(task));
	}
	if (table.count == 0)
		fputs(ended ? "There are no tasks.\n"
			    : "No task runs. `vmmigrate tasks` shows those that have ended.\n",
		      command->out.file);
	table_end(&table, &command->out);
	report_problems(command, at(reply, "errors"));
	return status;
}

int run_tasks(struct command *command)
{
	return print_tasks(command, command->arguments.given[OPTION_ALL], true);
}

static void print_field(const struct screen *out, const char *name, const char *value)
{
	if (*value)
		fprintf(out->file, "%-8s %s\n", name, value);
}

static void print_task(const struct screen *out, struct json_object *reply)
{
	struct json_object *task = at(reply, "task"), *progress = at(reply, "progress");
	auto_free char *started = show_time(number_at(task, "started"));
	auto_free char *where = format("%s, %s %s, %d %%", text_at(task, "state"), text_at(progress, "phase"),
				       text_at(progress, "object"), (int)number_at(progress, "percent"));

	print_field(out, "Task", text_at(task, "task"));
	print_field(out, "Guest", text_at(task, "guest"));
	print_field(out, "From", text_at(task, "source"));
	print_field(out, "To", text_at(task, "target"));
	print_field(out, "State", has(progress, "phase") && !has(reply, "result") ? where : text_at(task, "state"));
	print_field(out, "Started", started);
	if (number_at(task, "result.statistics.kept_bytes") > 0) {
		auto_free char *kept = show_size(number_at(task, "result.statistics.kept_bytes"));
		auto_free char *text = format("%s of the copy are on %s: the next try goes on from there", kept,
					      text_at(task, "target"));

		print_field(out, "Kept", text);
	}
	print_field(out, "Result", has(reply, "result") ? result_text(reply) : result_text(task));
}

static void print_record(const struct screen *out, struct json_object *record)
{
	if (!record)
		return;
	print_field(out, "Owner", text_at(record, "owner"));
	print_field(out, "Record", text_at(record, "state"));
}

int run_status(struct command *command)
{
	const struct arguments *arguments = &command->arguments;
	auto_json struct json_object *reply = NULL;
	bool follow;
	int status;

	if (arguments->count == 0)
		return print_tasks(command, true, false);
	status = find_task(command, &reply);
	follow = strcmp(text_at(reply, "task.state"), "running") == 0 &&
		 (arguments->given[OPTION_FOLLOW] || (command->out.terminal && !arguments->given[OPTION_JSON]));
	if (arguments->given[OPTION_JSON] && !follow) {
		report_json(reply);
		return status;
	}
	if (has(reply, "error"))
		return report_error(command, status, reply);
	if (!arguments->given[OPTION_JSON] && !arguments->given[OPTION_QUIET]) {
		print_record(&command->out, at(reply, "record"));
		if (has(reply, "task"))
			print_task(&command->out, reply);
	}
	return follow ? watch_task(command, text_at(reply, "task.task"), INTERRUPT_LEAVES) : status;
}

int run_log(struct command *command)
{
	auto_json struct json_object *found = NULL, *reply = NULL;
	const char *log;
	int status;

	if (!need_task(command, &found, &status))
		return status;
	if (!call_and_report(command, "log", request_make("task", task_of(command, found)), &reply, &status))
		return status;
	log = text_at(reply, "log");
	fprintf(command->out.file, "%s%s", log, *log && log[strlen(log) - 1] != '\n' ? "\n" : "");
	return status;
}

int run_cancel(struct command *command)
{
	auto_json struct json_object *found = NULL, *reply = NULL;
	const char *task;
	int status;

	if (!need_task(command, &found, &status))
		return status;
	task = task_of(command, found);
	if (!call_and_report(command, "cancel", request_make("task", task), &reply, &status))
		return status;
	fprintf(command->out.file, "Cancelling %s. See its end with: vmmigrate status %s\n", task, task);
	return status;
}

/* An administrator's decision (--keep) is about a task. Without --keep a guest may be named that has a record but no
 * task. */
static struct json_object *recover_request(struct command *command, const char *keep)
{
	auto_json struct json_object *found = NULL;

	if (command->arguments.count == 0)
		return request_make(NULL, NULL);
	find_task(command, &found);
	if (has(found, "record") && !keep)
		return request_make("guest", positional(command, 0));
	return request_and(request_make("task", task_of(command, found)), "keep", keep);
}

static struct json_object *forget_request(struct command *command)
{
	struct json_object *request = request_make("guest", positional(command, 0));

	json_object_object_add(request, "forget", json_object_new_boolean(true));
	return request;
}

/* EXIT_DONE if all tasks were recovered, else the exit status of the first that was not. */
static int recovered_status(struct json_object *recovered)
{
	each (task, recovered)
		if (strcmp(text_at(task, "outcome"), "unsettled") == 0)
			return number_at(task, "exit") ? (int)number_at(task, "exit") : EXIT_NEEDS_DECISION;
	return EXIT_DONE;
}

int run_recover(struct command *command)
{
	static const char *const tasks[] = {"TASK", "OUTCOME", "WHAT", NULL}, *const guests[] = {"GUEST", "OUTCOME",
												 "WHAT", NULL};
	const char *keep = command->arguments.given[OPTION_KEEP];
	bool forget = command->arguments.given[OPTION_FORGET];
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	if (keep && strcmp(keep, "source") != 0 && strcmp(keep, "target") != 0)
		return usage_error(command, "--keep takes source or target, not '%s'", keep);
	if (keep && command->arguments.count == 0)
		return usage_error(command, "--keep needs the task or guest that it is about");
	if (forget && (keep || command->arguments.count == 0))
		return usage_error(command, "--forget needs the guest that it is about, and no --keep");
	if (!call_and_report(command, "recover", forget ? forget_request(command) : recover_request(command, keep),
			     &reply, &status))
		return status ? status : recovered_status(at(reply, "recovered"));
	table_begin(&table, forget ? guests : tasks);
	each (task, at(reply, "recovered"))
		table_row(&table, text_at(task, forget ? "guest" : "task"), text_at(task, "outcome"),
			  text_at(task, "message"));
	if (table.count == 0)
		fputs("There is nothing to recover.\n", command->out.file);
	table_end(&table, &command->out);
	return recovered_status(at(reply, "recovered"));
}
