/* owner.c: asks the node that a guest record names as the owner whether it has the guest. A record that names a node
 * without such a guest gives way: the guest was removed there, and the one that is here now is all there is. */
#include <string.h>

#include "migration/migration.h"

enum { HOPS_MOST = 16 }; /* nodes that name one another in a circle are asked so many times */

const char *const owner_answers[] = {
	[OWNER_GONE] = "gone", [OWNER_HAS] = "has", [OWNER_BUSY] = "busy", [OWNER_SILENT] = "silent"};

void owner_free(struct owner *owner)
{
	free(owner->node);
	free(owner->problem);
	*owner = (struct owner){0};
}

/* A node that is open already (`near`), or a connection of its own, which the caller closes (*opened). */
static struct vmm_node *reach(const struct node_paths *paths, struct vmm_node *const near[SIDES], const char *name,
			      struct vmm_node **opened, struct vmm_error **err)
{
	for (enum side side = SOURCE; side < SIDES; side++)
		if (near[side] && str_same(near[side]->name, name))
			return near[side];
	if (paths)
		node_open_remote(paths, name, NULL, opened, err);
	else
		error_set(err, VMM_FAILED, "link-lost", "node %s is not reached", name);
	return *opened;
}

/* Asks one node; *theirs is its own record of the guest. */
static int ask(struct vmm_node *node, const char *guest, enum owner_answer *answer, struct guest_record *theirs,
	       struct vmm_error **err)
{
	vmm_auto_json struct json_object *args = json_make("guest:s", guest), *state = NULL, *reply = NULL;
	if (node_call(node, NODE_STATE, args, &state, err) < 0 || node_call(node, NODE_RECORD, args, &reply, err) < 0 ||
	    record_from_json(json_at(reply, "record"), node->name, theirs, err) < 0)
		return -1;
	bool absent = str_same(json_text(state, "state"), "absent");
	*answer = !absent ? OWNER_HAS : theirs->task ? OWNER_BUSY : OWNER_GONE;
	return 0;
}

void owner_look(const struct node_paths *paths, struct vmm_node *const near[SIDES], const char *self,
		const struct guest_record *record, struct owner *owner)
{
	*owner = (struct owner){.answer = OWNER_GONE, .node = str_copy(record->owner)};
	for (int hop = 0; hop < HOPS_MOST; hop++) {
		vmm_auto_error struct vmm_error *problem = NULL;
		vmm_auto_record struct guest_record theirs = {0};
		struct vmm_node *opened = NULL, *node = reach(paths, near, owner->node, &opened, &problem);
		if (!node || ask(node, record->guest, &owner->answer, &theirs, &problem) < 0)
			owner->answer = OWNER_SILENT;
		node_close(opened);
		if (problem)
			str_replace(&owner->problem, problem->message);
		if (owner->answer == OWNER_BUSY)
			str_replace(&owner->problem, theirs.task);
		if (theirs.generation > owner->generation)
			owner->generation = theirs.generation;
		/* It has given the guest to another node, which may have it. */
		if (owner->answer != OWNER_GONE || !theirs.guest || str_same(theirs.owner, owner->node) ||
		    str_same(theirs.owner, self))
			return;
		str_replace(&owner->node, theirs.owner);
	}
	owner->answer = OWNER_SILENT;
	str_replace(&owner->problem, "the records of the nodes name one another");
}
