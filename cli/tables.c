/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What can be typed: the verbs, and the options of the command itself. The command line is read by these tables; help,
 * the manual and the completion are made of them. The options of a migration are in the engine's table, see
 * client_info. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ verbs */

const struct verb verb_migrate = {
	.id = VERB_MIGRATE,
	.name = "migrate",
	.usage = "GUEST TARGET [OPTIONS]",
	.help = "move a guest to another node",
	.least = 2,
	.most = 2,
	.migration_options = true,
};

const struct verb verbs[] = {
	{
		.id = VERB_CHECK,
		.name = "check",
		.usage = "GUEST [TARGET] [OPTIONS]",
		.help = "say whether a guest can be moved, and everything that prevents it",
		.more = "Without a target, every node is asked: can it take the guest, and if not, why\n"
			"not. Nothing is changed. With the options of a migration it answers for a\n"
			"migration with those options. Exit status 3 if the target is refused.\n",
		.least = 1,
		.most = 2,
		.migration_options = true,
	},
	{
		.id = VERB_TARGETS,
		.name = "targets",
		.usage = "GUEST [OPTIONS]",
		.help = "as check, for every node",
		.least = 1,
		.most = 1,
		.migration_options = true,
	},
	{
		.id = VERB_PLAN,
		.name = "plan",
		.usage = "GUEST TARGET [OPTIONS]",
		.help = "show what a migration would do, as --dry-run does",
		.least = 2,
		.most = 2,
		.migration_options = true,
	},
	{
		.id = VERB_LIST,
		.name = "list",
		.usage = "[NODE]",
		.help = "guests of this node and of the others",
		.most = 1,
	},
	{
		.id = VERB_NODES,
		.name = "nodes",
		.usage = "",
		.help = "the nodes and whether they answer",
	},
	{
		.id = VERB_TASKS,
		.name = "tasks",
		.usage = "[GUEST] [--all]",
		.help = "migrations that run and that have ended",
		.most = 1,
	},
	{
		.id = VERB_STATUS,
		.name = "status",
		.usage = "[TASK|GUEST] [--follow]",
		.help = "how far a migration is; follows it while it runs",
		.more = "On a terminal a task that runs is followed to its end. Ctrl-C stops watching and\n"
			"cancels nothing. The exit status is then the migration's. For a guest, the node\n"
			"that owns it is shown too.\n",
		.most = 1,
	},
	{
		.id = VERB_LOG,
		.name = "log",
		.usage = "TASK|GUEST",
		.help = "the log of a task, or of the newest task of a guest",
		.least = 1,
		.most = 1,
	},
	{
		.id = VERB_CANCEL,
		.name = "cancel",
		.usage = "TASK|GUEST",
		.help = "cancel a migration and roll it back",
		.least = 1,
		.most = 1,
	},
	{
		.id = VERB_RECOVER,
		.name = "recover",
		.usage = "[TASK|GUEST] [--keep source|target] | GUEST --forget",
		.help = "finish or undo what a crash has interrupted",
		.more = "Asks both nodes and their journals. It runs by itself when a task ends badly, at\n"
			"boot, and from a timer; by hand it does no harm. If the other node cannot be\n"
			"asked, nothing is started until an administrator who knows which node is dead\n"
			"decides which node keeps the guest: --keep source or --keep target.\n"
			"--forget lets go of what this node has noted about a guest that another node\n"
			"had, if that node has no such guest any more.\n",
		.most = 1,
	},
	{
		.id = VERB_NODE,
		.name = "node",
		.usage = "add NAME ADDRESS | test [NAME] | remove NAME | list",
		.help = "make another node part of the cluster, or test the connections",
		.more = "add makes a key pair for vmmigrate if there is none, shows the fingerprint of\n"
			"the new node's host key and asks whether it is right (--accept answers yes\n"
			"beforehand), installs the key there, where it can start vmmigrate's agent and\n"
			"nothing else, does the same in the other direction, and tests both. It may be\n"
			"repeated. remove takes back, on all nodes that answer, what add has written\n"
			"about a node: its key, its host key and its section of vmmigrate.conf.\n",
		.least = 1,
		.most = 3,
	},
	{
		.id = VERB_SEEDS,
		.name = "seeds",
		.usage = "[NODE] [--prune]",
		.help = "old copies of volumes, which the next copies start from",
		.more = "A seed is a file beside the path of its volume. It is left by a guest that has\n"
			"moved away (--keep-seed, or keep_seed in vmmigrate.conf), or by a copy that was\n"
			"interrupted or cancelled (\"partial\": the next attempt continues it). A copy that\n"
			"starts from a seed reads and compares all of it, so an old seed does no harm.\n"
			"Seeds are removed when their time is over or when a migration needs the space;\n"
			"--prune removes them now. Files of such a name that vmmigrate did not make\n"
			"(\"foreign\") stay.\n",
		.most = 1,
	},
	{
		.id = VERB_HELP,
		.name = "help",
		.usage = "[VERB]",
		.help = "this text, or more about a verb",
		.most = 1,
	},
	{
		.id = VERB_VERSION,
		.name = "version",
		.usage = "",
		.help = "say which version this is",
	},
};
const size_t verb_count = COUNT(verbs);

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < verb_count; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

const char *verb_suggest(const char *typed)
{
	struct suggestion suggestion = {.typed = typed};

	for (size_t i = 0; i < verb_count; i++)
		suggest_try(&suggestion, verbs[i].name);
	return suggestion.best;
}

/* ------------------------------------------------------------------ options */

const struct cli_option cli_options[] = {
	{
		.id = OPTION_DRY_RUN,
		.name = "dry-run",
		.letter = 'n',
		.verbs = GOES_WITH(VERB_MIGRATE),
		.help = "Show the plan and all findings, change nothing.",
	},
	{
		.id = OPTION_YES,
		.name = "yes",
		.letter = 'y',
		.verbs = GOES_WITH(VERB_MIGRATE) | GOES_WITH(VERB_NODE),
		.help = "Do not ask.",
	},
	{
		.id = OPTION_DETACH,
		.name = "detach",
		.verbs = GOES_WITH(VERB_MIGRATE),
		.help = "Start the task and return at once.",
	},
	{
		.id = OPTION_DETACH,
		.name = "background",
		.verbs = GOES_WITH(VERB_MIGRATE),
	},
	{
		.id = OPTION_QUIET,
		.name = "quiet",
		.letter = 'q',
		.verbs = GOES_WITH(VERB_MIGRATE) | GOES_WITH(VERB_STATUS),
		.help = "Print no progress, only warnings and the result.",
	},
	{
		.id = OPTION_JSON,
		.name = "json",
		.help = "Print for programs: one JSON object per line.",
	},
	{
		.id = OPTION_NO_COLOR,
		.name = "no-color",
		.help = "No colours, as with NO_COLOR in the environment.",
	},
	{
		.id = OPTION_NO_COLOR,
		.name = "no-colour",
	},
	{
		.id = OPTION_FOLLOW,
		.name = "follow",
		.letter = 'f',
		.verbs = GOES_WITH(VERB_STATUS),
		.help = "Follow a running task to its end; on a terminal that is the default.",
	},
	{
		.id = OPTION_ALL,
		.name = "all",
		.letter = 'a',
		.verbs = GOES_WITH(VERB_TASKS),
		.help = "Show the tasks of all nodes.",
	},
	{
		.id = OPTION_KEEP,
		.name = "keep",
		.argument = "source|target",
		.verbs = GOES_WITH(VERB_RECOVER),
		.help = "The administrator's decision if one node cannot be asked: which one keeps the guest.",
	},
	{
		.id = OPTION_FORGET,
		.name = "forget",
		.verbs = GOES_WITH(VERB_RECOVER),
		.help = "Let go of this node's record of a guest, if the owner that it names has none.",
	},
	{
		.id = OPTION_ACCEPT,
		.name = "accept",
		.verbs = GOES_WITH(VERB_NODE),
		.help = "Trust the host key that the node shows.",
	},
	{
		.id = OPTION_PRUNE,
		.name = "prune",
		.verbs = GOES_WITH(VERB_SEEDS),
		.help = "Remove all seeds, except files that vmmigrate did not make.",
	},
	{
		.id = OPTION_HELP,
		.name = "help",
		.letter = 'h',
		.help = "Show this text, or with a verb the help for that verb.",
	},
	{
		.id = OPTION_VERSION,
		.name = "version",
		.letter = 'V',
		.help = "Say which version this is.",
	},
	{
		.id = OPTION_MAN,
		.name = "man",
		.verbs = GOES_WITH(VERB_HELP),
	},
	{
		.id = OPTION_COMPLETION,
		.name = "completion",
		.verbs = GOES_WITH(VERB_HELP),
	},
	{
		.id = OPTION_WORDS,
		.name = "words",
		.argument = "guests|nodes|tasks",
		.verbs = GOES_WITH(VERB_HELP),
	},
};
const size_t cli_option_count = COUNT(cli_options);

bool option_goes_with(const struct cli_option *option, const struct verb *verb)
{
	return !option->verbs || (option->verbs & GOES_WITH(verb->id));
}

char *migration_option_argument(struct json_object *option)
{
	char *text = format("%s", count_at(option, "choices") ? "" : text_at(option, "argument"));

	each (choice, at(option, "choices")) {
		char *longer = format("%s%s%s", text, *text ? "|" : "", json_object_get_string(choice));

		free(text);
		text = longer;
	}
	return text;
}
