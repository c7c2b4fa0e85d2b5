/* sessions.c: the sessions that carry copies. They serve all volumes and rounds; after a failure they are of no use any
 * more. */
#include <unistd.h>

#include "engine/engine.h"
#include "engine/steps.h"

/* Each session keeps a core busy with its cipher, and so does reading: on two cores a second one gains nothing. */
static size_t wanted(struct migration *m)
{
	enum { OF_ITSELF = 2, CORES_FOR_IT = 4 };
	int64_t asked = json_number(m->request, "options.parallel_connections");
	if (asked > 0)
		return asked < COPY_SESSIONS_MOST ? (size_t)asked : COPY_SESSIONS_MOST;
	return sysconf(_SC_NPROCESSORS_ONLN) >= CORES_FOR_IT ? OF_ITSELF : 1;
}

static int open_one(struct migration *m, struct vmm_error **err)
{
	struct vmm_node *target = m->node[TARGET];
	bool tls = str_same(json_text(m->request, "options.data"), "tls");
	if (target->ops->session(target, task_id(m->task), tls, &m->sessions[m->session_count], err) < 0)
		return -1;
	m->session_count++;
	return 0;
}

int sessions_open(struct migration *m, struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	if (m->session_count)
		return 0;
	if (open_one(m, err) < 0)
		return -1;
	/* One is enough to go on with: sshd may admit no more. */
	while (m->session_count < wanted(m) && open_one(m, &problem) == 0)
		;
	if (problem)
		task_log(m->task, "info", "copying over %zu of %zu connections: %s", m->session_count, wanted(m),
			 problem->message);
	return 0;
}

void sessions_drop(struct migration *m)
{
	while (m->session_count)
		stream_close(m->sessions[--m->session_count]);
}
