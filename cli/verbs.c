/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The verbs that ask the engine and print what it says. At the end: the table of all verbs. */
#include "cli.h"

#include <string.h>

/* Calls, and hands programs the reply as it is. Returns true where there is something left to show; else *status is
 * final. */
static bool call_to_show(struct command *command, const char *verb, struct json_object *request,
			 struct json_object **reply, int *status)
{
	*status = client_call(&command->client, verb, request, reply);
	if (command->arguments.given[SWITCH_JSON]) {
		report_json(*reply);
		return false;
	}
	if (has(*reply, "/error")) {
		*status = report_error(command, *status, *reply);
		return false;
	}
	return true;
}

static const char *word(const struct command *command, size_t number)
{
	return number < command->arguments.count ? command->arguments.words[number] : NULL;
}

/* The id of the guest's newest task, on whichever node; belongs to the caller, NULL where there is none. */
static char *newest_task(struct command *command, const char *guest)
{
	struct json_object *request = request_make("guest", guest), *newest = NULL;
	auto_json struct json_object *reply = NULL;

	json_object_object_add(request, "all", json_object_new_boolean(true));
	client_call(&command->client, "tasks", request, &reply);
	each(task, at(reply, "/tasks")) if (!newest || number_at(task, "/started") > number_at(newest, "/started"))
		newest = task;
	return newest ? format("%s", text_at(newest, "/task")) : NULL;
}

/* What is known of a task, or where the word is none, of the guest of that name: then its "record" is there, too. */
static int find_task(struct command *command, struct json_object **reply)
{
	const char *who = word(command, 0);
	int status = client_call(&command->client, "status", request_make("task", who), reply);

	/* A guest's name may be no task's at all. */
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
	json_object_object_add(*reply, "record", json_object_get(at(of_guest, "/record")));
	return status;
}

/* find_task, for verbs that do nothing without a task. Returns false where there is none: that was told, *status says so. */
static bool find_to_use(struct command *command, struct json_object **found, int *status)
{
	*status = find_task(command, found);
	if (*status != EXIT_NOT_FOUND)
		return true;
	if (command->arguments.given[SWITCH_JSON])
		report_json(*found);
	else
		report_error(command, *status, *found);
	return false;
}

/* The task's id of what find_task has found; the word itself where it has found nothing. Borrowed. */
static const char *task_of(const struct command *command, struct json_object *found)
{
	const char *task = text_at(found, "/task/task");

	task = *task ? task : text_at(found, "/record/task");
	return *task ? task : word(command, 0);
}

/* ------------------------------------------------------------------ list, nodes */

static int run_list(struct command *command)
{
	static const char *const heads[] = {"ID", "NAME", "KIND", "STATE", "NODE", "MEMORY", "VCPUS", NULL};
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	if (!call_to_show(command, "guests", request_make("node", word(command, 0)), &reply, &status))
		return status;
	table_begin(&table, heads);
	each(guest, at(reply, "/guests"))
	{
		auto_free char *memory = show_size(number_at(guest, "/memory"));

		table_row(&table, text_at(guest, "/id"), text_at(guest, "/name"), text_at(guest, "/kind"),
			  text_at(guest, "/state"), text_at(guest, "/node"),
			  number_at(guest, "/memory") > 0 ? memory : "",
			  number_at(guest, "/vcpus") > 0 ? text_at(guest, "/vcpus") : "");
	}
	if (table.count == 0)
		fputs("There are no guests.\n", command->out.file);
	table_end(&table, &command->out);
	report_problems(command, at(reply, "/errors"));
	return status;
}

static const char *node_state(struct json_object *node)
{
	if (true_at(node, "/self"))
		return "this node";
	if (!true_at(node, "/reachable"))
		return "not reachable";
	return true_at(node, "/maintenance") ? "maintenance" : "ready";
}

static int run_nodes(struct command *command)
{
	static const char *const heads[] = {"NODE", "ADDRESS", "STATE", "ERROR", NULL};
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	if (!call_to_show(command, "nodes", request_make(NULL, NULL), &reply, &status))
		return status;
	table_begin(&table, heads);
	each(node, at(reply, "/nodes"))
		table_row(&table, text_at(node, "/name"), text_at(node, "/address"), node_state(node),
			  has(node, "/error/message") ? text_at(node, "/error/message") : text_at(node, "/error"));
	table_end(&table, &command->out);
	return status;
}

/* ------------------------------------------------------------------ check, targets */

/* The first finding that refuses, and how many more there are. */
static char *why_not(struct json_object *findings)
{
	struct json_object *first = NULL;
	size_t more = 0;

	each(finding, findings)
	{
		if (strcmp(text_at(finding, "/severity"), "warning") == 0 || true_at(finding, "/ignored"))
			continue;
		if (first)
			more++;
		else
			first = finding;
	}
	if (!first)
		return format("%s", "");
	return more ? format("%s: %s (and %zu more)", text_at(first, "/code"), text_at(first, "/message"), more)
		    : format("%s: %s", text_at(first, "/code"), text_at(first, "/message"));
}

static void print_targets(const struct screen *out, struct json_object *targets)
{
	static const char *const heads[] = {"NODE", "CAN TAKE IT", "HOW", "WHY NOT", NULL};
	struct table table;

	table_begin(&table, heads);
	each(target, targets)
	{
		auto_free char *why = why_not(at(target, "/findings"));

		table_row(&table, text_at(target, "/node"), true_at(target, "/eligible") ? "yes" : "no",
			  text_at(target, "/mode"), why);
	}
	table_end(&table, out);
}

static void print_one_target(const struct screen *out, struct json_object *target)
{
	const char *mode = text_at(target, "/mode");
	bool eligible = true_at(target, "/eligible");

	fprintf(out->file, "%s%s %s%s%s%s\n", color(out, eligible ? GREEN : RED), text_at(target, "/node"),
		eligible ? "can take it" : "cannot take it", eligible && *mode ? ": " : "", eligible ? mode : "",
		color(out, PLAIN));
	report_findings(out, at(target, "/findings"));
}

static int run_check(struct command *command)
{
	struct json_object *request = request_and(request_make("guest", word(command, 0)), "target", word(command, 1));
	auto_json struct json_object *reply = NULL;
	bool one = word(command, 1);
	int status;

	json_object_object_add(request, "options", json_object_get(command->arguments.options));
	if (call_to_show(command, one ? "check" : "targets", request, &reply, &status)) {
		auto_free char *guest = show_guest(at(reply, "/guest"));

		if (has(reply, "/guest"))
			fprintf(command->out.file, "%s is %s\n", guest, text_at(reply, "/guest/state"));
		if (one)
			print_one_target(&command->out, at(reply, "/targets/0"));
		else if (count_at(reply, "/targets") > 0)
			print_targets(&command->out, at(reply, "/targets"));
		else
			fputs("There is no other node. Add one with: vmmigrate node add NAME ADDRESS\n",
			      command->out.file);
	}
	return status == EXIT_DONE && one && !true_at(reply, "/targets/0/eligible") ? EXIT_BLOCKED : status;
}

/* ------------------------------------------------------------------ tasks */

static const char *result_text(struct json_object *task)
{
	return has(task, "/result/message") ? text_at(task, "/result/message") : text_at(task, "/result");
}

static bool has_ended(struct json_object *task)
{
	return strcmp(text_at(task, "/state"), "ended") == 0;
}

static int print_tasks(struct command *command, bool everywhere, bool ended)
{
	static const char *const heads[] = {"TASK", "GUEST", "FROM", "TO", "HOW", "STATE", "STARTED", "RESULT", NULL};
	struct json_object *request = request_make("guest", word(command, 0));
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	json_object_object_add(request, "all", json_object_new_boolean(everywhere));
	if (!call_to_show(command, "tasks", request, &reply, &status))
		return status;
	table_begin(&table, heads);
	each(task, at(reply, "/tasks"))
	{
		auto_free char *started = show_time(number_at(task, "/started"));

		if (ended || !has_ended(task))
			table_row(&table, text_at(task, "/task"), text_at(task, "/guest"), text_at(task, "/source"),
				  text_at(task, "/target"), text_at(task, "/mode"), text_at(task, "/state"), started,
				  result_text(task));
	}
	if (table.count == 0)
		fputs(ended ? "There are no tasks.\n"
			    : "No task runs. `vmmigrate tasks` shows those that have ended.\n",
		      command->out.file);
	table_end(&table, &command->out);
	report_problems(command, at(reply, "/errors"));
	return status;
}

static int run_tasks(struct command *command)
{
	return print_tasks(command, command->arguments.given[SWITCH_ALL], true);
}

static void print_field(const struct screen *out, const char *name, const char *value)
{
	if (*value)
		fprintf(out->file, "%-8s %s\n", name, value);
}

static void print_task(const struct screen *out, struct json_object *reply)
{
	struct json_object *task = at(reply, "/task"), *progress = at(reply, "/progress");
	auto_free char *started = show_time(number_at(task, "/started"));
	auto_free char *where = format("%s, %s %s, %d %%", text_at(task, "/state"), text_at(progress, "/phase"),
				       text_at(progress, "/object"), (int)number_at(progress, "/percent"));

	print_field(out, "Task", text_at(task, "/task"));
	print_field(out, "Guest", text_at(task, "/guest"));
	print_field(out, "From", text_at(task, "/source"));
	print_field(out, "To", text_at(task, "/target"));
	print_field(out, "State", has(progress, "/phase") && !has(reply, "/result") ? where : text_at(task, "/state"));
	print_field(out, "Started", started);
	if (number_at(task, "/result/statistics/kept_bytes") > 0) {
		auto_free char *kept = show_size(number_at(task, "/result/statistics/kept_bytes"));
		auto_free char *words = format("%s of the copy are on %s: the next try goes on from there", kept,
					       text_at(task, "/target"));

		print_field(out, "Kept", words);
	}
	print_field(out, "Result", has(reply, "/result") ? result_text(reply) : result_text(task));
}

static void print_record(const struct screen *out, struct json_object *record)
{
	if (!record)
		return;
	print_field(out, "Owner", text_at(record, "/owner"));
	print_field(out, "Record", text_at(record, "/state"));
}

static int run_status(struct command *command)
{
	const struct arguments *arguments = &command->arguments;
	auto_json struct json_object *reply = NULL;
	bool follow;
	int status;

	if (arguments->count == 0)
		return print_tasks(command, true, false);
	status = find_task(command, &reply);
	follow = strcmp(text_at(reply, "/task/state"), "running") == 0 &&
		 (arguments->given[SWITCH_FOLLOW] || (command->out.terminal && !arguments->given[SWITCH_JSON]));
	if (arguments->given[SWITCH_JSON] && !follow) {
		report_json(reply);
		return status;
	}
	if (has(reply, "/error"))
		return report_error(command, status, reply);
	if (!arguments->given[SWITCH_JSON] && !arguments->given[SWITCH_QUIET]) {
		print_record(&command->out, at(reply, "/record"));
		if (has(reply, "/task"))
			print_task(&command->out, reply);
	}
	return follow ? watch_task(command, text_at(reply, "/task/task"), INTERRUPT_LEAVES) : status;
}

static int run_log(struct command *command)
{
	auto_json struct json_object *found = NULL, *reply = NULL;
	const char *log;
	int status;

	if (!find_to_use(command, &found, &status))
		return status;
	if (!call_to_show(command, "log", request_make("task", task_of(command, found)), &reply, &status))
		return status;
	log = text_at(reply, "/log");
	fprintf(command->out.file, "%s%s", log, *log && log[strlen(log) - 1] != '\n' ? "\n" : "");
	return status;
}

static int run_cancel(struct command *command)
{
	auto_json struct json_object *found = NULL, *reply = NULL;
	const char *task;
	int status;

	if (!find_to_use(command, &found, &status))
		return status;
	task = task_of(command, found);
	if (!call_to_show(command, "cancel", request_make("task", task), &reply, &status))
		return status;
	fprintf(command->out.file, "Cancelling %s. See its end with: vmmigrate status %s\n", task, task);
	return status;
}

/* The administrator's word is said of a task; without one, a guest without a task may be asked about as well. */
static struct json_object *recover_request(struct command *command, const char *keep)
{
	auto_json struct json_object *found = NULL;

	if (command->arguments.count == 0)
		return request_make(NULL, NULL);
	find_task(command, &found);
	if (has(found, "/record") && !keep)
		return request_make("guest", word(command, 0));
	return request_and(request_make("task", task_of(command, found)), "keep", keep);
}

/* The exit status of what could not be recovered, if there is any. */
static int unsettled(struct json_object *recovered)
{
	each(task, recovered) if (strcmp(text_at(task, "/outcome"), "unsettled") == 0) return number_at(task, "/exit")
		? (int)number_at(task, "/exit")
		: EXIT_NEEDS_WORD;
	return EXIT_DONE;
}

static int run_recover(struct command *command)
{
	static const char *const heads[] = {"TASK", "OUTCOME", "WHAT", NULL};
	const char *keep = command->arguments.given[SWITCH_KEEP];
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	if (keep && strcmp(keep, "source") != 0 && strcmp(keep, "target") != 0)
		return usage_error(command, "--keep takes source or target, not '%s'", keep);
	if (keep && command->arguments.count == 0)
		return usage_error(command, "--keep needs the task or guest that it is said of");
	if (!call_to_show(command, "recover", recover_request(command, keep), &reply, &status))
		return status ? status : unsettled(at(reply, "/recovered"));
	table_begin(&table, heads);
	each(task, at(reply, "/recovered"))
		table_row(&table, text_at(task, "/task"), text_at(task, "/outcome"), text_at(task, "/message"));
	if (table.count == 0)
		fputs("There is nothing to recover.\n", command->out.file);
	table_end(&table, &command->out);
	return unsettled(at(reply, "/recovered"));
}

/* ------------------------------------------------------------------ version */

static int run_version(struct command *command)
{
	struct json_object *info = client_info(&command->client);

	if (command->arguments.given[SWITCH_JSON]) {
		report_json(info);
		return EXIT_DONE;
	}
	fprintf(command->out.file, "vmmigrate %s\n", VMM_VERSION);
	fprintf(command->out.file, "plug-in %s, interface %d\n", command->client.plugin->release,
		command->client.plugin->version);
	if (has(info, "/error"))
		return report_error(command, EXIT_FAILED, info);
	fprintf(command->out.file, "engine %s, node %s\n", text_at(info, "/version"), text_at(info, "/node"));
	return EXIT_DONE;
}

/* ------------------------------------------------------------------ the table */

/* clang-format off */
const struct verb verb_migrate = {
	"migrate", "GUEST TARGET [OPTIONS]", "move a guest to another node", NULL, 2, 2, true, true, run_migrate,
};

const struct verb verbs[] = {
	{"check", "GUEST [TARGET] [OPTIONS]", "say whether a guest can go, and all that is in the way",
	 "Without a target, every node is asked: can it take the guest, and if not, why\n"
	 "not. Nothing is changed. With the options of a migration it answers for a\n"
	 "migration with those options. Exit status 3 where the target is refused.\n",
	 1, 2, true, false, run_check},
	{"targets", "GUEST [OPTIONS]", "as check, for every node", NULL, 1, 1, true, false, run_check},
	{"plan", "GUEST TARGET [OPTIONS]", "show what a migration would do, as --dry-run does", NULL, 2, 2, true, false, run_plan},
	{"list", "[NODE]", "guests of this node and of the others", NULL, 0, 1, false, false, run_list},
	{"nodes", "", "the nodes and whether they answer", NULL, 0, 0, false, false, run_nodes},
	{"tasks", "[GUEST] [--all]", "migrations that run and that have ended", NULL, 0, 1, false, false, run_tasks},
	{"status", "[TASK|GUEST] [--follow]", "where a migration is; follows it while it runs",
	 "On a terminal a task that runs is followed to its end. Ctrl-C stops watching and\n"
	 "cancels nothing. The exit status is then the migration's. Of a guest, the node\n"
	 "that owns it is shown as well.\n",
	 0, 1, false, false, run_status},
	{"log", "TASK|GUEST", "the log of a task, or of a guest's newest", NULL, 1, 1, false, false, run_log},
	{"cancel", "TASK|GUEST", "cancel a migration: all is rolled back", NULL, 1, 1, false, false, run_cancel},
	{"recover", "[TASK|GUEST] [--keep source|target]", "finish or undo what a crash has interrupted",
	 "Asks both nodes and their journals. It runs by itself when a task ends badly, at\n"
	 "boot, and from a timer; by hand it does no harm. Where the other node cannot be\n"
	 "asked, nothing is started until an administrator who knows which node is dead\n"
	 "says whose copy counts: --keep source or --keep target.\n",
	 0, 1, false, false, run_recover},
	{"node", "add NAME ADDRESS | test [NAME] | list", "join this node with another, or test that",
	 "add makes a key pair of our own if there is none, shows the fingerprint of the\n"
	 "new node's host key and asks whether it is right (--accept says so beforehand),\n"
	 "installs the key there, restricted to our agent, and the other way round, and\n"
	 "tests both directions. It may be repeated.\n",
	 1, 3, false, false, run_node},
	{"seeds", "[NODE] [--prune]", "old copies that nodes keep to begin new ones from",
	 "A seed lies beside the place of its volume. It is left by a guest that has moved\n"
	 "away (--keep-seed, keep_seed in vmmigrate.conf), or by a copy that was cut or\n"
	 "cancelled (\"partial\": the next try goes on from there). A copy that begins from\n"
	 "a seed reads and compares all of it, so that an old one does no harm. Seeds go\n"
	 "by themselves when their time is over, or when their room is needed; --prune\n"
	 "removes them now. Files of such a name that are not ours (\"foreign\") stay.\n",
	 0, 1, false, false, run_seeds},
	{"help", "[VERB]", "this text, or more about a verb", NULL, 0, 1, false, false, run_help},
	{"version", "", "say which version this is", NULL, 0, 0, false, false, run_version},
};
/* clang-format on */
const size_t verb_count = COUNT(verbs);

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < verb_count; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
