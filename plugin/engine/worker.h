/* worker.h: running a task in a process of its own. */
#ifndef VMM_ENGINE_WORKER_H
#define VMM_ENGINE_WORKER_H

#include "cluster/cluster.h"
#include "engine/engine.h"

#ifndef VMM_LIBEXEC
#define VMM_LIBEXEC "/usr/libexec/vmmigrate"
#endif

/* A task that is there, made ready to be run or settled by this process: its worker from now on (error "busy" where another lives).
 * *m is all zero before; migration_close frees what is in it, after an error too. */
int migration_open(struct migration *m, const struct node_paths *paths, const char *task, struct vmm_error **err);
void migration_close(struct migration *m);

/* Carries out the task in this process. An error only where it could not begin; how it ended is in the task's result. */
int worker_run(const struct node_paths *paths, const char *task, struct vmm_error **err);
/* Settles a task whose worker is gone; *result is what it came to. */
int worker_recover(const struct node_paths *paths, const char *task, const char *keep, struct json_object **result,
		   struct vmm_error **err);
/* Runs the task's worker so that neither the terminal's nor the panel's end can end it. */
int worker_detach(const struct node_paths *paths, const char *task, struct vmm_error **err);

#endif
