/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate nodes, node add, node test, node remove. */
#include "cli.h"

#include <string.h>

/* ------------------------------------------------------------------ nodes */

static const char *node_state(struct json_object *node)
{
	if (true_at(node, "self"))
		return "this node";
	if (!true_at(node, "reachable"))
		return "not reachable";
	return true_at(node, "maintenance") ? "maintenance" : "ready";
}

int run_nodes(struct command *command)
{
	static const char *const heads[] = {"NODE", "ADDRESS", "STATE", "LET IN BY", "ERROR", NULL};
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	if (!call_and_report(command, "nodes", request_make(NULL, NULL), &reply, &status))
		return status;
	table_begin(&table, heads);
	each (node, at(reply, "nodes"))
		table_row(&table, text_at(node, "name"), text_at(node, "address"), node_state(node),
			  text_at(node, "introduced_by"),
			  has(node, "error.message") ? text_at(node, "error.message") : text_at(node, "error"));
	table_end(&table, &command->out);
	return status;
}

/* ------------------------------------------------------------------ node */

static struct json_object *add_request(const struct command *command, bool accept)
{
	struct json_object *request = request_and(request_make("name", command->arguments.positional[1]), "address",
						  command->arguments.positional[2]);

	if (accept)
		json_object_object_add(request, "accept", json_object_new_boolean(true));
	return request;
}

static void print_tests(const struct screen *out, struct json_object *tests)
{
	static const char *const heads[] = {"FROM", "TO", "RESULT", "WHY", NULL};
	struct table table;

	table_begin(&table, heads);
	each (test, tests)
		table_row(&table, text_at(test, "from"), text_at(test, "to"), true_at(test, "ok") ? "ok" : "failed",
			  text_at(test, "error.message"));
	if (table.count == 0)
		fputs("There is no other node. Add one with: vmmigrate node add NAME ADDRESS\n", out->file);
	table_end(&table, out);
	each (test, tests)
		if (has(test, "error.hint"))
			fprintf(out->file, "%s to %s: %s\n", text_at(test, "from"), text_at(test, "to"),
				text_at(test, "error.hint"));
}

static void print_added(const struct screen *out, struct json_object *reply)
{
	if (has(reply, "node"))
		fprintf(out->file, "%s at %s, host key %s\n", text_at(reply, "node"), text_at(reply, "address"),
			text_at(reply, "fingerprint"));
	if (count_at(reply, "tests") > 0)
		print_tests(out, at(reply, "tests"));
}

static int node_add(struct command *command)
{
	bool accept = command->arguments.given[OPTION_ACCEPT] || command->arguments.given[OPTION_YES];
	auto_json struct json_object *reply = NULL;
	int status = client_call(&command->client, "node-add", add_request(command, accept), &reply);

	if (!accept && ask_possible(command) && strcmp(text_at(reply, "error.code"), "host-key-unknown") == 0) {
		fprintf(command->out.file, "%s\n", text_at(reply, "error.message"));
		if (!ask(command, "Compare it with what that node says on its console. Is it right?")) {
			fputs("Nothing was changed.\n", command->out.file);
			return EXIT_CANCELLED;
		}
		json_object_put(reply);
		status = client_call(&command->client, "node-add", add_request(command, true), &reply);
	}
	if (command->arguments.given[OPTION_JSON]) {
		report_json(reply);
		return status;
	}
	print_added(&command->out, reply);
	return has(reply, "error") ? report_error(command, status, reply) : status;
}

/* Ends with EXIT_FAILED if one of the connections fails. */
static int node_test(struct command *command)
{
	const char *name = command->arguments.count > 1 ? command->arguments.positional[1] : NULL;
	auto_json struct json_object *reply = NULL;
	int status = client_call(&command->client, "node-test", request_make("name", name), &reply);

	each (test, at(reply, "tests"))
		status = status == EXIT_DONE && !true_at(test, "ok") ? EXIT_FAILED : status;
	if (command->arguments.given[OPTION_JSON])
		report_json(reply);
	else if (has(reply, "error"))
		report_error(command, status, reply);
	else
		print_tests(&command->out, at(reply, "tests"));
	return status;
}

/* Ends with EXIT_FAILED if a node could not be told. */
static int node_remove(struct command *command)
{
	static const char *const heads[] = {"ON", "RESULT", "WHY", NULL};
	const char *name = command->arguments.positional[1];
	auto_json struct json_object *reply = NULL;
	struct table table;
	int status;

	if (!call_and_report(command, "node-remove", request_make("name", name), &reply, &status))
		return status;
	table_begin(&table, heads);
	each (node, at(reply, "removed")) {
		status = status == EXIT_DONE && !true_at(node, "ok") ? EXIT_FAILED : status;
		table_row(&table, text_at(node, "from"), true_at(node, "ok") ? "removed" : "failed",
			  text_at(node, "error.message"));
	}
	table_end(&table, &command->out);
	fprintf(command->out.file,
		"%s itself still lets these nodes in: if it is to stay in use, say there, for each of them: vmmigrate "
		"node remove NAME\n",
		name);
	return status;
}

int run_node(struct command *command)
{
	const struct arguments *arguments = &command->arguments;
	struct suggestion suggestion = {.typed = arguments->positional[0]};

	if (strcmp(suggestion.typed, "add") == 0 && arguments->count == 3)
		return node_add(command);
	if (strcmp(suggestion.typed, "add") == 0)
		return usage_error(command, "usage: vmmigrate node add NAME ADDRESS [--accept]");
	if (strcmp(suggestion.typed, "test") == 0 && arguments->count <= 2)
		return node_test(command);
	if (strcmp(suggestion.typed, "list") == 0 && arguments->count == 1)
		return run_nodes(command);
	if (strcmp(suggestion.typed, "remove") == 0 && arguments->count == 2)
		return node_remove(command);
	suggest_try(&suggestion, "remove");
	suggest_try(&suggestion, "add");
	suggest_try(&suggestion, "test");
	suggest_try(&suggestion, "list");
	if (suggestion.best && strcmp(suggestion.best, suggestion.typed) != 0)
		return usage_error(command, "node knows add, test, remove and list, not '%s'; did you mean '%s'?",
				   suggestion.typed, suggestion.best);
	return usage_error(command, "usage: vmmigrate node add NAME ADDRESS | test [NAME] | remove NAME | list");
}
