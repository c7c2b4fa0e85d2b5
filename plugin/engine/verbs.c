/* verbs.c: all verbs in one table. */
#include "engine/engine.h"

const struct verb verbs[] = {
	{"info", "what this version offers: verbs, options, checks, phases, hooks", verb_info},
	{"guests", "guests of all nodes", verb_guests},
	{"nodes", "nodes of the cluster", verb_nodes},
	{"targets", "for every node: can it take the guest, and why not", verb_targets},
	{"check", "all that speaks against a migration, at once", verb_check},
	{"plan", "what a migration would do", verb_plan},
	{"start", "begin a migration", verb_start},
	{"tasks", "tasks of this node, or of all", verb_tasks},
	{"status", "how far a task is, or how it ended", verb_status},
	{"log", "a task's log", verb_log},
	{"follow", "a task's events as they come", verb_follow},
	{"cancel", "ask a task to stop and undo", verb_cancel},
	{"recover", "finish or undo what a dead worker has left", verb_recover},
	{"seeds", "old copies that nodes keep to begin new ones from; removes them", verb_seeds},
	{"node-add", "make another node part of the cluster", verb_node_add},
	{"node-test", "test the links between nodes, both directions", verb_node_test},
	{"node-accept", NULL, verb_node_accept},
};
const size_t verb_count = VMM_COUNT(verbs);
