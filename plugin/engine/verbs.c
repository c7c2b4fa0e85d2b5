/* verbs.c: all verbs in one table. */
#include "engine/engine.h"

#define ANYBODY	      (RIGHT_MANAGE | RIGHT_ADMINISTER | RIGHT_PEER)
#define ADMINISTRATOR RIGHT_ADMINISTER

const struct verb verbs[] = {
	{"info", "what this version offers: verbs, options, checks, phases, hooks", verb_info, ANYBODY},
	{"guests", "guests of all nodes", verb_guests, ANYBODY},
	{"nodes", "nodes of the cluster", verb_nodes, ANYBODY},
	{"targets", "for every node: can it take the guest, and why not", verb_targets, ANYBODY},
	{"check", "all that speaks against a migration, at once", verb_check, ANYBODY},
	{"plan", "what a migration would do", verb_plan, ANYBODY},
	{"start", "begin a migration", verb_start, ANYBODY},
	{"tasks", "tasks of this node, or of all", verb_tasks, ANYBODY},
	{"status", "how far a task is, or how it ended", verb_status, ANYBODY},
	{"log", "a task's log", verb_log, ANYBODY},
	{"follow", "a task's events as they come", verb_follow, ANYBODY},
	{"cancel", "ask a task to stop and undo", verb_cancel, ANYBODY},
	{"recover", "finish or undo what a dead worker has left", verb_recover, ANYBODY},
	{"seeds", "old copies that nodes keep to begin new ones from; removes them", verb_seeds, ANYBODY},
	{"node-add", "make another node part of the cluster", verb_node_add, ADMINISTRATOR},
	{"node-test", "test the links between nodes, both directions", verb_node_test, ANYBODY},
	{"node-remove", "take a node out of the cluster, on all nodes", verb_node_remove,
	 RIGHT_ADMINISTER | RIGHT_PEER},
	{"node-accept", NULL, verb_node_accept, RIGHT_PEER},
};
const size_t verb_count = VMM_COUNT(verbs);
