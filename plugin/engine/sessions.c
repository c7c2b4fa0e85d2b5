/* sessions.c: the sessions that carry copies. They serve all volumes and rounds; after a failure they are of no use any
 * more. */
#include "engine/engine.h"
#include "engine/steps.h"

static int open_one(struct migration *m, struct stream **session, struct vmm_error **err)
{
	struct vmm_node *target = m->node[TARGET];
	bool tls = str_same(json_text(m->request, "options.data"), "tls");
	return target->ops->session(target, task_id(m->task), tls, session, err);
}

/* One is enough to go on with: sshd may admit no more. */
static int open_another(void *context, struct stream **session)
{
	struct migration *m = context;
	vmm_auto_error struct vmm_error *problem = NULL;
	if (open_one(m, session, &problem) == 0)
		return 0;
	task_log(m->task, "info", "copying goes on over %zu connections: %s", m->sessions.count, problem->message);
	return -1;
}

int sessions_open(struct migration *m, struct vmm_error **err)
{
	struct copy_sessions *sessions = &m->sessions;
	if (sessions->count)
		return 0;
	if (open_one(m, &sessions->stream[0], err) < 0)
		return -1;
	size_t asked = (size_t)json_number(m->request, "options.parallel_connections");
	*sessions = (struct copy_sessions){.stream = {sessions->stream[0]}, .count = 1, .context = m};
	if (!asked)
		sessions->open = open_another;
	while (sessions->count < asked && open_another(m, &sessions->stream[sessions->count]) == 0)
		sessions->count++;
	return 0;
}

void sessions_drop(struct migration *m)
{
	while (m->sessions.count)
		stream_close(m->sessions.stream[--m->sessions.count]);
}
